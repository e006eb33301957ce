"""Between us and a provider: no more calls at once than it takes, and none while it is away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from app.models.errors import CallFailed, RateLimited, charged
from app.models.limits import Breaker, ConcurrencyLimit
from app.ports import ProviderAway

# A call that found no place for so long is given back: its record waits with its time standing still.
PLACE_S_MAX = 30.0
_LOOK_AGAIN_S = 0.05


@dataclass
class _Model:
    limit: ConcurrencyLimit = field(default_factory=ConcurrencyLimit)
    breaker: Breaker = field(default_factory=Breaker)
    in_flight: int = 0
    freed: asyncio.Event = field(default_factory=asyncio.Event)


class Guard:
    """One for each provider and process; models are told apart."""

    def __init__(self) -> None:
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
            raise
        except (CallFailed, ProviderAway) as error:
            state.breaker.failed(time.monotonic())
            if charged(error) == "unknown":
                state.limit.refused(time.monotonic(), None)
            raise
        else:
            state.limit.succeeded(state.in_flight, time.monotonic() - began)
            state.breaker.succeeded()
        finally:
            state.in_flight -= 1
            state.freed.set()

    async def _place(self, state: _Model, model: str) -> None:
        deadline = time.monotonic() + PLACE_S_MAX
        while True:
            now = time.monotonic()
            if wait_s := state.breaker.wait_s(now):
                raise ProviderAway(f"{model} is away: next try in {wait_s:.0f} s", retry_after_s=wait_s)
            if state.limit.may_start(state.in_flight, now):
                return
            if now > deadline:
                raise ProviderAway(f"{model} takes no more calls now", retry_after_s=1.0)
            state.freed.clear()
            try:
                async with asyncio.timeout(max(_LOOK_AGAIN_S, state.limit.blocked_until - now)):
                    await state.freed.wait()
            except TimeoutError:
                continue
