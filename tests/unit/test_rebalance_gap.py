"""How the benchmark of rebalances counts a gap."""

from __future__ import annotations

import pytest

pytest.importorskip("psutil", reason="the benchmark's extra is not installed: make .venv/bench")

from tests.bench.rebalance import Visible, rows


def visible(*times: list[float]) -> Visible:
    return Visible(times=list(times))


def test_a_gap_is_the_longest_between_two_outputs_of_one_partition() -> None:
    assert visible([0.0, 1.0, 4.0], [0.0, 0.5, 4.0]).gap_s(0.0, 4.0) == 3.5


def test_a_partition_that_stands_still_until_the_end_counts_until_then() -> None:
    assert visible([0.0, 1.0, 2.0]).gap_s(0.0, 10.0) == 8.0


def test_a_partition_without_any_output_stands_still_all_the_time() -> None:
    assert visible([1.0, 2.0, 3.0], []).gap_s(1.0, 3.0) == 2.0


def test_what_was_before_the_event_does_not_count() -> None:
    assert visible([0.0, 50.0, 51.0]).gap_s(49.5, 51.0) == 1.0


def test_a_row_has_the_median_and_the_greatest_of_all_runs() -> None:
    join, *_ = rows([{"join": gap, "leave": 0, "kill": 0} for gap in (0.2, 0.9, 0.3)])
    assert (join["event"], join["gap_s_median"], join["gap_s_max"], join["runs"]) == ("join", 0.3, 0.9, 3)
