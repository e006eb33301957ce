"""Isotonic regression by pooling adjacent violators, as a staircase of few steps.

Sources: Barlow et al., Statistical Inference under Order Restrictions (1972); Zadrozny and Elkan, KDD 2002. A step's
share is (approved + 1) / (reviews + 2), Laplace's rule of succession: three approvals of three are no certainty.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby, pairwise

from schemas.policy import STEPS_MAX


@dataclass(frozen=True)
class Step:
    raw_from: float
    reviews: int
    approved: int

    @property
    def mean(self) -> float:
        return self.approved / self.reviews

    @property
    def confidence(self) -> float:
        return (self.approved + 1) / (self.reviews + 2)

    def __add__(self, higher: Step) -> Step:
        return Step(self.raw_from, self.reviews + higher.reviews, self.approved + higher.approved)


def isotonic(points: Iterable[tuple[float, bool]], *, steps_max: int = STEPS_MAX) -> list[Step]:
    """Of (raw score, approved). Raises ValueError for no points, and for a score that is not from 0 to 1."""
    ordered = sorted(points)
    if not ordered:
        raise ValueError("nothing to fit: no reviews")
    if any(not (math.isfinite(raw) and 0 <= raw <= 1) for raw, _ in ordered):
        raise ValueError("a raw score is not a number from 0 to 1")
    tied = []
    for raw, group in groupby(ordered, key=lambda point: point[0]):
        outcomes = [approved for _, approved in group]
        tied.append(Step(raw, len(outcomes), sum(outcomes)))
    steps = _pooled(tied, lambda step: step.mean)
    while len(steps) > steps_max:
        closest = min(range(len(steps) - 1), key=lambda at: steps[at + 1].mean - steps[at].mean)
        steps[closest : closest + 2] = [steps[closest] + steps[closest + 1]]
    # A small step moves further towards one half than a large one beside it, which may turn their order round.
    steps = _pooled(steps, lambda step: step.confidence)
    assert all(a.confidence < b.confidence for a, b in pairwise(steps))
    return steps


def _pooled(steps: Iterable[Step], value: Callable[[Step], float]) -> list[Step]:
    pooled: list[Step] = []
    for step in steps:
        pooled.append(step)
        while len(pooled) > 1 and value(pooled[-2]) >= value(pooled[-1]):
            pooled[-2:] = [pooled[-2] + pooled[-1]]
    return pooled
