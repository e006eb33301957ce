"""A broker that shows a transaction's outputs and has forgotten its offset: the next owner knows by the outputs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from app.runtime.dead_letter import dead_letter
from app.runtime.partition import Partition
from app.runtime.record import Output, Record, Result, Stage
from app.runtime.told import HEADER
from tests.topics import Bench, Seen

WORK_S_MAX = 10.0


@pytest.fixture
async def bench(kafka_bootstrap: str, prefix: str) -> Bench:
    bench = await Bench(kafka_bootstrap, prefix, partitions=1).create()
    await bench.fill(((b"k%d" % n, b"%d" % n) for n in range(10)), partition=0)
    return bench


class Owner(Partition):
    """``forgetful``: what the broker says is committed, instead of what is."""

    def __init__(self, bench: Bench, *, forgetful: tuple[int, str] | None = None) -> None:
        self.seen = Seen()
        self._bench = bench
        self._forgetful = forgetful

        async def nothing(record: Record) -> Sequence[Output]:
            return ()

        stage = Stage(bench.source, f"{bench.name}-group", nothing, bench.dead, outputs=(bench.target,))
        super().__init__(0, stage, client=bench.client, is_owner=_yes, log_start=_first, observer=self.seen)

    async def _read_offset(self) -> tuple[int, str]:
        return await super()._read_offset() if self._forgetful is None else self._forgetful

    async def commit(self, results: Sequence[Result]) -> tuple[int, str]:
        """One transaction. Gives what was committed before it."""
        before = self._committed
        assert before is not None
        for result in results:
            self.take(result.record)
            self.put(result)
        committing = asyncio.create_task(self.commit_forever())
        async with asyncio.timeout(WORK_S_MAX):
            await self.drained()
        committing.cancel()
        await asyncio.wait([committing])
        return before.offset, before.metadata

    def untaken(self, records: Sequence[Record]) -> list[int]:
        return [record.offset for record in records if self.take(record)]


async def _yes() -> bool:
    return True


async def _first() -> int:
    return 0


def copied(bench: Bench, records: Sequence[Record]) -> list[Result]:
    return [Result(record, bench.copy(record)) for record in records]


async def opened(bench: Bench, *, committed: tuple[int, str] | None = None) -> Owner:
    owner = Owner(bench, forgetful=committed)
    async with asyncio.timeout(WORK_S_MAX):
        while True:
            try:
                await owner.open()
            except KafkaError:  # the first group of a broker has its topic made
                await asyncio.sleep(0.1)
            else:
                return owner


async def test_what_a_broker_forgot_is_not_done_again(bench: Bench) -> None:
    """Nor is it after a second owner, who has committed nothing of his own."""
    records = await bench.read(bench.source, at_least=10)
    owner = await opened(bench)
    assert owner.untaken(records) == list(range(10))
    await owner.commit(copied(bench, records[:3]))
    before = await owner.commit(copied(bench, [records[3], records[5], records[8]]))
    await owner.close()
    for _ in range(2):
        owner = await opened(bench, committed=before)
        assert owner.untaken(records) == [4, 6, 7, 9]
        assert owner.seen.count("offset_lost") == 1
        await owner.close()


async def test_the_very_first_transaction_that_a_broker_forgot_is_not_done_again(bench: Bench) -> None:
    records = await bench.read(bench.source, at_least=10)
    owner = await opened(bench)
    before = await owner.commit(copied(bench, records[:3]))
    await owner.close()
    owner = await opened(bench, committed=before)
    assert owner.untaken(records) == [3, 4, 5, 6, 7, 8, 9]
    await owner.close()


async def test_two_transactions_that_a_broker_forgot_are_not_done_again(bench: Bench) -> None:
    records = await bench.read(bench.source, at_least=10)
    owner = await opened(bench)
    before = await owner.commit(copied(bench, records[:3]))
    await owner.commit(copied(bench, records[3:5]))
    await owner.close()
    owner = await opened(bench, committed=before)
    assert owner.untaken(records) == [5, 6, 7, 8, 9]
    await owner.close()


async def test_dead_letters_tell_too(bench: Bench) -> None:
    records = await bench.read(bench.source, at_least=10)
    owner = await opened(bench)
    letter = dead_letter(records[0], topic=bench.dead, stage="s", reason="bad", error=None, attempts=1, bytes_max=1_000)
    before = await owner.commit([Result(records[0], (letter,), dead=True)])
    await owner.close()
    owner = await opened(bench, committed=before)
    assert owner.untaken(records) == list(range(1, 10))
    await owner.close()


async def test_other_writers_and_aborted_records_behind_the_last_commit_hide_nothing(bench: Bench) -> None:
    records = await bench.read(bench.source, at_least=10)
    owner = await opened(bench)
    before = await owner.commit(copied(bench, records[:3]))
    await owner.close()
    await _write(bench, 600, transactional_id=None)
    await _write(bench, 600, transactional_id=f"{bench.name}-other")
    owner = await opened(bench, committed=before)
    assert owner.untaken(records) == [3, 4, 5, 6, 7, 8, 9]
    await owner.close()


async def test_an_operators_reset_is_no_loss(bench: Bench) -> None:
    """The outputs of earlier work stand at the end of the topic, and yet all is done again, and stays so."""
    records = await bench.read(bench.source, at_least=10)
    owner = await opened(bench)
    await owner.commit(copied(bench, records))
    await owner.close()
    owner = await opened(bench, committed=(2, ""))
    assert owner.untaken(records) == [2, 3, 4, 5, 6, 7, 8, 9]
    assert owner.seen.count("offset_lost") == 0
    await owner.close()
    owner = await opened(bench)
    assert owner.untaken(records) == [2, 3, 4, 5, 6, 7, 8, 9]
    await owner.close()


async def test_a_dead_letter_does_not_carry_what_its_record_told(bench: Bench) -> None:
    """It would be found at the end of the dead-letter topic, and hide what was told after it."""
    (record, *_) = await bench.read(bench.source, at_least=10)
    told = replace(record, headers=((HEADER, b"{}"),))
    letter = dead_letter(told, topic=bench.dead, stage="s", reason="bad", error=None, attempts=1, bytes_max=1_000)
    assert HEADER not in dict(letter.headers)


async def _write(bench: Bench, number: int, *, transactional_id: str | None) -> None:
    """``transactional_id``: within a transaction that is aborted."""
    producer = AIOKafkaProducer(**bench.client, transactional_id=transactional_id)
    await producer.start()
    try:
        if transactional_id is not None:
            await producer.begin_transaction()
        sent = [await producer.send(bench.target, value=b"other", partition=0) for _ in range(number)]
        await asyncio.gather(*sent)
        if transactional_id is not None:
            await producer.abort_transaction()
    finally:
        await producer.stop()
