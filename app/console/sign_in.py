"""The way in and out: password, one-time link, identity provider."""

from __future__ import annotations

import base64
import time
from dataclasses import asdict

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from agents.contract import PermanentError
from app.console.accounts import Session, SignInRefused
from app.console.oidc import Attempt, OidcRefused
from app.console.roles import Role
from app.console.translations import LOCALES
from app.console.web import (
    Console,
    console_of,
    form,
    keep,
    local_path,
    page,
    render,
    see_other,
    set_locale_cookie,
    words,
)

_OIDC_COOKIE = "deskstream_oidc"
_OIDC_S_MAX = 600


def _may_try(request: Request) -> bool:
    return console_of(request).attempts.begin(_address(request), time.monotonic())


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


async def show(request: Request) -> Response:
    return _form(request)


def _form(request: Request, *, problem: str = "", status: int = 200, workspace: str = "") -> Response:
    return render(
        request, "sign_in.html", status=status, problem=problem, oidc=console_of(request).oidc is not None,
        next=local_path(request.query_params.get("next", "/")),
        workspace=workspace or request.query_params.get("workspace", ""),
    )  # fmt: skip


async def by_password(request: Request) -> Response:
    sent, console, t = await form(request), console_of(request), words(request)
    workspace = sent.get("workspace", "").strip()
    if not _may_try(request):
        return _form(request, problem=t("sign_in.too_often"), status=429, workspace=workspace)
    try:
        session = await console.accounts.by_password(workspace, sent.get("email", ""), sent.get("password", ""))
    except SignInRefused as refused:
        problem = t("sign_in.too_often") if refused.wait else t("sign_in.wrong")
        return _form(request, problem=problem, status=429 if refused.wait else 403, workspace=workspace)
    console.attempts.succeeded(_address(request))
    return _entered(console, session, sent.get("next", "/"))


def _entered(console: Console, session: Session, place: str) -> Response:
    response = see_other(local_path(place))
    keep(response, console, session)
    return response


async def show_link(request: Request) -> Response:
    """Programs that look at links before people do must not use them up: a button does that."""
    return render(request, "sign_in_link.html", token=request.query_params.get("token", ""), problem="")


async def by_link(request: Request) -> Response:
    sent, console = await form(request), console_of(request)
    if not _may_try(request):
        return _form(request, problem=words(request)("sign_in.too_often"), status=429)
    try:
        session = await console.accounts.by_link(sent.get("token", ""))
    except SignInRefused:
        return render(request, "sign_in_link.html", status=403, token="", problem=words(request)("sign_in.link_used"))
    console.attempts.succeeded(_address(request))
    return _entered(console, session, "/")


async def to_provider(request: Request) -> Response:
    """By a page that goes on by itself: a form's redirect to another origin is against our own content policy."""
    console = console_of(request)
    if console.oidc is None:
        raise HTTPException(404)
    attempt = Attempt.new()
    try:
        response = render(request, "sign_in_provider.html", address=await console.oidc.address(attempt))
    except OidcRefused as refused:
        return _form(request, problem=str(refused), status=502)
    taken = {
        **asdict(attempt),
        "workspace": request.query_params.get("workspace", "").strip(),
        "next": local_path(request.query_params.get("next", "/")),
    }
    response.set_cookie(
        _OIDC_COOKIE, base64.urlsafe_b64encode(orjson.dumps(taken)).decode(), max_age=_OIDC_S_MAX, httponly=True,
        samesite="lax", secure=console.secure,
    )  # fmt: skip
    return response


async def from_provider(request: Request) -> Response:
    console, t = console_of(request), words(request)
    if console.oidc is None:
        raise HTTPException(404)
    try:
        taken = orjson.loads(base64.urlsafe_b64decode(request.cookies.get(_OIDC_COOKIE, "")))
        attempt = Attempt(str(taken["state"]), str(taken["nonce"]), str(taken["verifier"]))
        workspace, place = str(taken["workspace"]), str(taken["next"])
    except (ValueError, KeyError, TypeError):
        return _form(request, problem=t("sign_in.too_late"), status=400)
    try:
        email = await console.oidc.email(
            attempt, code=request.query_params.get("code", ""), state=request.query_params.get("state", "")
        )
        session = await console.accounts.by_email(workspace, email, how="oidc")
    except OidcRefused as refused:
        response = _form(request, problem=str(refused), status=403, workspace=workspace)
    except SignInRefused:
        response = _form(request, problem=t("sign_in.no_account"), status=403, workspace=workspace)
    else:
        response = _entered(console, session, place)
    response.delete_cookie(_OIDC_COOKIE)
    return response


async def _sign_out(request: Request, session: Session) -> Response:
    console = console_of(request)
    await console.accounts.sign_out(session)
    response = see_other(f"/sign-in?workspace={session.tenant}")
    response.delete_cookie(console.cookie, secure=console.secure, httponly=True, samesite="lax")
    return response


async def choose_locale(request: Request) -> Response:
    """Before a sign-in too; it is the browser's then."""
    sent, console = await form(request), console_of(request)
    locale = sent.get("locale", "")
    if locale not in LOCALES:
        raise HTTPException(400)
    response = see_other(local_path(sent.get("next", "/")))
    set_locale_cookie(response, console, locale)
    session = await console.accounts.session(request.cookies.get(console.cookie, ""))
    if session is not None:
        await console.accounts.set_locale(session.user, locale)
        keep(response, console, session)
    return response


async def _account(request: Request, session: Session) -> Response:
    return render(request, "account.html", problem="", done=request.query_params.get("done", ""))


async def _set_password(request: Request, session: Session) -> Response:
    sent = await form(request)
    t = words(request)
    if sent.get("password", "") != sent.get("again", ""):
        return render(request, "account.html", status=400, problem=t("account.differ"), done="")
    try:
        await console_of(request).accounts.set_password(session, sent.get("password", ""))
    except PermanentError as error:
        if error.reason != "weak_password":
            raise
        return render(request, "account.html", status=400, problem=t("account.weak"), done="")
    return see_other("/account?done=password")


sign_out = page(Role.VIEWER, _sign_out)
account = page(Role.VIEWER, _account)
set_password = page(Role.VIEWER, _set_password)
