"""The engine at its edges: a worker frozen at the wrong moment, a commit whose outcome nobody heard, a full map,
partitions added while workers run, records that are gone, and a broker that is away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from agents.contract import PermanentError
from app.config import Settings
from app.doctor import examine
from app.embedded.kafka import EmbeddedKafka
from app.kafka.topics import check_topics, create_topics, partition_counts
from app.runtime.partition import Partition
from app.runtime.record import Handler, Limits, Output, Record, Result, Stage
from app.runtime.told import Commit
from app.runtime.worker import _POLL_RECORDS_MAX
from schemas.topics import TOPICS
from tests.integration.test_engine import assert_once_in_order, rows
from tests.topics import Bench, Seen, reader, running, until

MAP_CHARS = 20  # of a map that is full with 96 offsets


@pytest.fixture
async def bench(kafka_bootstrap: str, prefix: str) -> Bench:
    return await Bench(kafka_bootstrap, prefix).create()


def copier(bench: Bench) -> Handler:
    async def handler(record: Record) -> Sequence[Output]:
        return bench.copy(record)

    return handler


async def committed(bench: Bench, partition: int = 0) -> tuple[int, str]:
    """Offset and metadata."""
    source = TopicPartition(bench.source, partition)
    async with admin(bench) as client:
        found = (await client.list_consumer_group_offsets(f"{bench.name}-group", partitions=[source]))[source]
    return found.offset, found.metadata


@asynccontextmanager
async def admin(bench: Bench) -> Any:
    client = AIOKafkaAdminClient(**bench.client)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


# -- frozen between assignment and initialisation


class Frozen:
    """A worker's part in a partition, frozen after the group has confirmed it as the owner and before its producer is
    initialised. Meanwhile the group gives the partition to another; it learns of that at its next heartbeat."""

    def __init__(self, bench: Bench) -> None:
        self.thawed = asyncio.Event()
        self.assigned = asyncio.Event()
        self.seen = Seen()
        self._asked = 0
        stage = Stage(bench.source, f"{bench.name}-group", copier(bench), bench.dead)
        self.partition = Partition(
            0, stage, client=bench.client, is_owner=self._is_owner, log_start=self._start, observer=self.seen
        )

    async def _is_owner(self) -> bool:
        self._asked += 1
        if self._asked == 1:
            self.assigned.set()
            await self.thawed.wait()
            return True
        return False

    async def _start(self) -> int:
        return 0


async def _commit(owner: Partition, results: list[Result]) -> None:
    """Until they are committed, or it knows that it is no longer the owner."""
    committing = asyncio.create_task(owner.commit_forever())
    for result in results:
        owner.put(result)
    with suppress(TimeoutError):
        async with asyncio.timeout(3):
            await owner.drained()
    committing.cancel()
    await asyncio.wait([committing])


async def test_a_worker_frozen_before_its_initialisation_that_fences_the_rightful_owner_repeats_nothing(
    bench: Bench,
) -> None:
    """It wakes in the middle of the owner's work, fences it, and does some records before it is fenced in turn."""
    sent = rows(600, keys=40)
    await bench.fill(sent, partition=0)
    records = await bench.read(bench.source, at_least=600)
    frozen = Frozen(bench)
    opening = asyncio.create_task(frozen.partition.open())
    await frozen.assigned.wait()
    second_half = asyncio.Event()

    async def handler(record: Record) -> Sequence[Output]:
        if int(record.value or b"") >= 300:
            await second_half.wait()
        return bench.copy(record)

    seen = Seen()
    async with running(bench.worker(handler, observer=seen)):
        await bench.read(bench.target, at_least=300)
        frozen.thawed.set()
        await opening
        mine = [record for record in records if frozen.partition.take(record)]
        assert len(mine) == 300, "it reads what the rightful owner has committed"
        await _commit(frozen.partition, [Result(record, bench.copy(record)) for record in mine[:30]])
        assert len(await bench.read(bench.target, at_least=330)) == 330
        second_half.set()
        await until(lambda: seen.count("recovered") > 0)
        await _commit(frozen.partition, [Result(record, bench.copy(record)) for record in mine[30:60]])
        await frozen.partition.close()
        got = await bench.read(bench.target, at_least=600)
    assert_once_in_order(sent, got)
    assert seen.count("fenced") == 1
    assert frozen.seen.count("fenced") == 1
    assert frozen.seen.count("recovered") == 0, "a worker that the group does not count must not take over"


