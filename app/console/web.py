"""What every page shares: who asks, whether they may, the form they sent, the answer's headers."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, urlsplit

import jinja2
from markupsafe import Markup
from starlette.datastructures import ImmutableMultiDict
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from app.console.accounts import Accounts, Session
from app.console.attempts import Attempts
from app.console.jobs import Jobs
from app.console.live import Counts
from app.console.machines import Machines
from app.console.oidc import Oidc
from app.console.roles import Role
from app.console.translations import LOCALES, Translate, preferred, translator
from app.models.guidelines import Guidelines
from app.models.prompts import PromptLibrary
from app.store.database import Pool

if TYPE_CHECKING:  # pages, which import this
    from app.console.gaps import Found
    from app.console.guidelines import Tried
    from app.desk.report import Report
    from app.redraft import Redraft

HERE = Path(__file__).parent
BODY_BYTES_MAX = 512 * 1024
FIELDS_MAX = 100
COOKIE = "deskstream"
LOCALE_COOKIE = "deskstream_locale"
_LOCALE_COOKIE_S = 365 * 24 * 3600

Form = ImmutableMultiDict[str, str]
Handler = Callable[[Request, Session], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Console:
    """What the pages work with."""

    pool: Pool
    runtime: Pool  # for the dead letters, which are of all tenants
    accounts: Accounts
    machines: Machines
    counts: Counts
    client: Mapping[str, Any]  # of the bus
    gaps: Jobs[None, tuple[Found, ...]]
    previews: Jobs[Tried, tuple[Redraft, ...]]
    reports: Mapping[int, Jobs[None, tuple[Report, ...]]]  # by days
    prompts: PromptLibrary
    guidelines: Guidelines = field(default_factory=Guidelines)
    oidc: Oidc | None = None
    url: str = ""  # where people reach it; empty: as they say
    attempts: Attempts = field(default_factory=Attempts)

    @property
    def secure(self) -> bool:
        return self.url.startswith("https:")

    @property
    def cookie(self) -> str:
        return f"__Host-{COOKIE}" if self.secure else COOKIE


def console_of(request: Request) -> Console:
    found: Console = request.app.state.console
    return found


def page(needs: Role, handler: Handler) -> Endpoint:
    """``handler`` for users who are signed in and have this role at least; a POST carries the session's CSRF token."""

    async def endpoint(request: Request) -> Response:
        console = console_of(request)
        session = await console.accounts.session(request.cookies.get(console.cookie, ""))
        if session is None:
            return to_sign_in(request)
        request.state.session = session
        if request.method == "POST":
            sent = request.headers.get("x-csrf-token") or (await form(request)).get("csrf", "")
            if not hmac.compare_digest(sent.encode(), session.csrf.encode()):
                raise HTTPException(403, "csrf")
        if not session.user.role.may(needs):
            raise HTTPException(403, "role")
        response = await handler(request, session)
        if session.is_new:
            keep(response, console, session)
        return response

    return endpoint


def keep(response: Response, console: Console, session: Session) -> None:
    response.set_cookie(console.cookie, session.token, httponly=True, samesite="lax", secure=console.secure, path="/")


def to_sign_in(request: Request) -> Response:
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    place = f"/sign-in?next={quote(here if request.method == 'GET' else '/', safe='')}"
    if "hx-request" in request.headers:
        return Response(status_code=401, headers={"hx-redirect": "/sign-in"})
    if request.headers.get("accept", "").startswith("text/event-stream"):
        return Response(status_code=401)
    return see_other(place)


def see_other(place: str) -> Response:
    return RedirectResponse(place, status_code=303)


def local_path(place: str) -> str:
    """``place`` where it is a path of ours, else the start: a sign-in never leads elsewhere."""
    parts = urlsplit(place)
    ours = place.startswith("/") and not place.startswith(("//", "/\\")) and not parts.netloc and "\\" not in place
    return place if ours and place.isprintable() else "/"


async def form(request: Request) -> Form:
    """Raises HTTPException 413, 415."""
    if not hasattr(request.state, "form"):
        if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            raise HTTPException(415)
        body = await limited_body(request)
        try:
            fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=FIELDS_MAX)
        except ValueError as error:
            raise HTTPException(400) from error
        # A browser sends CR LF, and PostgreSQL stores no NUL.
        clean = ((name, text.replace("\r\n", "\n").replace("\0", "")) for name, text in fields)
        request.state.form = ImmutableMultiDict(list(clean))
    found: Form = request.state.form
    return found


async def limited_body(request: Request) -> bytes:
    """Raises HTTPException 413."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_BYTES_MAX:
                raise HTTPException(413)
    except ClientDisconnect as error:
        raise HTTPException(400) from error
    return bytes(body)


# -- pages


@cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(static=static_url, locales=LOCALES)
    environment.filters.update(moment=_moment)
    return environment


def locale_of(request: Request) -> str:
    session: Session | None = getattr(request.state, "session", None)
    chosen = (session.user.locale if session else None) or request.cookies.get(LOCALE_COOKIE, "")
    return chosen if chosen in LOCALES else preferred(request.headers.get("accept-language", ""))


def set_locale_cookie(response: Response, console: Console, locale: str) -> None:
    response.set_cookie(
        LOCALE_COOKIE, locale, max_age=_LOCALE_COOKIE_S, httponly=True, samesite="lax", secure=console.secure
    )


def words(request: Request) -> Translate:
    return translator(locale_of(request))


def render(request: Request, template: str, *, status: int = 200, **values: object) -> Response:
    locale = locale_of(request)
    session: Session | None = getattr(request.state, "session", None)
    shown = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    text = _templates().get_template(template).render(
        t=translator(locale), locale=locale, session=session, path=request.url.path,
        here=shown if request.method == "GET" else "/",
        csrf=lambda: Markup('<input type="hidden" name="csrf" value="{}">').format(session.csrf if session else ""),
        **values,
    )  # fmt: skip
    return HTMLResponse(text, status_code=status)


@cache
def static_url(name: str) -> str:
    """With a digest, so that a browser may keep it for ever and still gets a new one."""
    content = (HERE / "static" / name).read_bytes()
    return f"/static/{name}?{hashlib.sha256(content).hexdigest()[:12]}"


def _moment(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"
