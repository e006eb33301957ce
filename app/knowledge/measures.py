"""How good a search is, by judged questions. Pure.

Sources: Manning, Raghavan, Schütze, Introduction to Information Retrieval, chapter 8 (MRR, nDCG); intervals by the
percentile bootstrap over questions.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

MEASURES = ("hit@1", "hit@5", "MRR", "nDCG@10")
RESAMPLES = 1_000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A mean over questions, between ``low`` and ``high`` with 95 % confidence."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f})"


def scores(found: Sequence[str], wanted: Collection[str]) -> dict[str, float]:
    """Of one question: ``found`` are different documents, best first; each of ``wanted`` is right."""
    ranks = [rank for rank, document_id in enumerate(found, start=1) if document_id in wanted]
    first = ranks[0] if ranks else math.inf
    gain = sum(_discount(rank) for rank in ranks if rank <= 10)
    most = sum(_discount(rank) for rank in range(1, min(len(set(wanted)), 10) + 1))
    return {"hit@1": float(first <= 1), "hit@5": float(first <= 5), "MRR": 1 / first, "nDCG@10": gain / most}


def estimates(of_questions: Sequence[Mapping[str, float]], *, seed: int = 1) -> dict[str, Estimate]:
    """The mean of each measure. The same questions give the same intervals."""
    rng = np.random.default_rng(seed)
    values = np.array([[question[name] for name in MEASURES] for question in of_questions])
    drawn = rng.integers(len(values), size=(RESAMPLES, len(values)))
    means = np.array([values[sample].mean(axis=0) for sample in drawn])
    edge = (1 - CONFIDENCE) / 2
    low, high = np.quantile(means, [edge, 1 - edge], axis=0)
    mean = values.mean(axis=0)
    return {name: Estimate(float(mean[i]), float(low[i]), float(high[i])) for i, name in enumerate(MEASURES)}


def _discount(rank: int) -> float:
    return 1 / math.log2(rank + 1)
