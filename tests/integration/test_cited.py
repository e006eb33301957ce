"""Which tickets cite an article, read from a real topic."""

from __future__ import annotations

from uuid import uuid4

from aiokafka import AIOKafkaProducer

from app.cited import citations, cited_by
from app.kafka.cloudevents import to_output
from app.kafka.topics import create_topics
from schemas.tickets import Draft, Route, TicketRouted
from tests.events import drafted, passage


def routed(
    event_id: str, *, tenant: str = "acme", version: int = 1, cites: tuple[str, ...] = ("printing",)
) -> TicketRouted:
    event = drafted(
        passages=(passage(version=version), passage("other")),
        draft=Draft(body="Press Ctrl+P.", citations=cites, confidence=1),
    )
    return TicketRouted.following(
        event, event_id=event_id, tenant=tenant, grounding=None, route=Route.REVIEW, reasons=("x",)
    )


def test_the_version_is_the_one_that_the_draft_was_given() -> None:
    [citing] = citations(routed("e", version=3), "printing")
    assert (citing.ticket_id, citing.version, citing.route) == ("t1", 3, "review")


def test_a_passage_that_was_found_and_not_cited_is_not_listed() -> None:
    assert list(citations(routed("e"), "other")) == []


async def put(client: dict[str, str], name: str, events: list[TicketRouted], *, commit: bool) -> None:
    producer = AIOKafkaProducer(**client, transactional_id=name)
    await producer.start()
    try:
        await producer.begin_transaction()
        for output in map(to_output, events):
            sent = await producer.send(output.topic, output.value, key=output.key, headers=list(output.headers))
            await sent
        await (producer.commit_transaction() if commit else producer.abort_transaction())
    finally:
        await producer.stop()


async def test_the_tenants_committed_tickets_are_listed_once(kafka_bootstrap: str) -> None:
    client = {"bootstrap_servers": kafka_bootstrap}
    await create_topics(client, partitions=4, replication_factor=1)
    ours, theirs = f"t{uuid4().hex[:8]}", f"t{uuid4().hex[:8]}"
    await put(client, f"{ours}-1", [routed("aborted", tenant=ours)], commit=False)
    await put(
        client, f"{ours}-2",
        [
            routed("a", tenant=ours), routed("a", tenant=ours), routed("b", tenant=ours, version=2),
            routed("c", tenant=ours, cites=()), routed("d", tenant=theirs),
        ],
        commit=True,
    )  # fmt: skip
    read: list[int] = []
    found, unreadable = await cited_by(client, ours, "printing", on_read=read.append)
    assert ([(each.event_id, each.version) for each in found], unreadable, read) == (
        [("a", 1), ("b", 2)], 0, [1, 2, 3, 4],
    )  # fmt: skip
    second, _ = await cited_by(client, ours, "printing", version=2)
    assert [each.event_id for each in second] == ["b"]
