"""From the database to the bus: decisions that can no longer be undone, and replies that have landed.

A relay that is killed between the bus and its mark puts them there again, under the same id: who reads takes each id
once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from agents.contract import TransientError
from app.desk.store import UNDO_S
from app.kafka.cloudevents import to_output
from app.store.database import Pool
from app.store.queries import query
from schemas.event import Event
from schemas.replies import ReplySent
from schemas.reviews import ReviewDecided

ROWS_MAX = 500  # of each kind in one transaction
POLL_S = 1.0

_log = structlog.get_logger()


class Relay:
    """The pool must be the runtime's."""

    def __init__(self, pool: Pool, client: Mapping[str, Any], *, after_s: float = UNDO_S) -> None:
        self._pool = pool
        self._client = client
        self._after_s = after_s

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``. Servers that are away are waited for."""
        while not stop.is_set():
            try:
                await self._relay_until(stop)
            except (TransientError, KafkaError, OSError) as error:
                _log.warning("relay_waits", error=str(error) or type(error).__name__)
                await _pause(stop)

    async def _relay_until(self, stop: asyncio.Event) -> None:
        # After some errors an idempotent producer sends nothing any more: each round of trouble begins with a new one.
        producer = AIOKafkaProducer(**self._client, enable_idempotence=True, acks="all")
        try:
            await producer.start()
            while not stop.is_set():
                if max(await self._decisions(producer), await self._replies(producer)) < ROWS_MAX:
                    await _pause(stop)
        finally:
            with suppress(KafkaError, OSError):
                await producer.stop()

    async def _decisions(self, producer: AIOKafkaProducer) -> int:
        async with self._pool.transaction() as connection:
            rows = await connection.fetch(query("desk/due_decisions"), self._after_s, ROWS_MAX)
            await _put(producer, [ReviewDecided.model_validate_json(row["event"]) for row in rows])
            await connection.execute(query("desk/relayed"), [row["id"] for row in rows])
        return len(rows)

    async def _replies(self, producer: AIOKafkaProducer) -> int:
        async with self._pool.transaction() as connection:
            rows = await connection.fetch(query("desk/due_replies"), ROWS_MAX)
            await _put(producer, list(map(_reply_sent, rows)))
            await connection.execute(query("desk/replies_relayed"), [row["reply_id"] for row in rows])
        return len(rows)


def _reply_sent(row: Mapping[str, Any]) -> ReplySent:
    decision_id = row["decision_id"]
    return ReplySent(
        event_id=str(row["reply_id"]), root_id=row["root_id"], source=row["source"], tenant=row["tenant"],
        conversation=row["conversation_id"], accepted_at=row["accepted_at"], ticket_id=row["ticket_id"],
        decision_event_id=None if decision_id is None else str(decision_id), channel=row["channel"],
        remote_id=row["remote_id"] or "", sent_at=row["sent_at"],
    )  # fmt: skip


async def _put(producer: AIOKafkaProducer, events: Sequence[Event]) -> None:
    """Raises KafkaError."""
    outputs = list(map(to_output, events))
    sent = [
        await producer.send(output.topic, value=output.value, key=output.key, headers=list(output.headers))
        for output in outputs
    ]
    for acknowledged in sent:
        await acknowledged


async def _pause(stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), POLL_S)
