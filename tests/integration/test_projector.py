"""The topics as tables: what each record changes, once."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from app.desk import projector as projecting
from app.desk import store
from app.desk.decisions import State
from app.desk.projector import Projector
from app.kafka.cloudevents import TENANT_HEADER, to_output
from app.store.database import Pool
from app.store.policies import create_tenant
from schemas.event import Event
from schemas.policy import TenantPolicy
from schemas.reviews import ReviewDecided
from schemas.tickets import Draft, Route, Ticket, TicketReceived, TicketRouted
from schemas.topics import DEAD_LETTER_TOPIC
from schemas.usage import Usage, UsageRecorded
from tests.events import NOON, passage, verdict


@pytest.fixture
async def tenant(app_pool: Pool) -> str:
    name = f"t{uuid4().hex[:12]}"
    await create_tenant(app_pool, TenantPolicy(tenant=name))
    return name


class Bus:
    """Puts events on the topics, and lets a projector read them."""

    def __init__(self, client: dict[str, Any], pool: Pool, tenant: str) -> None:
        self.client, self.pool, self.tenant = client, pool, tenant

    async def put(self, *events: Event) -> None:
        producer = AIOKafkaProducer(**self.client, enable_idempotence=True)
        await producer.start()
        try:
            for event in events:
                out = to_output(event)
                await producer.send_and_wait(out.topic, value=out.value, key=out.key, headers=list(out.headers))
        finally:
            await producer.stop()

    async def put_dead(self, event: Event, reason: str) -> None:
        producer = AIOKafkaProducer(**self.client, enable_idempotence=True)
        await producer.start()
        try:
            headers = [("dlq-reason", reason.encode()), (TENANT_HEADER, event.tenant.encode())]
            await producer.send_and_wait(
                DEAD_LETTER_TOPIC, value=to_output(event).value, key=event.key, headers=headers
            )
        finally:
            await producer.stop()

    @property
    def environment(self) -> dict[str, str]:
        return {"KAFKA_BOOTSTRAP": self.client["bootstrap_servers"]}

    async def mirror(self) -> None:
        await Projector(self.pool, self.client).catch_up()

    def message(self, ticket_id: str = "t1", conversation: str = "c1", **fields: Any) -> TicketReceived:
        ticket = Ticket(ticket_id=ticket_id, subject="Printing", body=fields.pop("body", "How do I print?"))
        return TicketReceived.model_validate(
            {"event_id": uuid4().hex, "source": "/test", "tenant": self.tenant, "conversation": conversation,
             "accepted_at": NOON, "ticket": ticket, **fields}
        )  # fmt: skip

    def routed(self, message: TicketReceived, route: Route = Route.REVIEW, **fields: Any) -> TicketRouted:
        known = {"verdict": verdict(), "passages": (passage(),), "grounding": None, "route": route,
                 "reasons": (f"because {route}",),
                 "draft": Draft(body="Press Ctrl+P [printing].", citations=("printing",), confidence=0.9)}  # fmt: skip
        return TicketRouted.following(message, **{**known, **fields})


@pytest.fixture
def desk_bus(bus: dict[str, Any], pool: Pool, tenant: str) -> Bus:
    return Bus(bus, pool, tenant)


def used(message: TicketReceived, call_id: str, cost_usd: str) -> UsageRecorded:
    return UsageRecorded.following(
        message, event_id=uuid4().hex, call_id=f"{message.tenant}-{call_id}", stage="draft", operation="chat",
        model="m", provider="p", usage=Usage(), cost_usd=Decimal(cost_usd), outcome="ok", latency_s=0.1,
    )  # fmt: skip


def decided(routed: TicketRouted, decision: str) -> ReviewDecided:
    """By somebody elsewhere."""
    return ReviewDecided.following(
        routed, event_id=uuid4().hex, ticket_id="t1", draft_event_id=routed.event_id, decision=decision,
        reviewer="ann", decided_at=NOON, category="how_to", language="en",
        signals={"classification": 0.9, "draft": 0.9},
    )  # fmt: skip


async def test_a_message_is_a_ticket_in_the_pipeline(desk_bus: Bus, app_pool: Pool) -> None:
    await desk_bus.put(desk_bus.message())
    await desk_bus.mirror()
    seen = await store.ticket(app_pool, desk_bus.tenant, "t1")
    assert (seen.state, seen.customer_text, len(seen.messages)) == (State.WORKING, "How do I print?", 1)


async def test_a_draft_for_review_waits_for_a_person(desk_bus: Bus, app_pool: Pool) -> None:
    message = desk_bus.message()
    await desk_bus.put(message, desk_bus.routed(message))
    await desk_bus.mirror()
    (row,) = await store.queue(app_pool, desk_bus.tenant)
    assert (row.state, row.category, row.language) == (State.WAITING, "how_to", "en")
    seen = await store.ticket(app_pool, desk_bus.tenant, "t1")
    assert seen.reply == "Press Ctrl+P."
    assert seen.reasons == ("because review",)
    assert seen.passages == (passage(),)


async def test_what_is_routed_to_be_sent_is_in_the_outbox_once(desk_bus: Bus, app_pool: Pool) -> None:
    message = desk_bus.message()
    routed = desk_bus.routed(message, Route.SEND)
    await desk_bus.put(message, routed, routed, message)
    await desk_bus.mirror()
    seen = await store.ticket(app_pool, desk_bus.tenant, "t1")
    assert (seen.state, [reply.body for reply in seen.replies]) == (State.SENDING, ["Press Ctrl+P."])


async def test_a_newer_message_supersedes_what_waits_in_its_conversation(desk_bus: Bus, app_pool: Pool) -> None:
    first, second = desk_bus.message("t1"), desk_bus.message("t2")
    await desk_bus.put(first, desk_bus.routed(first), second)
    await desk_bus.mirror()
    seen = await store.ticket(app_pool, desk_bus.tenant, "t1")
    assert (seen.state, seen.superseded_by) == (State.SUPERSEDED, "t2")


async def test_a_draft_of_an_older_message_of_the_ticket_changes_nothing(desk_bus: Bus, app_pool: Pool) -> None:
    first, second = desk_bus.message(body="first"), desk_bus.message(body="second")
    await desk_bus.put(first, second, desk_bus.routed(first, Route.SEND))
    await desk_bus.mirror()
    seen = await store.ticket(app_pool, desk_bus.tenant, "t1")
    assert (seen.state, seen.replies, seen.customer_text) == (State.WORKING, (), "second")


@pytest.mark.parametrize("other", ["t1", "t2"])
async def test_nothing_is_sent_by_itself_while_its_conversation_waits_for_a_person(
    desk_bus: Bus, app_pool: Pool, other: str
) -> None:
    first, second = desk_bus.message("t1"), desk_bus.message(other)
    await desk_bus.put(first, desk_bus.routed(first, Route.ESCALATE))
    await desk_bus.mirror()
    await desk_bus.put(second, desk_bus.routed(second, Route.SEND))
    await desk_bus.mirror()
    assert (await store.ticket(app_pool, desk_bus.tenant, "t1")).state is State.ESCALATED
    seen = await store.ticket(app_pool, desk_bus.tenant, other)
    assert (seen.replies, seen.state) == ((), State.ESCALATED if other == "t1" else State.WAITING)


async def test_a_dead_letter_is_a_dead_ticket_with_its_reason(desk_bus: Bus, app_pool: Pool) -> None:
    message = desk_bus.message()
    await desk_bus.put(message)
    await desk_bus.put_dead(message, "too_large")
    await desk_bus.mirror()
    seen = await store.ticket(app_pool, desk_bus.tenant, "t1")
    assert (seen.state, seen.reasons) == (State.DEAD, ("dead-lettered: too_large",))


async def test_a_ticket_costs_what_its_calls_were_last_told_to_cost(desk_bus: Bus, app_pool: Pool) -> None:
    message = desk_bus.message()
    await desk_bus.put(message, used(message, "a", "0.5"), used(message, "b", "0.25"), used(message, "a", "0.125"))
    await desk_bus.mirror()
    assert (await store.ticket(app_pool, desk_bus.tenant, "t1")).cost_usd == Decimal("0.375")


async def test_a_decision_from_elsewhere_leaves_a_person_to_see_whether_it_was_sent(
    desk_bus: Bus, app_pool: Pool
) -> None:
    message = desk_bus.message()
    routed = desk_bus.routed(message)
    review = decided(routed, "approved")
    await desk_bus.put(message, routed, review)
    await desk_bus.mirror()
    seen = await store.ticket(app_pool, desk_bus.tenant, "t1")
    assert (seen.state, [one.decision for one in seen.decisions]) == (State.UNKNOWN, ["approved"])


async def test_what_nobody_can_read_or_store_stops_nothing(desk_bus: Bus, app_pool: Pool) -> None:
    stranger = desk_bus.message("t9").model_copy(update={"tenant": f"x{desk_bus.tenant}"})
    producer = AIOKafkaProducer(**desk_bus.client)
    await producer.start()
    await producer.send_and_wait(TicketReceived.TOPIC, b"not json", key=b"x")
    await producer.stop()
    await desk_bus.put(stranger, desk_bus.message("t1", body="a\0b"))
    await desk_bus.mirror()
    assert (await store.ticket(app_pool, desk_bus.tenant, "t1")).customer_text == "ab"


async def test_a_projector_that_was_overtaken_writes_nothing(desk_bus: Bus, app_pool: Pool) -> None:
    await desk_bus.mirror()
    late = Projector(desk_bus.pool, desk_bus.client)
    async with late._consumer() as consumer:
        await desk_bus.put(desk_bus.message())
        await desk_bus.mirror()
        with pytest.raises(projecting._Overtaken):
            async with asyncio.timeout(20):
                while True:
                    await late._step(consumer)


async def test_a_draft_is_projected_after_its_message_though_it_is_polled_before(desk_bus: Bus, app_pool: Pool) -> None:
    """Thousands of messages of the same partition lie before it."""
    crowd = [desk_bus.message(f"t{at}", f"c{at}", event_id=uuid4().hex) for at in range(1_500)]
    await desk_bus.put(*crowd, desk_bus.routed(crowd[-1]))
    await desk_bus.mirror()
    assert (await store.ticket(app_pool, desk_bus.tenant, "t1499")).state is State.WAITING


async def test_costs_and_dead_letters_are_projected_after_their_message_though_nothing_was_routed(
    desk_bus: Bus, app_pool: Pool
) -> None:
    """Nothing lies between them on the topic of what is routed."""
    crowd = [desk_bus.message(f"t{at}", f"c{at}", event_id=uuid4().hex) for at in range(1_500)]
    await desk_bus.put(*crowd, used(crowd[-1], "a", "0.5"))
    await desk_bus.put_dead(crowd[-1], "too_large")
    await desk_bus.mirror()
    seen = await store.ticket(app_pool, desk_bus.tenant, "t1499")
    assert (seen.cost_usd, seen.state) == (Decimal("0.5"), State.DEAD)


async def test_a_sent_ticket_opened_again_elsewhere_is_before_a_person(
    desk_bus: Bus, app_pool: Pool, pool: Pool
) -> None:
    message = desk_bus.message()
    routed = desk_bus.routed(message)
    review = decided(routed, "reopened")
    await desk_bus.put(message, routed)
    await desk_bus.mirror()
    async with pool.transaction() as connection:
        await connection.execute("update ticket set state = 'sent' where tenant = $1", desk_bus.tenant)
    await desk_bus.put(review)
    await desk_bus.mirror()
    seen = await store.ticket(app_pool, desk_bus.tenant, "t1")
    assert (seen.state, seen.reasons[-1]) == (State.ESCALATED, "decided elsewhere: reopened")
