"""The engine against a real broker: every record ends once, in the order of its key."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from app.runtime.partition import Partition
from app.runtime.record import Limits, Output, Record, Reject, Result, Retry, Safeguards, Stage
from tests.topics import Bench, Seen, running, until


@pytest.fixture
async def bench(kafka_bootstrap: str, prefix: str) -> Bench:
    return await Bench(kafka_bootstrap, prefix).create()


def rows(count: int, keys: int, seed: int = 1) -> list[tuple[bytes | None, bytes]]:
    rng = random.Random(seed)
    return [(b"k%d" % rng.randrange(keys), b"%d" % n) for n in range(count)]


def header(record: Any, name: str) -> str:
    return next((content.decode() for key, content in record.headers if key == name), "")


def assert_once_in_order(sent: list[tuple[bytes | None, bytes]], got: list[Any]) -> None:
    assert Counter(r.value for r in got) == Counter(value for _, value in sent)
    by_key: dict[Any, list[int]] = defaultdict(list)
    for record in got:
        by_key[record.key].append(int(record.value))
    assert all(values == sorted(values) for values in by_key.values())


async def test_records_end_once_and_in_order_while_calls_finish_out_of_order(bench: Bench) -> None:
    sent = rows(2_000, keys=100)
    await bench.fill(sent)

    async def handler(record: Record) -> list[Output]:
        await asyncio.sleep(random.random() * 0.02)
        return list(bench.copy(record))

    async with running(bench.worker(handler)):
        got = await bench.read(bench.target, at_least=2_000)
    assert_once_in_order(sent, got)


async def test_workers_that_come_and_crash_lose_and_repeat_nothing(bench: Bench) -> None:
    sent = rows(3_000, keys=200)
    await bench.fill(sent)
    calls = 0

    async def handler(record: Record) -> list[Output]:
        nonlocal calls
        calls += 1
        await asyncio.sleep(random.random() * 0.05)
        return list(bench.copy(record))

    limits = Limits(in_flight_max=50, session_timeout_s=6)
    crashed = asyncio.create_task(bench.worker(handler, limits=limits).run(asyncio.Event()))
    await until(lambda: calls > 300)
    async with running(bench.worker(handler, limits=limits)):
        await until(lambda: calls > 900)
        crashed.cancel()
        got = await bench.read(bench.target, at_least=3_000)
    with pytest.raises(asyncio.CancelledError):
        await crashed
    assert_once_in_order(sent, got)


async def _restart_with_a_stuck_head(bench: Bench, safeguards: Safeguards) -> list[int]:
    """A first worker finishes all but the first record of a partition; a second one finishes the rest.

    Gives the outputs of these records, read once a later record of each key came through: a repeat of the earlier one
    would stand before it.
    """
    await bench.fill([(b"k%d" % n, b"%d" % n) for n in range(20)], partition=0)
    gate = asyncio.Event()
    finished = 0

    async def stuck(record: Record) -> list[Output]:
        nonlocal finished
        if record.value == b"0":
            await gate.wait()
        finished += 1
        return list(bench.copy(record))

    limits = Limits(drain_s_max=0.5)
    async with running(bench.worker(stuck, limits=limits, safeguards=safeguards)):
        await until(lambda: finished == 19)
        await bench.read(bench.target, at_least=19)

    async def handler(record: Record) -> list[Output]:
        return list(bench.copy(record))

    later = [(b"k%d" % n, b"%d" % (100 + n)) for n in range(20)]
    async with running(bench.worker(handler, limits=limits, safeguards=safeguards)):
        await bench.fill(later, partition=0)
        got = await bench.read(bench.target, including={value for _, value in later})
    return sorted(int(r.value) for r in got if int(r.value) < 100)


async def test_the_map_keeps_finished_records_from_running_again_after_a_restart(bench: Bench) -> None:
    assert await _restart_with_a_stuck_head(bench, Safeguards()) == list(range(20))


async def test_without_the_map_the_same_restart_repeats_records(bench: Bench) -> None:
    """The negative control of the test above."""
    assert len(await _restart_with_a_stuck_head(bench, Safeguards(completion_map=False))) > 20


async def test_a_rejected_record_is_dead_lettered_with_origin_and_reason(bench: Bench) -> None:
    await bench.fill([(b"k", b"1"), (b"k", b"poison"), (b"k", b"2")], partition=2)

    async def handler(record: Record) -> list[Output]:
        if record.value == b"poison":
            raise Reject("not_json", "the value is not JSON", outputs=[Output(bench.target, b"usage", b"7")])
        return list(bench.copy(record))

    async with running(bench.worker(handler)):
        dead = (await bench.read(bench.dead, at_least=1))[0]
        got = await bench.read(bench.target, at_least=3)
    assert (dead.value, header(dead, "dlq-reason"), header(dead, "dlq-origin-offset")) == (b"poison", "not_json", "1")
    assert (header(dead, "dlq-origin-topic"), dead.partition) == (bench.source, 2)
    assert [r.value for r in got] == [b"1", b"7", b"2"]


async def test_a_bug_is_told_and_tried_three_times_and_then_dead_lettered(bench: Bench) -> None:
    await bench.fill([(b"k", b"1")])
    attempts, seen = 0, Seen()

    async def handler(record: Record) -> list[Output]:
        nonlocal attempts
        attempts += 1
        raise ZeroDivisionError("a bug")

    async with running(bench.worker(handler, limits=Limits(backoff_s_min=0.01), observer=seen)):
        dead = (await bench.read(bench.dead, at_least=1))[0]
    assert [str(error) for error in seen.bugs] == ["a bug"] * 3
    assert (attempts, header(dead, "dlq-reason"), header(dead, "dlq-error-class")) == (3, "bug", "ZeroDivisionError")


@pytest.mark.parametrize("reason", ["bug", "retries_exhausted", "time_in_flight"])
async def test_a_record_that_the_engine_gives_up_has_last_words_beside_its_dead_letter(
    bench: Bench, reason: str
) -> None:
    await bench.fill([(b"k", b"1"), (b"k", b"2")])

    async def handler(record: Record) -> list[Output]:
        if record.value == b"2":
            return []
        match reason:
            case "bug":
                raise ZeroDivisionError
            case "retries_exhausted":
                raise Retry("busy", retry_after_s=100)
            case _:
                await asyncio.Event().wait()
        return []

    async def last_words(record: Record) -> list[Output]:
        return [Output(bench.target, record.key, b"spent on " + (record.value or b""))]

    limits = Limits(backoff_s_min=0.01, time_in_flight_s_max=1)
    async with running(bench.worker(handler, limits=limits, last_words=last_words)):
        (dead,) = await bench.read(bench.dead, at_least=1)
        (said,) = await bench.read(bench.target, at_least=1)
    assert (header(dead, "dlq-reason"), said.value) == (reason, b"spent on 1")


async def test_last_words_that_fail_keep_no_record_from_its_dead_letter(bench: Bench) -> None:
    await bench.fill([(b"k", b"1")])

    async def handler(record: Record) -> list[Output]:
        raise Retry("busy", retry_after_s=1_000)

    async def last_words(record: Record) -> list[Output]:
        raise ConnectionError("the database is away")

    seen = Seen()
    async with running(bench.worker(handler, last_words=last_words, observer=seen)):
        (dead,) = await bench.read(bench.dead, at_least=1)
    assert header(dead, "dlq-reason") == "retries_exhausted"
    assert [str(error) for error in seen.bugs] == ["the database is away"]


async def test_a_transient_failure_holds_only_its_own_key(bench: Bench) -> None:
    await bench.fill([(b"slow", b"1"), (b"slow", b"2"), (b"fast", b"3")], partition=0)
    failures = 0

    async def handler(record: Record) -> list[Output]:
        nonlocal failures
        if record.value == b"1" and failures < 4:
            failures += 1
            raise Retry("busy", retry_after_s=0.1)
        return list(bench.copy(record))

    async with running(bench.worker(handler, limits=Limits(backoff_s_min=0.01))):
        got = await bench.read(bench.target, at_least=3)
    assert [r.value for r in got] == [b"3", b"1", b"2"]


async def test_a_record_that_takes_too_long_is_dead_lettered(bench: Bench) -> None:
    await bench.fill([(b"k", b"1"), (b"k", b"2")])

    async def handler(record: Record) -> list[Output]:
        if record.value == b"1":
            await asyncio.Event().wait()
        return list(bench.copy(record))

    async with running(bench.worker(handler, limits=Limits(time_in_flight_s_max=0.3))):
        dead = (await bench.read(bench.dead, at_least=1))[0]
        got = await bench.read(bench.target, at_least=1)
    assert (header(dead, "dlq-reason"), [r.value for r in got]) == ("time_in_flight", [b"2"])


@pytest.mark.parametrize("size", [4_500_000, 7_000_000])
async def test_an_oversized_result_among_five_is_dead_lettered_and_its_neighbours_go_on(
    bench: Bench, size: int
) -> None:
    """Refused by our own limit, or only by the broker, in the middle of a transaction."""
    await bench.fill([(b"k%d" % n, b"%d" % n) for n in range(5)], partition=1)
    gate = asyncio.Event()

    async def handler(record: Record) -> list[Output]:
        await gate.wait()  # all five into one transaction
        value = b"x" * size if record.value == b"2" else record.value
        return [
            Output(bench.target, record.key, b"first of " + (record.value or b"")),
            Output(bench.target, b"k", value),
        ]

    ours = 4_000_000 if size < 5_000_000 else 8_000_000
    limits = Limits(output_bytes_max=ours)
    async with running(worker := bench.worker(handler, limits=limits)):
        await worker.assigned.wait()
        gate.set()
        dead = (await bench.read(bench.dead, at_least=1))[0]
        got = await bench.read(bench.target, at_least=8)
    assert (dead.value, header(dead, "dlq-reason")) == (b"2", "result_too_large")
    assert b"first of 2" not in {r.value for r in got}, "a part of the refused result became visible"
    assert len(got) == 8


async def test_keys_that_are_null_empty_or_odd_pass_unchanged(bench: Bench) -> None:
    keys: list[bytes | None] = [None, b"", b"/", b"a/b", b"\x00\xff", None]
    await bench.fill([(key, b"%d" % n) for n, key in enumerate(keys)])

    async def handler(record: Record) -> list[Output]:
        return list(bench.copy(record))

    async with running(bench.worker(handler)):
        got = await bench.read(bench.target, at_least=len(keys))
    assert {(r.key, r.value) for r in got} == {(key, b"%d" % n) for n, key in enumerate(keys)}


async def test_transaction_markers_and_aborted_records_are_passed_over(bench: Bench) -> None:
    producer = AIOKafkaProducer(**bench.client, transactional_id=f"{bench.name}-writer")
    await producer.start()
    for n in range(6):
        await producer.begin_transaction()
        await producer.send_and_wait(bench.source, key=b"k", value=b"%d" % n, partition=0)
        await (producer.abort_transaction() if n % 2 else producer.commit_transaction())
    await producer.stop()

    async def handler(record: Record) -> list[Output]:
        return list(bench.copy(record))

    seen = Seen()
    async with running(bench.worker(handler, observer=seen)):
        await bench.read(bench.target, at_least=3)
    async with running(bench.worker(handler)):
        await bench.fill([(b"k", b"6")], partition=0)
        got = await bench.read(bench.target, at_least=4)
    assert [r.value for r in got] == [b"0", b"2", b"4", b"6"]


async def test_a_fenced_owner_takes_over_again_and_repeats_nothing(bench: Bench) -> None:
    """A stale worker initialises the rightful owner's producer in the middle of its work."""
    sent = rows(1_000, keys=50)
    await bench.fill(sent, partition=0)
    handled = 0

    async def handler(record: Record) -> list[Output]:
        nonlocal handled
        await asyncio.sleep(0.01)
        handled += 1
        return list(bench.copy(record))

    seen = Seen()
    async with running(bench.worker(handler, limits=Limits(in_flight_max=20), observer=seen)):
        for share in (200, 500, 800):
            await until(lambda share=share: handled > share)
            stale = AIOKafkaProducer(**bench.client, transactional_id=f"{bench.name}-group-{bench.source}-0")
            await stale.start()
            await stale.stop()
        got = await bench.read(bench.target, at_least=1_000)
    assert_once_in_order(sent, got)
    assert seen.count("recovered") >= 1


