"""What may be sent without a person: mode, halts, graduation with the figures it rests on."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from agents.contract import PermanentError
from agents.graduation import BOUND_MAX
from app.console.accounts import Session
from app.console.roles import Role
from app.console.web import console_of, form, page, render, see_other, words
from app.desk import autosend, graduation
from app.store.policies import Policies
from schemas.policy import Mode
from schemas.tickets import Category

WHY_CHARS_MAX = 500


async def _page(request: Request, session: Session, problem: str = "") -> Response:
    pool = console_of(request).pool
    return render(
        request, "graduation.html", status=409 if problem else 200, problem=problem,
        # Not one that is kept: what was just changed is shown.
        policy=await Policies(pool, kept_s=0).policy(session.tenant),
        halt=await autosend.standing(pool, session.tenant), groups=await graduation.groups(pool, session.tenant),
        bound_max=BOUND_MAX,
    )  # fmt: skip


async def _show(request: Request, session: Session) -> Response:
    return await _page(request, session)


async def _change(request: Request, session: Session) -> Response:
    try:
        await _changed(request, session)
    except PermanentError as error:  # its text names every figure that is missing
        return await _page(request, session, str(error))
    except ValueError as error:  # what a page of ours does not send
        raise HTTPException(400) from error
    return see_other("/graduation")


async def _changed(request: Request, session: Session) -> None:
    sent, pool, tenant, actor = await form(request), console_of(request).pool, session.tenant, session.user.actor
    why = sent.get("why", "").strip()[:WHY_CHARS_MAX]
    match sent.get("do", ""):
        case "mode":
            await autosend.set_mode(pool, tenant, Mode(sent.get("mode", "")), actor=actor)
        case "halt":
            await autosend.halt(pool, tenant, why=why or words(request)("trust.by_hand"), by=actor)
        case "lift":
            await autosend.lift(pool, tenant, actor=actor)
        case "open":
            await graduation.open_group(
                pool, tenant, Category(sent.get("category", "")), sent.get("locale", ""), actor=actor,
                bound_max=float(sent.get("bound_percent", "")) / 100,
            )  # fmt: skip
        case "close":
            await graduation.close_group(
                pool, tenant, Category(sent.get("category", "")), sent.get("locale", ""), actor=actor,
                why=why or words(request)("trust.by_hand"),
            )  # fmt: skip
        case _:
            raise HTTPException(400)


show = page(Role.VIEWER, _show)
change = page(Role.ADMIN, _change)
