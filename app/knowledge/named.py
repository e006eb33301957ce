"""How many other articles name an article by its title: what people need, told before there is any past ticket. Pure.

A title counts as its whole run of words, in upper or lower case; where one title is the beginning of another, the
longer one is meant. A title of one word is a word like any other, and counts nowhere.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from app.knowledge.words import spaced

TITLE_WORDS_MIN = 2
_WORD = re.compile(r"\w+")

_Words = tuple[str, ...]


class Named:
    """``titles`` by document id; the articles are then read passage by passage."""

    def __init__(self, titles: Mapping[str, str]) -> None:
        self._ids: dict[_Words, list[str]] = defaultdict(list)
        self._pairs: set[tuple[str, str]] = set()
        lengths: dict[_Words, set[int]] = defaultdict(set)
        for document_id, title in titles.items():
            words = _words(title)
            if len(words) >= TITLE_WORDS_MIN:
                self._ids[words].append(document_id)
                lengths[words[:TITLE_WORDS_MIN]].add(len(words))
        # Of the titles that begin alike, the longest first.
        self._lengths = {start: sorted(found, reverse=True) for start, found in lengths.items()}

    def read(self, document_id: str, text: str) -> None:
        self._pairs.update((named, document_id) for named in self._in(_words(text)) if named != document_id)

    def counts(self) -> Counter[str]:
        """By document id: how many others name it."""
        return Counter(named for named, _ in self._pairs)

    def _in(self, words: _Words) -> Iterator[str]:
        at = 0
        while at < len(words):
            title = self._title_at(words, at)
            yield from self._ids.get(title, ())
            at += len(title) or 1

    def _title_at(self, words: _Words, at: int) -> _Words:
        for length in self._lengths.get(words[at : at + TITLE_WORDS_MIN], ()):
            if (title := words[at : at + length]) in self._ids:
                return title
        return ()


def _words(text: str) -> _Words:
    return tuple(_WORD.findall(spaced(text).casefold()))
