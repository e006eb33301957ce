"""Re-checks every routed record and every sent reply, and halts sending for a tenant at the first broken promise.

A process of its own; what must hold stands in ``app/desk/promises.py``. Beside it closes what has graduated and turned
out worse than promised. It is safe to run twice: a halt stands once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from agents.contract import PermanentError, TransientError
from app import metrics
from app.desk import autosend, graduation
from app.desk.promises import Allowed, Sent, broken_by, sent_wrongly
from app.kafka.cloudevents import from_record
from app.kafka.topics import topic_partitions
from app.store.database import Pool
from app.store.queries import query
from schemas.tickets import TicketRouted

NAME = "auditor"
RECORDS_MAX = 500
REPLIES_MAX = 500
POLL_MS = 1_000
AGAIN_S = 1.0
# What a tenant allowed may be as old as a record can be under way (120 s), and a policy is kept for 2 s.
DOUBT_S = 130.0
# A halt is seen by whoever sends within 2 s; what is being sent at that moment goes out.
HALTED_S = 60.0
# A row of a transaction that was committed late may be older than one that was read.
LOOK_BACK_S = 60.0
_REPLIES = "outbox"  # in the place of a topic, milliseconds in the place of an offset
_REASON_CHARS_MAX = 500

_log = structlog.get_logger()


class Auditor:
    """The pool must be the runtime's."""

    def __init__(self, pool: Pool, client: Mapping[str, Any]) -> None:
        self._pool = pool
        self._client = client
        self._next: dict[tuple[str, int], int] = {}
        self._replies: set[str] = set()  # of the last look

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``. Servers that are away are waited for."""
        while not stop.is_set():
            try:
                async with self._consumer() as consumer:
                    while not stop.is_set():
                        await self._step(consumer)
            except (TransientError, KafkaError, OSError) as error:  # TimeoutError is an OSError
                _log.warning("auditor_waits", error=str(error) or type(error).__name__)
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), AGAIN_S)

    async def catch_up(self) -> None:
        """Once, to where the topic ends now. Raises as ``run`` waits for."""
        async with self._consumer() as consumer:
            ends = await consumer.end_offsets(consumer.assignment())
            while any([await consumer.position(source) < end for source, end in ends.items()]):
                await self._step(consumer)
            await self._step(consumer)

    async def _step(self, consumer: AIOKafkaConsumer) -> None:
        polled = await consumer.getmany(timeout_ms=POLL_MS, max_records=RECORDS_MAX)
        for source, records in polled.items():
            for record in records:
                await self._audit_record(record)
            await self._passed(source.topic, source.partition, await consumer.position(source))
        await self._audit_replies()
        for tenant in await graduation.tenants_open(self._pool):
            for closed in await graduation.close_worse(self._pool, tenant):
                _log.warning("graduation_closed", tenant=tenant, group=closed.subject)

    async def _audit_record(self, record: Any) -> None:
        try:
            event = from_record(record, TicketRouted)
        except PermanentError as error:
            _log.error("record_not_audited", partition=record.partition, offset=record.offset, error=str(error))
            return
        async with self._pool.transaction() as connection:
            row = await connection.fetchrow(
                query("auditor/allowed"), event.tenant, f"{event.verdict.category}/{event.verdict.language}",
                datetime.fromtimestamp(record.timestamp / 1_000, UTC), DOUBT_S,
            )  # fmt: skip
        if row is not None:  # else there is no such tenant, and nobody to send for
            place = f"ticket {event.ticket.ticket_id}, {record.topic}/{record.partition}/{record.offset}"
            await self._judged(event.tenant, "record", broken_by(event, Allowed(**row)), place)

    async def _audit_replies(self) -> None:
        """The next ones, and once more those of the last LOOK_BACK_S."""
        newest_ms = self._next.get((_REPLIES, 0), 0)
        since = datetime.fromtimestamp(newest_ms / 1_000, UTC) - timedelta(seconds=LOOK_BACK_S)
        looked_at: set[str] = set()
        while rows := await self._pool.fetch(query("auditor/sent"), since, HALTED_S, REPLIES_MAX):
            for row in rows:
                sent = Sent(**{name: value for name, value in row.items() if name != "tenant"})
                looked_at.add(sent.reply_id)
                if sent.reply_id not in self._replies:
                    await self._judged(row["tenant"], "reply", sent_wrongly(sent), f"reply {sent.reply_id}")
            last: datetime = rows[-1]["sent_at"]
            newest_ms = max(newest_ms, int(last.timestamp() * 1_000))
            await self._passed(_REPLIES, 0, newest_ms)
            if len(rows) < REPLIES_MAX or last <= since:
                break
            since = last
        self._replies = looked_at

    async def _judged(self, tenant: str, kind: str, broken: Sequence[str], place: str) -> None:
        metrics.AUDITED.labels(kind).inc()
        if not broken:
            return
        metrics.PROMISES_BROKEN.labels(kind).inc()
        # A person who lifted this halt is not contradicted by a second look at the same.
        why = f"{place}: {'; '.join(broken)}"[:_REASON_CHARS_MAX]
        _log.error("promise_broken", tenant=tenant, why=why)
        if not await self._pool.fetch(query("auditor/known"), tenant, why, NAME):
            await autosend.halt(self._pool, tenant, why=why, by=NAME)

    async def _passed(self, topic: str, partition: int, next_offset: int) -> None:
        """After the halts, so that none is lost. Where another auditor was ahead, what it read is read again."""
        known = self._next.get((topic, partition))
        self._next[topic, partition] = next_offset
        if known != next_offset:
            await self._pool.fetch(query("desk/advance"), NAME, topic, partition, known, next_offset)

    @asynccontextmanager
    async def _consumer(self) -> AsyncIterator[AIOKafkaConsumer]:
        consumer = AIOKafkaConsumer(
            **self._client, isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await consumer.start()
        try:
            sources = await topic_partitions(consumer, TicketRouted.TOPIC)
            consumer.assign(sources)
            rows = await self._pool.fetch(query("desk/offsets"), NAME)
            self._next = {(row["topic_id"], row["partition"]): row["next_offset"] for row in rows}
            began: Mapping[TopicPartition, int] = await consumer.beginning_offsets(sources)
            for source in sources:
                consumer.seek(source, max(began[source], self._next.get((source.topic, source.partition), 0)))
            yield consumer
        finally:
            await consumer.stop()
