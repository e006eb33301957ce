"""Canned valid answers from the request's hash alone, for load and chaos tests."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from app.offline.embedding import DIMENSIONS, Vector
from app.offline.request import Chat
from schemas.tickets import Category, Priority, Sentiment, Stake

_CATEGORIES, _PRIORITIES, _SENTIMENTS, _STAKES = tuple(Category), tuple(Priority), tuple(Sentiment), tuple(Stake)
# A number would be one that stands in no article, and be asked for once more.
_LETTERS = str.maketrans("0123456789", "ghijklmnop")
_LANGUAGES = ("en", "de", "fr", "es", "ja", "ar")


def answer(chat: Chat, key: str) -> dict[str, Any]:
    draw = blake2b(f"{key}\n{chat.task}".encode("utf-8", "replace"), digest_size=8).digest()
    if chat.task == "classify":
        return _verdict(draw)
    if chat.task == "draft":
        ids = list(dict.fromkeys(source.id for source in chat.sources))[:2]
        return {
            "reply": f"Simulated reply {draw.hex().translate(_LETTERS)}.",
            "citations": ids,
            "unanswered": [] if ids else ["Simulated question?"],
            "answered": [number + 1 for number in range(len(chat.customer.questions))] if chat.customer else [],
            "confidence": round(draw[0] / 255, 2) if ids else 0.05,
        }
    if chat.task == "rerank":
        return {"document_ids": [source.id for source in chat.sources]}
    first = chat.sources[0].id if chat.sources else None
    supported = first is not None and draw[0] < 230
    return {
        "claims": [{"text": "Simulated claim.", "supported": supported, "document_id": first if supported else None}]
    }


def _verdict(draw: bytes) -> dict[str, Any]:
    """Half of the tickets are harmless questions, so that every route is taken."""
    harmless = draw[0] < 128
    category = Category.HOW_TO if harmless else _CATEGORIES[draw[1] % len(_CATEGORIES)]
    stakes = [stake for stake in _STAKES if stake.value == category.value]
    return {
        "category": category,
        "priority": Priority.LOW if harmless else _PRIORITIES[draw[2] % len(_PRIORITIES)],
        "sentiment": _SENTIMENTS[draw[3] % len(_SENTIMENTS)],
        "language": _LANGUAGES[draw[4] % len(_LANGUAGES)],
        "stakes": stakes,
        "wants_human": not harmless and draw[5] < 26,
        "complains_again": not harmless and draw[7] < 13,
        "goes_in_circles": not harmless and 13 <= draw[7] < 26,
        "questions": [],
        "confidence": round(0.5 + draw[6] / 510, 2),
    }


def vectors(texts: Sequence[str]) -> Vector:
    """Unit vectors that only depend on the text; they mean nothing."""
    found = np.empty((len(texts), DIMENSIONS), np.float32)
    for row, text in enumerate(texts):
        seed = int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest())
        found[row] = np.random.Generator(np.random.PCG64(seed)).standard_normal(DIMENSIONS, dtype=np.float32)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    return found
