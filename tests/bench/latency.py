"""Added latency of ours: from in at the topic to visible to a read_committed reader, less the call."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from tests.bench.load import KEYS, PARTITIONS, RECORD_BYTES, create, delete
from tests.bench.systems import Job, running
from tests.topics import reader

OFFERED_PER_S = 1_000
CALL_MS = 50
IN_FLIGHT = 1_000
TICK_S = 0.002
START_S_MAX = 60.0
ARRIVE_S_MAX = 30.0


async def measure(
    client: Mapping[str, Any], name: str, system: str, database_url: str, log: Path, *, seconds: float, warm_up_s: float
) -> list[float]:
    """Each record's added latency in ms, of those sent after the warm-up."""
    source, target = f"{name}.in", f"{name}.out"
    await create(client, source, target, f"{target}.dead")
    job = Job(system, source, target, client["bootstrap_servers"], IN_FLIGHT, CALL_MS, 0.0, database_url)
    async with running(job, log) as system_process, reader(dict(client), target) as consumer:
        numbers = int(OFFERED_PER_S * (seconds + warm_up_s))
        producer = AIOKafkaProducer(**client, linger_ms=0)
        await producer.start()
        try:
            # One through each partition first: what waited for the system's start is not latency.
            await asyncio.gather(*[_send(producer, source, -1, partition) for partition in range(PARTITIONS)])
            async with asyncio.timeout(START_S_MAX):
                await _read(consumer, PARTITIONS)
            async with asyncio.TaskGroup() as tasks:
                visible = tasks.create_task(_read(consumer, numbers))
                async with asyncio.timeout(seconds + warm_up_s + ARRIVE_S_MAX):
                    await _offer(producer, source, numbers)
                    arrived = await visible
        finally:
            await producer.stop()
        system_process.check()
    await delete(client, source, target, f"{target}.dead")
    after = int(OFFERED_PER_S * warm_up_s)
    return [(seen_s - sent_s) * 1_000 - CALL_MS for number, sent_s, seen_s in arrived if number >= after]


async def _offer(producer: AIOKafkaProducer, topic: str, numbers: int) -> None:
    """At an even pace, whatever the system does. The time of sending is in the record, finer than its timestamp."""
    rng = np.random.default_rng(1)
    began, sent = time.monotonic(), 0
    while sent < numbers:
        due = min(numbers, int((time.monotonic() - began) * OFFERED_PER_S))
        for number in range(sent, due):
            await _send(producer, topic, number, key=b"k%d" % rng.integers(KEYS))
        sent = max(sent, due)
        await asyncio.sleep(TICK_S)
    await producer.flush()


async def _send(
    producer: AIOKafkaProducer, topic: str, number: int, partition: int | None = None, key: bytes | None = None
) -> None:
    value = b"%d %.6f " % (number, time.time())
    await producer.send(topic, key=key, value=value.ljust(RECORD_BYTES, b"x"), partition=partition)


async def _read(consumer: AIOKafkaConsumer, numbers: int) -> list[tuple[int, float, float]]:
    """(number, sent, seen) of every record."""
    arrived: list[tuple[int, float, float]] = []
    while len(arrived) < numbers:
        polled = await consumer.getmany(timeout_ms=1_000)
        now = time.time()
        for records in polled.values():
            for record in records:
                number, sent, _ = record.value.split(b" ", 2)
                arrived.append((int(number), float(sent), now))
    return arrived


def row(system: str, runs: list[list[float]], version: str) -> dict[str, object]:
    """The median over the runs of each quantile, and its least and greatest."""
    result: dict[str, object] = {"system": system, "offered_per_s": OFFERED_PER_S, "call_ms": CALL_MS}
    for percent in (50, 99):
        values = [float(np.percentile(added, percent)) for added in runs]
        result |= {
            f"p{percent}_ms": round(float(np.median(values)), 1),
            f"p{percent}_ms_min": round(min(values), 1),
            f"p{percent}_ms_max": round(max(values), 1),
        }
    return {**result, "records": sum(map(len, runs)), "runs": len(runs), "version": version}
