"""Vectors kept from one evaluation to the next (port: Embedder): by model, dimensions, kind and text."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Literal

import numpy as np

from app.ports import Embedder, Vector
from schemas.usage import Usage

_BATCH = 64
Kind = Literal["query", "passage"]
Progress = Callable[[int, int], None]


class RememberedEmbeddings:
    def __init__(self, embedder: Embedder, file: Path) -> None:
        self._embedder = embedder
        self._file = file
        self.provider = embedder.provider
        self.model = embedder.model
        self.dimensions = embedder.dimensions
        file.parent.mkdir(parents=True, exist_ok=True)
        with closing(self._open()) as db, db:
            db.execute("create table if not exists vectors (key blob primary key, vector blob not null)")

    async def embed(self, texts: Sequence[str], *, kind: Kind, call_id: str | None = None) -> tuple[Vector, Usage]:
        """Usage is of what was embedded now."""
        keys = [self._key(text, kind) for text in texts]
        found = self._found(keys)
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        usage = Usage()
        if missing:
            vectors, usage = await self._embedder.embed(list(missing.values()), kind=kind, call_id=call_id)
            new = dict(zip(missing, np.asarray(vectors, np.float32), strict=True))
            with closing(self._open()) as db, db:
                rows = [(key, vector.tobytes()) for key, vector in new.items()]
                db.executemany("insert or ignore into vectors values (?, ?)", rows)
            found |= new
        if not keys:
            return np.zeros((0, self.dimensions), np.float32), usage
        return np.stack([found[key] for key in keys]), usage

    async def embed_all(self, texts: Sequence[str], *, kind: Kind, progress: Progress) -> Vector:
        """In batches, each kept as soon as it is there: what was broken off goes on where it was."""
        parts = []
        for start in range(0, len(texts), _BATCH):
            parts.append((await self.embed(texts[start : start + _BATCH], kind=kind))[0])
            progress(min(start + _BATCH, len(texts)), len(texts))
        return np.concatenate(parts) if parts else np.zeros((0, self.dimensions), np.float32)

    def _found(self, keys: Sequence[bytes]) -> dict[bytes, Vector]:
        marks = ", ".join("?" * len(keys))
        with closing(self._open()) as db:
            rows = db.execute(f"select key, vector from vectors where key in ({marks})", keys)  # noqa: S608 - marks only
            return {key: np.frombuffer(vector, np.float32) for key, vector in rows}

    def _key(self, text: str, kind: Kind) -> bytes:
        named = f"{self.model}\n{self.dimensions}\n{kind}\n{text}"
        return blake2b(named.encode("utf-8", "replace"), digest_size=16).digest()

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._file, timeout=60)
