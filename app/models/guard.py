"""Between us and a provider: no more calls at once than it takes, and none while it is away."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agents.contract import PermanentError
from app.models.errors import CallFailed, RateLimited, charged
from app.models.limits import Breaker, ConcurrencyLimit
from app.ports import ProviderAway

# A call that found no place for so long is given back: its record waits with its time standing still.
PLACE_S_MAX = 30.0


@dataclass
class _Model:
    limit: ConcurrencyLimit = field(default_factory=ConcurrencyLimit)
    breaker: Breaker = field(default_factory=Breaker)
    in_flight: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)

    def wake(self) -> None:
        """As many as now find a place. All, if the provider is away: nobody waits for it here."""
        number = len(self.waiting) if self.breaker.is_open else int(self.limit.limit) - self.in_flight
        while self.waiting and number > 0:
            place = self.waiting.popleft()
            if not place.done():  # its call may have been cancelled
                place.set_result(None)
                number -= 1


class Guard:
    """One for each provider and process; models are told apart."""

    def __init__(self, *, place_s_max: float = PLACE_S_MAX) -> None:
        self._place_s_max = place_s_max
        self._models: dict[str, _Model] = {}

    def is_away(self, model: str) -> bool:
        """Calls to it would be turned back now."""
        state = self._models.get(model)
        return state is not None and state.breaker.wait_s(time.monotonic()) > 0

    @asynccontextmanager
    async def call(self, model: str) -> AsyncIterator[None]:
        """Wait for a place, and learn from how the call ends. Raises ProviderAway when there is none in time."""
        state = self._models.setdefault(model, _Model())
        await self._place(state, model)
        state.in_flight += 1
        state.breaker.started()
        began = time.monotonic()
        try:
            yield
        except RateLimited as error:
            state.limit.refused(time.monotonic(), error.retry_after_s)
            state.breaker.succeeded()
            raise
        except (CallFailed, ProviderAway) as error:
            state.breaker.failed(time.monotonic())
            if charged(error) == "unknown":
                state.limit.refused(time.monotonic(), None)
            raise
        except PermanentError:
            state.breaker.succeeded()  # it is there, and said no
            raise
        except BaseException:
            state.breaker.given_up()
            raise
        else:
            state.limit.succeeded(state.in_flight, time.monotonic() - began)
            state.breaker.succeeded()
        finally:
            state.in_flight -= 1
            state.wake()

    async def _place(self, state: _Model, model: str) -> None:
        deadline = time.monotonic() + self._place_s_max
        while True:
            now = time.monotonic()
            if wait_s := state.breaker.wait_s(now):
                raise ProviderAway(f"{model} is away: next try in {wait_s:.0f} s", retry_after_s=wait_s)
            if state.limit.may_start(state.in_flight, now):
                return
            # Never past the deadline: the journal gives a call that began late to somebody else.
            if now >= deadline or state.limit.blocked_until > deadline:
                retry_after_s = max(1.0, state.limit.blocked_until - now)
                raise ProviderAway(f"{model} takes no more calls now", retry_after_s=retry_after_s)
            await self._turn(state, state.limit.blocked_until if state.limit.blocked_until > now else deadline)

    async def _turn(self, state: _Model, until: float) -> None:
        """Until a call ends that leaves a place, or ``until``."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        state.waiting.append(place)
        try:
            async with asyncio.timeout(until - time.monotonic()):
                await place
        except TimeoutError:
            return
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                state.wake()  # the place that it was given goes to the next
            raise
