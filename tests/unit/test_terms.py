"""What a ticket is found by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.desk.terms import ASKED_MAX, SEARCHED_CHARS_MAX, TERM_CHARS_MAX, asked, terms

# Of PostgreSQL's tsvector; a tenant's name has at most 63 characters, and a separator follows it.
TSVECTOR_BYTES_MAX = 2**20
TENANT_BYTES_MAX = 64


def test_case_and_width_are_not_typed() -> None:
    assert terms("T-1", "ＰＤＦ Straße", "") == ["pdf", "strasse", "t-1"]


def test_scripts_without_spaces_and_hangul_are_found_by_pairs_of_letters() -> None:
    assert terms("1", "返金を", "환불을 요청") == ["1", "返金", "金を", "불을", "요청", "환불"]


def test_the_beginning_of_a_word_is_enough_but_not_of_a_short_one() -> None:
    assert asked("Rechn an", "acme") == "('acme rechn':* & 'acme an') | ('acme rechn an':*)"


def test_what_is_no_word_may_still_be_an_id() -> None:
    assert asked(" #-7 ", "acme") == "('acme 7') | ('acme #-7':*)"
    assert asked("--", "acme") == "('acme --':*)"
    assert asked("  ", "acme") is None


def test_quotes_and_backslashes_end_nothing() -> None:
    assert asked("o'\\", "acme") == "('acme o') | ('acme o''\\\\':*)"


def test_a_long_search_asks_for_its_first_words() -> None:
    assert (asked(" ".join(f"word{n}" for n in range(50)), "acme") or "").count(" & ") == ASKED_MAX - 1


@pytest.mark.parametrize("letter", ["ﷺ", "漢", "a", "𠀀"])
def test_no_message_is_too_long_to_be_indexed(letter: str) -> None:
    text = "".join(chr(ord(letter) + n % 5_000) for n in range(60_000))
    found = terms("1", text, text)
    assert sum(len(term.encode()) + TENANT_BYTES_MAX for term in found) < TSVECTOR_BYTES_MAX
    assert len(found) <= SEARCHED_CHARS_MAX and max(map(len, found)) <= TERM_CHARS_MAX


@given(st.text(max_size=60))
def test_every_term_of_a_message_is_asked_for_as_it_is_kept(text: str) -> None:
    kept = terms("", text, "")
    assert all(f"'acme {term}'" in (asked(term, "acme") or "") for term in kept)
