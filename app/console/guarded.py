"""Around every answer: security headers; and no request that changes something from another site."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    # No inline code and no inline style: what a customer wrote can't become either.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}


class Guarded:
    """``url`` is where people reach us, or empty."""

    def __init__(self, app: ASGIApp, *, url: str) -> None:
        self._app = app
        self._url = url
        secure = url.startswith("https:")
        self._headers = {**_HEADERS, **({"strict-transport-security": "max-age=31536000"} if secure else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._headers)
                kept = request.url.path.startswith("/static/") and bool(request.url.query)
                headers["cache-control"] = "public, max-age=31536000, immutable" if kept else "no-store"
            await send(message)

        if request.method not in {"GET", "HEAD"} and is_foreign(request.headers, self._url):
            await Response("Cross-site request refused.", status_code=403)(scope, receive, send_guarded)
            return
        await self._app(scope, receive, send_guarded)


def is_foreign(headers: Mapping[str, str], url: str = "") -> bool:
    """A browser says where a request comes from; a program that says nothing holds no cookies of ours.

    ``url`` is where people reach us: a proxy in between may name another host.
    """
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None and site not in {"same-origin", "none"}:
        return True
    return origin is not None and urlsplit(origin).netloc not in {headers.get("host"), urlsplit(url).netloc or None}
