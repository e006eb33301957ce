"""What the knowledge base lacks: tickets that it did not answer, put together by what they ask. Pure.

Texts lie together where the cosine of their vectors, seen from the middle of the tenant's tickets, is on average at
least ``TOGETHER`` (agglomerative clustering with average linkage). Seen from there, the threshold is the same for
embedding models whose cosines are all high. Nothing depends on the language.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agents.message import read, with_subject
from app.knowledge.words import spaced
from app.ports import Vector
from schemas.tickets import Category, TicketRouted

TICKETS_MAX = 2_000  # the newest; pairs of them are compared
TOGETHER = 0.35
# Where no threshold is given, this share of the tenant's tickets counts as poorly found: similarities of different
# embedding models have different scales.
LOWEST_SHARE = 0.1
WORDS_SHOWN = 6
_WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True)
class Weak:
    """A ticket that the knowledge base did not answer."""

    event: TicketRouted
    why: tuple[str, ...]

    @property
    def text(self) -> str:
        return text_of(self.event)


def text_of(event: TicketRouted) -> str:
    return with_subject(event.ticket.subject, read(event.ticket).text)


def best_similarity(event: TicketRouted) -> float | None:
    return max((p.similarity for p in event.passages if p.similarity is not None), default=None)


def lowest(events: Sequence[TicketRouted]) -> float:
    """Below this similarity lies the lowest tenth."""
    known = [best for event in events if (best := best_similarity(event)) is not None]
    return float(np.quantile(known, LOWEST_SHARE)) if known else -1.0


def weak(event: TicketRouted, *, similarity_min: float, rewritten: Mapping[str, str]) -> Weak | None:
    """``rewritten``: root id to what became of its draft."""
    if event.verdict.category is Category.SPAM:
        return None
    best = best_similarity(event)
    checks = (
        (not event.passages, "nothing was found"),
        (best is not None and best < similarity_min, f"similarity {best or 0:.2f}"),
        (not event.draft.citations, "the reply cites nothing"),
        (bool(event.draft.unanswered), "questions are left open"),
        (event.root_id in rewritten, f"the draft was {rewritten.get(event.root_id, '')}"),
    )
    why = tuple(text for applies, text in checks if applies)
    return Weak(event, why) if why else None


def clusters(vectors: Vector, middle: Vector, *, together: float = TOGETHER) -> list[list[int]]:
    """Rows of ``vectors`` that lie together, the largest group first; within one, the most central row first."""
    if len(vectors) > TICKETS_MAX:
        raise ValueError(f"{len(vectors)} texts: at most {TICKETS_MAX}")
    if len(vectors) < 2:
        return [[row] for row in range(len(vectors))]
    from scipy.cluster import hierarchy  # noqa: PLC0415 - for this command only

    seen = _unit(vectors - middle)
    # Of unit vectors: |a - b|^2 = 2 - 2 cos.
    joined = hierarchy.linkage(seen, method="average")
    labels = hierarchy.fcluster(joined, math.sqrt(2 - 2 * together), criterion="distance")
    groups = [np.flatnonzero(labels == label) for label in range(1, labels.max() + 1)]
    return sorted((_central_first(seen, group) for group in groups), key=lambda group: (-len(group), group[0]))


def common_words(texts: Sequence[str], others: Sequence[str]) -> tuple[str, ...]:
    """Words that are in many of ``texts`` and in few of ``others``."""
    here, elsewhere = _in_texts(texts), _in_texts(others)

    def weight(word: str) -> float:
        return here[word] / len(texts) * math.log((1 + len(others)) / (1 + elsewhere[word]))

    told = [word for word in here if here[word] > 1 or len(texts) == 1]
    return tuple(sorted(told, key=lambda word: (-weight(word), word))[:WORDS_SHOWN])


def _in_texts(texts: Sequence[str]) -> Counter[str]:
    return Counter(word for text in texts for word in set(_WORD.findall(spaced(text.lower()))))


def _central_first(seen: Vector, group: np.ndarray[tuple[int], np.dtype[np.intp]]) -> list[int]:
    nearness = seen[group] @ seen[group].mean(axis=0)
    return [int(group[at]) for at in np.argsort(-nearness, kind="stable")]


def _unit(vectors: Vector) -> Vector:
    unit: Vector = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
    return unit
