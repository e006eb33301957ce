"""What providers say in their headers about limits, read from the forms that they document."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from app.models.rate_headers import Allowance, allowances, retry_after_s

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def openai(reset: str, remaining: str = "59", **more: str) -> list[tuple[str, str]]:
    return [
        ("content-type", "application/json"),
        ("x-ratelimit-limit-requests", "60"),
        ("x-ratelimit-remaining-requests", remaining),
        ("x-ratelimit-reset-requests", reset),
        *more.items(),
    ]


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("1s", 1), ("6m0s", 360), ("12ms", 0.012), ("2m59.56s", 179.56), ("1h0m30s", 3_630), ("1d2h", 93_600),
        ("0s", 0), ("59", 59), ("8.64s", 8.64),
    ],
)  # fmt: skip
def test_a_reset_of_openai_is_a_duration(reset: str, seconds: float) -> None:
    (told,) = allowances(openai(reset), NOW)
    assert told == Allowance("requests", 59, 60, pytest.approx(seconds))


@pytest.mark.parametrize("reset", ["", "soon", "s", "-", "1.2.3s", "nan", "1764000000", "5x"])
def test_a_reset_that_is_none_is_passed_over(reset: str) -> None:
    assert allowances(openai(reset), NOW) == ()


def test_each_kind_is_told_apart_and_a_limit_may_be_missing() -> None:
    more = [("x-ratelimit-remaining-tokens", "149984"), ("x-ratelimit-reset-tokens", "6ms")]
    requests, tokens = allowances([*openai("1s"), *more], NOW)
    assert tokens == Allowance("tokens", 149_984, None, 0.006)
    assert requests.counts_calls and not tokens.counts_calls


def test_a_reset_of_anthropic_is_a_time() -> None:
    headers = [
        ("anthropic-ratelimit-input-tokens-limit", "50000"),
        ("anthropic-ratelimit-input-tokens-remaining", "0"),
        ("anthropic-ratelimit-input-tokens-reset", "2026-11-24T12:00:07Z"),
    ]
    assert allowances(headers, NOW) == (Allowance("input-tokens", 0, 50_000, 7),)


def test_a_clock_of_ours_that_is_wrong_does_not_matter_where_the_answer_is_dated() -> None:
    headers = [
        ("date", "Tue, 24 Nov 2026 13:00:00 GMT"),
        ("anthropic-ratelimit-requests-remaining", "0"),
        ("anthropic-ratelimit-requests-reset", "2026-11-24T13:00:05Z"),
    ]
    assert allowances(headers, NOW)[0].full_after_s == 5
    dated = [("date", "Tue, 24 Nov 2026 13:00:00 GMT"), ("retry-after", "Tue, 24 Nov 2026 13:00:09 GMT")]
    assert retry_after_s(dated, NOW) == 9


def test_an_answer_without_such_headers_says_nothing() -> None:
    assert allowances([("content-type", "application/json"), ("x-ratelimit-remaining-requests", "5")], NOW) == ()


def test_no_more_than_a_few_kinds_are_read() -> None:
    many = [(f"x-ratelimit-{field}-k{n}", "1") for n in range(100) for field in ("remaining", "reset")]
    assert len(allowances(many, NOW)) == 8


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "7", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Tue, 24 Nov 2026 12:00:20 GMT"}, 20),
        ({"retry-after": "Tuesday, 24-Nov-26 12:00:20 GMT"}, 20),
        ({"retry-after": "Tue, 24 Nov 2026 11:00:00 GMT"}, 0),
        ({"retry-after": "Wed, 25 Nov 2026 12:00:00 GMT"}, 300),
        ({"retry-after": "86400"}, 300),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({}, None),
    ],
)
def test_a_wait_is_seconds_or_a_date(headers: dict[str, str], wait_s: float | None) -> None:
    assert retry_after_s(headers.items(), NOW) == wait_s
