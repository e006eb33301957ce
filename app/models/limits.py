"""How many calls a provider takes, found out from its refusals; and when not to call it at all.

Pure: the clock is an argument. ``now`` and all times are seconds of one monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass

# The limit falls by a tenth at a refusal and climbs back fast to just under where it was refused, then slowly: so
# that once settled, refusals are rare (one probe in some hundred calls), and a provider that gives more is found.
_SHRINK = 0.9
_NEAR_CEILING = 0.92
_FAST_STEP = 1.0  # calls gained per round of successes (a round: as many successes as the limit)
_SLOW_STEP = 0.1
# A server that never refuses gets slower instead. Above this many times the latency that it has shown when it was
# not crowded, the limit falls, so that calls don't wait there until they time out (and are paid for nothing).
_SLOW_FACTOR = 3.0
_LATENCY_WEIGHT = 0.05  # of one call in the running mean
_BASELINE_RISE = 1.0005  # for each call: a provider that got slower for good is believed in the end
# Refusals of calls that were under way together tell one thing once.
_REFUSALS_APART_S = 1.0


@dataclass
class ConcurrencyLimit:
    """Calls at once to one model. Starts low, doubles each round until the first refusal (slow start)."""

    limit: float = 8.0
    limit_min: float = 1.0
    limit_max: float = 10_000.0
    ceiling: float | None = None  # where it was last refused
    blocked_until: float = 0.0
    latency_s: float | None = None  # running mean
    baseline_s: float | None = None  # the lowest running mean, slowly forgotten
    _refused_at: float = float("-inf")
    _calls_to_wait: int = 0

    def may_start(self, in_flight: int, now: float) -> bool:
        return now >= self.blocked_until and in_flight < int(self.limit)

    def succeeded(self, in_flight: int, latency_s: float) -> None:
        """``in_flight`` before this call ended. A limit that is not used teaches nothing."""
        self._calls_to_wait = max(0, self._calls_to_wait - 1)
        if self._is_crowded(latency_s):
            if not self._calls_to_wait:
                self.ceiling = self.limit
                self.limit = max(self.limit_min, self.limit * _SHRINK)
                # Until the running mean shows what that has changed.
                self._calls_to_wait = int(self.limit + 1 / _LATENCY_WEIGHT)
            return
        if in_flight < self.limit * 0.8:
            return
        if self.ceiling is None:
            step = self.limit
        else:
            step = _FAST_STEP if self.limit < self.ceiling * _NEAR_CEILING else _SLOW_STEP
        self.limit = min(self.limit_max, self.limit + step / self.limit)

    def _is_crowded(self, latency_s: float) -> bool:
        mean = latency_s if self.latency_s is None else self.latency_s
        self.latency_s = mean + _LATENCY_WEIGHT * (latency_s - mean)
        self.baseline_s = min((self.baseline_s or self.latency_s) * _BASELINE_RISE, self.latency_s)
        return self.latency_s > _SLOW_FACTOR * self.baseline_s

    def refused(self, now: float, retry_after_s: float | None) -> None:
        """The provider said 429, or gave no answer in time."""
        if retry_after_s:
            self.blocked_until = max(self.blocked_until, now + retry_after_s)
        if now - self._refused_at < _REFUSALS_APART_S:
            return
        self._refused_at = now
        self.ceiling = self.limit
        self.limit = max(self.limit_min, self.limit * _SHRINK)

    def exhausted(self, now: float, reset_after_s: float) -> None:
        """The provider's headers say that nothing remains until ``reset_after_s``: wait without being refused."""
        self.blocked_until = max(self.blocked_until, now + reset_after_s)


@dataclass
class Breaker:
    """Opens after ``failures_max`` failures in a row; then one probe at a time, at growing intervals."""

    failures_max: int = 5
    pause_s_min: float = 1.0
    pause_s_max: float = 30.0
    failures: int = 0
    open_until: float = 0.0
    probing: bool = False

    @property
    def is_open(self) -> bool:
        return self.failures >= self.failures_max

    def wait_s(self, now: float) -> float:
        """0: call. More: wait so long. A half-open breaker lets one probe through (mark it with ``started``)."""
        if not self.is_open:
            return 0.0
        if now < self.open_until:
            return self.open_until - now
        return self.pause_s_min if self.probing else 0.0

    def started(self) -> None:
        self.probing = self.is_open

    def succeeded(self) -> None:
        self.failures, self.probing = 0, False

    def given_up(self) -> None:
        """The call ended without showing whether the provider is there: the next one probes."""
        self.probing = False

    def failed(self, now: float) -> None:
        if self.is_open and not self.probing:
            return  # was under way when it opened, and says nothing new
        self.failures += 1
        self.probing = False
        if self.is_open:
            pause = self.pause_s_min * 2 ** min(self.failures - self.failures_max, 10)
            self.open_until = now + min(self.pause_s_max, pause)
