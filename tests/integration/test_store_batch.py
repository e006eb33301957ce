"""Many small requests become few statements, and stay apart from each other."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain

import pytest

from agents.contract import PermanentError, TransientError
from app.store.batch import WAITING_MAX, Batcher


class Database:
    """Doubles numbers; holds each statement until it is let go."""

    def __init__(self, *, held: bool = False) -> None:
        self.statements: list[list[int]] = []
        self.spoilt: set[int] = set()
        self.error: Exception = PermanentError("unstorable", "no")
        self.go = asyncio.Event()
        if not held:
            self.go.set()

    async def run(self, numbers: Sequence[int]) -> list[int]:
        self.statements.append(list(numbers))
        await self.go.wait()
        if self.spoilt & set(numbers):
            raise self.error
        return [2 * number for number in numbers]

    def batcher(self, **options: int) -> Batcher[int, int]:
        return Batcher(self.run, key=lambda number: number, **options)


async def turns() -> None:
    """Let every task that can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_requests_of_one_moment_share_a_statement() -> None:
    database = Database()
    batcher = database.batcher()
    assert await asyncio.gather(*(batcher.enqueue(n) for n in range(100))) == [2 * n for n in range(100)]
    assert [len(statement) for statement in database.statements] == [100]


async def test_what_comes_during_the_statements_waits_for_the_next() -> None:
    database = Database(held=True)
    batcher = database.batcher(statements_max=2)
    futures = []
    for n in range(10):
        futures.append(batcher.enqueue(n))
        await turns()
    assert database.statements == [[0], [1]]
    database.go.set()
    await asyncio.gather(*futures)
    assert database.statements[2] == list(range(2, 10))


async def test_a_statement_has_a_largest_size() -> None:
    database = Database()
    batcher = database.batcher(requests_max=40)
    await asyncio.gather(*(batcher.enqueue(n) for n in range(100)))
    assert sorted(len(statement) for statement in database.statements) == [20, 40, 40]


async def test_one_key_is_never_in_two_statements_at_once() -> None:
    database = Database(held=True)
    batcher = database.batcher()
    futures = [batcher.enqueue(7), batcher.enqueue(7), batcher.enqueue(8)]
    await turns()
    assert sorted(chain(*database.statements)) == [7, 8]
    database.go.set()
    assert await asyncio.gather(*futures) == [14, 14, 16]
    assert list(chain(*database.statements)).count(7) == 2


async def test_a_spoilt_request_fails_alone() -> None:
    database = Database()
    database.spoilt = {13}
    batcher = database.batcher()
    results = await asyncio.gather(*(batcher.enqueue(n) for n in range(50)), return_exceptions=True)
    assert isinstance(results.pop(13), PermanentError)
    assert results == [2 * n for n in range(50) if n != 13]


async def test_a_database_that_is_away_fails_the_statement_once() -> None:
    database = Database()
    database.spoilt, database.error = {13}, TransientError("away")
    batcher = database.batcher()
    results = await asyncio.gather(*(batcher.enqueue(n) for n in range(50)), return_exceptions=True)
    assert all(isinstance(result, TransientError) for result in results)
    assert len(database.statements) == 1


async def test_a_cancelled_caller_takes_nobody_with_it() -> None:
    database = Database(held=True)
    batcher = database.batcher()
    futures = [batcher.enqueue(n) for n in range(10)]
    await turns()
    futures[3].cancel()
    database.go.set()
    assert await asyncio.gather(*futures[:3], *futures[4:]) == [2 * n for n in range(10) if n != 3]


async def test_a_request_cancelled_before_its_statement_is_not_run() -> None:
    database = Database()
    batcher = database.batcher()
    kept, cancelled = batcher.enqueue(1), batcher.enqueue(2)
    cancelled.cancel()
    await kept
    assert database.statements == [[1]]


async def test_close_waits_for_what_is_here_and_takes_no_more() -> None:
    database = Database(held=True)
    batcher = database.batcher(requests_max=2, statements_max=1)
    futures = [batcher.enqueue(n) for n in range(7)]
    closing = asyncio.create_task(batcher.close())
    await turns()
    assert not closing.done()
    database.go.set()
    await asyncio.wait_for(closing, 5)
    assert [future.result() for future in futures] == [2 * n for n in range(7)]
    with pytest.raises(RuntimeError, match="closed"):
        batcher.enqueue(8)


async def test_the_queue_has_an_end() -> None:
    database = Database(held=True)
    batcher = database.batcher()
    futures = [batcher.enqueue(n) for n in range(WAITING_MAX)]
    with pytest.raises(TransientError):
        batcher.enqueue(-1)
    database.go.set()
    await asyncio.gather(*futures)
