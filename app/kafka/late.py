"""Tells the bus of an answer that came after its call had been taken over.

Its record has another owner by then, whose transactions fence this worker's: so it is sent on its own. Who reads the
bus tells repeats by the event's id; the newest event of a call is the right one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from app.runtime.record import Output

_log = structlog.get_logger()


class LateSender:
    """Connects when it is first needed, which is seldom."""

    def __init__(self, client: Mapping[str, Any]) -> None:
        self._client = client
        self._producer: AIOKafkaProducer | None = None
        self._starting = asyncio.Lock()

    async def __call__(self, outputs: Sequence[Output], partition: int) -> None:
        """Never raises for a broker that is away: the ledger has the truth, and the log says what the bus lacks."""
        try:
            producer = await self._started()
            for output in outputs:
                await producer.send_and_wait(
                    output.topic, value=output.value, key=output.key, headers=list(output.headers), partition=partition
                )
        except (KafkaError, OSError) as error:
            _log.warning("late_usage_not_on_bus", records=len(outputs), partition=partition, error=repr(error))
            # After some errors an idempotent producer sends nothing any more: the next answer gets a new one.
            await self.close()

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaError, OSError):
                await producer.stop()

    async def _started(self) -> AIOKafkaProducer:
        async with self._starting:
            if self._producer is None:
                producer = AIOKafkaProducer(**self._client, enable_idempotence=True, acks="all")
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer
