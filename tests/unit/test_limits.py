"""A provider's limit is found and held; a provider that is away is left alone."""

from __future__ import annotations

import pytest

from app.models.limits import Breaker, ConcurrencyLimit
from app.models.quota import Quotas
from app.models.rate_headers import Allowance, Told
from tests.limited_providers import AtOnce, Erratic, PerMinute, Simulation, Worker

REFUSED_MAX = 0.02
SETTLED_CALLS = 1_500


@pytest.mark.parametrize("latency_s", [0.2, 2.0])
@pytest.mark.parametrize("calls", [1, 2, 4, 20, 100])
def test_a_limit_of_calls_at_once_is_found_and_held(calls: int, latency_s: float) -> None:
    simulation = Simulation(AtOnce(calls), latency_s)
    simulation.run(latency_s / calls * SETTLED_CALLS * 5)
    counted = simulation.run(latency_s / calls * SETTLED_CALLS)
    assert counted.refused_share < REFUSED_MAX
    assert counted.taken > 0.8 * SETTLED_CALLS


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("calls", [4, 20, 100])
def test_refusals_by_chance_do_not_keep_it_from_using_what_there_is(calls: int, seed: int) -> None:
    """As of a provider that is overloaded by others."""
    simulation = Simulation(Erratic(calls, share=0.01, seed=seed), latency_s=1.0)
    simulation.run(1 / calls * SETTLED_CALLS * 5)
    counted = simulation.run(1 / calls * SETTLED_CALLS)
    assert counted.taken > 0.7 * SETTLED_CALLS
    assert counted.refused_share < 0.06  # 1 % of them by chance


@pytest.mark.parametrize("latency_s", [0.3, 3.0])
@pytest.mark.parametrize("requests", [30, 60, 600, 1_800])
@pytest.mark.parametrize(
    "says",
    [{}, {"says_retry_after": False}, {"in_windows": True}, {"in_windows": True, "says_headers": True}],
    ids=["retry-after", "nothing", "windows", "windows with headers"],
)
def test_a_limit_of_requests_a_minute_is_found_where_headers_do_not_tell_it(
    requests: int, latency_s: float, says: dict[str, bool]
) -> None:
    """Headers of a window that begins anew each minute read as those of a bucket that fills steadily."""
    refused_share, used = settled(PerMinute(requests, **says), latency_s)
    assert refused_share < REFUSED_MAX
    assert used > 0.65  # of few calls at once, one less is much


@pytest.mark.parametrize("latency_s", [0.3, 3.0])
@pytest.mark.parametrize("requests", [30, 60, 600, 1_800])
@pytest.mark.parametrize("says_retry_after", [True, False])
def test_with_headers_nothing_is_refused_and_all_of_the_limit_is_used(
    requests: int, latency_s: float, says_retry_after: bool
) -> None:
    server = PerMinute(requests, says_headers=True, says_retry_after=says_retry_after)
    refused_share, used = settled(server, latency_s)
    assert refused_share == 0
    assert used > 0.98


@pytest.mark.parametrize(
    ("requests", "latency_s"), [(20, 0.3), (20, 3.0), (30, 0.3), (30, 3.0), (300, 1.0), (1_800, 1.0)]
)
@pytest.mark.parametrize(
    "says",
    [{}, {"says_headers": True}, {"says_headers": True, "says_retry_after": False},
     {"says_headers": True, "in_windows": True}],
    ids=["retry-after", "headers", "headers alone", "windows with headers"],
)  # fmt: skip
def test_four_workers_of_one_account_share_its_limit(requests: int, latency_s: float, says: dict[str, bool]) -> None:
    workers = [Worker() for _ in range(4)]
    refused_share, used = settled(PerMinute(requests, **says), latency_s, workers)
    assert refused_share < REFUSED_MAX
    assert used > 0.9


@pytest.mark.parametrize("requests", [20, 300])
def test_by_headers_they_get_equal_parts(requests: int) -> None:
    workers = [Worker() for _ in range(4)]
    settled(PerMinute(requests, says_headers=True), 1.0, workers)
    assert min(worker.taken for worker in workers) > 0.9 * max(worker.taken for worker in workers)


def settled(server: PerMinute, latency_s: float, workers: list[Worker] | None = None) -> tuple[float, float]:
    """(share of calls refused, share of the limit used), once settled."""
    simulation = Simulation(server, latency_s, workers or [Worker()])
    seconds = max(600.0, 60 * SETTLED_CALLS / server.requests)
    simulation.run(seconds)
    counted = simulation.run(seconds)
    return counted.refused_share, counted.taken / (server.requests * seconds / 60)


def test_a_provider_that_gives_more_is_found() -> None:
    server = AtOnce(10)
    simulation = Simulation(server, 1.0)
    simulation.run(300)
    server.calls = 40
    simulation.run(600)
    assert simulation.workers[0].limit.limit > 35


