"""The trained classifier: plain arrays, kept as npz and JSON, never as pickles."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import orjson

from app.offline.kernel import Kernel

Matrix = npt.NDArray[Any]


@dataclass(frozen=True)
class Head:
    """One kernel ridge regression. ``threshold`` is for yes/no heads only."""

    classes: tuple[str, ...]
    weights: Matrix  # training rows x classes
    temperature: float
    threshold: float | None

    def probabilities(self, features: Matrix) -> Matrix:
        return softmax(features @ self.weights / self.temperature)


@dataclass(frozen=True)
class Distance:
    """Similarity to the nearest training row: at ``near`` the confidence stands, at ``far`` none is left."""

    far: float
    near: float

    def trust(self, similarity: float) -> float:
        if self.near <= self.far:
            return 1.0
        return min(1.0, max(0.0, (similarity - self.far) / (self.near - self.far)))


@dataclass(frozen=True)
class Classifier:
    heads: Mapping[str, Head]
    distance: Distance
    rows: Matrix  # the training vectors
    report: Mapping[str, Any]

    @cached_property
    def _kernel(self) -> Kernel:
        return Kernel.of(self.rows)

    def features(self, vectors: Matrix) -> Matrix:
        """The likeness of each vector to each training row."""
        return self._kernel.features(vectors)

    def nearest(self, vector: Matrix) -> float:
        return float((self.rows @ vector).max())


def softmax(logits: Matrix) -> Matrix:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def save(classifier: Classifier, path: Path, key: str) -> None:
    """Written beside and renamed: a reader sees the whole file or none."""
    arrays = {"rows": classifier.rows}
    heads = {}
    for name, head in classifier.heads.items():
        arrays[f"{name}.weights"] = head.weights
        heads[name] = {"classes": head.classes, "temperature": head.temperature, "threshold": head.threshold}
    meta = {"key": key, "heads": heads, "distance": asdict(classifier.distance), "report": classifier.report}
    arrays["meta"] = np.frombuffer(orjson.dumps(meta), np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(f".{os.getpid()}.partial.npz")
    np.savez(partial, allow_pickle=False, **arrays)
    partial.replace(path)


def load(path: Path, key: str) -> Classifier | None:
    """None if there is none of this key, or only a damaged one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        meta = orjson.loads(arrays["meta"].tobytes())
        if meta["key"] != key:
            return None
        heads = {
            name: Head(
                classes=tuple(head["classes"]),
                weights=arrays[f"{name}.weights"],
                temperature=head["temperature"],
                threshold=head["threshold"],
            )
            for name, head in meta["heads"].items()
        }
        distance = Distance(**meta["distance"])
        return Classifier(heads, distance, arrays["rows"], meta["report"])
    except (OSError, KeyError, ValueError, EOFError, BadZipFile):
        return None
