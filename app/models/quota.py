"""How many calls a provider still takes by its own count, told in its headers. Pure: the clock is an argument."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from app.models.rate_headers import WAIT_S_MAX, Allowance, Told

_KINDS_MAX = 8
_STARTS_MAX = 10_000  # remembered: as many as can be under way
_TOKENS_WEIGHT = 0.1  # of one call in the running mean
# Left to the other workers of the account: without it, several would each try for the last of a count that begins anew.
_SPARED = 2.0
_WINDOW_S = 60.0  # in which a count is full again: most limits are for a minute


@dataclass
class Quota:
    """Spreads what is left by one of a provider's own counts over the time until that count is full again.

    So a count that fills steadily is used as fast as it fills, and kept at its half; workers of one account, who do not
    know of each other, keep it lower and get equal parts. A count that begins anew each minute is used up evenly.
    """

    left: float = math.inf  # in calls
    full_after_s: float = 0.0
    full: float = 0.0
    told_for: float = -math.inf  # when the call was started whose answer told it
    _started_at: float = -math.inf

    def told(self, allowance: Allowance, *, per_call: float, asked_at: float, started_since: int) -> None:
        """``per_call``: what one call counts for. ``started_since``: calls that were started after the one that is
        answered, and so perhaps not counted yet."""
        if asked_at < self.told_for:
            return
        self.told_for = asked_at
        self.left = allowance.remaining / per_call
        # Where no limit is told: the most that was ever left.
        self.full = max(self.left, allowance.limit / per_call if allowance.limit else self.full, 1.0)
        self.full_after_s = allowance.full_after_s
        self._take(started_since)

    def started(self, now: float) -> None:
        self._started_at = now
        self._take(1)

    def _take(self, calls: int) -> None:
        self.left -= calls
        self.full_after_s += calls * _WINDOW_S / self.full

    def ready_at(self) -> float:
        """When the next call may start: with the last one, it waits until the count is full."""
        pace_s = self.full_after_s / max(1.0, self.left - _SPARED)
        return max(self.told_for, self._started_at) + min(WAIT_S_MAX, pace_s)


@dataclass
class Quotas:
    """All that a provider counts of one model: the scarcest decides."""

    _by_kind: dict[str, Quota] = field(default_factory=dict)
    _starts: deque[float] = field(default_factory=lambda: deque(maxlen=_STARTS_MAX))
    _tokens_per_call: float | None = None

    def told(self, told: Told) -> None:
        if told.tokens:
            mean = told.tokens if self._tokens_per_call is None else self._tokens_per_call
            self._tokens_per_call = mean + _TOKENS_WEIGHT * (told.tokens - mean)
        while self._starts and self._starts[0] <= told.asked_at:
            self._starts.popleft()
        for one in told.allowances:
            per_call = 1.0 if one.counts_calls else self._tokens_per_call
            if per_call and (one.kind in self._by_kind or len(self._by_kind) < _KINDS_MAX):
                quota = self._by_kind.setdefault(one.kind, Quota())
                quota.told(one, per_call=per_call, asked_at=told.asked_at, started_since=len(self._starts))

    def started(self, now: float) -> None:
        self._starts.append(now)
        for quota in self._by_kind.values():
            quota.started(now)

    def ready_at(self) -> float:
        return max((quota.ready_at() for quota in self._by_kind.values()), default=-math.inf)

    @property
    def at_once(self) -> float:
        """Calls that may start when ``ready_at`` has come."""
        return 1 if self._by_kind else math.inf
