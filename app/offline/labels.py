"""A classifier of any set of labels, from rows that have them: what the ticket heads are made of, for one question."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from app.offline.kernel import SCALE, Kernel, Matrix, error_left_out, fit

# Few rows are better told apart by a wide likeness, many by a narrower one.
WIDTHS = (0.5, 1.0)
TRIED_ROWS_MAX = 2_000


@dataclass(frozen=True)
class Labels:
    classes: tuple[str, ...]
    kernel: Kernel
    weights: Matrix

    def scores(self, vectors: Matrix) -> Matrix:
        """About 1 for a label that is sure, about 0 for all of them where a text is like no row."""
        return np.asarray(self.kernel.features(vectors) @ self.weights / SCALE)


@dataclass(frozen=True)
class Labelled:
    label: str
    confidence: float


def train(vectors: Matrix, labels: Sequence[str]) -> Labels:
    """The rows are kept: a Gaussian likeness to each of them, and ridge regression over that. Its width is the one by
    which rows, spread evenly over all of them, are best predicted by the others.
    """
    classes = tuple(sorted(set(labels)))
    numbers = {label: number for number, label in enumerate(classes)}
    own = np.array([numbers[label] for label in labels])
    tried = np.linspace(0, len(own) - 1, min(len(own), TRIED_ROWS_MAX)).astype(np.int64)

    def error(width: float) -> float:
        some = vectors[tried]
        return error_left_out(Kernel.of(some, width).features(some), own[tried], len(classes))

    kernel = Kernel.of(vectors, min(WIDTHS, key=error))
    return Labels(classes, kernel, fit(kernel.features(vectors), own, len(classes)))


def classify(model: Labels, vectors: Matrix, *, apart: str | None = None) -> list[Labelled]:
    """The best label of each vector other than ``apart``, a label that means none of them.

    ``confidence`` is by how much its score is above that of ``apart``: below a threshold, abstain.
    """
    scores = model.scores(vectors)
    none = np.zeros(len(scores), np.float32)
    if apart in model.classes:
        place = model.classes.index(apart)
        none = scores[:, place].copy()
        scores[:, place] = -np.inf
    best = scores.argmax(axis=1)
    return [Labelled(model.classes[n], float(row[n] - away)) for n, row, away in zip(best, scores, none, strict=True)]
