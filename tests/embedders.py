"""An embedder whose vectors can be foretold."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Literal

import numpy as np

from agents.contract import TransientError
from app.ports import Vector
from schemas.usage import Usage

DIMENSIONS = 64


class WordEmbedder:
    """Texts that share words are near each other."""

    provider = "test"

    def __init__(self, model: str = "words", dimensions: int = DIMENSIONS) -> None:
        self.model = model
        self.dimensions = dimensions
        self.embedded: list[str] = []
        self.fails_after: int | None = None

    def vector(self, text: str) -> Vector:
        vector = np.full(self.dimensions, 1e-3, dtype=np.float32)
        for word in re.findall(r"\w+", text.lower()):
            vector[hashlib.sha256(word.encode()).digest()[0] % self.dimensions] += 1
        return vector / np.float32(np.linalg.norm(vector))

    async def embed(
        self, texts: Sequence[str], *, kind: Literal["query", "passage"], call_id: str | None = None
    ) -> tuple[Vector, Usage]:
        if self.fails_after is not None and len(self.embedded) >= self.fails_after:
            raise TransientError("the provider is away")
        self.embedded.extend(texts)
        return np.stack([self.vector(text) for text in texts]), Usage(input_tokens=len(texts))
