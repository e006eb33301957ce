"""How many calls a provider takes, found out from its refusals; and when not to call it at all.

Pure: the clock is an argument. ``now`` and all times are seconds of one monotonic clock.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# The limit falls by a tenth at a refusal, or more if it must wait long, and comes back to where it was refused in so
# many calls, or so many rounds (a round: as many calls as the limit), whichever is more: fast at first, flat there,
# then faster again. So that once settled refusals are rare, and a provider that gives more is found.
_SHRINK = 0.9
_SHRINK_MOST = 0.5
_CALLS_BETWEEN_REFUSALS = 200
_ROUNDS_BETWEEN_REFUSALS = 10
_BEYOND = 3.0  # slower there: who counts by the minute hides for a while that it is asked for too much
_WAY_MAX = 5.0
_PAUSE = 2.0  # after a refusal, in mean times between two starts
_PACE_S_MAX = 20.0  # less than a call waits for a place
# Refused again before this part of the way back, though a round and this many calls were taken since it fell: then it
# was chance, fewer at once did not help, and the search begins again where it fell. Not where the provider asks for a
# wait that explains the refusal, nor where more than one in so many is refused: less is right then, whatever the cause.
_VAIN_BEFORE = 0.8
_CHANCE_ANSWERED_MIN = 20
_USED = 0.8  # of the limit: less teaches nothing
# A server that never refuses gets slower instead. Above this many times the latency that it has shown when it was
# not crowded, the limit falls, so that calls don't wait there until they time out (and are paid for nothing).
_SLOW_FACTOR = 3.0
_LATENCY_WEIGHT = 0.05  # of one call in the running mean
_BASELINE_RISE = 1.0005  # for each call: a provider that got slower for good is believed in the end


@dataclass
class ConcurrencyLimit:
    """Calls at once to one model. Starts low, doubles each round until the first refusal (slow start).

    Below 1 it is a pace: one call at a time, and the next so much later that this share of the time is used.
    """

    limit: float = 8.0
    limit_min: float = 0.01
    limit_max: float = 10_000.0
    ceiling: float | None = None  # about where it was last refused
    blocked_until: float = 0.0
    latency_s: float | None = None  # running mean
    baseline_s: float | None = None  # the lowest running mean, slowly forgotten
    # Since it shrank, or the search began again.
    _taken: int = 0
    _successes: int = 0  # taken while the limit was used
    _barren: int = 0  # refusals while none was taken
    _changed_at: float = -math.inf
    _started_at: float = -math.inf
    _answered: int = 0  # since one was not
    _calls_to_wait: int = 0

    @property
    def places(self) -> int:
        return max(1, int(self.limit))

    def ready_at(self) -> float:
        """Not before, even if there is a place."""
        if self.limit >= 1:
            return self.blocked_until
        pace_s = min(_PACE_S_MAX, (self.latency_s or 1.0) / self.limit)
        return max(self.blocked_until, self._started_at + pace_s)

    def started(self, now: float) -> None:
        self._started_at = now

    def succeeded(self, in_flight: int, now: float, latency_s: float) -> None:
        """``in_flight`` before this call ended. A limit that is not used teaches nothing."""
        self._taken += 1
        self._answered += 1
        self._calls_to_wait = max(0, self._calls_to_wait - 1)
        if self._is_crowded(latency_s):
            if not self._calls_to_wait:
                self._shrink(now, _SHRINK, at_least=1.0)
                # Until the running mean shows what that has changed.
                self._calls_to_wait = int(self.limit + 1 / _LATENCY_WEIGHT)
            return
        if in_flight < self.places * _USED:
            return
        self.limit = min(self.limit_max, self._grown())

    def _grown(self) -> float:
        if self.ceiling is None:
            return self.limit + 1
        self._successes += 1
        way = self._way_back(self.ceiling) - 1
        if way > 0:
            way /= _BEYOND
        grown = self.ceiling * math.pow(_SHRINK, -(min(way, _WAY_MAX) ** 3))
        return min(grown, self.limit + 1)

    def _way_back(self, ceiling: float) -> float:
        """0 when it was just refused, 1 when it is there again."""
        return self._successes / max(_CALLS_BETWEEN_REFUSALS, _ROUNDS_BETWEEN_REFUSALS * ceiling)

    def _is_crowded(self, latency_s: float) -> bool:
        mean = latency_s if self.latency_s is None else self.latency_s
        self.latency_s = mean + _LATENCY_WEIGHT * (latency_s - mean)
        self.baseline_s = min((self.baseline_s or self.latency_s) * _BASELINE_RISE, self.latency_s)
        return self.latency_s > _SLOW_FACTOR * self.baseline_s

    def refused(self, now: float, started_at: float, retry_after_s: float | None) -> None:
        """The provider said 429 to a call of ``started_at``."""
        # Who used up in active_s what was meant for the wait, too, was too fast by that much.
        active_s = now - max(self._changed_at, self.blocked_until)
        share = active_s / (active_s + retry_after_s) if retry_after_s and active_s > 0 else 1.0
        # The next place at the provider is free about then.
        wait_s = retry_after_s or min(1.0, _PAUSE * (self.latency_s or 0.0) / self.limit)
        if started_at < self._changed_at:
            pass  # was under way then, and tells the same
        elif share >= _SHRINK and self.ceiling is not None and self._fell_in_vain(self.ceiling):
            self.limit, self.ceiling = float(int(self.ceiling) + 1), None
            self._begin_anew(now)
        elif self._taken or self.ceiling is None:
            self._shrink(now, share, at_least=self.limit_min)
        else:
            # Nothing was taken since: that says nothing of how many are.
            self._barren += 1
            wait_s = max(retry_after_s or 0.0, min(_PACE_S_MAX, 2.0 ** min(self._barren, 10)))
        self.blocked_until = max(self.blocked_until, now + wait_s)

    def _fell_in_vain(self, ceiling: float) -> bool:
        enough = self._taken > max(_CHANCE_ANSWERED_MIN, self.limit)
        return ceiling >= 1 and enough and self._way_back(ceiling) < _VAIN_BEFORE

    def unanswered(self, now: float, started_at: float) -> None:
        """No answer in time, or an error. Few among many are chance; a server that is crowded leaves many waiting.

        One at a time is always tried: whether a server is there is the breaker's business.
        """
        is_chance, self._answered = self._answered >= _CHANCE_ANSWERED_MIN, 0
        if not is_chance and started_at >= self._changed_at:
            self._shrink(now, _SHRINK, at_least=1.0)

    def _shrink(self, now: float, share: float, at_least: float) -> None:
        # So many were too many, not the fraction above that.
        refused = self.limit if self.limit < 1 else float(self.places)
        self.limit = max(min(at_least, self.limit), refused * min(_SHRINK, max(_SHRINK_MOST, share)))
        self.ceiling = self.limit / _SHRINK
        self._begin_anew(now)

    def _begin_anew(self, now: float) -> None:
        self._changed_at = now
        self._successes = self._taken = self._barren = 0


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
