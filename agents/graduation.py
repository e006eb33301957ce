"""When replies of a category and locale may be sent without a person, and when no longer.

It opens on proof and by a person; it closes by itself where what came since is worse than what was promised. Silence
proves nothing: a reply that was sent and never heard of again counts for nothing that is proven.
"""

from __future__ import annotations

from dataclasses import dataclass

from scipy.special import betaincinv

from agents.route import NEVER_SENT_CATEGORIES
from schemas.tickets import Category, Stake, Verdict

CLEAN_MIN = 100
# What CLEAN_MIN clean reviews prove, and no more: with a bad one among them more reviews are needed.
BOUND_MAX = 0.03
CERTAINTY = 0.95
BAD_RATING_MAX = 2  # of 5 stars: a complaint


def upper_bound(bad: int, of: int) -> float:
    """The rate of bad replies is below it with CERTAINTY (exact binomial, Clopper and Pearson); 1 for none seen."""
    return 1.0 if bad >= of else float(betaincinv(bad + 1, of - bad, CERTAINTY))


def lower_bound(bad: int, of: int) -> float:
    """The rate of bad replies is above it with CERTAINTY."""
    return 0.0 if bad <= 0 else float(betaincinv(bad, of - bad + 1, 1 - CERTAINTY))


@dataclass(frozen=True)
class Evidence:
    """Reviewed drafts of low priority. Clean: approved without a material edit, and nobody complained afterwards."""

    reviewed: int
    clean: int

    @property
    def bound(self) -> float:
        return upper_bound(self.reviewed - self.clean, self.reviewed)


@dataclass(frozen=True)
class Since:
    """What came since it was opened."""

    sent: int  # without a person
    reviewed: int
    bad: int  # of the reviewed: rejected, or edited materially
    complaints: int  # reopened, rated badly, or complained of in a new message, after sending

    @property
    def rate_min(self) -> float:
        bad = self.bad + self.complaints
        return lower_bound(bad, max(self.sent + self.reviewed, bad))


def complains(verdict: Verdict) -> bool:
    """Whether such a message, after a reply of ours, counts against that reply."""
    return Stake.COMPLAINT in verdict.stakes or verdict.complains_again or verdict.goes_in_circles


def is_openable(category: Category) -> bool:
    """High stakes are nobody's to open."""
    return category not in NEVER_SENT_CATEGORIES


def missing(category: Category, evidence: Evidence, bound_max: float) -> tuple[str, ...]:
    """Every reason why it cannot be opened; none: a person may."""
    checks = (
        (not is_openable(category), f"category {category} always goes to a person"),
        (evidence.clean < CLEAN_MIN, f"{evidence.clean} of {CLEAN_MIN} clean reviews of low priority"),
        (
            evidence.bound > bound_max,
            f"reviews prove a rate of bad replies below {evidence.bound:.2%}; {bound_max:.2%} is asked for",
        ),
    )
    return tuple(reason for applies, reason in checks if applies)


def worse(since: Since, bound_max: float) -> str:
    """Why it closes by itself; empty where it stays open."""
    if since.rate_min <= bound_max:
        return ""
    return (
        f"{since.bad} bad reviews and {since.complaints} complaints among {since.sent} sent and {since.reviewed} "
        f"reviewed: above {since.rate_min:.2%}, where {bound_max:.2%} was promised"
    )
