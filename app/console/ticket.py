"""One ticket: what was said, the draft beside what it rests on, and what a person makes of it."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from uuid import UUID

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from agents.contract import PermanentError
from app.console.accounts import Session
from app.console.queue import Filter, Undoable, read_cursor, rows_of, ticket_url
from app.console.roles import Role
from app.console.sources import linked
from app.console.web import console_of, form, page, render, see_other
from app.desk import feedback, store
from app.desk.decisions import Action, Choice, State, word_diff
from app.desk.store import LEASE_S, OPEN, UNDO_S, TicketView

# Colleagues' tickets are passed over; with more people than this at work, one more look at the queue helps.
TRIED_MAX = 50
LEASE_RENEWED_EVERY_S = int(LEASE_S / 3)


async def _show(request: Request, session: Session) -> Response:
    return await _page(request, session, request.query_params.get("id", ""))


async def _page(
    request: Request, session: Session, ticket_id: str, *, problem: str = "", typed: Choice | None = None
) -> Response:
    console = console_of(request)
    given = request.query_params if request.method == "GET" else await form(request)
    view = await store.ticket(console.pool, session.tenant, ticket_id)
    can_decide = session.user.role.may(Role.REVIEWER) and view.state in OPEN
    holder = view.lease_user
    if can_decide:
        holder = await store.lease(console.pool, session.tenant, ticket_id, session.user.actor)
    chosen = Filter.of(given)
    return render(
        request, "ticket.html", status=409 if problem else 200, view=view, problem=problem, typed=typed,
        sentences=linked(view.draft_body, view.passages, view.citations, view.grounding),
        claims=_claims(view), holder=holder, is_mine=can_decide and holder == session.user.actor,
        can_reopen=session.user.role.may(Role.REVIEWER) and view.state is State.SENT,
        chosen=chosen, at=given.get("at", ""), undo=Undoable.of(given),
        renewed_every_s=LEASE_RENEWED_EVERY_S,
    )  # fmt: skip


def _claims(view: TicketView) -> list[tuple[str, bool, int | None]]:
    """The grounding check's, each with the number of the passage that it names."""
    numbers = {passage.document_id: number for number, passage in reversed(list(enumerate(view.passages)))}
    claims = view.grounding.claims if view.grounding else ()
    return [(claim.text, claim.supported, numbers.get(claim.document_id or "")) for claim in claims]


async def _next(request: Request, session: Session) -> Response:
    """The next ticket that nobody has, taken for whoever asks; at the end of the queue from its beginning again."""
    console, given = console_of(request), request.query_params
    chosen, actor = Filter.of(given), session.user.actor
    if leaving := given.get("leaving", ""):
        await store.release(console.pool, session.tenant, leaving, actor)
    kept = {name: given[name] for name in ("done", "was", "till") if name in given}
    after = read_cursor(given.get("at", ""))
    for start in (after, None) if after else (None,):
        rows = await rows_of(console.pool, session.tenant, chosen, limit=TRIED_MAX, after=start)
        for row in rows:
            if row.ticket_id == leaving or row.lease_user not in {None, actor}:
                continue
            if not session.user.role.may(Role.REVIEWER) or row.state not in OPEN:
                return see_other(ticket_url(row, chosen, **kept))
            if await store.lease(console.pool, session.tenant, row.ticket_id, actor) == actor:
                return see_other(ticket_url(row, chosen, **kept))
    return see_other(f"/?{chosen.query(none='1', **kept)}")


async def _decide(request: Request, session: Session) -> Response:
    console, sent = console_of(request), await form(request)
    ticket_id = sent.get("id", "")
    try:
        action = Action(sent.get("action", ""))
    except ValueError as error:
        raise HTTPException(400) from error
    choice = Choice(
        action,
        draft_event_id=sent.get("draft", ""),
        reply=sent.get("reply", "").strip(),
        reason=sent.get("reason", "").strip(),
        wording_only="wording_only" in sent,
    )
    try:
        decided = await store.decide(console.pool, session.tenant, ticket_id, session.user.actor, choice)
    except PermanentError as error:
        if error.reason == "no_ticket":
            raise
        return await _page(request, session, ticket_id, problem=error.reason, typed=choice)
    done = {"done": str(decided.id), "was": ticket_id, "till": f"{time.time() + UNDO_S:.1f}"}
    return see_other(f"/next?{Filter.of(sent).query(at=sent.get('at', ''), **done)}")


async def _undone(request: Request, session: Session) -> Response:
    sent = await form(request)
    decision_id = _uuid(sent.get("decision", ""))
    return await _shown_after(
        request, session, store.undo(console_of(request).pool, session.tenant, decision_id, session.user.actor)
    )


async def _settle(request: Request, session: Session) -> Response:
    sent = await form(request)
    settled = store.settle_unknown(
        console_of(request).pool, session.tenant, sent.get("id", ""), session.user.actor,
        landed=sent.get("landed") == "yes",
    )  # fmt: skip
    return await _shown_after(request, session, settled)


async def _reopen(request: Request, session: Session) -> Response:
    sent = await form(request)
    reopened = feedback.reopen(
        console_of(request).pool, session.tenant, sent.get("id", ""), session.user.actor, sent.get("reason", "")
    )
    return await _shown_after(request, session, reopened)


async def _shown_after(request: Request, session: Session, change: Awaitable[object]) -> Response:
    """The ticket as it is then, or with what spoke against the change."""
    sent = await form(request)
    ticket_id = sent.get("id", "")
    try:
        await change
    except PermanentError as error:
        return await _page(request, session, ticket_id, problem=error.reason)
    return see_other(f"/ticket?{Filter.of(sent).query(id=ticket_id, at=sent.get('at', ''))}")


async def _diff(request: Request, session: Session) -> Response:
    """While somebody types."""
    sent = await form(request)
    return render(request, "diff.html", pieces=word_diff(sent.get("before", ""), sent.get("reply", "").strip()))


async def _lease(request: Request, session: Session) -> Response:
    """Once more, while the page is open; who has it, where that is somebody else."""
    console, ticket_id = console_of(request), (await form(request)).get("id", "")
    holder = await store.lease(console.pool, session.tenant, ticket_id, session.user.actor)
    return render(request, "lease.html", holder=holder, is_mine=holder == session.user.actor)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise HTTPException(400) from error


show = page(Role.VIEWER, _show)
next_one = page(Role.VIEWER, _next)
decide = page(Role.REVIEWER, _decide)
undo = page(Role.REVIEWER, _undone)
reopen = page(Role.REVIEWER, _reopen)
settle = page(Role.REVIEWER, _settle)
diff = page(Role.REVIEWER, _diff)
lease = page(Role.REVIEWER, _lease)
