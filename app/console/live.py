"""Counts that move while tickets flow: each tenant's are read once a second, however many people watch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from agents.contract import TransientError

EVERY_S = 1.0
STREAMS_MAX = 1_000
# Then the browser asks again, and is asked again who it is.
STREAM_S_MAX = 600.0
SILENT_S_MAX = 20.0  # a proxy in between ends what says nothing

Read = Callable[[str], Awaitable[Mapping[str, str]]]


class Counts:
    def __init__(self, read: Read) -> None:
        self._read = read
        self._feeds: dict[str, _Feed] = {}
        self._streams = 0

    @property
    def is_full(self) -> bool:
        return self._streams >= STREAMS_MAX

    async def follow(self, tenant: str) -> AsyncIterator[str]:
        """Server-sent events, one for each count that changed."""
        self._streams += 1
        feed = self._feeds.setdefault(tenant, _Feed(self._read, tenant))
        feed.watchers += 1
        try:
            async for text in feed.events():
                yield text
        finally:
            self._streams -= 1
            feed.watchers -= 1
            if not feed.watchers:
                feed.stop()
                self._feeds.pop(tenant, None)


class _Feed:
    def __init__(self, read: Read, tenant: str) -> None:
        self.watchers = 0
        self._read = read
        self._tenant = tenant
        self._counts: Mapping[str, str] = {}
        self._changed = asyncio.Event()
        self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        try:
            while True:
                try:
                    found = await self._read(self._tenant)
                except TransientError:
                    found = self._counts  # the page says what it knew; the database is waited for
                if found != self._counts:
                    self._counts = dict(found)
                    self._tell()
                await asyncio.sleep(EVERY_S)
        finally:
            self._tell()  # who waits learns of the end

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def events(self) -> AsyncIterator[str]:
        told: dict[str, str] = {}
        ends_at = time.monotonic() + STREAM_S_MAX
        yield "retry: 3000\n\n"
        while time.monotonic() < ends_at and not self._task.done():
            changed = self._changed
            new = {name: count for name, count in self._counts.items() if told.get(name) != count}
            told.update(new)
            if new:
                yield "".join(f"event: {name}\ndata: {count}\n\n" for name, count in new.items())
            try:
                await asyncio.wait_for(changed.wait(), SILENT_S_MAX)
            except TimeoutError:
                yield ": still here\n\n"
        if self._task.done() and not self._task.cancelled():
            self._task.result()  # a bug ends the stream, and is told where errors of requests are
