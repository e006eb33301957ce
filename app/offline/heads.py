"""The trained classifier: plain arrays, kept as npz and JSON, never as pickles."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt
import orjson

Matrix = npt.NDArray[Any]


@dataclass(frozen=True)
class Head:
    """One logistic regression. ``threshold`` is for yes/no heads only."""

    classes: tuple[str, ...]
    weights: Matrix
    biases: Matrix
    temperature: float
    threshold: float | None

    def probabilities(self, features: Matrix) -> Matrix:
        return softmax(logits_of(features, self.weights, self.biases) / self.temperature)


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
    mean: Matrix
    scale: Matrix
    heads: Mapping[str, Head]
    distance: Distance
    rows: Matrix  # the training vectors
    report: Mapping[str, Any]

    def features(self, vectors: Matrix) -> Matrix:
        return (vectors - self.mean) / self.scale

    def nearest(self, vector: Matrix) -> float:
        return float((self.rows @ vector).max())


def logits_of(features: Matrix, weights: Matrix, biases: Matrix) -> Matrix:
    return np.asarray(features @ weights + biases)


def softmax(logits: Matrix) -> Matrix:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def save(classifier: Classifier, path: Path, key: str) -> None:
    """Written beside and renamed: a reader sees the whole file or none."""
    arrays = {"mean": classifier.mean, "scale": classifier.scale, "rows": classifier.rows}
    heads = {}
    for name, head in classifier.heads.items():
        arrays[f"{name}.weights"], arrays[f"{name}.biases"] = head.weights, head.biases
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
                biases=arrays[f"{name}.biases"],
                temperature=head["temperature"],
                threshold=head["threshold"],
            )
            for name, head in meta["heads"].items()
        }
        distance = Distance(**meta["distance"])
        return Classifier(arrays["mean"], arrays["scale"], heads, distance, arrays["rows"], meta["report"])
    except (OSError, KeyError, ValueError, EOFError, BadZipFile):
        return None
