"""The work: records in, and what a read_committed reader finds at the other end."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer

from app.kafka.topics import create_topics
from tests.topics import reader

RECORD_BYTES = 500
PARTITIONS = 4
KEYS = 50_000
ZIPF_EXPONENT = 1.1


@dataclass(frozen=True)
class Cell:
    in_flight: int
    call_ms: float
    sigma: float  # of the logarithm of a call's length; 0: constant
    keys: str  # uniform or zipf

    @property
    def hottest_share(self) -> float:
        weights = _weights(self.keys)
        return weights[0] / sum(weights)

    @property
    def bound(self) -> float:
        """Records a second: the lesser of Little's law and the hottest lane, which runs one call at a time."""
        mean_s = self.call_ms / 1_000
        return min(self.in_flight / mean_s, 1 / (self.hottest_share * mean_s))


@dataclass(frozen=True)
class Counted:
    rate: float
    records: int
    repeated: int


def _weights(keys: str) -> list[float]:
    return [1.0 if keys == "uniform" else 1 / (rank + 1) ** ZIPF_EXPONENT for rank in range(KEYS)]


async def fill(client: Mapping[str, Any], name: str, cell: Cell, records: int, *, seed: int = 1) -> None:
    """Topics ``name.in``, ``name.out``, ``name.dead`` with ``records`` records in the first."""
    topics = tuple(f"{name}.{end}" for end in ("in", "out", "dead"))
    await create_topics(client, partitions=PARTITIONS, replication_factor=1, names=topics)
    rng = random.Random(seed)
    keys = rng.choices(range(KEYS), weights=_weights(cell.keys), k=records)
    producer = AIOKafkaProducer(**client, linger_ms=5, max_batch_size=256 * 1024)
    await producer.start()
    try:
        sent: list[Any] = []
        for number, key in enumerate(keys):
            value = b"%d " % number
            sent.append(await producer.send(topics[0], key=b"k%d" % key, value=value.ljust(RECORD_BYTES, b"x")))
            if len(sent) >= 5_000:
                await asyncio.gather(*sent)
                sent.clear()
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def count(client: Mapping[str, Any], name: str, began_ms: float, ended_ms: float) -> Counted:
    """Committed outputs with a timestamp between the two; and values that came more than once, at any time."""
    seen: Counter[bytes] = Counter()
    inside = 0
    async with reader(dict(client), f"{name}.out") as consumer:
        empty = 0
        while empty < 5:
            polled = await consumer.getmany(timeout_ms=200)
            empty = 0 if polled else empty + 1
            for records in polled.values():
                for record in records:
                    seen[record.value.split(b" ", 1)[0]] += 1
                    inside += began_ms <= record.timestamp < ended_ms
    repeated = sum(times - 1 for times in seen.values())
    return Counted(inside / (ended_ms - began_ms) * 1_000, len(seen), repeated)
