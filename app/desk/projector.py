"""Mirrors the topics into tables. Each offset moves on in the transaction of its rows, from where it was read: a
projector that another has overtaken writes nothing.

A decision follows from a draft, and a draft from its ticket at the door: so before a record is applied, what it can
follow from is, up to where that topic ended when the record had been polled.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from agents.contract import PermanentError, TransientError
from app import metrics
from app.desk.projection import project
from app.kafka.topics import topic_partitions
from app.store.database import Pool
from app.store.queries import query
from schemas.reviews import ReviewDecided
from schemas.tickets import TicketReceived, TicketRouted
from schemas.topics import DEAD_LETTER_TOPIC
from schemas.usage import UsageRecorded

NAME = "desk"
DOOR = TicketReceived.TOPIC
# Each may follow from those before it.
LEVELS = ((DOOR,), (TicketRouted.TOPIC,), (UsageRecorded.TOPIC, ReviewDecided.TOPIC, DEAD_LETTER_TOPIC))
TOPICS = tuple(topic for level in LEVELS for topic in level)
RECORDS_MAX = 500  # of one poll
POLL_MS = 200
AGAIN_S = 1.0
STAND_BY_S = 5.0  # another projector is at work
BEFORE_S_MAX = 60.0

_log = structlog.get_logger()


class _Overtaken(Exception):
    """Another projector has moved the offset on."""


class Projector:
    """The pool must be the runtime's."""

    def __init__(self, pool: Pool, client: Mapping[str, Any]) -> None:
        self._pool = pool
        self._client = client
        self._stored: dict[TopicPartition, int] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``. Servers that are away are waited for."""
        while not stop.is_set():
            pause_s = AGAIN_S
            try:
                async with self._consumer() as consumer:
                    while not stop.is_set():
                        await self._step(consumer)
            except _Overtaken:
                pause_s = STAND_BY_S
                _log.info("projector_stands_by")
            except (TransientError, KafkaError, OSError) as error:  # TimeoutError is an OSError
                _log.warning("projector_waits", error=str(error) or type(error).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), pause_s)

    async def catch_up(self) -> None:
        """Once, to where the topics end now. Raises as ``run`` waits for."""
        async with self._consumer() as consumer:
            ends = await consumer.end_offsets(consumer.assignment())
            while any([await consumer.position(source) < end for source, end in ends.items()]):
                await self._step(consumer)

    async def _step(self, consumer: AIOKafkaConsumer) -> None:
        polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_MAX)
        await self._take(consumer, polled)
        for source in consumer.assignment():
            # Markers of transactions have no record, and count as read all the same.
            if source not in polled and await consumer.position(source) > self._stored.get(source, 0):
                await self._apply(source, [], await consumer.position(source))
            behind = (consumer.highwater(source) or 0) - self._stored.get(source, 0)
            metrics.PROJECTION_LAG.labels(source.topic, str(source.partition)).set(max(0, behind))

    async def _take(self, consumer: AIOKafkaConsumer, polled: Mapping[TopicPartition, Sequence[Any]]) -> None:
        for number, level in enumerate(LEVELS):
            mine = [source for source in polled if source.topic in level]
            if mine and number:
                earlier = [topic for level in LEVELS[:number] for topic in level]
                await self._read_up_to_now(consumer, earlier, {source.partition for source in mine})
            for source in mine:
                # Of a partition, no later record has been polled since.
                await self._apply(source, polled[source], polled[source][-1].offset + 1)

    async def _read_up_to_now(self, consumer: AIOKafkaConsumer, topics: Sequence[str], partitions: set[int]) -> None:
        ends = await consumer.end_offsets([TopicPartition(topic, number) for topic in topics for number in partitions])
        async with asyncio.timeout(BEFORE_S_MAX):
            while behind := [source for source, end in ends.items() if await consumer.position(source) < end]:
                await self._take(consumer, await consumer.getmany(*behind, timeout_ms=POLL_MS))

    async def _apply(self, source: TopicPartition, records: Sequence[Any], next_offset: int) -> None:
        try:
            await self._write(source, records, next_offset)
        except PermanentError:
            # One of them cannot be stored: each on its own then.
            for record in records:
                try:
                    await self._write(source, [record], record.offset + 1)
                except PermanentError as error:
                    _log.error(
                        "record_not_projected", topic=source.topic, partition=source.partition, offset=record.offset,
                        error=str(error),
                    )  # fmt: skip
            await self._write(source, [], next_offset)

    async def _write(self, source: TopicPartition, records: Sequence[Any], next_offset: int) -> None:
        async with self._pool.transaction() as connection:
            known = self._stored.get(source)
            if not await connection.fetchval(
                query("desk/advance"), NAME, source.topic, source.partition, known, next_offset
            ):
                raise _Overtaken
            for record in records:
                await project(connection, record)
        self._stored[source] = next_offset

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            **self._client, isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            sources = [source for topic in TOPICS for source in await topic_partitions(consumer, topic)]
            consumer.assign(sources)
            self._stored = {
                TopicPartition(row["topic_id"], row["partition"]): row["next_offset"]
                for row in await self._pool.fetch(query("desk/offsets"), NAME)
            }
            began = await consumer.beginning_offsets(sources)
            for source in sources:
                consumer.seek(source, max(began[source], self._stored.get(source, 0)))
            yield consumer
        finally:
            await consumer.stop()
