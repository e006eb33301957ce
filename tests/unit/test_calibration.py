"""Isotonic regression, its error, and reviews to curves."""

import math
import random
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from app.calibration.fit import (
    GROUP_REVIEWS_MIN,
    REVIEWS_MIN,
    Reviewed,
    TooFewReviews,
    compared,
    curves,
    fit,
    measured,
    prequential,
    reviewed,
)
from app.calibration.isotonic import isotonic
from app.calibration.reliability import error_by_chance, expected_error, reliability
from schemas.policy import STEPS_MAX, Curve
from schemas.tickets import Category
from tests.events import NOON
from tests.unit.test_reviews import review

scores = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=200)


def reviews(
    number: int, right: float, *, category: Category = Category.HOW_TO, language: str = "en", seed: int = 1
) -> list[Reviewed]:
    """A draft with raw score r is approved with probability r to the power of ``right``."""
    draw = random.Random(seed)
    raws = [draw.random() for _ in range(number)]
    return [
        Reviewed(raw, draw.random() < raw**right, category, language, NOON + timedelta(minutes=at))
        for at, raw in enumerate(raws)
    ]


@given(scores)
def test_a_fitted_curve_rises_within_its_limits(points: list[tuple[float, bool]]) -> None:
    steps = isotonic(points)
    assert len(steps) <= STEPS_MAX
    assert all(a.raw_from < b.raw_from and a.confidence < b.confidence for a, b in pairwise(steps))
    assert all(0 < step.confidence < 1 for step in steps)
    assert sum(step.reviews for step in steps) == len(points)


@given(scores, st.randoms(use_true_random=False))
def test_the_order_of_reviews_makes_no_difference(points: list[tuple[float, bool]], draw: random.Random) -> None:
    shuffled = draw.sample(points, len(points))
    assert isotonic(shuffled) == isotonic(points)


@pytest.mark.parametrize("outcome", [True, False])
def test_a_constant_outcome_gives_one_step(outcome: bool) -> None:
    (step,) = isotonic([(at / 100, outcome) for at in range(98)])
    assert (step.raw_from, step.confidence) == (0.0, 0.99 if outcome else 0.01)


def test_tied_scores_are_one_step() -> None:
    (step,) = isotonic([(0.5, True), (0.5, False), (0.5, True), (0.5, True)])
    assert step.mean == 0.75


def test_one_review_proves_little() -> None:
    (step,) = isotonic([(0.9, True)])
    assert step.confidence == pytest.approx(2 / 3)


def test_violators_are_pooled() -> None:
    steps = isotonic([(0.1, False)] * 20 + [(0.4, True)] * 10 + [(0.5, False)] * 10 + [(0.9, True)] * 20)
    assert [(step.raw_from, step.mean) for step in steps] == [(0.1, 0.0), (0.4, 0.5), (0.9, 1.0)]


@pytest.mark.parametrize("raw", [math.nan, math.inf, -0.1, 1.1])
def test_a_score_that_is_no_share_is_refused(raw: float) -> None:
    with pytest.raises(ValueError, match="not a number from 0 to 1"):
        isotonic([(0.5, True), (raw, True)])
    with pytest.raises(ValueError, match="not a number from 0 to 1"):
        reliability([(raw, True)])


def test_nothing_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match="no reviews"):
        isotonic([])


@pytest.mark.parametrize(
    ("raw_from", "confidence"), [((0.5, 0.2), (0.1, 0.9)), ((0.2, 0.5), (0.9, 0.1)), ((0.2,), (0.1, 0.9))]
)
def test_a_curve_that_does_not_rise_cannot_be_kept(raw_from: tuple[float, ...], confidence: tuple[float, ...]) -> None:
    with pytest.raises(ValidationError):
        Curve(reviews=1, raw_from=raw_from, confidence=confidence)


def test_the_error_of_a_perfect_confidence_is_what_chance_makes_it() -> None:
    found = reliability([(one.raw, one.approved) for one in reviews(20_000, 1)])
    assert expected_error(found) < 0.02
    assert error_by_chance(found) < 0.02


def test_the_error_of_a_shifted_confidence_is_the_shift() -> None:
    pairs = [(0.8, at % 10 < 6) for at in range(1_000)]
    assert expected_error(reliability(pairs)) == pytest.approx(0.2)


def test_calibration_mends_the_error_on_reviews_kept_apart() -> None:
    found = measured(reviews(3_000, 3))
    assert found.error_raw > 0.2
    assert found.error < 0.04


def test_calibration_mends_the_error_on_what_comes_later() -> None:
    found = prequential(reviews(1_100, 3))
    assert found.reviews == 1_100 - REVIEWS_MIN
    assert found.error_raw > 0.2
    assert found.error < 0.06


def test_a_later_review_tells_nothing_of_an_earlier_one() -> None:
    """Reviewers who change their minds after the last fit: only what came before is known."""
    before = [Reviewed(0.5, True, Category.HOW_TO, "en", NOON)] * REVIEWS_MIN
    after = [Reviewed(0.5, False, Category.HOW_TO, "en", NOON + timedelta(days=1))] * 50
    assert prequential([*before, *after]).error > 0.98


def test_too_few_reviews_say_how_many_more() -> None:
    with pytest.raises(TooFewReviews, match="60 more"):
        fit(reviews(REVIEWS_MIN - 60, 1))
    fit(reviews(REVIEWS_MIN, 1))


def test_a_group_has_a_curve_of_its_own_from_enough_reviews_on() -> None:
    many, few = reviews(GROUP_REVIEWS_MIN, 1), reviews(GROUP_REVIEWS_MIN - 1, 3, category=Category.BILLING)
    assert [(curve.category, curve.language) for curve in curves([*many, *few])] == [
        (None, None),
        (Category.HOW_TO, None),
    ]


def test_a_language_has_one_only_beside_others() -> None:
    both = reviews(GROUP_REVIEWS_MIN, 1) + reviews(GROUP_REVIEWS_MIN, 3, language="de")
    assert {(curve.category, curve.language) for curve in curves(both)} == {
        (None, None), (Category.HOW_TO, None), (Category.HOW_TO, "en"), (Category.HOW_TO, "de"),
    }  # fmt: skip


def test_an_error_of_nothing_is_none() -> None:
    assert compared([], []).error == 0


def approved_of(*events: object) -> list[bool]:
    return [one.approved for one in reviewed(events)]  # type: ignore[arg-type]


def test_a_wording_edit_approves_and_a_material_one_does_not() -> None:
    assert approved_of(review(decision="edited", edit={"words_changed": 0.1, "material": False})) == [True]
    assert approved_of(review(decision="edited", edit={"words_changed": 0.1, "material": True})) == [False]


def test_the_last_verdict_on_a_draft_holds() -> None:
    later = NOON + timedelta(hours=1)
    first, second = review(event_id="1"), review(event_id="2", decision="rejected", reason="wrong", decided_at=later)
    assert approved_of(second, first) == [False]


def test_a_draft_that_was_reopened_was_not_right() -> None:
    assert approved_of(review(event_id="1"), review(event_id="2", decision="reopened")) == [False]


def test_a_reply_sent_by_itself_counts_once_it_is_reopened() -> None:
    assert approved_of(review(decision="reopened")) == [False]


def test_a_rating_says_nothing_of_a_draft() -> None:
    assert approved_of(review(decision="rated", rating=5)) == []