def test_a_server_that_never_refuses_is_not_crowded_until_calls_time_out() -> None:
    """One core that takes 0.15 s a call: whoever has n calls there waits n times as long."""
    limit = ConcurrencyLimit()
    in_flight: list[float] = []
    now, longest = 0.0, 0.0
    for number in range(3_000):
        while len(in_flight) < limit.places and limit.ready_at() <= now:
            in_flight.append(now)
        now += 0.15
        began = in_flight.pop(0)
        limit.succeeded(len(in_flight) + 1, now, now - began)
        if number > 300:
            longest = max(longest, now - began)
    assert longest < 10
    assert limit.limit >= 2


def test_no_call_starts_before_the_time_that_the_provider_asked_for() -> None:
    limit = ConcurrencyLimit()
    limit.refused(10.0, 9.0, retry_after_s=5)
    assert limit.ready_at() == 15


def test_a_limit_below_one_is_a_pace() -> None:
    limit = ConcurrencyLimit(limit=0.5, latency_s=2.0)
    limit.started(10.0)
    assert (limit.places, limit.ready_at()) == (1, 14.0)


def test_an_unused_limit_does_not_grow() -> None:
    limit = ConcurrencyLimit(limit=100)
    for _ in range(1_000):
        limit.succeeded(in_flight=3, now=1.0, latency_s=1.0)
    assert limit.limit == 100


def test_refusals_of_calls_that_were_under_way_together_count_once() -> None:
    limit = ConcurrencyLimit(limit=100)
    for _ in range(50):
        limit.refused(10.0, 9.9, None)
    assert limit.limit == 90


def test_calls_without_an_answer_in_time_leave_one_place() -> None:
    limit = ConcurrencyLimit(limit=4)
    for n in range(100):
        limit.unanswered(30.0 * n + 30, 30.0 * n)
    assert limit.limit == 1


def test_errors_by_chance_do_not_keep_the_limit_low() -> None:
    """As a provider that fails with 500 now and then, however few calls it has."""
    limit = ConcurrencyLimit()
    for n in range(20_000):
        if n % 100 == 99:
            limit.unanswered(n, n)
        else:
            limit.succeeded(limit.places, n, 1.0)
    assert limit.limit > 500


def test_a_provider_that_takes_nothing_is_asked_ever_less_often_and_its_limit_kept() -> None:
    """After an outage of refusals there is no long way back."""
    limit = ConcurrencyLimit(limit=100, latency_s=1.0)
    now, refusals = 0.0, 0
    while now < 600:
        limit.refused(now, now, None)
        refusals += 1
        now = limit.ready_at()
    assert refusals < 50
    assert limit.limit == 90


# -- what headers say


def told(remaining: float, *, at: float, limit: float | None = 60, full_after_s: float = 60.0, tokens: int = 0) -> Told:
    kind = "tokens" if tokens else "requests"
    return Told((Allowance(kind, remaining, limit, full_after_s),), at, tokens)


def test_what_is_left_is_spread_over_the_time_until_it_is_full() -> None:
    """Two are left to others."""
    quotas = Quotas()
    quotas.told(told(12, at=100.0))
    assert quotas.ready_at() == 106


def test_each_start_makes_the_pace_slower_until_an_answer_tells_more() -> None:
    quotas = Quotas()
    quotas.told(told(12, at=100.0))
    quotas.started(106.0)
    assert quotas.ready_at() == pytest.approx(106 + 61 / 9)


def test_tokens_are_counted_in_calls() -> None:
    quotas = Quotas()
    quotas.told(told(9_000, at=0.0, limit=20_000, full_after_s=35, tokens=1_000))
    assert quotas.ready_at() == 5


def test_the_scarcest_count_decides() -> None:
    quotas = Quotas()
    requests, tokens = Allowance("requests", 12, 60, 60.0), Allowance("tokens", 5_000, 60_000, 60.0)
    quotas.told(Told((requests, tokens), 0.0, 1_000))
    assert quotas.ready_at() == 20


def test_an_older_answer_does_not_overrule_a_newer_one() -> None:
    quotas = Quotas()
    quotas.told(told(0, at=100.0))
    quotas.told(told(60, at=90.0, full_after_s=0))
    assert quotas.ready_at() > 100


def test_with_nothing_left_the_whole_reset_is_waited_for() -> None:
    quotas = Quotas()
    quotas.told(told(0, at=0.0, limit=None, full_after_s=20))
    assert quotas.ready_at() == 20


def test_a_call_dearer_than_a_full_bucket_is_let_through_when_it_is_full() -> None:
    quotas = Quotas()
    quotas.told(told(0, at=0.0, limit=500, full_after_s=10, tokens=1_000))
    assert quotas.ready_at() == 10


def test_whatever_is_said_one_call_is_tried_now_and_then() -> None:
    quotas = Quotas()
    quotas.told(told(0, at=0.0, limit=50, full_after_s=2_000_000))
    assert quotas.ready_at() == 300
    quotas.started(300.0)
    assert quotas.ready_at() == 600


def test_a_bucket_that_is_always_full_holds_nobody_up() -> None:
    quotas = Quotas()
    quotas.told(told(1, at=0.0, limit=1, full_after_s=0))
    assert quotas.ready_at() == 0


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
