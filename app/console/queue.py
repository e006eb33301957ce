"""The queue: which tickets wait, filtered, with counts that move."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from app.console.accounts import Session
from app.console.roles import Role
from app.console.web import console_of, page, render
from app.desk.decisions import State
from app.desk.store import OPEN, UNDO_S, Cursor, QueueRow, Wanted, counts, latest, queue
from app.store.database import Pool
from schemas.tickets import Category, Priority

ROWS = 50
COUNTED_MAX = 1_000
TEXT_CHARS_MAX = 200
TABS = ("todo", *(state.value for state in State))
_OPEN = "todo"  # "open" is an event that a browser makes by itself


@dataclass(frozen=True)
class Filter:
    """As it stands in the address, so that it can be kept, shared and gone back to."""

    state: str = _OPEN
    category: str = ""
    language: str = ""
    priority: str = ""
    text: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Filter:
        state, category, priority = given.get("state", ""), given.get("category", ""), given.get("priority", "")
        return cls(
            state=state if state in TABS else _OPEN,
            category=category if category in list(Category) else "",
            language=given.get("language", "")[:12],
            priority=priority if priority in list(Priority) else "",
            text=given.get("text", "").strip()[:TEXT_CHARS_MAX],
        )

    @property
    def wanted(self) -> Wanted:
        return Wanted(
            states=OPEN if self.state == _OPEN else (State(self.state),),
            category=self.category or None,
            language=self.language or None,
            priority=self.priority or None,
            text=self.text or None,
        )

    def query(self, **more: str) -> str:
        """For an address; what is not set is left out."""
        fields = {**vars(self), "state": "" if self.state == _OPEN else self.state, **more}
        return urlencode({name: value for name, value in fields.items() if value})


def written(cursor: Cursor) -> str:
    return f"{cursor.rank}|{cursor.accepted_at.isoformat()}|{cursor.ticket_id}"


def read_cursor(text: str) -> Cursor | None:
    """None for none, and for one that was tampered with: the queue's beginning."""
    rank, _, rest = text.partition("|")
    at, _, ticket_id = rest.partition("|")
    try:
        moment = datetime.fromisoformat(at)
        return Cursor(int(rank[:2]), moment, ticket_id) if moment.tzinfo and ticket_id else None
    except ValueError:
        return None


def ticket_url(row: QueueRow, chosen: Filter, **more: str) -> str:
    return f"/ticket?{chosen.query(id=row.ticket_id, at=written(row.cursor), **more)}"


@dataclass(frozen=True)
class Undoable:
    """The decision before, while it can still be undone; the server looks again when it is."""

    decision_id: str
    ticket_id: str
    left_ms: int

    @classmethod
    def of(cls, given: Mapping[str, str]) -> Undoable | None:
        try:
            # Its time was rounded on the way: right after the decision a little more than all of it may be left.
            left_s = min(float(given.get("till", "0")) - time.time(), UNDO_S)
        except ValueError:
            return None
        if not left_s > 0:
            return None
        return cls(given.get("done", ""), given.get("was", ""), int(left_s * 1_000))


async def read_counts(pool: Pool, tenant: str) -> dict[str, str]:
    """Of each tab, as it is shown: whether a hundred thousand were sent or more, nobody reads off a tab."""
    found = await counts(pool, tenant, up_to=COUNTED_MAX + 1)
    numbers = {_OPEN: sum(found[state] for state in OPEN), **{state.value: count for state, count in found.items()}}
    return {tab: f"{COUNTED_MAX}+" if number > COUNTED_MAX else str(number) for tab, number in numbers.items()}


async def rows_of(pool: Pool, tenant: str, chosen: Filter, *, limit: int, after: Cursor | None) -> list[QueueRow]:
    """In the order of their turn where somebody waits for them, else newest first."""
    [state, *more] = chosen.wanted.states
    if more or state in OPEN:
        return await queue(pool, tenant, chosen.wanted, limit=limit, after=after)
    return await latest(pool, tenant, state, chosen.wanted, limit=limit, after=after)


async def _queue(request: Request, session: Session) -> Response:
    console, chosen = console_of(request), Filter.of(request.query_params)
    after = read_cursor(request.query_params.get("after", ""))
    rows = await rows_of(console.pool, session.tenant, chosen, limit=ROWS + 1, after=after)
    shown = rows[:ROWS]
    return render(
        request, "queue.html", chosen=chosen, tabs=TABS, counts=await read_counts(console.pool, session.tenant),
        rows=[(row, ticket_url(row, chosen)) for row in shown], categories=list(Category), priorities=list(Priority),
        more=chosen.query(after=written(shown[-1].cursor)) if len(rows) > ROWS else "", first=after is None,
        all_done="none" in request.query_params, undo=Undoable.of(request.query_params),
    )  # fmt: skip


async def _events(request: Request, session: Session) -> Response:
    live = console_of(request).counts
    if live.is_full:
        raise HTTPException(503)
    return StreamingResponse(live.follow(session.tenant), media_type="text/event-stream")


show = page(Role.VIEWER, _queue)
events = page(Role.VIEWER, _events)
