"""Providers with a limit, and workers that call them as fast as they may: on a clock that is only a number."""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from app.models.limits import ConcurrencyLimit
from app.models.quota import Quotas
from app.models.rate_headers import Allowance, Told

_REFUSAL_S = 0.05
_MINUTE_S = 60.0


class Server(Protocol):
    def takes(self, under_way: int, now: float) -> bool: ...

    def retry_after_s(self) -> float | None: ...

    def headers(self) -> tuple[Allowance, ...]: ...


@dataclass
class AtOnce:
    """So many calls at once; says nothing."""

    calls: int

    def takes(self, under_way: int, now: float) -> bool:
        return under_way < self.calls

    def retry_after_s(self) -> float | None:
        return None

    def headers(self) -> tuple[Allowance, ...]:
        return ()


@dataclass
class Erratic(AtOnce):
    """Also refuses this share of calls by chance, however few there are."""

    share: float
    seed: int = 1
    asks_to_wait_s: float | None = None

    def __post_init__(self) -> None:
        self._rng = random.Random(self.seed)

    def takes(self, under_way: int, now: float) -> bool:
        return self._rng.random() >= self.share and super().takes(under_way, now)

    def retry_after_s(self) -> float | None:
        return self.asks_to_wait_s


@dataclass
class PerMinute:
    """So many requests a minute: from a bucket that fills steadily, or anew each minute (``in_windows``)."""

    requests: int
    says_headers: bool = False
    says_retry_after: bool = True
    in_windows: bool = False
    _left: float = field(init=False)
    _now: float = 0.0

    def __post_init__(self) -> None:
        self._left = self.requests

    def takes(self, under_way: int, now: float) -> bool:
        if self.in_windows:
            self._left = self.requests if now // _MINUTE_S > self._now // _MINUTE_S else self._left
        else:
            self._left = min(self.requests, self._left + (now - self._now) * self.requests / _MINUTE_S)
        self._now = now
        taken = self._left >= 1
        self._left -= taken
        return taken

    def retry_after_s(self) -> float | None:
        if not self.says_retry_after:
            return None
        return self._full_after_s() if self.in_windows else (1 - self._left) * _MINUTE_S / self.requests

    def headers(self) -> tuple[Allowance, ...]:
        if not self.says_headers:
            return ()
        return (Allowance("requests", int(self._left), self.requests, self._full_after_s()),)

    def _full_after_s(self) -> float:
        if self.in_windows:
            return _MINUTE_S - self._now % _MINUTE_S
        return (self.requests - self._left) * _MINUTE_S / self.requests


@dataclass
class Worker:
    """As the guard uses both."""

    limit: ConcurrencyLimit = field(default_factory=ConcurrencyLimit)
    quotas: Quotas = field(default_factory=Quotas)
    in_flight: int = 0
    taken: int = 0

    def ready_at(self) -> float:
        return max(self.limit.ready_at(), self.quotas.ready_at())


class Call(NamedTuple):
    ends_at: float
    number: int  # tells calls apart that end together
    worker: Worker
    started_at: float
    taken: bool
    retry_after_s: float | None
    headers: tuple[Allowance, ...]


class Counted(NamedTuple):
    taken: int
    refused: int

    @property
    def refused_share(self) -> float:
        return self.refused / max(1, self.taken + self.refused)


@dataclass
class Simulation:
    server: Server
    latency_s: float
    workers: list[Worker] = field(default_factory=lambda: [Worker()])
    now: float = 0.0
    _rng: random.Random = field(default_factory=lambda: random.Random(1))
    _under_way: list[Call] = field(default_factory=list)
    _calls: int = 0
    _at_server: int = 0

    def run(self, seconds: float) -> Counted:
        """Calls that were started within; there is always more work."""
        until, counted = self.now + seconds, {True: 0, False: 0}
        while self.now < until:
            wake_at = float("inf")
            for worker in self._rng.sample(self.workers, len(self.workers)):
                while worker.in_flight < worker.limit.places and (ready_at := worker.ready_at()) <= self.now:
                    counted[self._start(worker)] += 1
                if worker.in_flight < worker.limit.places:
                    wake_at = min(wake_at, ready_at)
            if self._under_way and self._under_way[0].ends_at <= wake_at:
                self._end(heapq.heappop(self._under_way))
            else:
                self.now = max(wake_at, self.now + 1e-6)
        return Counted(counted[True], counted[False])

    def _start(self, worker: Worker) -> bool:
        worker.in_flight += 1
        worker.limit.started(self.now)
        worker.quotas.started(self.now)
        taken = self.server.takes(self._at_server, self.now)
        self._at_server += taken
        worker.taken += taken
        self._calls += 1
        took_s = self.latency_s * self._rng.uniform(0.7, 1.3) if taken else _REFUSAL_S
        retry_after_s = None if taken else self.server.retry_after_s()
        call = Call(
            self.now + took_s, self._calls, worker, self.now, taken, retry_after_s, self.server.headers()
        )  # fmt: skip
        heapq.heappush(self._under_way, call)
        return taken

    def _end(self, call: Call) -> None:
        self.now = call.ends_at
        worker, took_s = call.worker, self.now - call.started_at
        worker.quotas.told(Told(call.headers, call.started_at))
        if call.taken:
            worker.limit.succeeded(worker.in_flight, self.now, took_s)
        else:
            worker.limit.refused(self.now, call.started_at, call.retry_after_s)
        worker.in_flight -= 1
        self._at_server -= call.taken
