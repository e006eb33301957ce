"""A provider's limit is found and held; a provider that is away is left alone."""

from __future__ import annotations

import heapq
import random

from app.models.limits import Breaker, ConcurrencyLimit


def simulate(*, rate: float, latency_s: float, seconds: float, settle_s: float) -> tuple[float, float]:
    """Calls against a token bucket of ``rate`` calls a second; gives (share refused, share of the rate used),
    both after ``settle_s``. Always more work than the limit."""
    limit, rng = ConcurrencyLimit(), random.Random(1)
    now, tokens, filled_at = 0.0, rate, 0.0
    ends: list[tuple[float, float]] = []
    done = refused = 0
    while now < seconds:
        while limit.may_start(len(ends), now):
            tokens, filled_at = min(rate, tokens + (now - filled_at) * rate), now
            settled = now > settle_s
            if tokens < 1:
                limit.refused(now, retry_after_s=0.2)
                refused += settled
                continue
            tokens -= 1
            done += settled
            took_s = latency_s * rng.uniform(0.7, 1.3)
            heapq.heappush(ends, (now + took_s, took_s))
        if ends and (ends[0][0] <= limit.blocked_until or limit.blocked_until <= now):
            now, took_s = heapq.heappop(ends)
            limit.succeeded(len(ends) + 1, took_s)
        else:
            now = max(now + 0.001, limit.blocked_until)
    return refused / max(1, done + refused), done / ((seconds - settle_s) * rate)


def test_once_settled_under_two_percent_are_refused_and_the_rate_is_used() -> None:
    for rate, latency_s in ((50, 0.2), (50, 1.0), (500, 0.5), (20, 2.0)):
        refused, used = simulate(rate=rate, latency_s=latency_s, seconds=400, settle_s=120)
        assert refused < 0.02, (rate, latency_s, refused)
        assert used > 0.8, (rate, latency_s, used)


def test_a_server_that_never_refuses_is_not_crowded_until_calls_time_out() -> None:
    """One core that takes 0.15 s a call: whoever has n calls there waits n times as long."""
    limit = ConcurrencyLimit()
    in_flight: list[float] = []
    now, longest = 0.0, 0.0
    for number in range(3_000):
        while limit.may_start(len(in_flight), now):
            in_flight.append(now)
        now += 0.15
        began = in_flight.pop(0)
        limit.succeeded(len(in_flight) + 1, now - began)
        if number > 300:
            longest = max(longest, now - began)
    assert longest < 10
    assert limit.limit >= 2


def test_no_call_starts_before_the_time_that_the_provider_asked_for() -> None:
    limit = ConcurrencyLimit()
    limit.refused(10.0, retry_after_s=5)
    assert not limit.may_start(0, 14.9) and limit.may_start(0, 15.0)


def test_an_unused_limit_does_not_grow() -> None:
    limit = ConcurrencyLimit(limit=100)
    for _ in range(1_000):
        limit.succeeded(in_flight=3, latency_s=1.0)
    assert limit.limit == 100


def test_refusals_of_one_moment_count_once() -> None:
    limit = ConcurrencyLimit(limit=100)
    for _ in range(50):
        limit.refused(10.0, None)
    assert limit.limit == 90


def test_a_breaker_opens_after_failures_in_a_row_and_probes_one_at_a_time() -> None:
    breaker = Breaker(failures_max=3)
    for _ in range(3):
        assert breaker.wait_s(0.0) == 0
        breaker.failed(0.0)
    assert breaker.wait_s(0.5) == 0.5
    assert breaker.wait_s(1.0) == 0
    breaker.started()
    assert breaker.wait_s(1.0) > 0
    breaker.succeeded()
    assert breaker.wait_s(1.0) == 0


def test_an_open_breaker_waits_longer_each_time_up_to_its_limit() -> None:
    breaker = Breaker(failures_max=1)
    waits = []
    for n in range(8):
        breaker.started()
        breaker.failed(100.0 * n)
        waits.append(breaker.wait_s(100.0 * n))
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]


def test_calls_that_were_under_way_when_it_opened_do_not_make_the_wait_longer() -> None:
    breaker = Breaker()
    for _ in range(100):
        breaker.failed(0.0)
    assert breaker.wait_s(0.0) == breaker.pause_s_min


def test_a_probe_that_was_given_up_leaves_its_place_to_the_next() -> None:
    breaker = Breaker(failures_max=1)
    breaker.failed(0.0)
    breaker.started()
    breaker.given_up()
    assert breaker.wait_s(1.0) == 0
