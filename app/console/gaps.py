"""The page of knowledge gaps."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from app.console.accounts import Session
from app.console.roles import Role
from app.console.web import console_of, page, render, see_other


async def _show(request: Request, session: Session) -> Response:
    return render(request, "gaps.html", search=console_of(request).gaps.of(session.tenant))


async def _start(request: Request, session: Session) -> Response:
    console_of(request).gaps.start(session.tenant)
    return see_other("/gaps")


show = page(Role.VIEWER, _show)
start = page(Role.REVIEWER, _start)
