"""Replies to any HTTP server: POST one, signed; GET tells whether one has landed.

``POST <url>`` has the reply as JSON, ``Idempotency-Key: <reply id>``, ``X-Deskstream-Timestamp`` (seconds since 1970)
and ``X-Deskstream-Signature: sha256=<hex>``, the HMAC of timestamp, a full stop and the body. 2xx: it has landed;
``id`` in a JSON answer names it there. ``GET <url>?reply_id=<id>``, signed over the query in place of the body, answers
200 with ``{"landed": true, "id": ...}`` or ``{"landed": false}``; anything else says nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from typing import Any
from urllib.parse import urlencode

import httpx2
import orjson

from app.desk.adapters import NotNow, Outgoing, Refused, Unsure

SIGNATURE_HEADER = "X-Deskstream-Signature"
TIMESTAMP_HEADER = "X-Deskstream-Timestamp"
ANSWER_BYTES_MAX = 64 * 1024
ERROR_CHARS_MAX = 300
CONNECTIONS_MAX = 50
RETRY_AFTER_S_MAX = 3_600.0
# That it was not taken is certain only of these, and of the refusals; of a 408, 409 or 5xx it is not. Of a wrong
# secret nothing is lost: it is tried again until somebody corrects it.
_NOT_NOW = (401, 403, 425, 429)
_UNSURE = (408, 409)


def signature(secret: str, timestamp: str, signed: bytes) -> str:
    return "sha256=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + signed, hashlib.sha256).hexdigest()


class Webhook:
    """``settle_s`` None: the server has no GET."""

    name = "webhook"

    def __init__(self, url: str, secret: str, *, timeout_s: float, settle_s: float | None) -> None:
        self.settle_s = settle_s
        self._url = url
        self._secret = secret
        self._timeout_s = timeout_s
        self._client = httpx2.AsyncClient(
            timeout=timeout_s, limits=httpx2.Limits(max_connections=CONNECTIONS_MAX), follow_redirects=False
        )

    async def send(self, reply: Outgoing) -> str:
        body = orjson.dumps(reply)
        headers = {**self._signed(body), "content-type": "application/json", "Idempotency-Key": str(reply.reply_id)}
        try:
            status, retry_after_s, answer = await self._request("POST", self._url, content=body, headers=headers)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise NotNow(f"{self._url} cannot be reached: {error}") from error
        except (httpx2.HTTPError, TimeoutError) as error:
            raise Unsure(f"{self._url} did not answer: {type(error).__name__} {error}") from error
        if 200 <= status < 300:
            return _remote_id(answer) or str(reply.reply_id)
        told = f"{self._url} answers {status}: {answer[:ERROR_CHARS_MAX].decode(errors='replace')}"
        if status in _NOT_NOW:
            raise NotNow(told, retry_after_s=retry_after_s)
        if status >= 500 or status in _UNSURE or status < 200:
            raise Unsure(told)
        raise Refused(told)

    async def find(self, reply: Outgoing) -> str | None:
        asked = urlencode({"reply_id": reply.reply_id})
        joint = "&" if "?" in self._url else "?"
        try:
            status, _, answer = await self._request(
                "GET", f"{self._url}{joint}{asked}", headers=self._signed(asked.encode())
            )
        except (httpx2.HTTPError, TimeoutError) as error:
            raise Unsure(f"{self._url} did not say: {type(error).__name__} {error}") from error
        told = _object(answer)
        if status != 200 or not isinstance(told.get("landed"), bool):
            raise Unsure(f"{self._url} answers {status} to whether a reply has landed")
        return (_remote_id(answer) or str(reply.reply_id)) if told["landed"] else None

    async def close(self) -> None:
        await self._client.aclose()

    def _signed(self, signed: bytes) -> dict[str, str]:
        timestamp = str(int(time.time()))
        return {TIMESTAMP_HEADER: timestamp, SIGNATURE_HEADER: signature(self._secret, timestamp, signed)}

    async def _request(self, method: str, url: str, **options: Any) -> tuple[int, float | None, bytes]:
        """Status, Retry-After and the beginning of the answer, within the time-out as a whole."""
        async with asyncio.timeout(self._timeout_s), self._client.stream(method, url, **options) as response:
            answer = b""
            async for part in response.aiter_bytes():
                answer += part
                if len(answer) > ANSWER_BYTES_MAX:
                    break
        return response.status_code, _seconds(response.headers.get("retry-after")), answer[:ANSWER_BYTES_MAX]


def _remote_id(answer: bytes) -> str | None:
    found = _object(answer).get("id")
    return str(found) if isinstance(found, (str, int)) and found != "" else None


def _object(answer: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _seconds(retry_after: str | None) -> float | None:
    """A date, which is the other form, is left to our own backoff."""
    return min(float(retry_after), RETRY_AFTER_S_MAX) if retry_after and retry_after.isdigit() else None
