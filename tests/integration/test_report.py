"""The report from the tables is the one from the events, whatever happened."""

import random
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest

from app.desk import store
from app.desk.decisions import Action, Choice
from app.desk.evaluation_set import export
from app.desk.projector import Projector
from app.desk.recount import recount
from app.desk.report import report
from app.store.database import Pool
from app.store.policies import create_tenant
from schemas.event import Event
from schemas.policy import TenantPolicy
from schemas.reviews import Decision, ReviewDecided
from schemas.tickets import Route, Ticket, TicketReceived, TicketRouted
from schemas.usage import Usage, UsageRecorded
from tests.events import NOON, drafted, received
from tests.integration.test_projector import Bus
from tests.unit.test_reviews import review

TICKETS = 120
ROUTES = [Route.SEND, Route.SEND, Route.REVIEW, Route.ESCALATE, Route.SUPERSEDED]
DECISIONS = [Decision.APPROVED, Decision.REJECTED, Decision.REOPENED, Decision.RATED]


@pytest.fixture
async def tenant(app_pool: Pool) -> str:
    name = f"t{uuid4().hex[:12]}"
    await create_tenant(app_pool, TenantPolicy(tenant=name))
    return name


def story(tenant: str, draw: random.Random) -> list[Event]:
    """What may happen to a ticket in the weeks around noon."""
    ticket, conversation = Ticket(ticket_id=uuid4().hex, body="?"), uuid4().hex
    events: list[Event] = []
    began = NOON + timedelta(hours=draw.uniform(-200, 400))
    for _ in range(draw.choice([1, 1, 1, 2, 3])):
        message = received(
            tenant=tenant, event_id=uuid4().hex, conversation=conversation, ticket=ticket, accepted_at=began
        )
        events += [message, *_answered(message, draw)]
        began += timedelta(hours=draw.uniform(0.1, 250))
    return events


def _answered(message: TicketReceived, draw: random.Random) -> list[Event]:
    shared = {name: getattr(message, name) for name in TicketReceived.model_fields}
    parent = drafted().model_copy(update=shared)
    routed = TicketRouted.following(parent, grounding=None, reasons=("x",), route=draw.choice(ROUTES))
    events: list[Event] = [routed] * draw.choice([1, 1, 1, 2])
    for number in range(draw.randrange(3)):
        call = UsageRecorded.following(
            routed, event_id=uuid4().hex, call_id=f"{message.event_id}-{number}", stage="draft", operation="chat",
            model="m", provider="p", usage=Usage(), cost_usd=Decimal(draw.randrange(1, 9_999)) / 100_000, outcome="ok",
            latency_s=1,
        )  # fmt: skip
        events += [call] * draw.choice([1, 1, 1, 2])
    return events + [_opinion(routed, draw) for _ in range(draw.choice([0, 0, 1, 2]))]


def _opinion(routed: TicketRouted, draw: random.Random) -> ReviewDecided:
    decision = draw.choice(DECISIONS)
    return review(
        **{name: getattr(routed, name) for name in ("root_id", "source", "tenant", "conversation", "accepted_at")},
        event_id=str(uuid4()), ticket_id=routed.ticket.ticket_id, draft_event_id=routed.event_id, decision=decision,
        decided_at=routed.accepted_at + timedelta(hours=draw.uniform(0, 300)),
        reason="wrong" if decision is Decision.REJECTED else "",
        rating=draw.randrange(1, 6) if decision is Decision.RATED else None,
        review_s=draw.choice([None, draw.uniform(1, 200)]),
    )  # fmt: skip


async def test_tables_and_events_give_the_same_report(
    bus: dict[str, Any], pool: Pool, app_pool: Pool, tenant: str
) -> None:
    draw = random.Random(7)
    await Bus(bus, pool, tenant).put(*(event for _ in range(TICKETS) for event in story(tenant, draw)))
    await Projector(pool, bus).catch_up()
    since, until = NOON - timedelta(days=30), NOON + timedelta(days=5)
    now = NOON + timedelta(days=400)
    told = await report(app_pool, tenant, since, until, now=now)
    assert told == await recount(bus, tenant, since, until, now=now)
    assert min(told.tickets, told.resolved, told.retracted, told.reviews, told.ratings, told.cost_usd) > 0
    assert told.tickets < TICKETS and told.reviews_under_a_minute < told.reviews_timed < told.reviews


async def test_a_tenant_s_report_has_nothing_of_another(
    bus: dict[str, Any], pool: Pool, app_pool: Pool, tenant: str
) -> None:
    await Bus(bus, pool, tenant).put(*story(tenant, random.Random(1)))
    await Projector(pool, bus).catch_up()
    since, until = NOON - timedelta(days=30), NOON + timedelta(days=30)
    assert (await report(app_pool, tenant, since, until, now=until)).tickets == 1
    assert (await report(app_pool, "another", since, until, now=until)).tickets == 0


async def test_a_decision_tells_how_long_its_reviewer_had_the_ticket(
    bus: dict[str, Any], pool: Pool, app_pool: Pool, tenant: str
) -> None:
    topics = Bus(bus, pool, tenant)
    message = topics.message()
    await topics.put(message, topics.routed(message))
    await topics.mirror()
    await store.lease(app_pool, tenant, "t1", "ann")
    await pool.fetch("update ticket set leased_at = now() - interval '42 s' where tenant = $1", tenant)
    await store.lease(app_pool, tenant, "t1", "ann")
    draft = (await store.ticket(app_pool, tenant, "t1")).routed_event_id or ""
    await store.decide(app_pool, tenant, "t1", "ann", Choice(Action.APPROVED, draft))
    (row,) = await pool.fetch("select event from decision where tenant = $1", tenant)
    decided = ReviewDecided.model_validate_json(row["event"])
    assert decided.review_s == pytest.approx(42, abs=20) and decided.priority == "low"


async def test_an_evaluation_set_has_each_reviewed_draft_once_by_either_of_its_names(
    bus: dict[str, Any], pool: Pool, tenant: str
) -> None:
    topics = Bus(bus, pool, tenant)
    first, second, third = (topics.message(name, name) for name in ("t1", "t2", "t3"))
    routed = [topics.routed(message) for message in (first, second, third)]
    fresh = {"tenant": tenant, "conversation": "t1"}
    reviews = [
        review(**fresh, event_id=uuid4().hex, draft_event_id=routed[0].event_id),
        review(**fresh, event_id=uuid4().hex, draft_event_id=second.event_id),
        review(**fresh, event_id=uuid4().hex, draft_event_id="gone"),
    ]
    await topics.put(*routed, routed[0], *reviews)
    rows: list[dict[str, Any]] = []
    assert await export(bus, tenant, rows.append, masks=True) == (2, 1)
    assert sorted(row["ticket_id"] for row in rows) == ["t1", "t2"]