async def _late_commit_of_a_stale_owner(bench: Bench, safeguards: Safeguards) -> list[bytes]:
    """Two owners of a partition that both believe they are: the first took records before the second did, and
    commits them after it, as a worker does that was frozen in between. Gives the outputs, read once that of a last
    record is visible, which a third owner commits after both."""
    await bench.fill([(b"k%d" % n, b"%d" % n) for n in range(6)], partition=0)
    *records, last = await bench.read(bench.source, at_least=6)
    stale, rightful, third = (_owner(bench, safeguards) for _ in range(3))
    for owner in (stale, rightful):
        await _opened(owner)
        for record in records:
            assert owner.take(record)
    for owner, results in ((rightful, records), (stale, records), (third, [last])):
        if owner is third:
            await _opened(third)
            assert third.take(last)
        await _commit_and_close(owner, [Result(record, bench.copy(record)) for record in results])
    outputs = await bench.read(bench.target, including={b"5"})
    return [record.value for record in outputs if record.value != b"5"]


def _owner(bench: Bench, safeguards: Safeguards) -> Partition:
    async def nothing(record: Record) -> list[Output]:
        raise AssertionError("no handler runs here")

    async def believes() -> bool:
        return True

    async def start() -> int:
        return 0

    stage = Stage(bench.source, f"{bench.name}-group", nothing, bench.dead, safeguards=safeguards)
    return Partition(0, stage, client=bench.client, is_owner=believes, log_start=start, observer=Seen())


