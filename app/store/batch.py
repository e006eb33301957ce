"""Many small requests of one kind, from many tasks, as few statements.

A statement starts as soon as there is a request and a free place, and takes everything that has gathered meanwhile: no
fixed wait when it is quiet, large batches when it is busy.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from typing import Generic, TypeVar

from agents.contract import TransientError

T = TypeVar("T")
R = TypeVar("R")

REQUESTS_MAX = 500  # of one statement: some milliseconds of PostgreSQL's time
STATEMENTS_MAX = 2  # at once: one is prepared in Python while the other runs
WAITING_MAX = 50_000


class Batcher(Generic[T, R]):
    """``run`` gets at most ``requests_max`` requests, no two of one ``key``, and gives their results in order."""

    def __init__(
        self,
        run: Callable[[Sequence[T]], Awaitable[Sequence[R]]],
        *,
        key: Callable[[T], Hashable],
        requests_max: int = REQUESTS_MAX,
        statements_max: int = STATEMENTS_MAX,
    ) -> None:
        self._run = run
        self._key = key
        self._requests_max = requests_max
        self._statements_max = statements_max
        self._waiting: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._running: set[asyncio.Task[bool]] = set()
        self._running_keys: set[Hashable] = set()
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None  # looked up once: Python asks the system for it each time

    def enqueue(self, request: T) -> asyncio.Future[R]:
        """The result of ``request`` to come, or the error that it alone made. Cancelling the future takes no other
        request with it; the request itself may have run."""
        if self._closed:
            raise RuntimeError("this batcher is closed")
        if len(self._waiting) >= WAITING_MAX:
            raise TransientError(f"{WAITING_MAX:,} requests already wait for the database")
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
        future: asyncio.Future[R] = self._loop.create_future()
        self._waiting.append((request, future))
        self._start()
        return future

    async def close(self) -> None:
        """Take no more requests and wait for those that are here. The pool's statement time-out bounds it."""
        self._closed = True
        while self._running:
            await asyncio.wait(self._running)

    def _start(self) -> None:
        if self._waiting and len(self._running) < self._statements_max:
            # The batch is gathered when the task first runs: after the tasks that are ready now.
            task = asyncio.create_task(self._run_next())
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[bool]) -> None:
        self._running.discard(task)
        # Nothing could be taken: all that waits has the key of a running request, whose end comes through here too.
        if not task.cancelled() and task.result():
            self._start()

    def _next_batch(self) -> list[tuple[T, asyncio.Future[R]]]:
        batch: list[tuple[T, asyncio.Future[R]]] = []
        later: list[tuple[T, asyncio.Future[R]]] = []
        while self._waiting and len(batch) < self._requests_max:
            request, future = self._waiting.popleft()
            if future.done():  # cancelled before it ran
                continue
            key = self._key(request)
            if key in self._running_keys:
                later.append((request, future))
            else:
                self._running_keys.add(key)
                batch.append((request, future))
        self._waiting.extendleft(reversed(later))
        return batch

    async def _run_next(self) -> bool:
        batch = self._next_batch()
        try:
            if batch:
                await self._run_halving(batch)
        finally:
            self._running_keys.difference_update(self._key(request) for request, _ in batch)
            for _, future in batch:
                future.cancel()  # only where this task was cancelled: else it has its result
        return bool(batch)

    async def _run_halving(self, batch: list[tuple[T, asyncio.Future[R]]]) -> None:
        """Run the batch; where one request spoils it, run its halves, until that one stands alone."""
        try:
            results = await self._run([request for request, _ in batch])
        except Exception as error:  # noqa: BLE001  # whatever it is, it belongs to the callers
            if len(batch) == 1 or isinstance(error, TransientError):
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                return
            middle = len(batch) // 2
            await self._run_halving(batch[:middle])
            await self._run_halving(batch[middle:])
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
