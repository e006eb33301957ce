"""Where requests come from, where sign-ins lead, and how often one may try."""

from __future__ import annotations

import time

import pytest

from app.console.attempts import FAILURES_MAX, WITHIN_S, Attempts
from app.console.guarded import is_foreign
from app.console.queue import Filter, Undoable, read_cursor, written
from app.console.web import local_path
from app.desk.store import UNDO_S, Cursor
from tests.events import NOON

HOST = {"host": "desk.test"}


@pytest.mark.parametrize("said", [{}, {"origin": "https://desk.test"}, {"sec-fetch-site": "same-origin"}])
def test_our_own_pages_and_programs_are_no_strangers(said: dict[str, str]) -> None:
    assert not is_foreign({**HOST, **said})


@pytest.mark.parametrize(
    "said", [{"origin": "https://evil.test"}, {"origin": "null"}, {"origin": ""}, {"sec-fetch-site": "same-site"}]
)
def test_other_sites_are(said: dict[str, str]) -> None:
    assert is_foreign({**HOST, **said})


def test_a_proxy_may_name_another_host_where_the_address_is_known() -> None:
    headers = {"host": "10.0.0.1:8300", "origin": "https://desk.test"}
    assert is_foreign(headers)
    assert not is_foreign(headers, "https://desk.test")


@pytest.mark.parametrize("place", ["/", "/ticket?id=T-1&at=1|2", "/audit"])
def test_a_path_of_ours_is_gone_to(place: str) -> None:
    assert local_path(place) == place


@pytest.mark.parametrize("place", ["//evil.test", "/\\evil.test", "https://evil.test", "", "x", "/\n/evil.test"])
def test_anything_else_is_not(place: str) -> None:
    assert local_path(place) == "/"


def test_failures_of_one_address_are_limited_until_time_has_passed() -> None:
    attempts = Attempts()
    assert all(attempts.begin("a", 0.0) for _ in range(FAILURES_MAX))
    assert not attempts.begin("a", WITHIN_S - 1)
    assert attempts.begin("b", 1.0)
    assert attempts.begin("a", WITHIN_S + 1)


def test_who_succeeds_has_not_failed() -> None:
    """An office behind one address signs in all day."""
    attempts = Attempts()
    for _ in range(FAILURES_MAX * 2):
        assert attempts.begin("a", 0.0)
        attempts.succeeded("a")


def test_a_cursor_comes_back_as_it_went() -> None:
    cursor = Cursor(2, NOON, "T|1")
    assert read_cursor(written(cursor)) == cursor


@pytest.mark.parametrize("text", ["", "1|yesterday|T", "x|2026-11-24T12:00:00+00:00|T", "1|2026-11-24T12:00:00|T"])
def test_a_cursor_that_is_none_is_the_beginning(text: str) -> None:
    assert read_cursor(text) is None


def test_a_filter_keeps_what_is_known_only() -> None:
    chosen = Filter.of({"state": "gone", "category": "billing", "priority": "high'--", "text": " a&b ", "x": "y"})
    assert chosen.query() == "category=billing&text=a%26b"


@pytest.mark.parametrize("left_s", [10.049, 9.0, 0.5])
def test_a_decision_can_be_undone_from_its_first_moment_on(left_s: float) -> None:
    """A page that comes at once finds more time left than there is: what the address says was rounded."""
    undo = Undoable.of({"till": f"{time.time() + left_s}", "was": "T-1"})
    assert undo is not None and 0 < undo.left_ms <= UNDO_S * 1_000


@pytest.mark.parametrize("till", ["", "x", "nan", "0", "-inf"])
def test_what_is_no_time_to_come_is_not_offered(till: str) -> None:
    assert Undoable.of({"till": till}) is None
