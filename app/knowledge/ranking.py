"""Which documents answer a question, by all that speaks for them. Pure.

Each sign is brought to 0 to 1 within the search, then weighed: by round numbers between those that fit each half of
1,846 real tickets (infra/docs/adr/0005-ranking.md).
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import log1p
from typing import Literal

# near: a chunk's similarity; words: a document's score of full-text search, with its best chunk; named: how many other
# articles name it; voted: by the nearest past tickets; answered: tickets in the past; past: how many there are.
Kind = Literal["near", "words", "named", "voted", "answered", "past"]

CHUNKS_COUNTED = 3  # of a document: one lucky chunk does not rank it first
WORDS = 0.6
NAMED = 0.4
VOTES = 1.5
ANSWERED = 0.5
# So many past tickets have half of their weight: the first ones are chance.
PAST_HALF = 30

_Version = tuple[str, int]  # document id and version


@dataclass(frozen=True)
class Candidate:
    kind: Kind
    document_id: str
    version: int
    chunk: int | None
    score: float


@dataclass(frozen=True)
class Choice:
    """``score``: 1 for a document that every sign of its answering this very question puts first. Confidence rests on
    that scale. How often others name a document says nothing of the question: it ranks, and is no part of the score.
    """

    document_id: str
    version: int
    chunk: int | None  # None: only past tickets speak for the document
    score: float


def best(candidates: Iterable[Candidate], limit: int) -> list[Choice]:
    """The best ``limit`` documents, best first, each with the chunk that speaks for it most."""
    of_kind: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        of_kind[candidate.kind].append(candidate)
    past = sum(candidate.score for candidate in of_kind["past"])
    trust = past / (past + PAST_HALF)
    score: dict[_Version, float] = defaultdict(float)
    weighed = (
        (_near(of_kind["near"]), 1.0),
        (_of_highest(of_kind["words"]), WORDS),
        (_of_highest(of_kind["voted"]), VOTES * trust),
        (_of_highest(of_kind["answered"], log1p), ANSWERED * trust),
    )
    total = sum(weight for _, weight in weighed)
    for signs, weight in weighed:
        for document, sign in signs.items():
            score[document] += weight / total * sign
    named = _of_highest(of_kind["named"], log1p)
    # As far as past tickets tell what people need, nothing has to stand in for them.
    weight = NAMED * (1 - trust) / total
    rank = {document: score[document] + weight * named.get(document, 0.0) for document in score}
    chunk = {(each.document_id, each.version): each.chunk for each in of_kind["words"]}
    for each in sorted(of_kind["near"], key=lambda each: each.score):
        chunk[each.document_id, each.version] = each.chunk
    first = heapq.nsmallest(limit, rank, key=lambda document: (-rank[document], document))
    return [Choice(*document, chunk.get(document), score[document]) for document in first]


def _near(chunks: Iterable[Candidate]) -> Mapping[_Version, float]:
    """The mean of each document's best chunks; one that is not among the nearest counts as the farthest of them."""
    nearest = sorted(chunks, key=lambda each: -each.score)
    if not nearest:
        return {}
    low, high = nearest[-1].score, nearest[0].score
    found: dict[_Version, list[float]] = defaultdict(list)
    for each in nearest:
        found[each.document_id, each.version].append((each.score - low) / (high - low) if high > low else 1.0)
    return {document: sum(scores[:CHUNKS_COUNTED]) / CHUNKS_COUNTED for document, scores in found.items()}


def _of_highest(
    candidates: Iterable[Candidate], scale: Callable[[float], float] = lambda score: score
) -> Mapping[_Version, float]:
    """Each score's share of the highest."""
    scores = {(each.document_id, each.version): scale(each.score) for each in candidates}
    highest = max(scores.values(), default=0.0)
    return {document: score / highest for document, score in scores.items()} if highest > 0 else {}
