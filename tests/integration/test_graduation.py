"""Graduation in PostgreSQL: opened on proof, by a person; closed by itself; told to the route agent."""

from datetime import timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest

from agents.contract import PermanentError
from agents.graduation import BOUND_MAX
from app.desk import autosend, graduation, store
from app.desk.decisions import Action, Choice
from app.store.database import Pool
from app.store.policies import Policies, create_tenant
from app.store.queries import query
from schemas.policy import Graduated, Mode, TenantPolicy
from schemas.tickets import Category, Route
from tests.events import NOON, verdict
from tests.integration.test_projector import Bus

HOW_TO = Category.HOW_TO
_drafts = count()


@pytest.fixture
async def tenant(app_pool: Pool) -> str:
    name = f"t{uuid4().hex[:12]}"
    await create_tenant(app_pool, TenantPolicy(tenant=name))
    return name


async def reviewed(
    pool: Pool, tenant: str, number: int, decision: str = "approved", *, category: str = "how_to", language: str = "en",
    priority: str | None = "low", material: bool | None = None, rating: int | None = None, at: Any = NOON,
    draft: str | None = None,
) -> None:  # fmt: skip
    for _ in range(number):
        await pool.fetch(
            query("desk/review_counts"), tenant, uuid4().hex, "t1", draft or f"d{next(_drafts)}", decision, material,
            rating, category, language, priority, None, at,
        )  # fmt: skip


async def opened(app_pool: Pool, pool: Pool, tenant: str) -> graduation.Group:
    await reviewed(pool, tenant, 100)
    return await graduation.open_group(app_pool, tenant, HOW_TO, "en", actor="ann")


def later() -> Any:
    from datetime import UTC, datetime

    return datetime.now(UTC) + timedelta(minutes=1)


async def test_a_hundred_clean_reviews_let_a_person_open_it(app_pool: Pool, pool: Pool, tenant: str) -> None:
    found = await opened(app_pool, pool, tenant)
    assert (found.is_open, found.opened_by, found.bound_max) == (True, "ann", BOUND_MAX)


async def test_the_route_agent_is_told_of_this_category_and_locale_only(
    app_pool: Pool, pool: Pool, tenant: str
) -> None:
    await opened(app_pool, pool, tenant)
    policy = await Policies(app_pool).policy(tenant)
    assert policy.graduated == (Graduated(category=HOW_TO, locale="en"),)
    assert policy.has_graduated(HOW_TO, "en") and not policy.has_graduated(HOW_TO, "de")


async def test_it_stays_closed_without_proof(app_pool: Pool, pool: Pool, tenant: str) -> None:
    await reviewed(pool, tenant, 99)
    with pytest.raises(PermanentError, match="99 of 100"):
        await graduation.open_group(app_pool, tenant, HOW_TO, "en", actor="ann")
    assert (await Policies(app_pool).policy(tenant)).graduated == ()


@pytest.mark.parametrize(
    "other",
    [
        {"priority": "normal"}, {"priority": None}, {"language": "de"}, {"category": "billing"},
        {"decision": "edited", "material": True}, {"decision": "rejected"},
    ],
)  # fmt: skip
async def test_what_counts_is_clean_of_low_priority_and_of_this_category_and_locale(
    other: dict[str, Any], app_pool: Pool, pool: Pool, tenant: str
) -> None:
    await reviewed(pool, tenant, 1, **other)
    await reviewed(pool, tenant, 1, "edited", material=False)
    assert (await graduation.group(app_pool, tenant, HOW_TO, "en")).evidence.clean == 1


async def test_a_draft_that_was_reopened_or_rated_badly_was_not_clean(app_pool: Pool, pool: Pool, tenant: str) -> None:
    for decision, rating in (("reopened", None), ("rated", 1), ("rated", 5)):
        draft = uuid4().hex
        await reviewed(pool, tenant, 1, draft=draft)
        await reviewed(pool, tenant, 1, decision, rating=rating, draft=draft)
    evidence = (await graduation.group(app_pool, tenant, HOW_TO, "en")).evidence
    assert (evidence.reviewed, evidence.clean) == (3, 1)


