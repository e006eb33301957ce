"""What confidence is worth on real tickets, each reviewed by a simulated reviewer, who is named as such."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from app.calibration.fit import REVIEWS_MIN, Measured, Reviewed, measured, prequential
from app.evaluation.figures import Figure
from app.evaluation.tickets import Ended
from schemas.tickets import TicketRouted

SIMULATED_REVIEWER = "simulated reviewer: approves where the first passage is of an article that people linked"


def figures(ended: Sequence[Ended], linked: Mapping[str, Collection[str]], *, model: str) -> list[Figure]:
    """Raw and calibrated. ``linked``: articles by ticket. Nothing where too few tickets have one."""
    reviews = reviewed(ended, linked)
    if len(reviews) <= REVIEWS_MIN:
        return []
    in_use, apart = prequential(reviews), measured(reviews)
    approved = sum(one.approved for one in reviews) / len(reviews)
    note = f"{SIMULATED_REVIEWER}, {approved:.1%} of {len(reviews):,}; the first {REVIEWS_MIN} are only learnt from"
    return [
        Figure(
            "calibration.error_raw", in_use.error_raw, in_use.reviews, model, note=note,
            details=_shares(in_use, raw=True),
        ),
        Figure(
            "calibration.error", in_use.error, in_use.reviews, model,
            note=f"{note}; each ticket predicted by those before it. {in_use.by_chance:.3f} is to be expected of a "
            f"confidence that is exactly right. By cross-validation {apart.error:.3f}",
            details=_shares(in_use, raw=False),
        ),
    ]  # fmt: skip


def reviewed(ended: Sequence[Ended], linked: Mapping[str, Collection[str]]) -> list[Reviewed]:
    """Oldest first."""
    found = []
    for one in ended:
        event, wanted = one.event, linked.get(one.received.ticket.ticket_id)
        if not wanted or not isinstance(event, TicketRouted) or event.confidence is None:
            continue
        first = next((passage.document_id for passage in event.passages if passage.is_public), None)
        at = event.ticket.created_at or event.accepted_at
        found.append(
            Reviewed(event.confidence.raw, first in wanted, event.verdict.category, event.verdict.language, at)
        )
    return sorted(found, key=lambda review: review.at)


def _shares(found: Measured, *, raw: bool) -> dict[str, float]:
    """Where the confidences fall, and what came true."""
    bins = found.bins_raw if raw else found.bins
    return {f"approved of {each.reviews:,} at {each.predicted:.2f}": each.approved for each in bins}
