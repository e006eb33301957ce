"""Between us and a provider: a place for each call, none while it is away, and the way back."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from agents.contract import PermanentError
from app.models.errors import REFUSED, CallFailed, Leaving, RateLimited
from app.models.guard import Guard, _Model
from app.models.limits import Breaker, ConcurrencyLimit
from app.models.rate_headers import Allowance, Told
from app.ports import ProviderAway

FIRST_LIMIT = int(ConcurrencyLimit().limit)
FAILURES_MAX = Breaker().failures_max
DOWN = CallFailed("500", charged="no")


async def fail(guard: Guard, error: BaseException, model: str = "m") -> None:
    with pytest.raises(type(error)):
        async with guard.call(model):
            raise error


async def open_breaker(guard: Guard, model: str = "m") -> None:
    for _ in range(FAILURES_MAX):
        await fail(guard, DOWN, model)


async def hold(guard: Guard, until: asyncio.Event) -> None:
    async with guard.call("m"):
        await until.wait()


async def fill(guard: Guard, until: asyncio.Event) -> list[asyncio.Task[None]]:
    """As many calls as there are places, all under way."""
    tasks = [asyncio.create_task(hold(guard, until)) for _ in range(FIRST_LIMIT)]
    await asyncio.sleep(0)
    return tasks


async def test_no_more_calls_at_once_than_the_limit() -> None:
    guard, end, most, now = Guard(), asyncio.Event(), 0, 0

    async def call() -> None:
        nonlocal most, now
        async with guard.call("m"):
            now += 1
            most = max(most, now)
            await end.wait()
            now -= 1

    calls = [asyncio.create_task(call()) for _ in range(FIRST_LIMIT * 3)]
    for _ in range(10):
        await asyncio.sleep(0)
    assert most == FIRST_LIMIT
    end.set()
    await asyncio.gather(*calls)


async def test_a_call_that_finds_no_place_in_time_is_given_back() -> None:
    guard, end = Guard(place_s_max=0.05), asyncio.Event()
    calls = await fill(guard, end)
    with pytest.raises(ProviderAway, match="no more calls"):
        async with guard.call("m"):
            raise AssertionError("there is no place")
    end.set()
    await asyncio.gather(*calls)


async def test_a_wait_longer_than_a_place_is_waited_for_is_given_back_at_once() -> None:
    """A call that began later would be made a second time by whoever takes over its intent."""
    guard = Guard(place_s_max=30)
    await fail(guard, RateLimited("429", retry_after_s=60))
    async with asyncio.timeout(1):
        with pytest.raises(ProviderAway) as away:
            async with guard.call("m"):
                raise AssertionError("the provider asked for a minute")
    assert away.value.retry_after_s == pytest.approx(60, abs=1)


async def test_a_short_wait_that_the_provider_asked_for_is_waited_here() -> None:
    guard, loop = Guard(), asyncio.get_running_loop()
    await fail(guard, RateLimited("429", retry_after_s=0.1))
    began = loop.time()
    async with guard.call("m"):
        assert loop.time() - began >= 0.09


def left(remaining: int, *, limit: int = 100, full_after_s: float = 10.0) -> Told:
    return Told((Allowance("requests", remaining, limit, full_after_s),), asked_at=time.monotonic())


async def test_a_call_waits_before_it_is_refused() -> None:
    """Headers said that nothing is left; by them all is in a moment."""
    guard, loop = Guard(), asyncio.get_running_loop()
    guard.told("m", left(0, full_after_s=0.5))
    began = loop.time()
    async with asyncio.timeout(5):
        async with guard.call("m"):
            assert loop.time() - began >= 0.4


async def test_all_who_wait_for_a_pace_get_their_turn_one_after_the_other() -> None:
    """None of them ends meanwhile: only the clock wakes them."""
    guard, end = Guard(), asyncio.Event()
    guard.told("m", left(10, limit=10_000, full_after_s=1.0))
    calls = [asyncio.create_task(hold(guard, end)) for _ in range(4)]
    in_flight = guard._models["m"]
    async with asyncio.timeout(5):
        while in_flight.in_flight < 4:
            await asyncio.sleep(0.01)
    end.set()
    await asyncio.gather(*calls)


async def test_a_refill_that_is_far_away_is_not_waited_for_here() -> None:
    guard = Guard(place_s_max=1)
    guard.told("m", left(0, full_after_s=60))
    with pytest.raises(ProviderAway) as away:
        async with guard.call("m"):
            raise AssertionError("nothing is left")
    assert away.value.retry_after_s == pytest.approx(60, abs=1)


async def test_what_is_left_counts_calls_that_the_provider_has_not_seen_yet() -> None:
    guard, end = Guard(place_s_max=0.05), asyncio.Event()
    told = left(7, full_after_s=1_000)
    calls = await fill(guard, end)
    guard.told("m", told)  # of a call before them all
    calls[0].cancel()  # there is a place
    with pytest.raises(ProviderAway):
        async with guard.call("m"):
            raise AssertionError("the provider would have refused it")
    end.set()
    await asyncio.gather(*calls, return_exceptions=True)


async def test_a_place_given_to_a_call_that_is_cancelled_goes_to_the_next() -> None:
    guard, end, entered = Guard(), asyncio.Event(), asyncio.Event()

    async def enter() -> None:
        async with guard.call("m"):
            entered.set()

    calls = await fill(guard, end)
    first = asyncio.create_task(hold(guard, end))
    await asyncio.sleep(0)
    second = asyncio.create_task(enter())
    await asyncio.sleep(0)
    calls[0].cancel()
    while not calls[0].done():
        await asyncio.sleep(0)
    first.cancel()  # woken, but not yet run
    async with asyncio.timeout(1):
        await entered.wait()
    end.set()
    await asyncio.gather(*calls, first, second, return_exceptions=True)


async def test_a_provider_that_fails_in_a_row_is_left_alone() -> None:
    guard = Guard()
    await open_breaker(guard)
    assert guard.is_away("m")
    with pytest.raises(ProviderAway, match="next try") as away:
        async with guard.call("m"):
            raise AssertionError("it is away")
    assert away.value.retry_after_s and away.value.retry_after_s <= Breaker().pause_s_min


async def test_those_who_wait_for_a_place_are_turned_back_when_the_provider_goes_away() -> None:
    guard, end = Guard(), asyncio.Event()

    async def failing() -> None:
        async with guard.call("m"):
            await end.wait()
            raise DOWN

    calls = [asyncio.create_task(failing()) for _ in range(FIRST_LIMIT)]
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(failing()) for _ in range(FIRST_LIMIT * 20)]
    await asyncio.sleep(0)
    end.set()
    async with asyncio.timeout(1):
        outcomes = await asyncio.gather(*calls, *waiting, return_exceptions=True)
    assert sum(isinstance(outcome, ProviderAway) for outcome in outcomes) == len(waiting)


async def test_models_are_told_apart() -> None:
    guard = Guard()
    await open_breaker(guard, "one")
    async with guard.call("another"):
        pass
    assert guard.is_away("one") and not guard.is_away("another")


@pytest.mark.parametrize(
    "end",
    [
        None,
        RateLimited("429", retry_after_s=None),
        PermanentError(REFUSED, "400"),
        asyncio.CancelledError(),
        ZeroDivisionError(),
    ],
    ids=["answer", "rate limit", "refusal", "cancelled", "bug"],
)
async def test_however_a_probe_ends_without_a_failure_the_next_call_may_be_made(
    end: BaseException | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A probe whose end is not noted would keep the provider away for ever."""
    guard, clock = Guard(), Clock(monkeypatch)
    await open_breaker(guard)
    clock.now += Breaker().pause_s_max
    if end is None:
        async with guard.call("m"):
            pass
    else:
        await fail(guard, end)
    clock.now += Breaker().pause_s_max
    async with guard.call("m"):
        pass


