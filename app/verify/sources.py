"""Where the count reads from: the topics, the provider's log, the ledger. Plain clients, nothing of the app's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import asyncpg
import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.verify.audit import DEAD, TOPICS, Seen
from app.verify.calls import OK, Request, Row

_READ_S_MAX = 300.0
# Ends may be markers, which have no record: so many empty polls behind the last record are the end.
_EMPTY_POLLS = 3
_STAGE_OF_TASK = {"classify": "classify", "embed": "enrich", "draft": "draft", "ground": "route", "rerank": "enrich"}
_LEDGER = """
    select call_id::text, outcome, input_tokens + cached_tokens + cache_write_tokens as prompt, output_tokens as answer
    from call_attempt
"""


async def read_topics(client: Mapping[str, Any]) -> dict[str, list[Seen]]:
    """Every committed record of every topic. Waits for transactions that are still open."""
    topics: dict[str, list[Seen]] = {topic: [] for topic in TOPICS}
    # "earliest", since the first reset after assign() may still be under way when a seek asks for another, and win.
    consumer = AIOKafkaConsumer(
        **client, isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        sources = []
        for topic in topics:
            await consumer._client._wait_on_metadata(topic)
            sources += [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(sources)
        await consumer.seek_to_beginning(*sources)
        ends = await consumer.end_offsets(sources)
        empty = 0
        async with asyncio.timeout(_READ_S_MAX):
            while empty < _EMPTY_POLLS or not all(
                [await consumer.position(source) >= end - 1 for source, end in ends.items()]
            ):
                polled = await consumer.getmany(timeout_ms=300)
                empty = 0 if polled else empty + 1
                for source, records in polled.items():
                    topics[source.topic] += [_seen(record) for record in records]
    finally:
        await consumer.stop()
    return topics


def read_requests(log: Path) -> list[Request]:
    """The provider's log; a last line that was cut off is passed over."""
    requests = []
    for line in log.read_bytes().splitlines():
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        usage = row["usage"] or {}
        requests.append(
            Request(
                call_id=row["idempotency_key"] or "",
                digest=row["digest"] or "",
                stage=_STAGE_OF_TASK.get(row["task"] or "", ""),
                began=row["began"],
                ended=row["ts"],
                paid=row["status"] == OK,
                spoilt=row["fault"] in {"malformed", "truncated"},
                tokens=(int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0))),
            )
        )
    return requests


async def read_ledger(url: str) -> list[Row]:
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetch(_LEDGER)
    finally:
        await connection.close()
    return [Row(row["call_id"], row["outcome"], (row["prompt"], row["answer"])) for row in found]


def calls_on_bus(usage: Sequence[Seen]) -> list[Row]:
    """The newest event of each call: one first told as unconfirmed may turn out to have been answered."""
    newest = {str(seen.event["call_id"]): seen.event for seen in usage}
    return [Row(call_id, event["outcome"], _tokens(event["usage"])) for call_id, event in newest.items()]


def _tokens(usage: Mapping[str, int]) -> tuple[int, int]:
    prompt = usage["input_tokens"] + usage["cached_tokens"] + usage["cache_write_tokens"]
    return prompt, usage["output_tokens"]


def _seen(record: Any) -> Seen:
    headers = {name: text.decode(errors="replace") for name, text in record.headers}
    try:
        event = orjson.loads(record.value or b"{}")
    except orjson.JSONDecodeError:
        event = {}
    if not isinstance(event, dict):
        event = {}
    if record.topic == DEAD:
        event = {**event, "reason": headers.get("dlq-reason", "")}
    ticket = str(event.get("root_id") or event.get("event_id") or headers.get("ce_id", ""))
    return Seen(record.partition, record.offset, record.key, ticket, event)
