"""Looking for knowledge gaps when asked, one workspace at a time; what was found is kept until the next time."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from aiokafka.errors import KafkaError

from agents.contract import PermanentError, TransientError
from app.knowledge.gap_report import Gap, shortened

KEPT_MAX = 1_000
GAPS_MAX = 50

EXAMPLES_MAX = 5

Find = Callable[[str], Awaitable[Sequence[Gap]]]


@dataclass(frozen=True)
class Found:
    """What is shown of a gap: its tickets themselves are not held."""

    words: tuple[str, ...]
    language: str
    tickets: int
    nearest_title: str | None
    examples: tuple[tuple[str, str], ...]  # ticket id, text

    @classmethod
    def of(cls, gap: Gap) -> Found:
        examples = tuple((one.event.ticket.ticket_id, shortened(one.text)) for one in gap.members[:EXAMPLES_MAX])
        return cls(gap.words, gap.language, len(gap.members), gap.nearest_title, examples)


@dataclass
class Search:
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    gaps: tuple[Found, ...] | None = None
    problem: str = ""

    @property
    def is_running(self) -> bool:
        return self.gaps is None and not self.problem


class Searches:
    def __init__(self, find: Find) -> None:
        self._find = find
        self._kept: OrderedDict[str, Search] = OrderedDict()
        self._turn = asyncio.Semaphore(1)  # each holds thousands of tickets
        self._tasks: set[asyncio.Task[None]] = set()

    def of(self, tenant: str) -> Search | None:
        return self._kept.get(tenant)

    def start(self, tenant: str) -> None:
        """Nothing where one runs."""
        known = self._kept.get(tenant)
        if known is not None and known.is_running:
            return
        search = self._kept[tenant] = Search()
        self._kept.move_to_end(tenant)
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        task = asyncio.create_task(self._run(tenant, search))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _run(self, tenant: str, search: Search) -> None:
        try:
            async with self._turn:
                search.gaps = tuple(Found.of(gap) for gap in (await self._find(tenant))[:GAPS_MAX])
        except (KafkaError, TransientError, PermanentError, TimeoutError) as error:
            search.problem = str(error) or type(error).__name__
        finally:
            if search.is_running:  # a bug, which is raised in the task, or the end of this process
                search.problem = "interrupted"