async def test_a_probe_that_fails_keeps_the_provider_away_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    guard, clock = Guard(), Clock(monkeypatch)
    await open_breaker(guard)
    clock.now += Breaker().pause_s_min
    await fail(guard, DOWN)
    clock.now += Breaker().pause_s_min
    assert guard.is_away("m")


async def test_one_probe_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    guard, clock = Guard(), Clock(monkeypatch)
    await open_breaker(guard)
    clock.now += Breaker().pause_s_min
    async with guard.call("m"):
        await fail_to_enter(guard)


# -- a worker that leaves


async def took(guard: Guard, clock: Clock, seconds: float) -> None:
    """One call, so that it is known how long they take."""
    async with guard.call("m"):
        clock.now += seconds


@pytest.mark.parametrize(("left_s", "sent"), [(5.9, False), (6.1, True)])
async def test_who_leaves_sends_only_what_is_answered_in_time(
    left_s: float, sent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In three times the usual two seconds."""
    guard = Guard()
    await took(guard, Clock(monkeypatch), 2.0)
    guard.leave(left_s)
    if sent:
        async with guard.call("m"):
            return
    with pytest.raises(Leaving):
        async with guard.call("m"):
            raise AssertionError("it would be paid for, and its answer thrown away")


async def test_who_leaves_sends_nothing_to_a_model_that_has_never_answered() -> None:
    guard = Guard()
    guard.leave(20)
    with pytest.raises(Leaving):
        async with guard.call("m"):
            raise AssertionError("nobody knows how long it takes")


async def test_who_waits_for_a_place_is_turned_back_as_soon_as_its_worker_leaves() -> None:
    guard, end = Guard(place_s_max=30), asyncio.Event()
    calls = await fill(guard, end)
    waiting = asyncio.create_task(hold(guard, end))
    await asyncio.sleep(0)
    guard.leave(20)
    await asyncio.wait([waiting], timeout=1)
    assert waiting.cancelled()
    end.set()
    await asyncio.gather(*calls)


async def test_who_waits_for_a_place_does_so_only_while_its_answer_would_come_in_time() -> None:
    guard, end = Guard(place_s_max=30), asyncio.Event()
    guard._models["m"] = state = _Model(limit=ConcurrencyLimit(latency_s=0.1))
    calls = await fill(guard, end)
    guard.leave(0.4)
    waiting = asyncio.create_task(hold(guard, end))
    await asyncio.sleep(0)
    assert len(state.waiting) == 1
    await asyncio.wait([waiting], timeout=1)
    assert waiting.cancelled()
    end.set()
    await asyncio.gather(*calls)


async def test_who_leaves_does_not_wait_for_a_provider_that_is_away() -> None:
    guard = Guard()
    guard._models["m"] = _Model(limit=ConcurrencyLimit(latency_s=0.1))
    await open_breaker(guard)
    guard.leave(1.0)
    with pytest.raises(Leaving):
        async with guard.call("m"):
            raise AssertionError("it is away")


async def fail_to_enter(guard: Guard) -> None:
    with pytest.raises(ProviderAway):
        async with guard.call("m"):
            raise AssertionError("a probe is under way")


class Clock:
    """The guard's, set by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        fake: Any = type("time", (), {"monotonic": lambda: self.now})
        monkeypatch.setattr("app.models.guard.time", fake)
