"""One OpenAI-compatible server: its client, its name, and its errors in our words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
from openai import AsyncOpenAI
from pydantic import SecretStr

from agents.contract import PermanentError
from app.models.errors import REFUSED, CallFailed, Charged, RateLimited, no_connection
from app.models.rate_headers import Told, allowances, retry_after_s
from app.ports import ProviderAway

OFFLINE = "offline"
# Costs and answers of the offline server must never pass for the model's that they stand in for.
OFFLINE_PREFIX = "offline-instead-of-"

_CONNECTIONS_MAX = 12_000
_CONNECT_S_MAX = 10.0
_PROBE_S_MAX = 10.0
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_RETRIED_STATUS = frozenset({408, 409, 425})
# Whoever stood between gave up on the model, which may have done its work: time-outs, and a gateway's bad answers.
_PERHAPS_CHARGED_STATUS = frozenset({408, 502, 504, 520, 524})
# Not about the one request: a wrong key, an empty account, a wrong URL or model.
_SETTING_STATUS = {
    401: "check the API key setting",
    402: "the account has no credit",
    403: "check the API key setting",
    404: "check the URL and the names of the models",
}
_NO_CREDIT_CODE = "insufficient_quota"  # OpenAI's, with 429


class Provider:
    """``name`` is the host, or ``offline``. ``url`` ends in /v1."""

    def __init__(
        self,
        url: str,
        key: SecretStr | None,
        *,
        name: str | None = None,
        on_told: Callable[[str, Told], None] = lambda model, told: None,
    ) -> None:
        self.url = url
        self._on_told = on_told
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

    def tell(self, model: str, headers: httpx2.Headers, *, asked_at: float, tokens: int = 0) -> None:
        """What an answer's headers say of limits, to whoever keeps them (``on_told``), by the model's label."""
        if found := allowances(headers.multi_items(), datetime.now(UTC)):
            self._on_told(self.label(model), Told(found, asked_at, tokens))

    @contextmanager
    def errors(self, model: str) -> Iterator[None]:
        """OpenAI's exceptions as ours."""
        asked_at = time.monotonic()
        try:
            yield
        except TimeoutError as error:
            raise CallFailed(f"{model} at {self.url} gave no answer in time", charged="unknown") from error
        except openai.APIConnectionError as error:  # a time-out is one, too
            cause = error.__cause__
            if isinstance(cause, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)):
                raise ProviderAway(f"no connection to {self.url}: {no_connection(cause)}") from error
            if isinstance(error, openai.APITimeoutError):
                raise CallFailed(f"{model} at {self.url} gave no answer in time", charged="unknown") from error
            raise CallFailed(f"{self.url} broke the connection off: {cause}", charged="unknown") from error
        except openai.APIStatusError as error:
            self.tell(model, error.response.headers, asked_at=asked_at)
            raise _status_error(error, model, self.url) from error
        except (openai.APIError, ValueError) as error:  # an answer that is no JSON, say, or of another shape
            raise CallFailed(f"{model} at {self.url}: {error}", charged="unknown") from error


async def connect(
    url: str, key: SecretStr | None, on_told: Callable[[str, Told], None] = lambda model, told: None
) -> Provider:
    """A provider that answers, and its name: the offline server's list of models says what it is.

    Raises ProviderAway where nobody answers.
    """
    headers = {"Authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    try:
        async with httpx2.AsyncClient(timeout=_PROBE_S_MAX) as client:
            response = await client.get(url.rstrip("/") + "/models", headers=headers)
    except httpx2.TransportError as error:
        raise ProviderAway(f"no connection to {url}: {no_connection(error)}") from error
    return Provider(url, key, name=OFFLINE if _is_offline(response) else None, on_told=on_told)


def _is_offline(response: httpx2.Response) -> bool:
    try:
        models = response.json()["data"]
        return bool(models) and all(str(model["id"]).startswith("offline-") for model in models)
    except (ValueError, KeyError, TypeError):
        return False  # many servers have no such list


def _status_error(error: openai.APIStatusError, model: str, url: str) -> Exception:
    status, text = error.status_code, f"{model} at {url}: {error.status_code} {_reason(error)}"
    wait_s = retry_after_s(error.response.headers.multi_items(), datetime.now(UTC))
    advice = _SETTING_STATUS[402] if error.code == _NO_CREDIT_CODE else _SETTING_STATUS.get(status)
    if advice:
        # A wrong setting must not dead-letter thousands of tickets: they wait until somebody has mended it.
        return ProviderAway(f"{text}; {advice}", retry_after_s=wait_s)
    if status == _TOO_MANY_REQUESTS:
        return RateLimited(text, retry_after_s=wait_s)
    if status in _RETRIED_STATUS or status >= _SERVER_ERROR:
        perhaps: Charged = "unknown" if status in _PERHAPS_CHARGED_STATUS else "no"
        return CallFailed(text, charged=perhaps, retry_after_s=wait_s)
    return PermanentError(REFUSED, text)


def _reason(error: openai.APIStatusError) -> str:
    body: Any = error.body
    if isinstance(body, dict):
        body = body.get("message") or body.get("error") or body
    return str(body or error.message)[:300]
