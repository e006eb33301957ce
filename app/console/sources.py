"""Which passage each sentence of a draft is from."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from app.knowledge.words import spaced
from schemas.tickets import Claim, Grounding, Passage

# White space and marks of citations behind it belong to it.
_SENTENCE = re.compile(r"[^\n]*?(?:[.!?…؟][\"'”»)\]]*(?=\s)|[。！？।]|(?=\n)|\Z)(?:[ \t]*\[[^\]\n]{1,200}\])*[ \t]*\n*")
_MARK = re.compile(r"[ \t]*\[([^\]\n]{1,200})\]")
_WORD = re.compile(r"[^\W_]+")
SENTENCES_MAX = 400
# Fewer of a sentence's words in a passage are chance: "you", "can", "the".
SHARE_MIN = 0.4

T = TypeVar("T")
Words = frozenset[str]


@dataclass(frozen=True)
class Sentence:
    text: str
    passage: int | None  # index among the passages
    supported: bool | None  # None: nobody checked it
    shown: str  # without the marks, for which the passage's number stands


@dataclass(frozen=True)
class _Sources:
    documents: tuple[str, ...]  # of each passage
    cited: tuple[tuple[int, Words], ...]
    claims: tuple[tuple[Claim, Words], ...]

    def of(self, text: str) -> Sentence:
        words = _words(_MARK.sub(" ", text))
        claim = _best(words, self.claims)
        named = [*_MARK.findall(text), *([claim.document_id] if claim and claim.document_id else [])]
        # An article may be there with several passages: the one that shares most.
        own = [each for each in self.cited if self.documents[each[0]] in named]
        passage = _best(words, own, share_min=0.0) if own else _best(words, self.cited)
        shown = _MARK.sub(lambda mark: "" if mark[1] in self.documents else mark[0], text)
        return Sentence(text, passage, claim.supported if claim else None, shown)


def linked(
    body: str, passages: Sequence[Passage], citations: Sequence[str], grounding: Grounding | None
) -> list[Sentence]:
    """The draft's sentences, white space included, each with the passage that it rests on.

    That is what the draft itself names behind the sentence, else what the grounding check names, else what shares
    most words: of these three only the second read what is said.
    """
    sources = _Sources(
        tuple(passage.document_id for passage in passages),
        tuple((n, _words(f"{p.title} {p.text}")) for n, p in enumerate(passages) if p.document_id in citations),
        tuple((claim, _words(claim.text)) for claim in (grounding.claims if grounding else ())),
    )
    pieces = [piece for piece in _SENTENCE.findall(body) if piece]
    if len(pieces) > SENTENCES_MAX:
        pieces = [*pieces[:SENTENCES_MAX], "".join(pieces[SENTENCES_MAX:])]
    return [sources.of(piece) for piece in pieces]


def _best(words: Words, texts: Sequence[tuple[T, Words]], *, share_min: float = SHARE_MIN) -> T | None:
    if not words or not texts:
        return None
    best, text = max(texts, key=lambda each: len(words & each[1]))
    return best if len(words & text) >= share_min * len(words) else None


def _words(text: str) -> Words:
    return frozenset(word for word in _WORD.findall(spaced(text.lower())) if len(word) > 1)