async def test_a_worker_that_is_no_member_when_it_wakes_initialises_nothing(bench: Bench) -> None:
    """Its heartbeat comes before its producer: so the rightful owner is not fenced at all."""
    await bench.fill([(b"k", b"%d" % n) for n in range(10)], partition=0)
    seen = Seen()
    async with running(bench.worker(copier(bench), observer=seen)):
        await bench.read(bench.target, at_least=10)
        late = Frozen(bench)
        late._asked = 1
        with pytest.raises(ConnectionError):
            await late.partition.open()
        await late.partition.close()
        await bench.fill([(b"k", b"10")], partition=0)
        got = await bench.read(bench.target, at_least=11)
    assert [record.value for record in got] == [b"%d" % n for n in range(11)]
    assert seen.count("fenced") == 0


# -- a commit that is held


@dataclass
class Held:
    """The first commit of outputs among all producers stands still: before its request is sent, or after it was
    carried out."""

    landed: bool
    reached: asyncio.Event = field(default_factory=asyncio.Event)


class HoldingProducer(AIOKafkaProducer):  # type: ignore[misc] # aiokafka has no types
    def __init__(self, *, held: Held, **options: Any) -> None:
        super().__init__(**options)
        self._held = held
        self._has_outputs = False

    async def send_batch(self, *args: Any, **options: Any) -> Any:
        self._has_outputs = True
        return await super().send_batch(*args, **options)

    async def commit_transaction(self) -> None:
        if self._held.reached.is_set() or not self._has_outputs:
            await super().commit_transaction()
            return
        self._held.reached.set()
        if self._held.landed:
            await super().commit_transaction()
        await asyncio.Event().wait()


