"""What a workspace allows, and what another policy would have made of past tickets."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from aiokafka.errors import KafkaError
from starlette.requests import Request
from starlette.responses import Response

from agents.contract import TransientError
from agents.route import NEVER_SENT_CATEGORIES, rule
from app.console.accounts import Session
from app.console.roles import Role
from app.console.web import console_of, page, render
from app.kafka.reading import each_event
from app.store.policies import Policies
from schemas.policy import GRADUATED_MAX, Graduated, Mode, TenantPolicy
from schemas.tickets import Category, Claim, Grounding, Route, Thread, TicketDrafted, TicketRouted

TICKETS_MAX = 500
SHOWN_MAX = 100
DAYS = (1, 7, 30)
OPENABLE = tuple(category for category in Category if category not in NEVER_SENT_CATEGORIES)
# Nothing but the check of its claims would stop it, and that was not paid for then.
UNCHECKED = "unchecked"
_SUPPORTED = Grounding(claims=(Claim(text="any", supported=True),))


@dataclass(frozen=True)
class Tried:
    """A ticket whose route would be another one."""

    ticket_id: str
    subject: str
    before: str
    after: str


@dataclass(frozen=True)
class Preview:
    tickets: int
    before: Mapping[str, int]
    after: Mapping[str, int]
    changed: tuple[Tried, ...]


def preview(events: Sequence[TicketRouted], policy: TenantPolicy) -> Preview:
    """By the rule itself, on what was known of them then. No model is asked."""
    tried = [_tried(event, policy) for event in events]
    return Preview(
        len(tried),
        Counter(each.before for each in tried),
        Counter(each.after for each in tried),
        tuple(each for each in tried if each.before != each.after)[:SHOWN_MAX],
    )


def _tried(event: TicketRouted, policy: TenantPolicy) -> Tried:
    before = str(event.route)
    if event.route is Route.SUPERSEDED:  # by what came after it, whatever the policy
        return Tried(event.ticket.ticket_id, event.ticket.subject, before, before)
    drafted = TicketDrafted.model_validate(event.model_dump())
    thread = Thread(replies=event.replies)
    route, _ = rule(drafted, policy, thread, event.grounding)
    unchecked = event.grounding is None and rule(drafted, policy, thread, _SUPPORTED)[0] is Route.SEND
    return Tried(event.ticket.ticket_id, event.ticket.subject, before, UNCHECKED if unchecked else str(route))


async def newest(client: Mapping[str, Any], tenant: str, since: datetime) -> list[TicketRouted]:
    """At most TICKETS_MAX. Raises KafkaError, TimeoutError."""
    kept: list[tuple[datetime, str, TicketRouted]] = []

    def take(event: TicketRouted) -> None:
        entry = (event.accepted_at, event.event_id, event)
        if len(kept) < TICKETS_MAX:
            heapq.heappush(kept, entry)
        else:
            heapq.heappushpop(kept, entry)

    await each_event(client, TicketRouted, take, tenant=tenant, since=since)
    return [event for _, _, event in sorted(kept, key=lambda entry: entry[:2], reverse=True)]


def tried_policy(now: TenantPolicy, given: Mapping[str, str], languages: Sequence[str]) -> TenantPolicy:
    """``now`` with what the form asks for; a category is opened in all of ``languages``."""
    try:
        confidence_min = min(1.0, max(0.0, float(given.get("confidence_percent", "")) / 100))
    except ValueError:
        confidence_min = now.confidence_min
    opened = [category for category in OPENABLE if f"open_{category}" in given]
    graduated = [Graduated(category=category, locale=language) for category in opened for language in languages]
    return now.model_copy(
        update={
            "mode": Mode.AUTO if given.get("mode") == Mode.AUTO else Mode.DRAFT,
            "confidence_min": confidence_min,
            "graduated": tuple(graduated[:GRADUATED_MAX]),
            "halted": False,
        }
    )


async def _show(request: Request, session: Session) -> Response:
    console, given = console_of(request), request.query_params
    now = await Policies(console.pool, kept_s=0).policy(session.tenant)
    tried, found = now, None
    days = int(given["days"]) if given.get("days", "") in map(str, DAYS) else DAYS[0]
    if "days" in given:
        try:
            events = await newest(console.client, session.tenant, datetime.now(UTC) - timedelta(days=days))
        except (KafkaError, TimeoutError) as error:
            raise TransientError(f"the bus does not answer: {error}") from error
        tried = tried_policy(now, given, sorted({event.verdict.language for event in events}))
        found = preview(events, tried)
    return render(
        request, "policy.html", policy=now, tried=tried, preview=found, openable=OPENABLE, days=DAYS, days_tried=days,
        opened={one.category for one in tried.graduated},
    )  # fmt: skip


show = page(Role.VIEWER, _show)
