"""A tenant's reviews to curves, and what they are worth on reviews that they were not fitted on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from agents.confidence import confidence_at, curve_for, raw_score
from app.calibration.isotonic import isotonic
from app.calibration.reliability import Bin, error_by_chance, expected_error, reliability
from schemas.event import Value
from schemas.policy import CURVES_MAX, Curve
from schemas.reviews import Decision, ReviewDecided
from schemas.tickets import Category

# As many as graduation asks for. With fewer, chance alone gives an error above 0.1, which nothing could be told from.
REVIEWS_MIN = 100
# Of a category, or of a category in a language, for a curve of its own: fewer are better served by the tenant's.
GROUP_REVIEWS_MIN = 200
FOLDS = 5
REFITTED_EVERY = 50

_VERDICTS = frozenset({Decision.APPROVED, Decision.EDITED, Decision.REJECTED})


@dataclass(frozen=True)
class Reviewed:
    """One draft, and whether it was approved without a material edit and stayed closed."""

    raw: float
    approved: bool
    category: Category
    language: str
    at: datetime


class Measured(Value):
    """By cross-validation. ``by_chance``: the error to expect of a confidence that is exactly right."""

    reviews: int
    error_raw: float
    error: float
    by_chance: float
    bins_raw: tuple[Bin, ...]
    bins: tuple[Bin, ...]


@dataclass(frozen=True)
class Fitted:
    curves: tuple[Curve, ...]
    reviewed_until: datetime
    measured: Measured


class TooFewReviews(Exception):
    def __init__(self, reviews: int) -> None:
        super().__init__(
            f"{reviews} reviewed drafts; {REVIEWS_MIN - reviews} more are needed to calibrate (at least {REVIEWS_MIN}: "
            f"from fewer, chance could not be told from error). Until then confidence stays as it is"
        )


def reviewed(events: Sequence[ReviewDecided]) -> list[Reviewed]:
    """Oldest first. The last verdict on a draft holds; a draft that was reopened was not right."""
    by_draft: dict[str, ReviewDecided] = {}
    reopened = {event.draft_event_id for event in events if event.decision is Decision.REOPENED}
    for event in sorted(events, key=lambda event: (event.decided_at, event.event_id)):
        # A reply that was sent by itself has no verdict but that it was reopened.
        known_as_reopened = event.decision is Decision.REOPENED and event.draft_event_id not in by_draft
        if event.decision in _VERDICTS or known_as_reopened:
            by_draft[event.draft_event_id] = event
    found = [
        Reviewed(raw_score(event.signals), _was_right(event) and draft not in reopened, event.category,
                 event.language, event.decided_at)
        for draft, event in by_draft.items()
    ]  # fmt: skip
    return sorted(found, key=lambda one: one.at)


def fit(reviews: Sequence[Reviewed]) -> Fitted:
    """Raises TooFewReviews."""
    if len(reviews) < REVIEWS_MIN:
        raise TooFewReviews(len(reviews))
    return Fitted(curves(reviews), max(one.at for one in reviews), measured(reviews))


def curves(reviews: Sequence[Reviewed]) -> tuple[Curve, ...]:
    """The tenant's, and those of the largest groups that have enough reviews for one of their own."""
    counts: Counter[tuple[Category, str | None]] = Counter()
    for one in reviews:
        counts.update([(one.category, None), (one.category, one.language)])
    alone = {group for group, count in counts.items() if count == counts[group[0], None] and group[1] is not None}
    groups = [group for group, count in counts.most_common() if count >= GROUP_REVIEWS_MIN and group not in alone]
    return (
        _curve(reviews, None, None),
        *(_curve(reviews, category, language) for category, language in groups[: CURVES_MAX - 1]),
    )


def measured(reviews: Sequence[Reviewed]) -> Measured:
    """Every fifth review is kept apart in turn, so that each fold spans the whole time."""
    pairs = []
    for fold in range(FOLDS):
        fitted = curves([one for at, one in enumerate(reviews) if at % FOLDS != fold])
        pairs += [(predicted(fitted, one), one.approved) for one in reviews[fold::FOLDS]]
    return compared([(one.raw, one.approved) for one in reviews], pairs)


def prequential(reviews: Sequence[Reviewed], *, every: int = REFITTED_EVERY) -> Measured:
    """As it is in use: each review, oldest first, is predicted by those before it."""
    judged = reviews[REVIEWS_MIN:]
    pairs = []
    for start in range(REVIEWS_MIN, len(reviews), every):
        fitted = curves(reviews[:start])
        pairs += [(predicted(fitted, one), one.approved) for one in reviews[start : start + every]]
    return compared([(one.raw, one.approved) for one in judged], pairs)


def compared(raw: Sequence[tuple[float, bool]], calibrated: Sequence[tuple[float, bool]]) -> Measured:
    bins_raw, bins = reliability(raw), reliability(calibrated)
    return Measured(
        reviews=len(calibrated),
        error_raw=expected_error(bins_raw),
        error=expected_error(bins),
        by_chance=error_by_chance(bins),
        bins_raw=bins_raw,
        bins=bins,
    )


def predicted(fitted: tuple[Curve, ...], one: Reviewed) -> float:
    curve = curve_for(fitted, one.category, one.language)
    assert curve is not None, "the first curve is the tenant's"
    return confidence_at(curve, one.raw)


def _curve(reviews: Sequence[Reviewed], category: Category | None, language: str | None) -> Curve:
    own = [
        (one.raw, one.approved)
        for one in reviews
        if category in {None, one.category} and language in {None, one.language}
    ]
    steps = isotonic(own)
    return Curve(
        category=category,
        language=language,
        reviews=len(own),
        raw_from=tuple(step.raw_from for step in steps),
        confidence=tuple(step.confidence for step in steps),
    )


def _was_right(event: ReviewDecided) -> bool:
    return event.decision is Decision.APPROVED or (
        event.decision is Decision.EDITED and event.edit is not None and not event.edit.material
    )
