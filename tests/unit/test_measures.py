"""Measures of a search."""

from __future__ import annotations

import math

import pytest

from app.knowledge.measures import MEASURES, Estimate, estimates, scores


def test_a_right_document_in_the_first_place_is_worth_all() -> None:
    assert scores(["a", "b"], {"a"}) == dict.fromkeys(MEASURES, 1.0)


def test_nothing_right_is_worth_nothing() -> None:
    assert scores(["b", "c"], {"a"}) == dict.fromkeys(MEASURES, 0.0)


def test_nothing_found_is_worth_nothing() -> None:
    assert scores([], {"a"}) == dict.fromkeys(MEASURES, 0.0)


@pytest.mark.parametrize(("place", "hit"), [(5, 1.0), (6, 0.0)])
def test_hit_at_five_ends_after_the_fifth(place: int, hit: float) -> None:
    found = [f"d{rank}" for rank in range(1, 11)]
    assert scores(found, {f"d{place}"})["hit@5"] == hit


def test_the_reciprocal_rank_is_that_of_the_first_right_one() -> None:
    assert scores(["x", "x2", "b", "a"], {"a", "b"})["MRR"] == 1 / 3


def test_the_gain_is_against_the_best_order() -> None:
    """Right at 2 and 3 of two right ones: (1/log2(3) + 1/log2(4)) / (1/log2(2) + 1/log2(3))."""
    expected = (1 / math.log2(3) + 0.5) / (1 + 1 / math.log2(3))
    assert scores(["x", "a", "b"], {"a", "b"})["nDCG@10"] == pytest.approx(expected)


def test_what_comes_after_the_tenth_gains_nothing() -> None:
    assert scores([f"d{rank}" for rank in range(1, 12)], {"d11"})["nDCG@10"] == 0.0


def test_an_interval_holds_its_mean_and_narrows_with_more_questions() -> None:
    good, bad = scores(["a"], {"a"}), scores(["b"], {"a"})
    few, many = estimates([good, bad] * 10)["hit@1"], estimates([good, bad] * 1_000)["hit@1"]
    assert few.mean == many.mean == 0.5
    assert few.low < many.low < 0.5 < many.high < few.high


def test_the_same_questions_give_the_same_interval() -> None:
    questions = [scores(["a"], {"a"}), scores(["b", "a"], {"a"})] * 20
    assert estimates(questions) == estimates(questions)


def test_an_estimate_is_written_with_its_interval() -> None:
    assert str(Estimate(0.4, 0.35, 0.45)) == "0.400 (0.350 to 0.450)"
