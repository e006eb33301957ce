"""The interface's words are there in every language, and every word that a page asks for is there."""

from __future__ import annotations

import re
import string

import pytest

from app.console.queue import TABS
from app.console.roles import Role
from app.console.translations import LOCALES, messages, preferred
from app.console.web import HERE
from app.desk.decisions import Action
from schemas.tickets import Category, Priority, Route, Stake

# Named by what a ticket is: t("state." ~ row.state).
BY_VALUE = {
    "state": TABS, "category": Category, "priority": Priority, "stake": Stake, "route": Route, "action": Action,
    "role": Role,
}  # fmt: skip


def _fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("locale", LOCALES)
def test_every_language_says_the_same_things(locale: str) -> None:
    """The same names, with the same values to fill in, and nothing empty."""
    english, theirs = messages("en"), messages(locale)
    assert theirs.keys() == english.keys()
    assert {name for name in theirs if _fields(theirs[name]) != _fields(english[name])} == set()
    assert all(text.strip() for text in theirs.values())


def test_every_word_that_a_page_names_is_there() -> None:
    sources = [*(HERE / "templates").glob("*.html"), *HERE.glob("*.py")]
    named = {name for file in sources for name in re.findall(r"\bt\(['\"](\w+\.\w+)['\"][,)]", file.read_text("utf-8"))}
    assert named - messages("en").keys() == set()
    assert len(named) > 100


@pytest.mark.parametrize("section", BY_VALUE)
def test_every_value_that_a_ticket_can_have_has_a_word(section: str) -> None:
    assert [value for value in BY_VALUE[section] if f"{section}.{value}" not in messages("en")] == []


@pytest.mark.parametrize(
    ("header", "locale"),
    [
        ("de-AT,de;q=0.9,en;q=0.8", "de"), ("en;q=0.5, ja;q=0.9", "ja"), ("pt-BR", "en"), ("", "en"), ("zh-Hant", "zh"),
        ("fr;q=x, ko", "ko"), ("*", "en"),
    ],
)  # fmt: skip
def test_the_browsers_first_known_language_is_taken(header: str, locale: str) -> None:
    assert preferred(header) == locale
