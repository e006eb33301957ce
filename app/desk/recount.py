"""The report once more, from the events alone: no table is read, and no code is shared with what reads them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from statistics import median
from typing import Any, TypeVar

from agents.contract import PermanentError
from app.desk.report import MEDIAN_DIGITS, SETTLED_DAYS, Report
from app.kafka.cloudevents import from_record
from app.kafka.reading import each_record
from schemas.event import Event
from schemas.replies import ReplySent
from schemas.reviews import Decision, ReviewDecided
from schemas.tickets import Route, TicketRouted
from schemas.usage import UsageRecorded

E = TypeVar("E", bound=Event)
EVENTS_MAX = 2_000_000  # held at once, a few hundred bytes each
_VERDICTS = frozenset({Decision.APPROVED, Decision.EDITED, Decision.REJECTED})


@dataclass(frozen=True)
class Message:
    event_id: str
    root_id: str
    conversation: str
    route: Route
    accepted_at: datetime
    routed_at: datetime


@dataclass(frozen=True)
class Opinion:
    draft_event_id: str
    decision: Decision
    rating: int | None
    review_s: float | None
    decided_at: datetime


@dataclass
class Facts:
    """What the events say; a repeated one counts once, of a call the last telling."""

    messages: dict[str, dict[str, Message]] = field(default_factory=lambda: defaultdict(dict))  # by ticket and event
    opinions: dict[str, dict[str, Opinion]] = field(default_factory=lambda: defaultdict(dict))
    sent: dict[str, dict[str, datetime]] = field(default_factory=lambda: defaultdict(dict))  # by ticket and root
    calls: dict[str, tuple[str, Decimal]] = field(default_factory=dict)  # root id and cost

    def routed(self, event: TicketRouted, at: datetime) -> None:
        message = Message(event.event_id, event.root_id, event.conversation, event.route, event.accepted_at, at)
        self.messages[event.ticket.ticket_id].setdefault(event.event_id, message)

    def reviewed(self, event: ReviewDecided, at: datetime) -> None:
        opinion = Opinion(event.draft_event_id, event.decision, event.rating, event.review_s, event.decided_at)
        self.opinions[event.ticket_id].setdefault(event.event_id, opinion)

    def replied(self, event: ReplySent, at: datetime) -> None:
        if event.decision_event_id is None:  # by itself
            self.sent[event.ticket_id].setdefault(event.root_id, event.sent_at)

    def used(self, event: UsageRecorded, at: datetime) -> None:
        self.calls[event.call_id] = (event.root_id, event.cost_usd)


async def recount(client: Mapping[str, Any], tenant: str, since: datetime, until: datetime, *, now: datetime) -> Report:
    """Reads four topics whole. Raises KafkaError, TimeoutError, PermanentError("too_many")."""
    facts = Facts()
    await _each(client, TicketRouted, tenant, facts.routed)
    await _each(client, ReviewDecided, tenant, facts.reviewed)
    await _each(client, ReplySent, tenant, facts.replied)
    await _each(client, UsageRecorded, tenant, facts.used)
    return counted(facts, since, until, now=now)


def counted(facts: Facts, since: datetime, until: datetime, *, now: datetime) -> Report:
    own = {
        ticket_id: list(messages.values())
        for ticket_id, messages in facts.messages.items()
        if since <= min(message.accepted_at for message in messages.values()) < until
    }
    ends = [
        _end(messages, facts.sent.get(ticket_id, {}), list(facts.opinions.get(ticket_id, {}).values()))
        for ticket_id, messages in own.items()
    ]
    resolved = [settled_at for settled_at, came_back in filter(None, ends) if not came_back]
    roots = {message.root_id for messages in own.values() for message in messages}
    opinions = [one for by_event in facts.opinions.values() for one in by_event.values()]
    stale = _stale(facts, own, {one.draft_event_id for one in opinions if one.decision in _VERDICTS})
    given = [one for one in opinions if since <= one.decided_at < until]
    reviews = [one for one in given if one.decision in _VERDICTS]
    times = [one.review_s for one in reviews if one.review_s is not None]
    ratings = _last_ratings(facts, since, until)
    return Report(
        tickets=len(own),
        resolved=len(resolved),
        unsettled=sum(settled_at > now for settled_at in resolved),
        retracted=sum(came_back for _, came_back in filter(None, ends)),
        cost_usd=_cost_usd(facts, roots),
        reviews=len(reviews),
        reviews_timed=len(times),
        reviews_under_a_minute=sum(seconds < 60 for seconds in times),
        review_s_median=round(median(times), MEDIAN_DIGITS) if times else None,
        ratings=len(ratings),
        ratings_good=sum(rating >= 4 for rating in ratings),
        rating_sum=sum(ratings),
        stale=len(stale),
        stale_cost_usd=_cost_usd(facts, stale),
    )


def _last_ratings(facts: Facts, since: datetime, until: datetime) -> list[int]:
    """One for each draft: a customer may think again."""
    last: dict[str, tuple[datetime, str, int]] = {}
    for by_event in facts.opinions.values():
        for event_id, one in by_event.items():
            if one.decision is Decision.RATED and one.rating is not None and since <= one.decided_at < until:
                told = (one.decided_at, event_id, one.rating)
                last[one.draft_event_id] = max(told, last.get(one.draft_event_id, told))
    return [rating for _, _, rating in last.values()]


def _cost_usd(facts: Facts, roots: set[str]) -> Decimal:
    return sum((cost_usd for root_id, cost_usd in facts.calls.values() if root_id in roots), Decimal(0))


def _stale(facts: Facts, own: Mapping[str, list[Message]], decided: set[str]) -> set[str]:
    """The messages whose answer nobody needed any more."""
    newest: dict[str, datetime] = {}
    for messages in facts.messages.values():
        for message in messages.values():
            newest[message.conversation] = max(
                message.accepted_at, newest.get(message.conversation, message.accepted_at)
            )
    return {
        message.root_id
        for messages in own.values()
        for message in messages
        if message.route is Route.SUPERSEDED
        or (
            message.route is Route.REVIEW
            and message.accepted_at < newest[message.conversation]
            and message.event_id not in decided
        )
    }


def _end(
    messages: list[Message], sent: Mapping[str, datetime], opinions: list[Opinion]
) -> tuple[datetime, bool] | None:
    """When a ticket that was answered without a person is settled, and whether it came back before. Else None."""
    sent_at, _, answered = min(
        ((sent[message.root_id], message.event_id, message) for message in messages
         if message.route is Route.SEND and message.root_id in sent),
        key=lambda each: each[:2], default=(None, "", None),
    )  # fmt: skip
    if sent_at is None or answered is None:
        return None
    settled_at = sent_at + timedelta(days=SETTLED_DAYS)
    until_then = {one.decision for one in opinions if one.decided_at <= settled_at}
    waited = any(
        message.route in {Route.REVIEW, Route.ESCALATE} and message.routed_at <= sent_at for message in messages
    )
    if waited or until_then & _VERDICTS:
        return None
    wrote_again = any(
        message.event_id != answered.event_id and answered.accepted_at < message.accepted_at <= settled_at
        for message in messages
    )
    return settled_at, wrote_again or Decision.REOPENED in until_then


async def _each(client: Mapping[str, Any], event_class: type[E], tenant: str, take: Any) -> None:
    prefix, taken = f"{tenant}/".encode(), 0

    def read(record: Any) -> None:
        nonlocal taken
        if not (record.key or b"").startswith(prefix):
            return
        try:
            event = from_record(record, event_class)
        except PermanentError:
            return  # its dead letter tells of it
        taken += 1
        if taken > EVENTS_MAX:
            raise PermanentError("too_many", f"more than {EVENTS_MAX:,} records of {event_class.TOPIC} for {tenant}")
        take(event, datetime.fromtimestamp(record.timestamp / 1_000, UTC))

    await each_record(client, event_class.TOPIC, read)
