"""One figure for how much a draft can be trusted, and what reviewers made of drafts with that figure.

The raw score only ranks drafts. What it is worth says the tenant's calibration; without one there is no confidence.
"""

from __future__ import annotations

import math
from bisect import bisect_right

from schemas.policy import Calibration, Curve
from schemas.reviews import Signals
from schemas.tickets import Category, Grounding, JointConfidence, Passage, TicketDrafted, TicketRouted

# A calibration holds for scores of the formula that it was fitted on: raise it with any change of ``raw_score``.
FORMULA = 1
# A product of powers: one bad signal cannot be made good by the others. Chosen on real tickets with a simulated
# reviewer, who approves where the first passage is of an article that people linked: what the search says tells most
# there, what the offline model says of itself little.
_POWERS = {"agreement": 1.0, "similarity": 1.0, "classification": 1 / 16, "draft": 1 / 16, "margin": 1 / 80}
_MARGIN_MIN = 0.1  # no lead over the second passage is no proof of error
_LEFT_OPEN = 0.5  # factor for each question left open, and each finding that is unfounded
_COUNTED_MAX = 10


def signals(event: TicketDrafted | TicketRouted, grounding: Grounding | None = None) -> Signals:
    public = [passage for passage in event.passages if passage.is_public]  # what a reply may rest on
    first, second = (*public, None, None)[:2]
    return Signals(
        similarity=_similarity(first),
        margin=_margin(first, second),
        agreement=0.0 if first is None else min(1.0, max(0.0, first.score)),
        classification=event.verdict.confidence,
        draft=event.draft.confidence,
        citations=len(event.draft.citations),
        unanswered=len(event.draft.unanswered),
        unfounded=len(event.draft.unfounded),
        supported=_supported(grounding),
    )


def raw_score(given: Signals) -> float:
    """0 to 1. Grounding can only lower it, since it is asked only where all else would allow sending: a draft that
    was not checked and one whose every claim is supported have the same score."""
    if not given.citations or given.similarity is None:
        return 0.0
    values = {
        "agreement": given.agreement,
        "similarity": max(0.0, given.similarity),
        "classification": given.classification,
        "draft": given.draft,
        "margin": max(_MARGIN_MIN, given.margin),
    }
    product: float = math.prod(values[name] ** power for name, power in _POWERS.items())
    faults = min(given.unanswered + given.unfounded, _COUNTED_MAX)
    supported = 1.0 if given.supported is None else given.supported
    return product * _LEFT_OPEN**faults * supported


def joint(event: TicketDrafted, calibration: Calibration | None, grounding: Grounding | None = None) -> JointConfidence:
    raw = raw_score(signals(event, grounding))
    if calibration is None or calibration.formula != FORMULA:
        return JointConfidence(raw=raw)
    curve = curve_for(calibration.curves, event.verdict.category, event.verdict.language)
    return JointConfidence(raw=raw, calibrated=None if curve is None else confidence_at(curve, raw))


def curve_for(curves: tuple[Curve, ...], category: Category, language: str) -> Curve | None:
    """The curve of category and language, else of the category, else of the tenant."""
    known = {(curve.category, curve.language): curve for curve in curves}
    wanted = ((category, language), (category, None), (None, None))
    return next((known[key] for key in wanted if key in known), None)


def confidence_at(curve: Curve, raw: float) -> float:
    """Between two steps the lower one holds; below all reviewed scores nothing is known, which is 0."""
    at = bisect_right(curve.raw_from, raw)
    return curve.confidence[at - 1] if at else 0.0


def _similarity(passage: Passage | None) -> float | None:
    if passage is None or passage.similarity is None:
        return None
    return min(1.0, max(-1.0, passage.similarity))  # a cosine may be a rounding beyond 1


def _margin(first: Passage | None, second: Passage | None) -> float:
    if first is None or first.score <= 0:
        return 0.0
    return min(1.0, max(0.0, 1 - second.score / first.score)) if second is not None else 1.0


def _supported(grounding: Grounding | None) -> float | None:
    if grounding is None:
        return None
    claims = grounding.claims
    return sum(claim.supported for claim in claims) / len(claims) if claims else 0.0
