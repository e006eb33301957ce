"""What the engine holds of the bytes that it fetched.

aiokafka keeps each fetch in a cycle, up to a megabyte in a handful of objects, until it is polled to its end. One that
is thrown away before lives until Python's collector comes, which counts objects and not bytes.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator, Sequence

import pytest
from aiokafka.consumer.fetcher import PartitionRecords

from app.runtime.record import Limits, Output, Record
from tests.topics import Bench, Seen, running, until

RECORDS = 20_000
ROUNDS = 3
BUFFER_BYTES = 500_000  # a third of one poll


@pytest.fixture
async def bench(kafka_bootstrap: str, prefix: str) -> Bench:
    bench = await Bench(kafka_bootstrap, prefix).create()
    await bench.fill((b"k%d" % (n % 1_000), b"x" * 500) for n in range(RECORDS))
    return bench


@pytest.fixture
def collector_off(bench: Bench) -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def fetches_held() -> int:
    return sum(type(each) is PartitionRecords for each in gc.get_objects())


@pytest.mark.usefixtures("collector_off")
async def test_a_full_worker_throws_away_nothing_that_it_fetched(bench: Bench) -> None:
    handled, seen = 0, Seen()

    async def handler(record: Record) -> Sequence[Output]:
        nonlocal handled
        handled += 1
        return bench.copy(record)

    async with running(bench.worker(handler, limits=Limits(buffer_bytes_max=BUFFER_BYTES), observer=seen)):
        await until(lambda: handled == RECORDS)
        held = fetches_held()
    assert seen.count("paused") >= 10 * bench.partitions
    assert held <= bench.partitions


@pytest.mark.usefixtures("collector_off")
async def test_rebalances_leave_nothing_behind_of_what_was_fetched_before(bench: Bench) -> None:
    """Full workers always have fetched more than they have polled, when their partitions are taken away."""
    never = asyncio.Event()

    async def handler(record: Record) -> Sequence[Output]:
        await never.wait()
        return ()

    async def come_and_go() -> None:
        seen = Seen()
        async with running(bench.worker(handler, limits=limits, observer=seen)):
            await until(lambda: seen.count("paused") > 0)

    seen, limits = Seen(), Limits(buffer_bytes_max=BUFFER_BYTES, drain_s_max=0.1)
    async with running(bench.worker(handler, limits=limits, observer=seen)):
        await until(lambda: seen.count("assigned") == bench.partitions)
        for _ in range(ROUNDS):
            await come_and_go()
            await until(lambda: seen.count("assigned") - seen.count("revoked") == bench.partitions)
        held = fetches_held()
    assert held <= 2 * bench.partitions
