"""How far a confidence is from what came true.

Source: Naeini, Cooper, Hauskrecht, AAAI 2015 (expected calibration error over bins of equal width).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from schemas.event import Value

BINS = 10


class Bin(Value):
    """Predictions from ``low`` to below ``high`` (the last one includes 1)."""

    low: float
    high: float
    reviews: int
    predicted: float  # mean
    approved: float  # share


def reliability(pairs: Iterable[tuple[float, bool]], *, bins: int = BINS) -> tuple[Bin, ...]:
    """Of (confidence, approved); empty bins are left out. Raises ValueError for a confidence outside of 0 to 1."""
    found: dict[int, list[tuple[float, bool]]] = {}
    for confidence, approved in pairs:
        if not 0 <= confidence <= 1:
            raise ValueError(f"a confidence of {confidence} is not a number from 0 to 1")
        found.setdefault(min(int(confidence * bins), bins - 1), []).append((confidence, approved))
    return tuple(_bin(at, found[at], bins) for at in sorted(found))


def expected_error(found: Sequence[Bin]) -> float:
    """ECE: the mean over predictions of |predicted - approved| of their bin."""
    total = sum(one.reviews for one in found)
    return sum(one.reviews * abs(one.predicted - one.approved) for one in found) / total if total else 0.0


def error_by_chance(found: Sequence[Bin]) -> float:
    """The ECE to expect, from the number of reviews alone, of a confidence that is exactly right."""
    total = sum(one.reviews for one in found)
    by_bin = (
        one.reviews * math.sqrt(2 * one.predicted * (1 - one.predicted) / (math.pi * one.reviews)) for one in found
    )
    return sum(by_bin) / total if total else 0.0


def _bin(at: int, members: Sequence[tuple[float, bool]], bins: int) -> Bin:
    return Bin(
        low=at / bins,
        high=(at + 1) / bins,
        reviews=len(members),
        predicted=sum(confidence for confidence, _ in members) / len(members),
        approved=sum(approved for _, approved in members) / len(members),
    )
