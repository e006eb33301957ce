"""The report from the tables is the one from the events, whatever happened."""

import asyncio
import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from app.desk import store
from app.desk.decisions import Action, Choice
from app.desk.evaluation_set import export
from app.desk.projector import Projector
from app.desk.recount import recount
from app.desk.relay import Relay
from app.desk.report import report
from app.store.database import Pool
from app.store.policies import create_tenant
from schemas.event import Event
from schemas.policy import TenantPolicy
from schemas.reviews import Decision, ReviewDecided
from schemas.tickets import Route, Ticket, TicketReceived, TicketRouted
from schemas.usage import Usage, UsageRecorded
from tests.events import NOON, drafted, received
from tests.integration.test_cli import deskstream
from tests.integration.test_projector import Bus
from tests.unit.test_reviews import review

TICKETS = 120
WAIT_S_MAX = 60.0
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
    landed = await _landed(pool, bus, tenant, draw)
    since, until = NOON - timedelta(days=30), NOON + timedelta(days=5)
    now = NOON + timedelta(days=400)
    told = await report(app_pool, tenant, since, until, now=now)
    assert told == await recount(bus, tenant, since, until, now=now)
    assert min(told.tickets, told.resolved, told.retracted, told.reviews, told.ratings, told.cost_usd) > 0
    assert 0 < told.stale_cost_usd < told.cost_usd and told.stale > 0
    assert 0 < landed < len(await pool.fetch(_REPLIES, tenant))
    assert told.tickets < TICKETS and told.reviews_under_a_minute < told.reviews_timed < told.reviews


async def _landed(pool: Pool, bus: dict[str, Any], tenant: str, draw: random.Random) -> int:
    """Of the replies three in four, at some time after they were routed; told on the bus. How many."""
    rows = [row for row in await pool.fetch(_REPLIES, tenant) if draw.random() < 0.75]
    for row in rows:
        sent_at = row["caused_at"] + timedelta(hours=draw.uniform(0, 30))
        await pool.fetch("update outbox set state = 'sent', sent_at = $2 where reply_id = $1", row["reply_id"], sent_at)
    stop = asyncio.Event()
    async with asyncio.timeout(WAIT_S_MAX), asyncio.TaskGroup() as tasks:
        tasks.create_task(Relay(pool, bus).run(stop))
        while await pool.fetch(_UNTOLD, tenant):
            await asyncio.sleep(0.05)
        stop.set()
    return len(rows)


_REPLIES = "select reply_id, caused_at from outbox where tenant = $1 order by root_id"
_UNTOLD = "select from outbox where tenant = $1 and state = 'sent' and relayed_at is null"


async def test_the_command_counts_both_ways_and_says_where_they_differ(
    bus: dict[str, Any], pool: Pool, tenant: str, database_url: str, tmp_path: Path
) -> None:
    topics = Bus(bus, pool, tenant)
    environment = {**topics.environment, "DATABASE_URL": database_url}
    first, second = (topics.message(f"t{n}", accepted_at=datetime.now(UTC) - timedelta(hours=1)) for n in range(2))
    await topics.put(first, topics.routed(first, Route.SEND))
    await topics.mirror()
    done = await deskstream("report", "-t", tenant, "--recount", "--json", cwd=tmp_path, **environment)
    told = json.loads(done.out)
    assert (done.code, told["now"]["tickets"], told["before"]["tickets"]) == (0, 1, 0)
    assert told["recounted"] == told["now"]
    await topics.put(second, topics.routed(second, Route.REVIEW))
    done = await deskstream("report", "-t", tenant, "--recount", cwd=tmp_path, **environment)
    assert (done.code, "tickets 1 in the tables, 2 in the events" in done.err) == (1, True), done.all


async def test_the_command_says_that_there_is_nothing_yet_and_names_a_tenant_that_there_is_not(
    tenant: str, database_url: str, tmp_path: Path
) -> None:
    done = await deskstream("report", "-t", tenant, cwd=tmp_path, DATABASE_URL=database_url)
    assert (done.code, "no ticket was routed" in done.out) == (0, True), done.all
    done = await deskstream("report", "-t", "nobody", cwd=tmp_path, DATABASE_URL=database_url)
    assert (done.code, "there is no tenant 'nobody'" in done.err) == (3, True), done.all


async def test_a_tenant_s_report_has_nothing_of_another(
    bus: dict[str, Any], pool: Pool, app_pool: Pool, tenant: str
) -> None:
    await Bus(bus, pool, tenant).put(*story(tenant, random.Random(1)))
    await Projector(pool, bus).catch_up()
    since, until = NOON - timedelta(days=30), NOON + timedelta(days=30)
    assert (await report(app_pool, tenant, since, until, now=until)).tickets == 1
    assert (await report(app_pool, "another", since, until, now=until)).tickets == 0


async def test_what_was_overtaken_while_it_waited_is_stale_work_with_its_cost(
    bus: dict[str, Any], pool: Pool, app_pool: Pool, tenant: str
) -> None:
    """Overtaken in review, overtaken before that, decided on in time, and the newest."""
    topics = Bus(bus, pool, tenant)
    hours = (topics.message(f"t{n}", accepted_at=NOON + timedelta(hours=n)) for n in range(4))
    routes = (Route.REVIEW, Route.SUPERSEDED, Route.REVIEW, Route.REVIEW)
    routed = [topics.routed(message, route) for message, route in zip(hours, routes, strict=True)]
    for number, event in enumerate(routed):
        call = UsageRecorded.following(
            event, event_id=uuid4().hex, call_id=uuid4().hex, stage="draft", operation="chat", model="m", provider="p",
            usage=Usage(), cost_usd=Decimal(10**number), outcome="ok", latency_s=1,
        )  # fmt: skip
        message = topics.message(f"t{number}", event_id=event.root_id, accepted_at=event.accepted_at)
        await topics.put(message, event, call)
    approved = review(
        tenant=tenant, conversation="c1", event_id=str(uuid4()), ticket_id="t2", draft_event_id=routed[2].event_id
    )
    await topics.put(approved)
    await topics.mirror()
    since, until = NOON - timedelta(days=1), NOON + timedelta(days=1)
    told = await report(app_pool, tenant, since, until, now=until)
    assert (told.stale, told.stale_cost_usd, told.cost_usd) == (2, Decimal(11), Decimal(1_111))
    assert told == await recount(bus, tenant, since, until, now=until)


async def test_the_median_of_two_times_is_the_same_whoever_reckons_it(
    bus: dict[str, Any], pool: Pool, app_pool: Pool, tenant: str
) -> None:
    """PostgreSQL interpolates and gives 77.05649999999999, half the sum is 77.0565."""
    topics = Bus(bus, pool, tenant)
    await topics.put(*(
        review(tenant=tenant, conversation="c1", event_id=str(uuid4()), draft_event_id=uuid4().hex, review_s=seconds)
        for seconds in (1.419, 152.694)
    ))  # fmt: skip
    await topics.mirror()
    since, until = NOON - timedelta(days=1), NOON + timedelta(days=1)
    told = await report(app_pool, tenant, since, until, now=until)
    assert told == await recount(bus, tenant, since, until, now=until) and told.review_s_median == 77.0565


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
