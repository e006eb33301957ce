"""What reviews prove, when a category may be opened, and when it closes by itself."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from agents.graduation import (
    BOUND_MAX,
    CERTAINTY,
    CLEAN_MIN,
    Evidence,
    Since,
    lower_bound,
    missing,
    upper_bound,
    worse,
)
from agents.route import NEVER_SENT_CATEGORIES
from schemas.tickets import Category

counts = st.integers(1, 2_000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))
PROVEN = Evidence(reviewed=CLEAN_MIN, clean=CLEAN_MIN)


def test_a_hundred_clean_reviews_prove_2_95_percent_and_half_a_percent_takes_598() -> None:
    assert upper_bound(0, 100) == pytest.approx(0.0295, abs=0.00005)
    assert upper_bound(0, 597) > 0.005 > upper_bound(0, 598)


@given(counts)
def test_the_upper_bound_is_the_rate_at_which_so_few_would_be_seen_once_in_twenty(count: tuple[int, int]) -> None:
    bad, of = count
    if bad < of:
        assert math.isclose(binom.cdf(bad, of, upper_bound(bad, of)), 1 - CERTAINTY, rel_tol=1e-6)
    else:
        assert upper_bound(bad, of) == 1.0


@given(counts)
def test_the_lower_bound_is_the_rate_at_which_so_many_would_be_seen_once_in_twenty(
    count: tuple[int, int],
) -> None:
    bad, of = count
    if bad:
        assert math.isclose(binom.sf(bad - 1, of, lower_bound(bad, of)), 1 - CERTAINTY, rel_tol=1e-6)
    else:
        assert lower_bound(bad, of) == 0.0


def test_no_reviews_prove_nothing() -> None:
    assert Evidence(0, 0).bound == 1.0 and missing(Category.HOW_TO, Evidence(0, 0), BOUND_MAX)


def test_a_hundred_clean_reviews_are_enough() -> None:
    assert missing(Category.HOW_TO, PROVEN, BOUND_MAX) == ()


def test_ninety_nine_are_not() -> None:
    assert missing(Category.HOW_TO, Evidence(99, 99), 1.0) == ("99 of 100 clean reviews of low priority",)


def test_with_a_bad_one_among_them_more_are_needed() -> None:
    assert missing(Category.HOW_TO, Evidence(101, 100), BOUND_MAX)
    assert missing(Category.HOW_TO, Evidence(160, 159), BOUND_MAX) == ()


def test_a_stricter_bound_asks_for_more() -> None:
    assert missing(Category.HOW_TO, PROVEN, 0.005)
    assert missing(Category.HOW_TO, Evidence(598, 598), 0.005) == ()


@given(st.sampled_from(sorted(NEVER_SENT_CATEGORIES)), st.integers(0, 10_000))
def test_nobody_opens_what_has_high_stakes(category: Category, reviews: int) -> None:
    assert missing(category, Evidence(reviews, reviews), 1.0)


def test_it_stays_open_while_nothing_bad_comes() -> None:
    assert worse(Since(sent=0, reviewed=0, bad=0, complaints=0), BOUND_MAX) == ""
    assert worse(Since(sent=5_000, reviewed=50, bad=0, complaints=0), 0.001) == ""


@pytest.mark.parametrize("since", [Since(90, 10, 8, 0), Since(95, 5, 0, 8), Since(90, 10, 4, 4)])
def test_edits_reopenings_and_complaints_close_it(since: Since) -> None:
    assert worse(since, BOUND_MAX)


def test_a_rate_as_promised_does_not_close_it() -> None:
    assert worse(Since(sent=900, reviewed=100, bad=10, complaints=20), BOUND_MAX) == ""


def test_a_complaint_about_what_was_never_seen_sent_counts_too() -> None:
    assert worse(Since(sent=0, reviewed=0, bad=0, complaints=2), BOUND_MAX)
