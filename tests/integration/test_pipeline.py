"""The four stages on real servers: a ticket goes in, its routed event comes out, and the numbers add up."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
import pytest
from aiokafka import AIOKafkaProducer

from app import demo
from app.config import Settings
from app.desk.auditor import Auditor
from app.desk.autosend import standing
from app.ingest import ingest
from app.kafka.cloudevents import header
from app.kafka.connection import client_options
from app.setup import prepare
from app.tracker import Tracker
from app.wiring import create_tenant, import_knowledge, ledger_totals, runtime_pool, tenant_pool
from schemas.topics import DEAD_LETTER_TOPIC
from tests.processes import model_server, stages
from tests.topics import reader

TENANT = "acme"
DEMO_TICKETS = 60
ARTICLES = [
    {"doc_id": "printing", "title": "Print a page", "text": "Press Ctrl+P to print the page. Choose the printer."},
    {"doc_id": "bookmarks", "title": "Bookmarks", "text": "Press Ctrl+D to keep a page as a bookmark."},
]
TICKETS = [
    {"ticket_id": f"t{n}", "conversation": f"c{n % 4}", "subject": "Printing", "text": f"How do I print page {n}?"}
    for n in range(12)
]


@pytest.fixture(scope="module")
async def settings(kafka_bootstrap: str, database_url: str, server_folder: Path) -> AsyncIterator[Settings]:
    folder = server_folder / f"pipeline-{uuid4().hex[:8]}"
    folder.mkdir()
    async with model_server(folder) as url:
        ours = Settings(
            kafka_bootstrap=kafka_bootstrap, database_url=database_url, llm_base_url=url, embeddings_base_url=url,
            state_dir=folder,
        )  # fmt: skip
        await prepare(ours)
        await create_tenant(ours, TENANT)
        articles = folder / "articles.jsonl"
        articles.write_text("\n".join(json.dumps(row) for row in ARTICLES))
        await import_knowledge(ours, articles, TENANT, on_progress=lambda d, t: None, on_unreadable=lambda one: None)
        async with stages(ours):
            yield ours


async def put(settings: Settings, rows: list[Any], source: str) -> set[str]:
    file = settings.state_dir / f"{uuid4().hex}.jsonl"
    file.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    done = await ingest(
        file, client=client_options(settings), tenant=TENANT, source=source, limit=None, on_bad_line=lambda n, t: None
    )
    return done.event_ids


async def put_raw(settings: Settings, value: bytes, headers: list[tuple[str, bytes]], key: bytes = b"acme/c1") -> None:
    producer = AIOKafkaProducer(**client_options(settings), max_request_size=3_000_000)
    await producer.start()
    try:
        await producer.send_and_wait("tickets.raw", value=value, key=key, headers=headers)
    finally:
        await producer.stop()


async def test_every_ticket_is_routed_once_with_citations_that_exist_and_costs_that_agree(settings: Settings) -> None:
    source = f"/test/{uuid4().hex}"
    tracker = Tracker(client=client_options(settings), source=source)
    await tracker.start()
    accepted = await put(settings, TICKETS, source)
    await tracker.run(lambda progress: len(progress.ended) == len(TICKETS), lambda progress: None)
    await tracker.stop()
    progress = tracker.progress
    assert progress.at_ms["tickets.routed"].keys() == accepted
    assert (progress.repeated, progress.dead, progress.invalid_citations) == (0, {}, 0)
    assert progress.routes["send"] == 0, "a new tenant is in draft mode"
    ledger = await ledger_totals(settings, TENANT, accepted)
    assert (ledger.calls, ledger.cost_usd) == (len(progress.calls), progress.cost_usd)
    assert all(model.startswith("offline-") for model in progress.calls.values())


async def test_the_auditor_is_silent_on_the_demo(settings: Settings) -> None:
    source = f"/test/{uuid4().hex}"
    tracker = Tracker(client=client_options(settings), source=source)
    await tracker.start()
    accepted = await put(settings, demo.tickets_path().read_text(encoding="utf-8").splitlines()[:DEMO_TICKETS], source)
    await tracker.run(lambda progress: len(progress.ended) == len(accepted), lambda progress: None)
    await tracker.stop()
    async with runtime_pool(settings) as pool:
        await Auditor(pool, client_options(settings)).catch_up()
    async with tenant_pool(settings) as pool:
        assert await standing(pool, TENANT) is None


async def test_the_same_event_again_costs_nothing_and_gives_nothing(settings: Settings) -> None:
    source = f"/test/{uuid4().hex}"
    tracker = Tracker(client=client_options(settings), source=source)
    await tracker.start()
    accepted = await put(settings, [TICKETS[0]], source)
    await tracker.run(lambda progress: len(progress.ended) == 1, lambda progress: None)
    # The same line of the same source, and a ticket of the same conversation behind it, which comes through later.
    await put(settings, [TICKETS[0], {**TICKETS[0], "ticket_id": "t0", "text": "And again?"}], source)
    await tracker.run(lambda progress: len(progress.ended) == 2, lambda progress: None)
    await tracker.stop()
    assert (tracker.progress.repeated, tracker.progress.dead) == (0, {})
    calls = (await ledger_totals(settings, TENANT, accepted)).calls
    assert calls == 3, "classify, embed, draft, each once"


@pytest.mark.parametrize(
    ("reason", "value", "type_"),
    [
        ("not_json", b"{nope", "deskstream.tickets.raw.v1"),
        ("not_the_schema", b'{"tenant": "acme"}', "deskstream.tickets.raw.v1"),
        ("too_large", b'"' + b"x" * (1024 * 1024 + 1) + b'"', "deskstream.tickets.raw.v1"),
        ("newer_schema", b"{}", "deskstream.tickets.raw.v9"),
        ("unknown_tenant", None, "deskstream.tickets.raw.v1"),
    ],
)
async def test_bad_input_is_dead_lettered_with_its_reason_and_the_pipeline_goes_on(
    settings: Settings, reason: str, value: bytes | None, type_: str
) -> None:
    source = f"/test/{uuid4().hex}"
    event = {
        "event_id": uuid4().hex, "source": source, "tenant": "nobody", "conversation": "c1",
        "accepted_at": "2026-11-24T12:00:00Z", "ticket": {"ticket_id": "t", "body": "hi"},
    }  # fmt: skip
    sent = orjson.dumps(event) if value is None else value
    tracker = Tracker(client=client_options(settings), source=source)
    await tracker.start()
    await put_raw(settings, sent, [("ce_source", source.encode()), ("ce_type", type_.encode())])
    good = await put(settings, [{"ticket_id": "after", "conversation": "c1", "text": "How do I print?"}], source)
    await tracker.run(lambda progress: len(progress.ended) == 2, lambda progress: None)
    await tracker.stop()
    assert list(tracker.progress.dead.values()) == [reason]
    assert tracker.progress.at_ms["tickets.routed"].keys() == good
    letter = await _letter(settings, source)
    assert letter.value == sent
    assert header(letter.headers, "dlq-origin-topic") == "tickets.raw"


async def _letter(settings: Settings, source: str) -> Any:
    async with reader(client_options(settings), DEAD_LETTER_TOPIC) as consumer:
        while True:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    if header(record.headers, "ce_source") == source:
                        return record
