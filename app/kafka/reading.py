"""A topic read once, for a command: every committed record that is there now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import ConsumerRecord, TopicPartition

from agents.contract import PermanentError
from app.kafka.cloudevents import from_record
from app.kafka.topics import topic_partitions
from schemas.event import Event

E = TypeVar("E", bound=Event)

_POLL_MS = 200
_READ_S_MAX = 600.0
_LAST_S_MAX = 3.0


async def each_record(
    client: Mapping[str, Any], topic: str, take: Callable[[ConsumerRecord], None], *, since: datetime | None = None
) -> None:
    """``since``: written then or later. Raises KafkaError, TimeoutError."""
    # "earliest", since the first reset after assign() may still be under way when a seek asks for another, and win.
    consumer = AIOKafkaConsumer(
        **client, isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        sources = await topic_partitions(consumer, topic)
        consumer.assign(sources)
        ends = await consumer.end_offsets(sources)
        await _seek(consumer, sources, ends, since)
        left_s = _LAST_S_MAX
        async with asyncio.timeout(_READ_S_MAX):
            while left_s > 0:
                began = time.monotonic()
                behind = [end - await consumer.position(source) for source, end in ends.items()]
                if max(behind, default=0) <= 0:
                    break
                for records in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
                    for record in records:
                        take(record)
                # The last offset is a record, which a busy broker may bring late, or a marker, which never comes.
                left_s = left_s - (time.monotonic() - began) if max(behind) <= 1 else _LAST_S_MAX
    finally:
        await consumer.stop()


async def _seek(
    consumer: AIOKafkaConsumer,
    sources: list[TopicPartition],
    ends: Mapping[TopicPartition, int],
    since: datetime | None,
) -> None:
    await consumer.seek_to_beginning(*sources)
    if since is not None:
        began = await consumer.offsets_for_times(dict.fromkeys(sources, int(since.timestamp() * 1_000)))
        for source, found in began.items():
            consumer.seek(source, ends[source] if found is None else found.offset)


async def each_event(
    client: Mapping[str, Any],
    event_class: type[E],
    take: Callable[[E], None],
    *,
    tenant: str,
    since: datetime | None = None,
) -> int:
    """The tenant's events. Gives how many of its records could not be read. Raises as ``each_record`` does."""
    prefix = f"{tenant}/".encode()
    unreadable = 0

    def read(record: ConsumerRecord) -> None:
        nonlocal unreadable
        if not (record.key or b"").startswith(prefix):
            return
        try:
            event = from_record(record, event_class)
        except PermanentError:
            unreadable += 1
            return
        if event.tenant == tenant:
            take(event)

    await each_record(client, event_class.TOPIC, read, since=since)
    return unreadable
