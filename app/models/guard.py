"""Between us and a provider: no more calls at once than it takes, and none while it is away."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agents.contract import PermanentError
from app.models.errors import CallFailed, Leaving, RateLimited, charged
from app.models.limits import Breaker, ConcurrencyLimit
from app.models.quota import Quotas
from app.models.rate_headers import Told
from app.ports import ProviderAway

# A call that found no place for so long is given back: its record waits with its time standing still.
PLACE_S_MAX = 30.0
# Who leaves sends only what is answered in time even if it takes so many times as long as usual: an answer that is not
# waited for is paid for, and paid for again by the next owner.
_LEAVING_MARGIN = 3.0
_LATENCY_S_UNKNOWN = 30.0  # of a model that has not answered yet


@dataclass
class _Model:
    limit: ConcurrencyLimit = field(default_factory=ConcurrencyLimit)
    quotas: Quotas = field(default_factory=Quotas)
    breaker: Breaker = field(default_factory=Breaker)
    in_flight: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    alarm: asyncio.TimerHandle | None = None

    @property
    def usual_s(self) -> float:
        return self.limit.latency_s or _LATENCY_S_UNKNOWN

    def ready_at(self) -> float:
        return max(self.limit.ready_at(), self.quotas.ready_at())

    def started(self, now: float) -> None:
        self.in_flight += 1
        self.limit.started(now)
        self.quotas.started(now)
        self.breaker.started()
        self.wake()  # or nobody would for the next, if it must wait for a time and not for a call's end

    def wake(self) -> None:
        """As many as now find a place. All, if the provider is away: nobody waits for it here."""
        if self.waiting:
            self._wake(len(self.waiting) if self.breaker.is_open else self._places())

    def wake_all(self) -> None:
        self._wake(len(self.waiting))

    def _wake(self, number: int) -> None:
        while self.waiting and number > 0:
            place = self.waiting.popleft()
            if not place.done():  # its call may have been cancelled
                place.set_result(None)
                number -= 1

    def _places(self) -> int:
        if (wait_s := self.ready_at() - time.monotonic()) > 0:
            self._set_alarm(wait_s)
            return 0
        return int(min(self.limit.places - self.in_flight, self.quotas.at_once))

    def _set_alarm(self, wait_s: float) -> None:
        """One for all who wait."""
        loop = asyncio.get_running_loop()
        if self.alarm and loop.time() <= self.alarm.when() <= loop.time() + wait_s:
            return
        if self.alarm:
            self.alarm.cancel()
        self.alarm = loop.call_later(wait_s, self._alarmed)

    def _alarmed(self) -> None:
        self.alarm = None
        self.wake()


class Guard:
    """One for each provider and process; models are told apart."""

    def __init__(self, *, place_s_max: float = PLACE_S_MAX) -> None:
        self._place_s_max = place_s_max
        self._models: dict[str, _Model] = {}
        self._leaves_at = math.inf

    def leave(self, within_s: float) -> None:
        """From now on turn back each call whose answer this worker would not wait for."""
        self._leaves_at = time.monotonic() + within_s
        for state in self._models.values():
            state.wake_all()

    def told(self, model: str, told: Told) -> None:
        """What a provider's answer says of its limits."""
        state = self._models.setdefault(model, _Model())
        state.quotas.told(told)
        state.wake()

    def is_away(self, model: str) -> bool:
        """Calls to it would be turned back now."""
        state = self._models.get(model)
        return state is not None and state.breaker.wait_s(time.monotonic()) > 0

    @asynccontextmanager
    async def call(self, model: str) -> AsyncIterator[None]:
        """Wait for a place, and learn from how the call ends. Raises ProviderAway when there is none in time, Leaving
        when there is none before this worker leaves."""
        state = self._models.setdefault(model, _Model())
        await self._place(state, model)
        began = time.monotonic()
        state.started(began)
        try:
            yield
        except RateLimited as error:
            state.limit.refused(time.monotonic(), began, error.retry_after_s)
            state.breaker.succeeded()
            raise
        except (CallFailed, ProviderAway) as error:
            state.breaker.failed(time.monotonic())
            if charged(error) == "unknown":
                state.limit.unanswered(time.monotonic(), began)
            raise
        except PermanentError:
            state.breaker.succeeded()  # it is there, and said no
            raise
        except BaseException:
            state.breaker.given_up()
            raise
        else:
            ended = time.monotonic()
            state.limit.succeeded(state.in_flight, ended, ended - began)
            state.breaker.succeeded()
        finally:
            state.in_flight -= 1
            state.wake()

    async def _place(self, state: _Model, model: str) -> None:
        deadline = time.monotonic() + self._place_s_max
        while True:
            now = time.monotonic()
            wait_s = state.breaker.wait_s(now)
            ready_at = max(now + wait_s, state.ready_at())
            if ready_at >= (last_start := self._leaves_at - _LEAVING_MARGIN * state.usual_s):
                raise Leaving(f"{model} would not answer before this worker leaves")
            if wait_s:
                raise ProviderAway(f"{model} is away: next try in {wait_s:.0f} s", retry_after_s=wait_s)
            if state.in_flight < state.limit.places and now >= ready_at:
                return
            # Never past the deadline: the journal gives a call that began late to somebody else.
            if now >= deadline or ready_at > deadline:
                raise ProviderAway(f"{model} takes no more calls now", retry_after_s=max(1.0, ready_at - now))
            await self._turn(state, min(deadline, last_start))

    async def _turn(self, state: _Model, until: float) -> None:
        """Until there is a place, or ``until``."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        state.waiting.append(place)
        state.wake()
        try:
            async with asyncio.timeout(until - time.monotonic()):
                await place
        except TimeoutError:
            return
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                state.wake()  # the place that it was given goes to the next
            raise
