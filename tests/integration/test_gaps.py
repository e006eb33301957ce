"""From routed tickets and reviews on the bus to groups of what is missing."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer

from agents.article import Article
from agents.contract import Question
from app.kafka.cloudevents import to_output
from app.kafka.reading import each_event
from app.knowledge.gap_report import Read, gaps, read
from app.knowledge.proposals import drafted
from app.ports import Answered, CallContext, CallKey, LedgerRow, Vector
from schemas.event import Event
from schemas.tickets import Passage, Ticket, TicketRouted
from schemas.usage import Usage, UsageRecorded
from tests.embedders import WordEmbedder
from tests.events import NOON, passage
from tests.unit.test_gaps import routed
from tests.unit.test_reviews import review


@pytest.fixture
def client(bus: dict[str, Any]) -> dict[str, Any]:
    return bus


@pytest.fixture
def tenant() -> str:
    return f"t{uuid4().hex[:12]}"


async def publish(client: dict[str, Any], events: list[Event]) -> None:
    producer = AIOKafkaProducer(**client, enable_idempotence=True)
    await producer.start()
    try:
        for output in map(to_output, events):
            await producer.send_and_wait(output.topic, value=output.value, key=output.key, headers=list(output.headers))
    finally:
        await producer.stop()


def ticket(tenant: str, number: int, body: str, **fields: Any) -> TicketRouted:
    changed = {
        "tenant": tenant, "event_id": f"r{number}", "root_id": f"e{number}", "conversation": f"c{number}",
        "accepted_at": NOON + timedelta(minutes=number), "ticket": Ticket(ticket_id=f"t{number}", body=body),
    }  # fmt: skip
    return routed(**fields).model_copy(update=changed)


class NothingNear:
    async def search(
        self, *, tenant: str, query: str, vector: Vector, language: str | None, limit: int
    ) -> tuple[Passage, ...]:
        return (passage("nearest"),)


async def told(client: dict[str, Any], tenant: str) -> Read:
    return await read(client, tenant, since=None, similarity_min=0.5)


async def test_tickets_without_an_answer_are_put_together_by_what_they_ask(client: dict[str, Any], tenant: str) -> None:
    poor = {"passages": ()}
    events = [ticket(tenant, at, f"my drone battery swells {at}", **poor) for at in range(4)]
    events += [ticket(tenant, 10 + at, f"invoice lacks our tax number {at}", **poor) for at in range(3)]
    events += [ticket(tenant, 20 + at, f"how do i print page {at}") for at in range(9)]
    await publish(client, [*events, *events[:2], ticket(f"{tenant}x", 1, "another tenant", **poor)])
    found = await told(client, tenant)
    assert (found.tickets, found.weak_in_all) == (16, 7)
    groups = await gaps(found, WordEmbedder(), NothingNear(), tenant=tenant, size_min=2, masks=False)
    assert [len(gap.members) for gap in groups] == [4, 3]
    assert "battery" in groups[0].words and "invoice" in groups[1].words
    assert groups[0].nearest == "nearest"


async def test_a_rewritten_draft_counts_and_one_only_touched_up_does_not(client: dict[str, Any], tenant: str) -> None:
    await publish(client, [ticket(tenant, at, "how do i print") for at in range(3)])
    edits = [(0, True), (1, False)]
    await publish(
        client,
        [
            review(tenant=tenant, event_id=f"v{at}", root_id=f"e{at}", decision="edited",
                   edit={"words_changed": 0.3, "material": material})
            for at, material in edits
        ],
    )  # fmt: skip
    found = await told(client, tenant)
    assert [(one.event.root_id, one.why) for one in found.weak] == [("e0", ("the draft was edited",))]


@pytest.mark.parametrize("masks", [True, False])
async def test_a_discreet_tenant_s_personal_data_do_not_go_to_the_embedder(
    client: dict[str, Any], tenant: str, masks: bool
) -> None:
    await publish(client, [ticket(tenant, 1, "my drone swells, write to ann@example.com", passages=())])
    embedder = WordEmbedder()
    await gaps(await told(client, tenant), embedder, NothingNear(), tenant=tenant, size_min=1, masks=masks)
    assert ("ann@example.com" not in "".join(embedder.embedded)) is masks


class Paid:
    async def answer(self, question: Question, context: CallContext) -> Answered:
        key = CallKey(context.tenant, context.stage, context.event_id, 0, 0, 0)
        row = LedgerRow(
            call_id=f"call-{context.tenant}", key=key, root_id=context.root_id, operation="chat", provider="p",
            model="m", usage=Usage(input_tokens=7), cost_usd=Decimal(1), price_known=True, outcome="ok", latency_s=0.1,
        )  # fmt: skip
        return Answered(Article(title="T", outline=("a",)), (row,))


async def test_what_a_proposal_costs_is_told_on_the_bus(client: dict[str, Any], tenant: str) -> None:
    await publish(client, [ticket(tenant, 1, "my drone battery swells", passages=())])
    found = await told(client, tenant)
    (gap,) = await gaps(found, WordEmbedder(), NothingNear(), tenant=tenant, size_min=1, masks=False)
    await drafted(gap, Paid(), client, tenant=tenant)
    seen: list[UsageRecorded] = []
    await each_event(client, UsageRecorded, seen.append, tenant=tenant)
    assert [(event.stage, event.usage.input_tokens) for event in seen] == [("gaps", 7)]