async def test_the_last_verdict_on_a_draft_holds(app_pool: Pool, pool: Pool, tenant: str) -> None:
    await reviewed(pool, tenant, 1, "rejected", draft="twice")
    await reviewed(pool, tenant, 1, draft="twice", at=NOON + timedelta(minutes=1))
    evidence = (await graduation.group(app_pool, tenant, HOW_TO, "en")).evidence
    assert (evidence.reviewed, evidence.clean) == (1, 1)


async def test_a_stricter_bound_is_kept(app_pool: Pool, pool: Pool, tenant: str) -> None:
    await reviewed(pool, tenant, 598)
    found = await graduation.open_group(app_pool, tenant, HOW_TO, "en", actor="ann", bound_max=0.005)
    assert found.bound_max == 0.005


async def test_nobody_may_ask_for_a_looser_bound(app_pool: Pool, tenant: str) -> None:
    with pytest.raises(PermanentError, match="at most"):
        await graduation.open_group(app_pool, tenant, HOW_TO, "en", actor="ann", bound_max=0.5)


async def test_nobody_opens_refunds(app_pool: Pool, pool: Pool, tenant: str) -> None:
    await reviewed(pool, tenant, 100, category="refund")
    with pytest.raises(PermanentError, match="always goes to a person"):
        await graduation.open_group(app_pool, tenant, Category.REFUND, "en", actor="ann")


async def test_it_closes_by_itself_where_complaints_pass_what_was_promised(
    app_pool: Pool, pool: Pool, tenant: str
) -> None:
    await opened(app_pool, pool, tenant)
    assert await graduation.close_worse(app_pool, tenant) == []
    await reviewed(pool, tenant, 1, "reopened", at=later())
    await reviewed(pool, tenant, 1, "rated", rating=1, at=later())
    await reviewed(pool, tenant, 1, "edited", material=True, at=later())
    assert [one.subject for one in await graduation.close_worse(app_pool, tenant)] == ["how_to/en"]
    assert (await Policies(app_pool).policy(tenant)).graduated == ()


async def replied(bus: Bus, route: Route = Route.SEND, **routed: Any) -> None:
    """A first message, and a reply to it that went out a moment ago."""
    message = bus.message()
    await bus.put(message, bus.routed(message, route, **routed))
    await bus.mirror()
    await bus.pool.fetch("update outbox set state = 'sent', sent_at = now() where tenant = $1", bus.tenant)


async def written_again(bus: Bus, **said: Any) -> None:
    """In another ticket of the conversation, and about something else."""
    message = bus.message("t2", accepted_at=later())
    await bus.put(message, bus.routed(message, verdict=verdict(category="billing", **said)))
    await bus.mirror()


@pytest.mark.parametrize(
    ("said", "complaints"),
    [({"stakes": ("complaint",)}, 1), ({"complains_again": True}, 1), ({"goes_in_circles": True}, 1), ({}, 0),
     ({"stakes": ("refund",)}, 0)],
)  # fmt: skip
async def test_a_message_that_complains_after_a_reply_was_sent_counts_against_that_reply(
    said: dict[str, Any], complaints: int, bus: dict[str, Any], app_pool: Pool, pool: Pool, tenant: str
) -> None:
    await opened(app_pool, pool, tenant)
    topics = Bus(bus, pool, tenant)
    await replied(topics)
    await written_again(topics, **said)
    since = (await graduation.group(app_pool, tenant, HOW_TO, "en")).since
    assert (since.sent, since.complaints) == (1, complaints)


async def test_a_complaint_before_the_reply_was_sent_says_nothing_of_it(
    bus: dict[str, Any], app_pool: Pool, pool: Pool, tenant: str
) -> None:
    await opened(app_pool, pool, tenant)
    topics = Bus(bus, pool, tenant)
    await replied(topics)
    await pool.fetch("update outbox set sent_at = sent_at + interval '1 hour' where tenant = $1", tenant)
    await written_again(topics, stakes=("complaint",))
    assert (await graduation.group(app_pool, tenant, HOW_TO, "en")).since.complaints == 0


async def test_it_closes_by_itself_where_messages_after_sending_complain(
    bus: dict[str, Any], app_pool: Pool, pool: Pool, tenant: str
) -> None:
    await opened(app_pool, pool, tenant)
    topics = Bus(bus, pool, tenant)
    for number in range(2):
        first = topics.message(f"first{number}", f"c{number}")
        again = topics.message(f"again{number}", f"c{number}", accepted_at=later())
        await topics.put(first, topics.routed(first, Route.SEND))
        await topics.mirror()
        await pool.fetch("update outbox set state = 'sent', sent_at = now() where tenant = $1", tenant)
        await topics.put(again, topics.routed(again, Route.ESCALATE, verdict=verdict(stakes=("complaint",))))
    await topics.mirror()
    assert [one.subject for one in await graduation.close_worse(app_pool, tenant)] == ["how_to/en"]


async def test_a_draft_that_was_approved_and_then_complained_of_was_not_clean(
    bus: dict[str, Any], app_pool: Pool, pool: Pool, tenant: str
) -> None:
    topics = Bus(bus, pool, tenant)
    message = topics.message()
    routed = topics.routed(message)
    await topics.put(message, routed)
    await topics.mirror()
    await store.decide(app_pool, tenant, "t1", "ann", Choice(Action.APPROVED, routed.event_id))
    await reviewed(pool, tenant, 1, draft=routed.event_id)
    await pool.fetch("update outbox set state = 'sent', sent_at = now() where tenant = $1", tenant)
    assert (await graduation.group(app_pool, tenant, HOW_TO, "en")).evidence.clean == 1
    await written_again(topics, stakes=("complaint",))
    assert (await graduation.group(app_pool, tenant, HOW_TO, "en")).evidence.clean == 0


async def test_once_closed_by_itself_only_later_reviews_open_it_again(app_pool: Pool, pool: Pool, tenant: str) -> None:
    await opened(app_pool, pool, tenant)
    await reviewed(pool, tenant, 3, "reopened", at=later())
    await graduation.close_worse(app_pool, tenant)
    with pytest.raises(PermanentError, match="0 of 100"):
        await graduation.open_group(app_pool, tenant, HOW_TO, "en", actor="ann")
    await reviewed(pool, tenant, 100, at=later())
    assert (await graduation.open_group(app_pool, tenant, HOW_TO, "en", actor="ann")).is_open


async def test_each_change_stands_in_the_audit_log_with_its_figures(app_pool: Pool, pool: Pool, tenant: str) -> None:
    await opened(app_pool, pool, tenant)
    assert await graduation.close_group(app_pool, tenant, HOW_TO, "en", actor="bob", why="new prices")
    assert not await graduation.close_group(app_pool, tenant, HOW_TO, "en", actor="bob", why="again")
    await autosend.set_mode(app_pool, tenant, Mode.AUTO, actor="ann")
    told = [(row.actor, row.action, dict(row.details)) for row in await store.audit_log(app_pool, tenant)]
    assert told == [
        ("ann", "mode_set", {"mode": "auto"}),
        ("bob", "graduation_closed", {"why": "new prices"}),
        (
            "ann", "graduation_opened",
            {"reviewed": 100, "clean": 100, "bound": pytest.approx(0.0295, abs=1e-4), "bound_max": BOUND_MAX},
        ),
    ]  # fmt: skip


async def test_a_tenant_sees_its_own_only(app_pool: Pool, pool: Pool, tenant: str) -> None:
    await opened(app_pool, pool, tenant)
    assert await graduation.groups(app_pool, "another") == []
    assert tenant in await graduation.tenants_open(pool)


async def test_a_halt_stands_until_a_person_lifts_it(app_pool: Pool, tenant: str) -> None:
    assert await autosend.halt(app_pool, tenant, why="it sent a refund", by="auditor")
    assert not await autosend.halt(app_pool, tenant, why="again", by="auditor")
    standing = await autosend.standing(app_pool, tenant)
    assert standing is not None and standing.why == "it sent a refund"
    assert (await Policies(app_pool, kept_s=0).policy(tenant)).halted
    assert await autosend.lift(app_pool, tenant, actor="ann")
    assert not (await Policies(app_pool, kept_s=0).policy(tenant)).halted
