"""BM25 over whole articles: what a search is compared with. Pure.

Robertson, Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), with its usual constants.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from math import log

from app.knowledge.words import spaced

K1 = 1.2
B = 0.75
_WORD = re.compile(r"\w+")


class Bm25:
    """``texts`` by document id."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        words = {document_id: _words(text) for document_id, text in texts.items()}
        self._mean = sum(map(len, words.values())) / max(1, len(words))
        self._postings: dict[str, list[tuple[str, float]]] = defaultdict(list)
        for document_id, found in words.items():
            length = K1 * (1 - B + B * len(found) / self._mean)
            for word, count in Counter(found).items():
                self._postings[word].append((document_id, count * (K1 + 1) / (count + length)))
        self._documents = len(words)

    def search(self, query: str, limit: int) -> list[str]:
        """Documents that share a word with ``query``, best first."""
        scores: dict[str, float] = defaultdict(float)
        for word in set(_words(query)):
            postings = self._postings.get(word, ())
            rare = log(1 + (self._documents - len(postings) + 0.5) / (len(postings) + 0.5))
            for document_id, weight in postings:
                scores[document_id] += rare * weight
        return sorted(scores, key=lambda document_id: (-scores[document_id], document_id))[:limit]


def _words(text: str) -> list[str]:
    return _WORD.findall(spaced(text).casefold())