@pytest.fixture(params=[False, True], ids=["not-landed", "landed"])
def held(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Held:
    held = Held(landed=request.param)
    monkeypatch.setattr("app.runtime.partition.AIOKafkaProducer", partial(HoldingProducer, held=held))
    return held


@dataclass
class Gate:
    """A handler that lets nothing through until it is open, so that all goes into one transaction."""

    bench: Bench
    open: asyncio.Event = field(default_factory=asyncio.Event)
    started: list[bytes] = field(default_factory=list)

    async def __call__(self, record: Record) -> Sequence[Output]:
        self.started.append(record.value or b"")
        await self.open.wait()
        return self.bench.copy(record)


async def test_a_partition_taken_away_during_its_commit_loses_and_repeats_nothing(bench: Bench, held: Held) -> None:
    """A second worker comes while the first one's commit is under way: it may have landed, or not."""
    sent: list[tuple[bytes | None, bytes]] = [(b"k%d" % n, b"%d" % n) for n in range(6)]
    await bench.fill(sent, partition=0)
    gate, seen = Gate(bench), Seen()
    limits = Limits(session_timeout_s=6)
    async with running(bench.worker(gate, limits=limits, observer=seen)):
        await until(lambda: len(gate.started) == 6)
        gate.open.set()
        await held.reached.wait()
        async with running(bench.worker(gate, limits=limits)):
            await until(lambda: seen.count("revoked") > 0)
            got = await bench.read(bench.target, at_least=6)
            assert_once_in_order(sent, got)
    # A commit that landed is read back by the next owner: nothing of it is handled again.
    assert len(gate.started) == (6 if held.landed else 12)


async def test_a_commit_whose_reply_is_lost_is_read_back(
    bench: Bench, held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The producer times out in doubt. What landed is not written again, what did not is, and no call is made again."""
    monkeypatch.setattr("app.runtime.partition._COMMIT_S_MAX_OVER_TRANSACTION", 0.0, raising=False)
    sent: list[tuple[bytes | None, bytes]] = [(b"k%d" % n, b"%d" % n) for n in range(6)]
    await bench.fill(sent, partition=0)
    gate, seen = Gate(bench), Seen()
    gate.open.set()
    async with running(bench.worker(gate, limits=Limits(transaction_timeout_s=2), observer=seen)):
        await until(lambda: seen.count("recovered") > 0)
        got = await bench.read(bench.target, at_least=6)
        await bench.fill([(b"k0", b"6")], partition=0)
        got = await bench.read(bench.target, including={b"6"})
    assert_once_in_order([*sent, (b"k0", b"6")], got)
    assert held.reached.is_set()
    assert seen.count("in_doubt") >= 1
    assert len(gate.started) == 7


# -- stopping while the group rebalances


async def _stopped(running: asyncio.Task[None]) -> None:
    """Within ten seconds. What it ended with comes out."""
    done, _ = await asyncio.wait([running], timeout=10)
    if not done:
        running.cancel()
        await asyncio.wait([running])
        pytest.fail("it did not end")
    await running


async def test_a_worker_whose_partitions_are_taken_away_while_it_drains_ends_well(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when several are stopped at once: the first to leave sets off a rebalance, in which the others drain."""
    held = Held(landed=False)
    monkeypatch.setattr("app.runtime.partition.AIOKafkaProducer", partial(HoldingProducer, held=held))
    sent: list[tuple[bytes | None, bytes]] = [(b"k%d" % n, b"%d" % n) for n in range(6)]
    await bench.fill(sent, partition=0)
    limits, seen, stop = Limits(session_timeout_s=6), Seen(), asyncio.Event()
    draining = asyncio.create_task(bench.worker(copier(bench), limits=limits, observer=seen).run(stop))
    await held.reached.wait()
    stop.set()
    async with running(bench.worker(copier(bench), limits=limits)):
        await until(lambda: seen.count("revoked") > 0)
        await _stopped(draining)
        got = await bench.read(bench.target, at_least=6)
    assert_once_in_order(sent, got)


async def test_a_drain_and_a_rebalance_may_let_go_of_a_partition_at_the_same_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(landed=False)
    monkeypatch.setattr("app.runtime.partition.AIOKafkaProducer", partial(HoldingProducer, held=held))
    sent: list[tuple[bytes | None, bytes]] = [(b"k%d" % n, b"%d" % n) for n in range(6)]
    await bench.fill(sent, partition=0)
    stop, worker = asyncio.Event(), bench.worker(copier(bench), limits=Limits(session_timeout_s=6))
    working = asyncio.create_task(worker.run(stop))
    await held.reached.wait()
    await asyncio.gather(worker._let_go([0, 1]), worker._let_go([0, 1, 2]))
    stop.set()
    await _stopped(working)
    async with running(bench.worker(copier(bench))):
        got = await bench.read(bench.target, at_least=6)
    assert_once_in_order(sent, got)


class LoadingCoordinator(AIOKafkaAdminClient):  # type: ignore[misc] # aiokafka has no types
    """Its answers have an error for all, and no partitions: as from a broker that was just started."""

    answers_left = 3

    async def list_consumer_group_offsets(self, *arguments: Any, **named: Any) -> Any:
        if LoadingCoordinator.answers_left:
            LoadingCoordinator.answers_left -= 1
            return {}
        return await super().list_consumer_group_offsets(*arguments, **named)


async def test_a_coordinator_that_still_loads_is_not_taken_for_one_without_offsets(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = rows(60, keys=10)
    await bench.fill(sent, partition=0)
    async with running(bench.worker(copier(bench))):
        await bench.read(bench.target, at_least=60)
    monkeypatch.setattr("app.runtime.partition.AIOKafkaAdminClient", LoadingCoordinator)
    later: list[tuple[bytes | None, bytes]] = [(b"k%d" % n, b"%d" % (100 + n)) for n in range(10)]
    await bench.fill(later, partition=0)
    seen = Seen()
    async with running(bench.worker(copier(bench), observer=seen)):
        got = await bench.read(bench.target, including={value for _, value in later})
    assert_once_in_order(sent + later, got)
    assert LoadingCoordinator.answers_left == 0 and seen.count("in_doubt") == 3


class SlowToStop(AIOKafkaProducer):  # type: ignore[misc] # aiokafka has no types
    async def stop(self) -> None:
        await asyncio.sleep(1.9)
        await super().stop()


async def test_a_worker_that_is_given_partitions_after_it_has_drained_ends_well(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It closes its producers, still a member, when another one comes."""
    monkeypatch.setattr("app.runtime.partition.AIOKafkaProducer", SlowToStop)
    limits, seen, stop = Limits(session_timeout_s=6), Seen(), asyncio.Event()
    draining = asyncio.create_task(bench.worker(copier(bench), limits=limits, observer=seen).run(stop))
    await until(lambda: seen.count("assigned") == 4)
    stop.set()
    sent = rows(40, keys=10)
    await bench.fill(sent)
    async with running(bench.worker(copier(bench), limits=limits)):
        await until(lambda: seen.count("revoked") > 0)
        await _stopped(draining)
        got = await bench.read(bench.target, at_least=40)
    assert_once_in_order(sent, got)


# -- a full map


@pytest.fixture
def small_map(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.runtime.partition.MAP_CHARS_MAX", MAP_CHARS)


@dataclass
class StuckHead:
    """Everything is done at once but the record "0", which waits."""

    bench: Bench
    open: asyncio.Event = field(default_factory=asyncio.Event)
    done: list[int] = field(default_factory=list)

    async def __call__(self, record: Record) -> Sequence[Output]:
        if record.value == b"0":
            await self.open.wait()
        self.done.append(int(record.value or b""))
        return self.bench.copy(record)


@pytest.mark.usefixtures("small_map")
async def test_a_full_map_is_never_dropped_and_the_partition_waits_for_its_head(bench: Bench) -> None:
    """What the map cannot say is not committed: a crash repeats none of it."""
    sent: list[tuple[bytes | None, bytes]] = [(b"k%d" % n, b"%d" % n) for n in range(300)]
    await bench.fill(sent, partition=0)
    stuck, seen = StuckHead(bench), Seen()
    limits = Limits(session_timeout_s=6)
    crashed = asyncio.create_task(bench.worker(stuck, limits=limits, observer=seen).run(asyncio.Event()))
    await until(lambda: seen.count("paused") > 0)
    visible = len(await bench.read(bench.target, at_least=20))
    commit = Commit.of_metadata(*await committed(bench))
    crashed.cancel()
    await asyncio.wait([crashed])
    assert commit is not None
    assert commit.offset == 0
    assert 0 < len(commit.encoded_map) <= MAP_CHARS
    assert visible <= 8 * MAP_CHARS
    stuck.open.set()
    async with running(bench.worker(stuck, limits=limits)):
        got = await bench.read(bench.target, at_least=300)
    assert_once_in_order(sent, got)


@pytest.mark.usefixtures("small_map")
async def test_the_head_of_a_full_map_is_committed_though_more_waits_than_one_transaction_holds(bench: Bench) -> None:
    """The head's result comes last, behind more results than a commit takes."""
    sent: list[tuple[bytes | None, bytes]] = [(b"k%d" % n, b"%d" % n) for n in range(300)]
    await bench.fill(sent, partition=0)
    stuck = StuckHead(bench)
    async with running(bench.worker(stuck, limits=Limits(commit_records_max=10))):
        await until(lambda: len(stuck.done) == 299)
        await bench.read(bench.target, at_least=20)
        stuck.open.set()
        async with asyncio.timeout(15):
            got = await bench.read(bench.target, at_least=300)
    assert_once_in_order(sent, got)
    offset, _ = await committed(bench)
    assert offset == 300


async def test_a_partition_pauses_at_its_span_cap_and_goes_on_when_its_head_moves(bench: Bench) -> None:
    await bench.fill([(b"k%d" % n, b"%d" % n) for n in range(500)], partition=0)
    stuck, seen = StuckHead(bench), Seen()
    # It pauses when one more poll could pass the cap.
    limits = Limits(span_max=_POLL_RECORDS_MAX + 300)
    async with running(bench.worker(stuck, limits=limits, observer=seen)):
        await until(lambda: seen.count("paused") > 0)
        before = len(stuck.done)
        await bench.fill([(b"k%d" % n, b"%d" % n) for n in range(500, 600)], partition=0)
        await bench.fill([(b"other", b"600")], partition=1)  # another partition's records flow meanwhile
        await bench.read(bench.target, including={b"600"})
        assert max(set(stuck.done) - {600}) < 500, f"records were taken beyond the cap, after {before}"
        stuck.open.set()
        got = await bench.read(bench.target, at_least=601)
    assert_once_in_order([(b"k%d" % n, b"%d" % n) for n in range(600)] + [(b"other", b"600")], got)
    assert [name for name, number, _ in seen.events if name in {"paused", "resumed"} and number == 0][:2] == [
        "paused", "resumed",
    ]  # fmt: skip


# -- keys


async def test_records_without_a_key_wait_for_nobody_and_an_empty_key_is_a_key(bench: Bench) -> None:
    keys: list[bytes | None] = [None, None, b"", b"", b"a/b", b"a", b"\x00", b"\x00"]
    await bench.fill([(key, b"%d" % n) for n, key in enumerate(keys)], partition=0)
    gate = Gate(bench)
    async with running(bench.worker(gate)):
        await until(lambda: len(gate.started) >= 6)
        at_once = sorted(gate.started)
        gate.open.set()
        got = await bench.read(bench.target, at_least=len(keys))
    assert at_once == [b"0", b"1", b"2", b"4", b"5", b"6"]
    assert_once_in_order([(key, b"%d" % n) for n, key in enumerate(keys) if key is not None],
                         [record for record in got if record.key is not None])  # fmt: skip


# -- partitions added


@dataclass
class Impatient(Bench):
    """Its clients look for new partitions all the time, and not every five minutes."""

    @property
    def client(self) -> dict[str, Any]:
        return {**super().client, "metadata_max_age_ms": 200}

    async def grow(self, partitions: int, *topics: str) -> None:
        async with admin(self) as client:
            await client.create_partitions({topic: NewPartitions(total_count=partitions) for topic in topics})
        async with asyncio.timeout(30):
            while set((await partition_counts(self.client, topics)).values()) != {partitions}:
                await asyncio.sleep(0.05)


async def test_records_of_partitions_that_are_added_while_workers_run_are_handled_too(
    kafka_bootstrap: str, prefix: str
) -> None:
    """They wait until the output topic has such a partition as well."""
    bench = await Impatient(kafka_bootstrap, prefix, partitions=2).create()
    sent = rows(200, keys=20)
    await bench.fill(sent)
    seen = Seen()
    limits = Limits(session_timeout_s=6)
    handler = copier(bench)
    async with running(*(bench.worker(handler, limits=limits, observer=seen) for _ in range(2))):
        await bench.read(bench.target, at_least=200)
        await bench.grow(4, bench.source)
        added: list[tuple[bytes | None, bytes]] = [(b"new%d" % (n % 5), b"%d" % n) for n in range(200, 260)]
        for partition in (2, 3):
            await bench.fill(added[partition - 2 :: 2], partition=partition)
        await until(lambda: any(event == "in_doubt" and partition >= 2 for event, partition, _ in seen.events))
        await bench.grow(4, bench.target, bench.dead)
        got = await bench.read(bench.target, at_least=260)
    assert sorted(int(record.value) for record in got) == list(range(260))


async def test_doctor_and_the_stages_refuse_topics_that_differ_in_partitions(
    own_kafka: EmbeddedKafka, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Order over an addition is not promised: a key may move to another partition while its records wait."""
    monkeypatch.setattr("app.doctor._CHECK_S_MAX", 5.0)  # the other servers are not there
    await own_kafka.start()
    bench = Impatient(own_kafka.address, prefix)
    await create_topics(bench.client, partitions=2, replication_factor=1)
    assert set((await check_topics(bench.client)).values()) == {2}
    await bench.grow(4, TOPICS[0])
    with pytest.raises(PermanentError, match=f"{TOPICS[0]} 4.*drain"):
        await check_topics(bench.client)
    nowhere = "127.0.0.1:9"
    settings = Settings(kafka_bootstrap=own_kafka.address, database_url=f"postgresql://u:p@{nowhere}/d",
                        llm_base_url=f"http://{nowhere}/v1", embeddings_base_url=f"http://{nowhere}/v1")  # fmt: skip
    (finding,) = [found for found in await examine(settings) if found.name == "Kafka"]
    assert not finding.ok
    assert "topics differ in partitions" in finding.text
    assert "drain, then give all of them the same number" in finding.text
    await bench.grow(4, *TOPICS[1:])
    assert set((await check_topics(bench.client)).values()) == {4}


# -- records that are gone


async def test_records_that_compaction_removed_count_as_finished(own_kafka: EmbeddedKafka, prefix: str) -> None:
    """One was in flight when its worker ended, and compaction has removed it since: the next worker goes past it."""
    await own_kafka.start()
    bench = Bench(own_kafka.address, prefix)
    await create_topics(bench.client, partitions=1, replication_factor=1, names=(bench.target, bench.dead))
    await _compacted_topic(bench)
    await bench.fill([(b"k%d" % n, b"%d" % n) for n in range(10)], partition=0)
    stuck = StuckHead(bench)
    async with running(bench.worker(stuck, limits=Limits(drain_s_max=0.2))):
        await bench.read(bench.target, at_least=9)
    assert (await committed(bench))[0] == 0
    await bench.fill([(b"k%d" % n, b"%d" % (100 + n)) for n in (0, 3, 4, 7)], partition=0)
    await _until_removed(bench, {b"0", b"3", b"4", b"7"})
    async with running(bench.worker(copier(bench))):
        got = await bench.read(bench.target, including={b"107"})
        await bench.fill([(b"last", b"999")], partition=0)
        got = await bench.read(bench.target, including={b"999"})
    values = [int(record.value) for record in got if record.key != b"filler"]
    assert sorted(values) == [*range(1, 10), 100, 103, 104, 107, 999]
    async with reader(bench.client, bench.source) as consumer:
        (end,) = (await consumer.end_offsets(consumer.assignment())).values()
    commit = Commit.of_metadata(*await committed(bench))
    assert commit is not None
    assert (commit.offset, commit.encoded_map) == (end, "")


async def _compacted_topic(bench: Bench) -> None:
    configs = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.001"}
    async with admin(bench) as client:
        await client.alter_configs([ConfigResource(ConfigResourceType.BROKER, "1", {"log.cleaner.backoff.ms": "100"})])
        await client.create_topics(
            [NewTopic(bench.source, num_partitions=1, replication_factor=1, topic_configs=configs)]
        )
    # Its leader takes a moment, and its readers with it.
    await create_topics(bench.client, partitions=1, replication_factor=1, names=(bench.source,))


async def _until_removed(bench: Bench, values: set[bytes]) -> None:
    """The newest segment is never compacted: further records let it become an older one."""
    async with asyncio.timeout(60):
        while values & {record.value for record in await bench.read(bench.source, at_least=1)}:
            await bench.fill([(b"filler", b"-1")], partition=0)
            await asyncio.sleep(0.2)


# -- a broker that is away


async def test_a_worker_whose_broker_is_away_in_the_middle_says_so_and_goes_on(
    own_kafka: EmbeddedKafka, prefix: str
) -> None:
    """Calls in flight end meanwhile; their results wait for the broker, and no call is made again."""
    await own_kafka.start()
    bench = await Bench(own_kafka.address, prefix).create()
    sent: list[tuple[bytes | None, bytes]] = [(b"k%d" % n, b"%d" % n) for n in range(40)]
    await bench.fill(sent)
    gate, seen = Gate(bench), Seen()
    async with running(bench.worker(gate, limits=Limits(transaction_timeout_s=2), observer=seen)):
        await until(lambda: len(gate.started) == 40)
        await own_kafka.kill()
        gate.open.set()
        await until(lambda: seen.count("in_doubt") > 0)
        await own_kafka.start()
        got = await bench.read(bench.target, at_least=40)
    assert_once_in_order(sent, got)
    assert len(gate.started) == 40
