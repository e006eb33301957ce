"""Topics for tests: fill them, run workers on them, read them back with a reader of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from app.kafka.topics import create_topics, topic_partitions
from app.runtime.observer import Silent
from app.runtime.record import Handler, Limits, Output, Record, Safeguards, Stage
from app.runtime.worker import Worker

WAIT_S_MAX = 60.0


@dataclass
class Seen(Silent):
    """An observer that remembers what happened to partitions, and bugs of handlers."""

    events: list[tuple[str, int, str]] = field(default_factory=list)
    bugs: list[BaseException] = field(default_factory=list)

    def bug(self, topic: str, partition: int, offset: int, error: BaseException) -> None:
        self.bugs.append(error)

    def partition_event(self, event: str, topic: str, partition: int, detail: str = "") -> None:
        self.events.append((event, partition, detail))

    def count(self, event: str) -> int:
        return sum(name == event for name, _, _ in self.events)


@dataclass
class Bench:
    """One stage's topics under a name of their own."""

    bootstrap: str
    name: str
    partitions: int = 4

    @property
    def client(self) -> dict[str, Any]:
        return {"bootstrap_servers": self.bootstrap}

    @property
    def source(self) -> str:
        return f"{self.name}.in"

    @property
    def target(self) -> str:
        return f"{self.name}.out"

    @property
    def dead(self) -> str:
        return f"{self.name}.dead"

    async def create(self) -> Bench:
        names = (self.source, self.target, self.dead)
        await create_topics(self.client, partitions=self.partitions, replication_factor=1, names=names)
        return self

    async def fill(self, rows: Iterable[tuple[bytes | None, bytes]], *, partition: int | None = None) -> None:
        producer = AIOKafkaProducer(**self.client, enable_idempotence=True)
        await producer.start()
        try:
            sent = [await producer.send(self.source, key=k, value=v, partition=partition) for k, v in rows]
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    def copy(self, record: Record) -> Sequence[Output]:
        return [Output(self.target, record.key, record.value)]

    def worker(
        self, handler: Handler, *, limits: Limits | None = None, safeguards: Safeguards | None = None,
        observer: Seen | None = None, on_wait: Callable[[str], None] = lambda text: None,
        last_words: Handler | None = None,
    ) -> Worker:  # fmt: skip
        stage = Stage(
            self.source, f"{self.name}-group", handler, self.dead, limits=limits or Limits(),
            safeguards=safeguards or Safeguards(), last_words=last_words, outputs=(self.target,),
        )  # fmt: skip
        return Worker(stage, client=self.client, observer=observer or Seen(), on_wait=on_wait)

    async def read(self, topic: str, *, at_least: int = 0, including: set[bytes] | None = None) -> list[Any]:
        """Every committed record up to the topic's end, once there are ``at_least`` so many, ``including`` values."""
        records: list[Any] = []
        async with reader(self.client, topic) as consumer:
            async with asyncio.timeout(WAIT_S_MAX):
                while True:
                    for found in (await consumer.getmany(timeout_ms=100)).values():
                        records += found
                    complete = len(records) >= at_least and (including or set()) <= {r.value for r in records}
                    if complete and await _at_end(consumer):
                        return records


@asynccontextmanager
async def reader(client: dict[str, Any], topic: str) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(**client, isolation_level="read_committed", auto_offset_reset="earliest")
    await consumer.start()
    try:
        sources = await topic_partitions(consumer, topic)
        consumer.assign(sources)
        await consumer.seek_to_beginning(*sources)
        yield consumer
    finally:
        await consumer.stop()


async def _at_end(consumer: AIOKafkaConsumer) -> bool:
    ends = await consumer.end_offsets(consumer.assignment())
    # A transaction marker at the end has no record: the position stops before it.
    return all([await consumer.position(source) >= end - 1 for source, end in ends.items()])


@asynccontextmanager
async def running(*workers: Worker) -> AsyncIterator[asyncio.Event]:
    """Workers until the block ends, then drained."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for worker in workers:
            tasks.create_task(worker.run(stop))
        try:
            yield stop
        finally:
            stop.set()


async def until(condition: Callable[[], bool], *, limit_s: float = WAIT_S_MAX) -> None:
    """Wait for ``condition``. Raises TimeoutError."""
    async with asyncio.timeout(limit_s):
        while not condition():
            await asyncio.sleep(0.01)
