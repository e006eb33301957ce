"""The work: what is asked of a system, records in, and what a read_committed reader finds at the other end."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError

from app.kafka.topics import partition_counts
from tests.topics import reader

RECORD_BYTES = 500
PARTITIONS = 4
KEYS = 50_000
ZIPF_EXPONENT = 0.99  # that of the Yahoo cloud serving benchmark: the hottest key has 8.6 % of the records
TOPIC_S_MAX = 30.0
# A killed system's transaction stays open for its time-out: 60 s by default in Java and Faust.
SETTLE_S_MAX = 90.0
READ_S_MAX = 600.0


@dataclass(frozen=True)
class Cell:
    in_flight: int
    call_ms: int
    keys: str  # uniform or zipf

    @property
    def sigma(self) -> float:
        """Of the logarithm of a call's length: short calls are constant, long ones log-normal around their mean."""
        return 0.5 if self.call_ms >= 1_000 else 0.0

    @property
    def littles_bound(self) -> float:
        return self.in_flight * 1_000 / self.call_ms

    @property
    def bound(self) -> float:
        """Records a second: the lesser of Little's law and the hottest lane, which runs one call at a time."""
        return min(self.littles_bound, 1_000 / (float(shares(self.keys)[0]) * self.call_ms))

    def __str__(self) -> str:
        return f"{self.in_flight:,} in flight, {self.call_ms:,} ms, {self.keys}"


@dataclass(frozen=True)
class Counted:
    """``rate``: committed outputs a second within the time asked for. The rest is of the whole run."""

    rate: float
    drift: float  # of the second half's rate against the first's: steady when near 0
    outputs: int
    repeated: int
    out_of_order: int  # outputs that came after a later record of their key


@cache
def shares(keys: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Each key's share of the records, the hottest first."""
    weights = 1 / np.arange(1, KEYS + 1) ** (ZIPF_EXPONENT if keys == "zipf" else 0.0)
    return np.asarray(weights / weights.sum(), dtype=np.float64)


async def create(client: Mapping[str, Any], *names: str) -> None:
    """Topics stamped by the broker: no system's own clock or moment of sending counts."""
    configs = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(5 * 1024 * 1024)}
    topics = [NewTopic(name, num_partitions=PARTITIONS, replication_factor=1, topic_configs=configs) for name in names]
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        await admin.create_topics(topics)
    finally:
        await admin.close()
    async with asyncio.timeout(TOPIC_S_MAX):
        while len(await partition_counts(client, names)) < len(names):
            await asyncio.sleep(0.05)


async def delete(client: Mapping[str, Any], *names: str) -> None:
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        await admin.delete_topics(list(names))
    except KafkaError as error:
        print(f"{', '.join(names)} stay on the broker: {error!r}")
    finally:
        await admin.close()


async def fill(client: Mapping[str, Any], topic: str, keys: str, records: int, *, seed: int = 1) -> None:
    """``records`` records, each beginning with its number."""
    chosen = np.random.default_rng(seed).choice(KEYS, p=shares(keys), size=records)
    producer = AIOKafkaProducer(**client, linger_ms=5, max_batch_size=256 * 1024)
    await producer.start()
    try:
        sent: list[Any] = []
        for number, key in enumerate(chosen.tolist()):
            value = b"%d " % number
            sent.append(await producer.send(topic, key=b"k%d" % key, value=value.ljust(RECORD_BYTES, b"x")))
            if len(sent) >= 5_000:
                await asyncio.gather(*sent)
                sent.clear()
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def committed(client: Mapping[str, Any], topic: str, isolation: str = "read_committed") -> int:
    """The sum of the topic's end offsets, as a reader of that isolation sees them."""
    consumer = AIOKafkaConsumer(**client, isolation_level=isolation)
    await consumer.start()
    try:
        sources = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        return sum((await consumer.end_offsets(sources)).values())
    finally:
        await consumer.stop()


async def count(client: Mapping[str, Any], topic: str, began_s: float, ended_s: float, records: int) -> Counted:
    """What a read_committed reader finds between the two times, and what came twice or out of order at any time."""
    await _settled(client, topic)
    seen = np.zeros(records, dtype=np.uint8)
    latest: dict[bytes | None, int] = {}
    stamps: list[int] = []
    out_of_order = 0
    async with asyncio.timeout(READ_S_MAX), reader(dict(client), topic) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        while not await _at(consumer, ends):
            for found in (await consumer.getmany(timeout_ms=500)).values():
                for record in found:
                    number = int(record.value[: record.value.index(b" ")])
                    repeat = bool(seen[number])
                    seen[number] = min(255, seen[number] + 1)
                    out_of_order += not repeat and latest.get(record.key, -1) > number
                    latest[record.key] = max(number, latest.get(record.key, -1))
                    stamps.append(record.timestamp)
    return _counted(np.array(stamps), began_s * 1_000, ended_s * 1_000, seen, out_of_order)


def _counted(stamps: Any, began_ms: float, ended_ms: float, seen: Any, out_of_order: int) -> Counted:
    middle_ms = (began_ms + ended_ms) / 2
    first = int(((stamps >= began_ms) & (stamps < middle_ms)).sum())
    second = int(((stamps >= middle_ms) & (stamps < ended_ms)).sum())
    return Counted(
        rate=(first + second) / (ended_ms - began_ms) * 1_000,
        drift=second / first - 1 if first else 0.0,
        outputs=int((seen > 0).sum()),
        repeated=int(seen.sum(dtype=np.int64)) - int((seen > 0).sum()),
        out_of_order=out_of_order,
    )


async def _settled(client: Mapping[str, Any], topic: str) -> None:
    """Until no transaction is open: a reader would stop at it, and miss what was committed behind it."""
    async with asyncio.timeout(SETTLE_S_MAX):
        while await committed(client, topic) < await committed(client, topic, "read_uncommitted"):
            await asyncio.sleep(0.5)


async def _at(consumer: AIOKafkaConsumer, ends: Mapping[TopicPartition, int]) -> bool:
    positions: Sequence[int] = [await consumer.position(source) for source in ends]
    # A transaction marker at the end has no record: the position stops before it.
    return all(position >= end - 1 for position, end in zip(positions, ends.values(), strict=True))
