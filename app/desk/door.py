"""Whether the tables have every message that was at the door."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from aiokafka import AIOKafkaConsumer

from app.desk.outbox import Outbox
from app.desk.projector import DOOR
from app.kafka.topics import topic_partitions

T = TypeVar("T")


class Shared(Generic[T]):
    """One reading serves all who asked before it began."""

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self._read = read
        self._one_at_a_time = asyncio.Lock()
        self._begun = 0
        self._last: T | None = None

    async def __call__(self) -> T:
        asked = self._begun
        async with self._one_at_a_time:
            if self._begun == asked or self._last is None:
                self._begun += 1
                self._last = None  # should the reading fail
                self._last = await self._read()
            return self._last


class Door:
    def __init__(self, consumer: AIOKafkaConsumer, outbox: Outbox, *, poll_s: float) -> None:
        """The consumer reads no record, only where the topic ends."""
        self._consumer = consumer
        self._outbox = outbox
        self._poll_s = poll_s
        self._ends = Shared(self._read_ends)
        self._tables = Shared(self._read_tables)

    async def has_passed(self, partition: int, *, within_s: float) -> bool:
        """Up to where the door's topic ended after this was called. Raises KafkaError, TransientError."""
        end = (await self._ends()).get(partition)
        if end is None:  # the broker does not know its topic yet
            return False
        deadline = time.monotonic() + within_s
        while (await self._tables()).get(partition, 0) < end:
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(self._poll_s)
        return True

    async def _read_ends(self) -> dict[int, int]:
        ends = await self._consumer.end_offsets(await topic_partitions(self._consumer, DOOR))
        return {source.partition: end for source, end in ends.items()}

    async def _read_tables(self) -> dict[int, int]:
        return await self._outbox.projected()
