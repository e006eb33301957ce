"""The auditor on a real topic: what breaks a promise halts sending for its tenant, what is right does not."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from agents import route
from agents.graduation import BOUND_MAX
from app.desk import autosend, graduation, store
from app.desk.auditor import Auditor
from app.desk.decisions import State
from app.desk.projector import Projector
from app.store.database import Pool
from app.store.policies import Policies, create_tenant
from app.store.queries import query
from schemas.event import derived_id
from schemas.policy import Mode, TenantPolicy
from schemas.tickets import Category, Claim, Grounding, Route, TicketReceived, TicketRouted
from tests.events import ALONE, drafted, open_policy, received, verdict
from tests.integration.test_graduation import later, reviewed
from tests.integration.test_projector import Bus
from tests.integration.test_sender import Desk, Office

SUPPORTED = Grounding(claims=(Claim(text="Press Ctrl+P.", supported=True),))


@pytest.fixture
async def tenant(app_pool: Pool, pool: Pool) -> str:
    """In mode auto, with how_to/en opened."""
    name = f"t{uuid4().hex[:12]}"
    await create_tenant(app_pool, TenantPolicy(tenant=name))
    await autosend.set_mode(app_pool, name, Mode.AUTO, actor="ann")
    await reviewed(pool, name, 100)
    await graduation.open_group(app_pool, name, Category.HOW_TO, "en", actor="ann", bound_max=BOUND_MAX)
    return name


@pytest.fixture
def topics(bus: dict[str, Any], pool: Pool, tenant: str) -> Bus:
    return Bus(bus, pool, tenant)


def at_the_door(tenant: str) -> TicketReceived:
    return received(tenant=tenant, event_id=uuid4().hex, conversation=uuid4().hex)


def sent(first: TicketReceived, **fields: Any) -> TicketRouted:
    shared = {name: getattr(first, name) for name in ("tenant", "root_id", "conversation", "event_id", "accepted_at")}
    decided = route.decide(drafted().model_copy(update=shared), open_policy(tenant=first.tenant), ALONE, SUPPORTED)
    assert decided.route is Route.SEND
    return decided.model_copy(update=fields)


async def halted(app_pool: Pool, tenant: str) -> str:
    found = await autosend.standing(app_pool, tenant)
    return "" if found is None else found.why


async def test_a_record_that_breaks_a_promise_halts_its_tenant_alone(
    topics: Bus, app_pool: Pool, pool: Pool, tenant: str
) -> None:
    other = f"t{uuid4().hex[:12]}"
    await create_tenant(app_pool, TenantPolicy(tenant=other))
    await topics.put(sent(at_the_door(tenant), verdict=verdict(stakes=("refund",))))
    await Auditor(pool, topics.client).catch_up()
    assert "sent with high stakes (refund)" in await halted(app_pool, tenant)
    assert (await Policies(app_pool).policy(tenant)).halted
    assert await halted(app_pool, other) == ""
    assert (await store.audit_log(app_pool, tenant))[0].action == "sending_halted"


async def test_after_its_halt_nothing_more_is_sent_by_itself(
    topics: Bus, app_pool: Pool, pool: Pool, tenant: str
) -> None:
    """From the broken promise on the bus to the sender, with a reply that was due already."""
    office = Office(topics, pool, app_pool)
    first = at_the_door(tenant)
    await topics.put(first, sent(first))
    await topics.mirror()
    assert (await office.reply()).state == "pending"
    await topics.put(sent(at_the_door(tenant), verdict=verdict(stakes=("refund",))))
    await Auditor(pool, topics.client).catch_up()
    desk = Desk()
    async with office.sending(desk):
        reply = await office.until_reply("stale", "sent")
    assert (reply.last_error, desk.sent) == ("sending is halted for the tenant", [])
    assert (await office.seen()).state is State.WAITING


async def test_what_the_tenant_allowed_does_not(topics: Bus, app_pool: Pool, pool: Pool, tenant: str) -> None:
    await topics.put(sent(at_the_door(tenant)))
    await Auditor(pool, topics.client).catch_up()
    assert await halted(app_pool, tenant) == ""


async def test_what_it_closed_long_ago_does(topics: Bus, app_pool: Pool, pool: Pool, tenant: str) -> None:
    await topics.put(sent(at_the_door(tenant), verdict=verdict(language="de")))
    await Auditor(pool, topics.client).catch_up()
    assert "how_to/de was closed" in await halted(app_pool, tenant)


async def test_a_halt_that_a_person_lifted_does_not_come_back_for_the_same_record(
    topics: Bus, app_pool: Pool, pool: Pool, tenant: str
) -> None:
    await topics.put(sent(at_the_door(tenant), verdict=verdict(wants_human=True)))
    await Auditor(pool, topics.client).catch_up()
    assert await autosend.lift(app_pool, tenant, actor="ann")
    await pool.fetch("update projection_offset set next_offset = 0 where projection = 'auditor'")
    await Auditor(pool, topics.client).catch_up()
    assert await halted(app_pool, tenant) == ""


async def _sent_reply(topics: Bus, pool: Pool, tenant: str, **routed: Any) -> None:
    """The tables say that a reply to this ticket went out by itself."""
    first = at_the_door(tenant)
    event = sent(first, **routed)
    await topics.put(first, event)
    await Projector(pool, topics.client).catch_up()
    await pool.fetch(
        """
        insert into outbox (reply_id, tenant, ticket_id, conversation_id, root_id, partition, channel, body, state,
                            caused_at, not_before, sent_at)
        values ($1, $2, $3, $4, $5, 0, 'file', 'Hi', 'sent', now(), now(), now())
        on conflict (reply_id) do update set state = 'sent', sent_at = now()
        """,
        UUID(derived_id(event.event_id, "reply")), tenant, first.ticket.ticket_id, first.conversation, first.root_id,
    )  # fmt: skip


async def test_a_reply_that_went_out_by_itself_though_it_was_to_be_reviewed_halts(
    topics: Bus, app_pool: Pool, pool: Pool, tenant: str
) -> None:
    await _sent_reply(topics, pool, tenant, route=Route.REVIEW)
    await Auditor(pool, topics.client).catch_up()
    assert "the route was review" in await halted(app_pool, tenant)


async def test_a_reply_that_went_out_rightly_does_not(topics: Bus, app_pool: Pool, pool: Pool, tenant: str) -> None:
    await _sent_reply(topics, pool, tenant)
    await Auditor(pool, topics.client).catch_up()
    assert await halted(app_pool, tenant) == ""


async def test_a_reply_that_went_out_long_after_a_halt_is_told(
    topics: Bus, app_pool: Pool, pool: Pool, tenant: str
) -> None:
    await autosend.halt(app_pool, tenant, why="by hand", by="ann")
    await pool.fetch("update sending_halt set at = at - make_interval(mins => 5) where tenant = $1", tenant)
    await _sent_reply(topics, pool, tenant)
    (row,) = [
        row
        for row in await pool.fetch(query("auditor/sent"), later() - timedelta(hours=1), 60.0, 500)
        if row["tenant"] == tenant
    ]
    assert row["halted_before"]


async def test_it_closes_what_turned_out_worse(topics: Bus, app_pool: Pool, pool: Pool, tenant: str) -> None:
    await reviewed(pool, tenant, 3, "reopened", at=later())
    await Auditor(pool, topics.client).catch_up()
    assert (await Policies(app_pool).policy(tenant)).graduated == ()


async def test_what_was_read_is_not_read_again(topics: Bus, pool: Pool, tenant: str) -> None:
    await topics.put(sent(at_the_door(tenant)))
    await Auditor(pool, topics.client).catch_up()
    stored = await pool.fetch(query("desk/offsets"), "auditor")
    assert sum(row["next_offset"] for row in stored if row["topic_id"] == TicketRouted.TOPIC) >= 1
