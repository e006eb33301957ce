"""Users, machines' tokens, and the log of what was done."""

from __future__ import annotations

from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from agents.contract import PermanentError
from app.console.accounts import Session
from app.console.machines import TOKEN_DAYS_MAX
from app.console.roles import Role, Scope
from app.console.web import console_of, form, page, render, see_other, words
from app.desk.store import audit_log

AUDIT_ROWS = 100
NAME_CHARS_MAX = 100
# What a user can see the reason of; anything else is a bug or a tampered form.
_TOLD = frozenset({"bad_email", "last_admin", "unknown_user"})


async def _users(request: Request, session: Session, *, problem: str = "", shown: str = "") -> Response:
    """``shown``: a link or token, this once."""
    accounts = console_of(request).accounts
    return render(
        request, "users.html", users=await accounts.listed(session.tenant), roles=list(Role), scopes=list(Scope),
        tokens=await console_of(request).machines.listed(session.tenant), problem=problem, shown=shown,
        days_max=TOKEN_DAYS_MAX, status=400 if problem else 200,
    )  # fmt: skip


async def _change_users(request: Request, session: Session) -> Response:
    sent = await form(request)
    try:
        return await _changed(request, session, sent.get("do", ""))
    except PermanentError as error:
        if error.reason not in _TOLD:
            raise
        return await _users(request, session, problem=words(request)(f"users.{error.reason}"))
    except ValueError as error:  # a role or an id that a page of ours does not send
        raise HTTPException(400) from error


async def _changed(request: Request, session: Session, what: str) -> Response:
    sent, console = await form(request), console_of(request)
    accounts, actor = console.accounts, session.user.actor
    match what:
        case "add":
            name = sent.get("name", "").strip()[:NAME_CHARS_MAX]
            if not await accounts.add(
                session.tenant, sent.get("email", ""), name=name, role=Role(sent.get("role", "")), actor=actor
            ):
                return await _users(request, session, problem=words(request)("users.there_already"))
        case "role":
            await accounts.change(
                session.tenant, UUID(sent.get("user", "")), actor=actor, role=Role(sent.get("role", ""))
            )
        case "disable" | "enable":
            await accounts.change(session.tenant, UUID(sent.get("user", "")), actor=actor, disabled=what == "disable")
        case "link":
            token = await accounts.link(session.tenant, sent.get("email", ""))
            return await _users(request, session, shown=f"{_origin(request)}/sign-in/link?token={token}")
        case "token":
            scopes = frozenset(Scope(scope) for scope in sent.getlist("scope"))
            token = await console.machines.add(
                session.user, sent.get("name", "")[:NAME_CHARS_MAX], scopes, int(sent.get("days", "90"))
            )
            return await _users(request, session, shown=token)
        case "revoke":
            await console.machines.revoke(session.user, UUID(sent.get("token", "")))
        case _:
            raise HTTPException(400)
    return see_other("/users")


def _origin(request: Request) -> str:
    console = console_of(request)
    return console.url or f"{request.url.scheme}://{request.headers.get('host', request.url.netloc)}"


async def _show_users(request: Request, session: Session) -> Response:
    return await _users(request, session)


async def _audit(request: Request, session: Session) -> Response:
    before = request.query_params.get("before", "")
    rows = await audit_log(
        console_of(request).pool, session.tenant, limit=AUDIT_ROWS, before=int(before) if before.isdecimal() else None
    )
    return render(
        request, "audit.html", rows=rows, first=not before, more=rows[-1].id if len(rows) == AUDIT_ROWS else None
    )


users = page(Role.ADMIN, _show_users)
change_users = page(Role.ADMIN, _change_users)
audit = page(Role.ADMIN, _audit)
