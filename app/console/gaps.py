"""The page of knowledge gaps."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from app.console.accounts import Session
from app.console.roles import Role
from app.console.web import console_of, page, render, see_other
from app.knowledge.gap_report import Gap, shortened

GAPS_MAX = 50
EXAMPLES_MAX = 5

Find = Callable[[str], Awaitable[Sequence[Gap]]]


@dataclass(frozen=True)
class Found:
    """What is shown of a gap: its tickets themselves are not held."""

    words: tuple[str, ...]
    language: str
    tickets: int
    nearest_title: str | None
    examples: tuple[tuple[str, str], ...]  # ticket id, text

    @classmethod
    def of(cls, gap: Gap) -> Found:
        examples = tuple((one.event.ticket.ticket_id, shortened(one.text)) for one in gap.members[:EXAMPLES_MAX])
        return cls(gap.words, gap.language, len(gap.members), gap.nearest_title, examples)


async def found(find: Find, tenant: str, _: None) -> tuple[Found, ...]:
    """A job's work."""
    return tuple(Found.of(gap) for gap in (await find(tenant))[:GAPS_MAX])


async def _show(request: Request, session: Session) -> Response:
    return render(request, "gaps.html", search=console_of(request).gaps.of(session.tenant))


async def _start(request: Request, session: Session) -> Response:
    console_of(request).gaps.start(session.tenant, None)
    return see_other("/gaps")


show = page(Role.VIEWER, _show)
start = page(Role.REVIEWER, _start)
