"""What a ticket is found by: words, and pairs of letters where a script has no spaces between words.

A ticket has each of its terms once, a search is for all of its own: longer ones also as the beginning of a word.
"""

from __future__ import annotations

import re
import unicodedata

from app.knowledge.words import spaced

# All terms of a ticket, each with its tenant's name, must stay below PostgreSQL's 1 MB of a tsvector.
SEARCHED_CHARS_MAX = 10_000
TERM_CHARS_MAX = 100
ASKED_MAX = 20
# A single letter of an alphabet begins a good part of all words.
PREFIX_CHARS_MIN = 3

_TERM = re.compile(r"[^\W_]+")


def terms(ticket_id: str, subject: str, text: str) -> list[str]:
    """Of a ticket; its id is one of them, as a whole."""
    return sorted({_plain(ticket_id)[:TERM_CHARS_MAX], *_terms(f"{subject}\n{text}")} - {""})


def asked(text: str, tenant: str) -> str | None:
    """A search as a tsquery over the terms of ``tenant``; None where nothing of it can be looked for."""
    own = [_pattern(term, tenant) for term in dict.fromkeys(_terms(text))][:ASKED_MAX]
    ticket_id = _plain(text.replace("\0", "").strip())[:TERM_CHARS_MAX]
    alternatives = [" & ".join(own), _quoted(ticket_id, tenant) + ":*" if ticket_id else ""]
    return " | ".join(f"({each})" for each in alternatives if each) or None


def _terms(text: str) -> list[str]:
    plain = _plain(text[:SEARCHED_CHARS_MAX])[:SEARCHED_CHARS_MAX]  # it may have become longer
    return [term[:TERM_CHARS_MAX] for term in _TERM.findall(spaced(plain, hangul=True))]


def _plain(text: str) -> str:
    """Without what people don't type: case, width, ligatures."""
    return unicodedata.normalize("NFKC", text).casefold()


def _pattern(term: str, tenant: str) -> str:
    begins = len(term) >= PREFIX_CHARS_MIN or not term.isascii()
    return _quoted(term, tenant) + (":*" if begins else "")


def _quoted(term: str, tenant: str) -> str:
    doubled = f"{tenant} {term}".replace("\\", "\\\\").replace("'", "''")
    return f"'{doubled}'"
