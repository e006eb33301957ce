"""One OpenAI-compatible server: its client, its name, and its errors in our words."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
from openai import AsyncOpenAI
from pydantic import SecretStr

from agents.contract import PermanentError
from app.models.errors import CallFailed, RateLimited
from app.ports import ProviderAway

OFFLINE = "offline"
# Costs and answers of the offline server must never pass for the model's that they stand in for.
OFFLINE_PREFIX = "offline-instead-of-"

_CONNECTIONS_MAX = 12_000
_CONNECT_S_MAX = 10.0
_WAIT_S = 1.0
_PROBE_S_MAX = 10.0
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_GATEWAY_TIMEOUT = 504
_RETRIED_STATUS = frozenset({408, 409, 425})


class Provider:
    """``name`` is the host, or ``offline``. ``url`` ends in /v1."""

    def __init__(self, url: str, key: SecretStr | None, *, name: str | None = None) -> None:
        self.url = url
        self.name = name or urlsplit(url).hostname or url
        limits = httpx2.Limits(max_connections=_CONNECTIONS_MAX, max_keepalive_connections=_CONNECTIONS_MAX)
        self.client = AsyncOpenAI(
            base_url=url,
            api_key=key.get_secret_value() if key else "none",
            max_retries=0,  # the engine retries, and holds only one key meanwhile
            http_client=openai.DefaultAsyncHttpxClient(
                limits=limits, timeout=httpx2.Timeout(600.0, connect=_CONNECT_S_MAX)
            ),
        )

    @property
    def is_offline(self) -> bool:
        return self.name == OFFLINE

    def label(self, model: str) -> str:
        """The model's name for ledger, metrics and pages."""
        return OFFLINE_PREFIX + model if self.is_offline else model

    async def close(self) -> None:
        await self.client.close()

    @contextmanager
    def errors(self, model: str) -> Iterator[None]:
        """OpenAI's exceptions as ours."""
        try:
            yield
        except openai.APITimeoutError as error:
            raise CallFailed(f"{model} at {self.url} gave no answer in time", charged="unknown") from error
        except openai.APIConnectionError as error:
            if isinstance(error.__cause__, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)):
                raise ProviderAway(f"no connection to {self.url}: {error.__cause__}; check its URL setting") from error
            raise CallFailed(f"{self.url} broke the connection off: {error.__cause__}", charged="unknown") from error
        except openai.APIStatusError as error:
            raise _status_error(error, model, self.url) from error
        except (openai.APIError, ValueError) as error:  # an answer that is no JSON, say, or of another shape
            raise CallFailed(f"{model} at {self.url}: {error}", charged="unknown") from error


async def connect(url: str, key: SecretStr | None, on_wait: Callable[[str], None]) -> Provider:
    """A provider that answers, and its name: the offline server's list of models says what it is.

    Waits for a server that is not there yet, and says so once.
    """
    said = False
    async with httpx2.AsyncClient(timeout=_PROBE_S_MAX) as client:
        while True:
            headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
            try:
                response = await client.get(url.rstrip("/") + "/models", headers=headers)
            except httpx2.TransportError as error:
                if not said:
                    on_wait(f"waiting for the model server at {url}: {error or type(error).__name__}")
                    said = True
                await asyncio.sleep(_WAIT_S)
                continue
            return Provider(url, key, name=OFFLINE if _is_offline(response) else None)


def _is_offline(response: httpx2.Response) -> bool:
    try:
        models = response.json()["data"]
        return bool(models) and all(str(model["id"]).startswith("offline-") for model in models)
    except (ValueError, KeyError, TypeError):
        return False  # many servers have no such list


def _status_error(error: openai.APIStatusError, model: str, url: str) -> Exception:
    status, text = error.status_code, f"{model} at {url}: {error.status_code} {_reason(error)}"
    wait_s = _retry_after_s(error.response.headers)
    if status == _TOO_MANY_REQUESTS:
        return RateLimited(text, retry_after_s=wait_s)
    if status in {401, 403}:
        # A wrong key must not dead-letter thousands of tickets: they wait until somebody has mended it.
        return ProviderAway(f"{text}; check the API key setting", retry_after_s=wait_s)
    if status in _RETRIED_STATUS or status >= _SERVER_ERROR:
        return CallFailed(text, charged="unknown" if status in {408, _GATEWAY_TIMEOUT} else "no", retry_after_s=wait_s)
    return PermanentError("provider_refused", text)


def _reason(error: openai.APIStatusError) -> str:
    body: Any = error.body
    if isinstance(body, dict):
        body = body.get("message") or body.get("error") or body
    return str(body or error.message)[:300]


def _retry_after_s(headers: httpx2.Headers) -> float | None:
    """``retry-after-ms`` or ``Retry-After`` in seconds. The date form is rare at model providers: not read."""
    for name, unit in (("retry-after-ms", 1_000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / unit)
        except (KeyError, ValueError):
            continue
    return None
