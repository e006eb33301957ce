"""What became of a tenant's tickets in a time: resolved without a person, reviewed, rated, and what it cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from app.store.database import Pool
from app.store.queries import query

# A ticket that comes back within so many days was not resolved.
SETTLED_DAYS = 7
REPORT_S_MAX = 300.0  # a hundred thousand tickets of a tenant take some seconds, millions minutes
MEDIAN_DIGITS = 9  # beyond them, a mean of two depends on who reckons it


@dataclass(frozen=True)
class Report:
    """Of tickets whose first message came in during the time, and of reviews and ratings given in it."""

    tickets: int
    resolved: int  # without a person: sent by itself, and not come back
    unsettled: int  # of the resolved: could still come back within SETTLED_DAYS
    retracted: int  # sent by itself and come back: reopened, or the customer wrote again
    cost_usd: Decimal  # of all calls for these tickets; unconfirmed ones with their bound
    reviews: int
    reviews_timed: int  # the reviewer's time is known
    reviews_under_a_minute: int
    review_s_median: float | None
    ratings: int
    ratings_good: int  # 4 or 5 of 5
    rating_sum: int
    stale: int = 0  # messages whose answer nobody needed any more: superseded, or overtaken while it waited for review
    stale_cost_usd: Decimal = Decimal(0)  # part of the cost

    @property
    def resolved_share(self) -> float | None:
        return _share(self.resolved, self.tickets)

    @property
    def under_a_minute_share(self) -> float | None:
        return _share(self.reviews_under_a_minute, self.reviews_timed)

    @property
    def cost_usd_per_ticket(self) -> Decimal | None:
        return self.cost_usd / self.tickets if self.tickets else None

    @property
    def cost_usd_per_resolution(self) -> Decimal | None:
        """All tickets' cost over those that were resolved: what was tried in vain is paid too."""
        return self.cost_usd / self.resolved if self.resolved else None

    @property
    def stale_cost_share(self) -> float | None:
        return float(self.stale_cost_usd / self.cost_usd) if self.cost_usd else None

    @property
    def csat(self) -> float | None:
        """The share of good ratings, as is usual."""
        return _share(self.ratings_good, self.ratings)

    def as_json(self) -> dict[str, Any]:
        derived = ("resolved_share", "under_a_minute_share", "cost_usd_per_ticket", "cost_usd_per_resolution",
                   "stale_cost_share", "csat")  # fmt: skip
        values = {**asdict(self), **{name: getattr(self, name) for name in derived}}
        return {name: str(value) if isinstance(value, Decimal) else value for name, value in values.items()}


async def report(pool: Pool, tenant: str, since: datetime, until: datetime, *, now: datetime) -> Report:
    async with pool.transaction(tenant) as connection:
        row = await connection.fetchrow(query("report/report"), tenant, since, until, now, SETTLED_DAYS)
    assert row is not None, "it is one row"
    median_s = row["review_s_median"]
    return Report(**{**row, "review_s_median": None if median_s is None else round(median_s, MEDIAN_DIGITS)})


async def against_before(pool: Pool, tenant: str, days: int, *, now: datetime) -> tuple[Report, Report]:
    """Of the last ``days``, and of as many before them."""
    length = timedelta(days=days)
    return (
        await report(pool, tenant, now - length, now, now=now),
        await report(pool, tenant, now - 2 * length, now - length, now=now),
    )


def _share(part: int, of: int) -> float | None:
    return part / of if of else None
