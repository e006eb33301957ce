"""What takes longer than a page may: one job a workspace at a time, whose result is kept until the next one."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Generic, TypeVar

from aiokafka.errors import KafkaError

from agents.contract import PermanentError, TransientError

KEPT_MAX = 1_000

A = TypeVar("A")
R = TypeVar("R")


@dataclass
class Job(Generic[A, R]):
    asked: A
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    result: R | None = None
    problem: str = ""
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_running(self) -> bool:
        return not self.ended.is_set()


class Jobs(Generic[A, R]):
    def __init__(self, work: Callable[[str, A], Awaitable[R]]) -> None:
        """``work`` is given the workspace and what was asked."""
        self._work = work
        self._kept: OrderedDict[str, Job[A, R]] = OrderedDict()
        self._turn = asyncio.Semaphore(1)  # each holds thousands of tickets
        self._tasks: set[asyncio.Task[None]] = set()

    def of(self, tenant: str) -> Job[A, R] | None:
        return self._kept.get(tenant)

    def start(self, tenant: str, asked: A) -> None:
        """Nothing where one runs."""
        known = self._kept.get(tenant)
        if known is not None and known.is_running:
            return
        job = self._kept[tenant] = Job(asked)
        self._kept.move_to_end(tenant)
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        task = asyncio.create_task(self._run(tenant, job))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def wait(self, tenant: str, at_most_s: float) -> None:
        """Until the job that runs, if one does, has ended."""
        if (job := self._kept.get(tenant)) is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(job.ended.wait(), at_most_s)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, tenant: str, job: Job[A, R]) -> None:
        try:
            async with self._turn:
                job.result = await self._work(tenant, job.asked)
        except (KafkaError, TransientError, PermanentError, TimeoutError) as error:
            job.problem = str(error) or type(error).__name__
        finally:
            if job.result is None and not job.problem:  # a bug, which is raised in the task, or the end of this process
                job.problem = "interrupted"
            job.ended.set()
