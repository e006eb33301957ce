"""How many calls a provider still takes by its own count, told in its headers. Pure: the clock is an argument."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

from app.models.rate_headers import WAIT_S_MAX, Allowance, Told

_KINDS_MAX = 8
_STARTS_MAX = 10_000  # remembered: as many as can be under way
_TOKENS_WEIGHT = 0.1  # of one call in the running mean
# Left in the bucket for the other workers of the same account: who finds it empty each time never learns to share.
_SPARED_SHARE = 0.05
_SPARED_MIN = 2.0
_ROUNDING = 1e-6
_WINDOW_S = 60.0  # in which a bucket fills, where nothing better is known: most limits are for a minute


@dataclass
class Quota:
    """How many calls a provider still takes by one of its own counts, kept up between its answers."""

    left: float = math.inf
    full: float = 0.0
    per_s: float = 0.0
    told_for: float = -math.inf  # when the call was started whose answer told it
    _filled_at: float = -math.inf
    _started_at: float = -math.inf

    def told(self, allowance: Allowance, *, per_call: float, asked_at: float, started_since: int) -> None:
        """``per_call``: what one call counts for. ``started_since``: calls that were started after the one that is
        answered, and so perhaps not counted yet."""
        if asked_at < self.told_for:
            return
        remaining = allowance.remaining / per_call
        # Where no limit is told: the most that was ever left.
        self.full = max(remaining, allowance.limit / per_call if allowance.limit else self.full, 1 / per_call)
        used = self.full - remaining
        if used > 0 and allowance.full_after_s > 0:
            self.per_s = used / allowance.full_after_s
        elif not self.per_s:
            self.per_s = self.full / _WINDOW_S
        self.left, self.told_for, self._filled_at = remaining - started_since, asked_at, asked_at

    def started(self, now: float) -> None:
        self._fill(now)
        self.left -= 1
        self._started_at = now

    def ready_at(self, now: float) -> float:
        """When one more call is left. One that is dearer than a full bucket is let through when it is full."""
        short = 1 - self.calls(now)
        if short <= _ROUNDING:
            return now
        return min(now + short / self.per_s, max(self.told_for, self._started_at) + WAIT_S_MAX)

    def calls(self, now: float) -> float:
        """Left for us."""
        self._fill(now)
        return self.left - min(self.full - 1, max(_SPARED_MIN, _SPARED_SHARE * self.full))

    def _fill(self, now: float) -> None:
        self.left = min(self.full, self.left + max(0.0, now - self._filled_at) * self.per_s)
        self._filled_at = max(now, self._filled_at)


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

    def ready_at(self, now: float) -> float:
        return max((quota.ready_at(now) for quota in self._by_kind.values()), default=now)

    def calls(self, now: float) -> int:
        """That may be started at once, where ``ready_at`` says that one may."""
        return max(1, int(min((quota.calls(now) for quota in self._by_kind.values()), default=_STARTS_MAX)))
