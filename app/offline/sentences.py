"""Cutting texts into sentences and words, in any script."""

from __future__ import annotations

import re

_MARKUP = re.compile(r"^\s*(?:#{1,6}\s+|[-*+•>]\s+|\d{1,2}[.)]\s+)+")
# An end mark and white space, or an East Asian or Indic end mark, which has none after it.
_END = re.compile(r"(?<=[.!?…؟])[\"'”»)\]]*\s+|(?<=[。！？｡।॥])")
_WORD = re.compile(r"[^\W_]+")
# Written without spaces: pairs of characters stand for words.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_STEM_CHARS = 6


def sentences(text: str) -> list[str]:
    """The sentences of each line, without list marks and heading marks."""
    found: list[str] = []
    for line in text.splitlines():
        plain = _MARKUP.sub("", line).strip()
        found.extend(piece.strip() for piece in _END.split(plain) if piece.strip())
    return found


# Greek asks with a semicolon, Armenian with a mark over a vowel, Japanese often with a word only.
_ASKS = re.compile(r"[?？؟⸮፧][\"'”»)\]]*$|[\u0370-\u03ff][;;]$|՞|[かの]。$")


def questions(text: str) -> list[str]:
    """The sentences that ask, by their marks."""
    return [sentence for sentence in sentences(text) if _ASKS.search(sentence)]


def is_heading(line: str) -> bool:
    return line.lstrip().startswith("#")


def words(text: str) -> list[str]:
    """Words in lower case; pairs of characters where a script has no spaces."""
    found: list[str] = []
    for word in _WORD.findall(text.casefold()):
        if len(word) > 1 and _UNSPACED.search(word):
            found.extend(word[n : n + 2] for n in range(len(word) - 1))
        else:
            found.append(word)
    return found


def stems(text: str) -> set[str]:
    """Words cut to their beginnings: a crude likeness of inflected forms, good enough to pick candidates."""
    return {word[:_STEM_CHARS] for word in words(text)}
