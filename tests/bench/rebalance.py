"""``python -m tests.bench.rebalance``: how long a partition stands still when a worker comes, leaves, or is killed.

Workers are processes. Records come in at an even pace, and a read_committed reader notes when each output becomes
visible; a gap is the longest time between two outputs of one partition. Whatever was lost or repeated is an error.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from app.embedded.kafka import install
from app.runtime.record import Limits
from tests.bench.load import KEYS, PARTITIONS, RECORD_BYTES, create, delete
from tests.bench.report import Row
from tests.bench.systems import ROOT, Job, Watched, running, system_version
from tests.servers import KAFKA_LIBS, embedded_kafka, server_folder
from tests.topics import reader

RESULTS = ROOT / "infra" / "docs" / "generated" / "bench" / "rebalance.json"
OFFERED_PER_S = 1_000
CALL_MS = 50
IN_FLIGHT = 1_000
TICK_S = 0.002
QUIET_S = 3.0  # of undisturbed work before an event and after its rebalance
REBALANCE_S_MAX = 60.0
ARRIVE_S_MAX = 60.0
# Above these a rebalance is too slow: with all alive; and over the session time-out after a kill.
ALIVE_S_MAX, DEAD_OVER_SESSION_S_MAX = 1.0, 2.0
TARGETS = {
    "join": ALIVE_S_MAX,
    "leave": ALIVE_S_MAX,
    "kill": Limits().session_timeout_s + DEAD_OVER_SESSION_S_MAX,
}


@dataclass
class Visible:
    """When outputs became visible, by partition, and how often each number did."""

    times: list[list[float]] = field(default_factory=lambda: [[] for _ in range(PARTITIONS)])
    counts: dict[int, int] = field(default_factory=dict)

    def gap_s(self, began: float, ended: float) -> float:
        """The longest of all partitions. Time without an output at either end counts."""
        gaps = []
        for times in self.times:
            inside = [began, *(t for t in times if began <= t <= ended), ended]
            gaps.append(max(later - earlier for earlier, later in pairwise(inside)))
        return max(gaps)

    async def all_partitions_after(self, moment: float) -> None:
        async with asyncio.timeout(REBALANCE_S_MAX):
            while not all(times and times[-1] > moment for times in self.times):
                await asyncio.sleep(0.01)

    async def all_of(self, sent: int) -> None:
        """Raises RuntimeError where one of them does not come, or comes twice."""
        deadline = time.monotonic() + ARRIVE_S_MAX
        while len(self.counts) < sent and time.monotonic() < deadline:
            await asyncio.sleep(0.1)
        lost, repeated = sent - len(self.counts), sum(self.counts.values()) - len(self.counts)
        if lost or repeated:
            raise RuntimeError(f"of {sent:,} records {lost:,} were lost and {repeated:,} outputs were repeats")


class Offer:
    """Records at an even pace until stopped."""

    def __init__(self) -> None:
        self.sent = 0
        self._stop, self._stopped = asyncio.Event(), asyncio.Event()

    async def stop(self) -> None:
        self._stop.set()
        await self._stopped.wait()

    async def run(self, client: Mapping[str, Any], topic: str) -> None:
        producer = AIOKafkaProducer(**client, linger_ms=0)
        await producer.start()
        try:
            began = time.monotonic()
            while not self._stop.is_set():
                due = int((time.monotonic() - began) * OFFERED_PER_S)
                for number in range(self.sent, due):
                    value = (b"%d " % number).ljust(RECORD_BYTES, b"x")
                    await producer.send(topic, key=b"k%d" % (number * 7_919 % KEYS), value=value)
                self.sent = max(self.sent, due)
                await asyncio.sleep(TICK_S)
            await producer.flush()
        finally:
            await producer.stop()
            self._stopped.set()


class Group:
    """Workers of one consumer group."""

    def __init__(self, client: Mapping[str, Any], name: str, folder: Path) -> None:
        self.client = client
        self.source, self.target = f"{name}.in", f"{name}.out"
        self._folder = folder
        self._started = 0

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[Watched]:
        self._started += 1
        log = self._folder / f"worker-{self._started}.log"
        job = Job("ours", self.source, self.target, self.client["bootstrap_servers"], IN_FLIGHT, CALL_MS, 0.0)
        async with running(job, log) as watched:
            yield watched

    async def has(self, members: int) -> None:
        """Until the group is stable with so many members."""
        async with _admin(self.client) as admin, asyncio.timeout(REBALANCE_S_MAX):
            while await _state(admin, f"group-{self.target}") != ("Stable", members):
                await asyncio.sleep(0.1)


@asynccontextmanager
async def _admin(client: Mapping[str, Any]) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(**client)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def _state(admin: AIOKafkaAdminClient, group: str) -> tuple[str, int]:
    try:
        (response,) = await admin.describe_consumer_groups([group])
    except KafkaError:
        return "Unknown", 0  # the broker still makes its topic of offsets
    (described,) = response.groups
    _error, _group, state, _kind, _assignor, members, *_ = described
    return state, len(members)


async def _watch(consumer: AIOKafkaConsumer, visible: Visible) -> None:
    while True:
        polled = await consumer.getmany(timeout_ms=100)
        now = time.monotonic()
        for source, records in polled.items():
            visible.times[source.partition].append(now)
            for record in records:
                number = int(record.value[: record.value.index(b" ")])
                visible.counts[number] = visible.counts.get(number, 0) + 1


async def _drift(worker: Watched, quiet_s: float) -> None:
    """Its heartbeat moves to any phase, as the heartbeats of workers do that run for hours; after a rebalance they
    beat as one. Who waits for the last to notice a rebalance waits for that phase."""
    interval_s = Limits().session_timeout_s / 5
    worker.suspend()
    try:
        await asyncio.sleep(interval_s * random.uniform(1, 2))
    finally:
        worker.resume()
    await asyncio.sleep(quiet_s)


async def measure(client: Mapping[str, Any], folder: Path, *, quiet_s: float = QUIET_S) -> dict[str, float]:
    """The gap of each event, in s: two workers, a third comes, it leaves, one of the two is killed."""
    group = Group(client, f"rebalance-{time.time_ns()}", folder)
    topics = (group.source, group.target, f"{group.target}.dead")
    await create(client, *topics)
    visible, offer = Visible(), Offer()
    async with reader(dict(client), group.target) as consumer, asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(_watch(consumer, visible))
        offering = tasks.create_task(offer.run(client, group.source))
        try:
            gaps = await _events(group, visible, quiet_s, offer)
        finally:
            watching.cancel()
            offering.cancel()
    await delete(client, *topics)
    return gaps


async def _events(group: Group, visible: Visible, quiet_s: float, offer: Offer) -> dict[str, float]:
    gaps: dict[str, float] = {}

    async def gap_after(began: float, members: int) -> float:
        await group.has(members)
        await visible.all_partitions_after(time.monotonic())
        await asyncio.sleep(quiet_s)
        return visible.gap_s(began, time.monotonic())

    async with AsyncExitStack() as stack:
        doomed = await stack.enter_async_context(group.worker())
        await stack.enter_async_context(group.worker())
        await gap_after(time.monotonic(), members=2)
        await _drift(doomed, quiet_s)
        async with AsyncExitStack() as guest:
            began = time.monotonic()
            await guest.enter_async_context(group.worker())
            gaps["join"] = await gap_after(began, members=3)
            await _drift(doomed, quiet_s)
            began = time.monotonic()
        gaps["leave"] = await gap_after(began, members=2)
        began = time.monotonic()
        doomed.kill()
        gaps["kill"] = await gap_after(began, members=1)
        # While a worker is there to do it:
        await offer.stop()
        await visible.all_of(offer.sent)
    return gaps


def rows(runs: Sequence[Mapping[str, float]]) -> list[Row]:
    return [
        {
            "event": event,
            "gap_s_median": round(statistics.median(run[event] for run in runs), 2),
            "gap_s_max": round(max(run[event] for run in runs), 2),
            "runs": len(runs),
            "version": system_version("ours"),
        }
        for event in TARGETS
    ]


async def main(number_of_runs: int) -> list[dict[str, float]]:
    await install(KAFKA_LIBS, say=print)
    runs: list[dict[str, float]] = []
    with server_folder() as folder, tempfile.TemporaryDirectory(prefix="deskstream-bench-logs-") as logs:
        async with embedded_kafka(folder) as kafka:
            for number in range(number_of_runs):
                runs.append(await measure({"bootstrap_servers": kafka.address}, Path(logs)))
                told = ", ".join(
                    f"{event} {gap_s:.2f} s (of {TARGETS[event]:.0f})" for event, gap_s in runs[-1].items()
                )
                print(f"run {number + 1} of {number_of_runs}: {told}", flush=True)
    return runs


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rebalance", description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS, help="another file for the results")
    given = parser.parse_args()
    text = json.dumps(rows(asyncio.run(main(given.runs))), indent=2) + "\n"
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(text)
    print(text, end="")
