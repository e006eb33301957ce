"""Simulated faults depend on the seed and the request alone."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from pydantic import ValidationError

from app.offline.simulation import UNTROUBLED, Simulation, Simulator, fate

FAULTY = Simulation(
    seed=7,
    hang_share=0.1,
    rate_limited_share=0.2,
    server_error_share=0.1,
    malformed_share=0.05,
    truncated_share=0.05,
    latency="lognormal",
    latency_mean_s=0.5,
)
KEYS = [f"call-{n}" for n in range(4_000)]


def test_two_runs_meet_the_same_faults_in_any_order() -> None:
    first, second = Simulator(FAULTY), Simulator(FAULTY)
    forwards = {key: first.fate(key) for key in KEYS}
    backwards = {key: second.fate(key) for key in reversed(KEYS)}
    assert forwards == backwards


def test_another_seed_gives_other_faults() -> None:
    other = FAULTY.model_copy(update={"seed": 8})
    assert [fate(FAULTY, key, 0) for key in KEYS] != [fate(other, key, 0) for key in KEYS]


def test_a_repeated_request_gets_a_new_draw() -> None:
    simulator = Simulator(FAULTY)
    assert len({simulator.fate("same").latency_s for _ in range(10)}) == 10


def test_shares_are_kept() -> None:
    counts = Counter(fate(FAULTY, key, 0).fault for key in KEYS)
    assert counts["rate_limited"] / len(KEYS) == pytest.approx(0.2, abs=0.03)
    assert counts["hang"] / len(KEYS) == pytest.approx(0.1, abs=0.03)
    assert counts[None] / len(KEYS) == pytest.approx(0.5, abs=0.03)


def test_the_lognormal_mean_is_the_mean() -> None:
    mean_s = math.fsum(fate(FAULTY, key, 0).latency_s for key in KEYS) / len(KEYS)
    assert mean_s == pytest.approx(0.5, rel=0.1)


def test_constant_latency_is_constant() -> None:
    simulation = Simulation(latency="constant", latency_mean_s=0.2)
    assert {fate(simulation, key, 0).latency_s for key in KEYS} == {0.2}


def test_all_is_off_by_default() -> None:
    assert Simulator(Simulation()).fate("any") == UNTROUBLED


def test_shares_above_one_are_refused() -> None:
    with pytest.raises(ValidationError, match="at most 1"):
        Simulation(hang_share=0.6, malformed_share=0.6)


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ValidationError):
        Simulation.model_validate({"hang_shares": 0.1})


def test_the_token_rate_limit_says_when_to_come_back() -> None:
    now_s = [0.0]
    simulator = Simulator(Simulation(tokens_per_s=100), clock_s=lambda: now_s[0])
    assert simulator.retry_after_s(350) is None  # one large request may overdraw
    wait_s = simulator.retry_after_s(1)
    assert wait_s == 3
    now_s[0] = float(wait_s)
    assert simulator.retry_after_s(1) is None