async def _opened(owner: Partition) -> None:
    """As the worker does: again, while the broker still makes its topic of offsets."""
    async with asyncio.timeout(30):
        while not owner.ready:
            try:
                await owner.open()
            except KafkaError:
                await asyncio.sleep(0.1)


async def _commit_and_close(owner: Partition, results: list[Result]) -> None:
    committing = asyncio.create_task(owner.commit_forever())
    for result in results:
        owner.put(result)
    async with asyncio.timeout(30):
        await owner.drained()
    committing.cancel()
    await owner.close()


async def test_a_stale_owner_that_commits_late_repeats_nothing(bench: Bench) -> None:
    assert await _late_commit_of_a_stale_owner(bench, Safeguards()) == [b"%d" % n for n in range(5)]


async def test_without_fencing_a_stale_owner_that_commits_late_repeats_records(bench: Bench) -> None:
    """The negative control of the test above."""
    assert len(await _late_commit_of_a_stale_owner(bench, Safeguards(fencing=False))) == 10


async def test_an_operator_may_set_offsets_back_while_the_group_is_down(bench: Bench) -> None:
    await bench.fill([(b"k", b"%d" % n) for n in range(5)], partition=0)

    async def handler(record: Record) -> list[Output]:
        return list(bench.copy(record))

    async with running(bench.worker(handler)):
        await bench.read(bench.target, at_least=5)
    from aiokafka import AIOKafkaConsumer

    operator = AIOKafkaConsumer(**bench.client, group_id=f"{bench.name}-group", enable_auto_commit=False)
    operator.assign([TopicPartition(bench.source, 0)])
    await operator.start()
    await operator.commit({TopicPartition(bench.source, 0): OffsetAndMetadata(3, "reset by an operator")})
    await operator.stop()
    async with running(bench.worker(handler)):
        got = await bench.read(bench.target, at_least=7)
    assert [int(r.value) for r in got] == [0, 1, 2, 3, 4, 3, 4]


async def test_stopping_finishes_what_is_in_flight_and_leaves_the_rest(bench: Bench) -> None:
    await bench.fill([(b"k%d" % n, b"%d" % n) for n in range(100)])
    started = 0

    async def handler(record: Record) -> list[Output]:
        nonlocal started
        started += 1
        await asyncio.sleep(0.5)
        return list(bench.copy(record))

    async with running(bench.worker(handler, limits=Limits(in_flight_max=10))):
        await until(lambda: started == 10)
    assert len(await bench.read(bench.target, at_least=10)) == started == 10
