"""The report's figures, and the bars that compare them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.console.report import NONE, Line, lines
from app.console.translations import messages
from app.desk.report import Report

NOTHING = Report(
    tickets=0, resolved=0, unsettled=0, retracted=0, cost_usd=Decimal(0), reviews=0, reviews_timed=0,
    reviews_under_a_minute=0, review_s_median=None, ratings=0, ratings_good=0, rating_sum=0,
)  # fmt: skip
SOME = Report(
    tickets=2_000, resolved=500, unsettled=40, retracted=9, cost_usd=Decimal(20), reviews=300, reviews_timed=200,
    reviews_under_a_minute=50, review_s_median=41.6, ratings=10, ratings_good=9, rating_sum=44,
)  # fmt: skip


def _line(name: str, *reports: Report) -> Line:
    [found] = [line for line in lines(reports) if line.name == name]
    return found


def test_every_line_has_its_words() -> None:
    assert {f"report.{line.name}" for line in lines([SOME, NOTHING])} <= messages("en").keys()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tickets", "2\u202f000"), ("resolved", "25.0 % (500)"), ("under_a_minute", "25.0 % (50)"),
        ("review_s", "42 s"), ("cost_ticket", "$0.0100"), ("cost_resolution", "$0.0400"), ("csat", "90.0 % (9)"),
    ],
)  # fmt: skip
def test_a_figure_is_shown_as_people_read_it(name: str, value: str) -> None:
    assert _line(name, SOME, NOTHING).values[0] == value


@pytest.mark.parametrize("name", ["resolved", "under_a_minute", "review_s", "cost_ticket", "cost_resolution", "csat"])
def test_what_cannot_be_said_is_left_open(name: str) -> None:
    """Nothing over nothing is not nought."""
    assert _line(name, SOME, NOTHING).values[1] == NONE


def test_a_shares_bar_is_of_the_whole() -> None:
    assert _line("resolved", SOME, NOTHING).bars == (25, 0)


def test_other_bars_are_of_the_longest() -> None:
    assert _line("tickets", SOME, Report(**{**vars(SOME), "tickets": 4_000})).bars == (50, 100)


def test_where_there_is_nothing_there_is_no_bar() -> None:
    assert _line("tickets", NOTHING, NOTHING).bars == ()
