"""Kernel ridge regression: labels by likeness to training rows. Closed form, so the same numbers on every run.

It beats logistic regression over the same vectors where classes are many or the rows of another language: 0.924
against 0.910 on banking77 (both fitted on 6,399 rows).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[Any]

# Tuned on a fifth of banking77's training rows, apart from those that its figure is measured on.
WIDTH = 1.0
PENALTY = 0.1
# From scores between 0 and 1 to logits.
SCALE = 10.0


@dataclass(frozen=True)
class Kernel:
    """``rows``: training vectors, centred and of unit length."""

    mean: Matrix
    rows: Matrix
    width: float = WIDTH

    @classmethod
    def of(cls, vectors: Matrix, width: float = WIDTH) -> Self:
        mean = vectors.mean(axis=0)
        return cls(mean, _unit(vectors - mean), width)

    def features(self, vectors: Matrix) -> Matrix:
        """The likeness of each vector to each row, 1 where they are the same."""
        return likeness(_unit(vectors - self.mean), self.rows, self.width)


def likeness(some: Matrix, others: Matrix, width: float = WIDTH) -> Matrix:
    """Of unit vectors: a Gaussian of their distance."""
    found = some @ others.T
    found -= 1.0
    found *= 2.0 * width
    return np.asarray(np.exp(found, out=found))


def fit(features: Matrix, labels: npt.NDArray[np.int64], classes: int) -> Matrix:
    """Weights (rows x classes) for logits; ``features`` are the rows' likeness to each other."""
    from scipy.linalg import solve  # noqa: PLC0415 - only training needs it

    system = features.astype(np.float32, copy=True)
    system[np.diag_indices_from(system)] += PENALTY
    targets = np.eye(classes, dtype=np.float32)[labels] * SCALE
    return np.asarray(solve(system, targets, assume_a="pos", overwrite_a=True, overwrite_b=True), np.float32)


def error_left_out(features: Matrix, labels: npt.NDArray[np.int64], classes: int) -> float:
    """Mean squared error of each row when the others predict it: in closed form, without fitting again."""
    system = features.astype(np.float64)
    system[np.diag_indices_from(system)] += PENALTY
    inverse = np.linalg.inv(system)
    missed = inverse @ np.eye(classes)[labels] / np.diag(inverse)[:, None]
    return float(np.square(missed).sum(axis=1).mean())


def _unit(vectors: Matrix) -> Matrix:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), np.float32)
