"""A provider's bad days on demand: latency, 429, 500, hangs, malformed and cut answers.

All but the token rate limit is decided by the seed, the request (its Idempotency-Key, else its body) and how often
that request was seen: two runs meet the same faults in whatever order their requests come.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from math import cos, exp, log, pi, sqrt
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

KEYS_SEEN_MAX = 500_000

Fault = Literal["hang", "rate_limited", "server_error", "malformed", "truncated"]
Share = Field(default=0.0, ge=0, le=1)


class Simulation(BaseModel):
    """All off by default. Shares are of all requests; at most one fault meets a request."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    instant: bool = Field(default=False, description="canned valid answers without embeddings")
    latency: Literal["none", "constant", "lognormal"] = "none"
    latency_mean_s: float = Field(default=1.0, ge=0, le=600)
    latency_sigma: float = Field(default=0.5, ge=0, le=3, description="of the logarithm; lognormal only")
    latency_s_max: float = Field(default=60.0, ge=0, le=3_600, description="no simulated latency is longer")
    hang_share: float = Share
    hang_s: float = Field(default=600.0, gt=0, le=3_600, description="a hang gives up with 504 after this")
    rate_limited_share: float = Share
    server_error_share: float = Share
    malformed_share: float = Share
    truncated_share: float = Share
    retry_after_s: int = Field(default=1, ge=0, le=3_600)
    tokens_per_s: float = Field(default=0, ge=0, description="0: no limit; past it, 429. Depends on the clock.")
    always_warm: bool = Field(default=False, description="a prompt seen once stays cached")

    @model_validator(mode="after")
    def _shares_fit(self) -> Self:
        if sum(share for _, share in self.shares) > 1:
            raise ValueError("the shares of all faults together must be at most 1")
        return self

    @property
    def shares(self) -> tuple[tuple[Fault, float], ...]:
        return (
            ("hang", self.hang_share),
            ("rate_limited", self.rate_limited_share),
            ("server_error", self.server_error_share),
            ("malformed", self.malformed_share),
            ("truncated", self.truncated_share),
        )


@dataclass(frozen=True)
class Fate:
    """What happens to one request."""

    fault: Fault | None
    latency_s: float


UNTROUBLED = Fate(fault=None, latency_s=0.0)


def fate(simulation: Simulation, key: str, seen: int) -> Fate:
    """``seen``: how often the same request was met before."""
    digest = blake2b(f"{simulation.seed}\n{key}\n{seen}".encode("utf-8", "replace"), digest_size=24).digest()
    draws = [(int.from_bytes(digest[n : n + 8]) + 0.5) / 2**64 for n in (0, 8, 16)]
    return Fate(fault=_fault(simulation, draws[0]), latency_s=_latency_s(simulation, draws[1], draws[2]))


def _fault(simulation: Simulation, draw: float) -> Fault | None:
    for fault, share in simulation.shares:
        if draw < share:
            return fault
        draw -= share
    return None


def _latency_s(simulation: Simulation, first: float, second: float) -> float:
    if simulation.latency == "none":
        return 0.0
    latency_s = simulation.latency_mean_s
    if simulation.latency == "lognormal" and latency_s > 0:
        normal = sqrt(-2 * log(first)) * cos(2 * pi * second)
        sigma = simulation.latency_sigma
        latency_s = exp(log(latency_s) - sigma**2 / 2 + sigma * normal)
    return min(latency_s, simulation.latency_s_max)


class Simulator:
    """The parts of the simulation that remember: which requests were seen, and the token rate limit."""

    def __init__(self, simulation: Simulation, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.simulation = simulation
        self._idle = simulation.latency == "none" and not any(share for _, share in simulation.shares)
        self._clock_s = clock_s
        self._seen: OrderedDict[bytes, int] = OrderedDict()
        self._tokens = simulation.tokens_per_s
        self._refilled_s = clock_s()

    def fate(self, key: str) -> Fate:
        if self._idle:
            return UNTROUBLED
        digest = blake2b(key.encode("utf-8", "replace"), digest_size=16).digest()
        seen = self._seen.pop(digest, 0)
        self._seen[digest] = seen + 1
        if len(self._seen) > KEYS_SEEN_MAX:
            self._seen.popitem(last=False)
        return fate(self.simulation, key, seen)

    def retry_after_s(self, tokens: int) -> int | None:
        """Whole seconds to wait if ``tokens`` would exceed the rate; None if they are within it, and now spent.

        A second's worth may come at once. The bucket may go below zero by one request, so that one larger than a
        second's worth is not refused for ever.
        """
        rate = self.simulation.tokens_per_s
        if not rate:
            return None
        now_s = self._clock_s()
        self._tokens = min(rate, self._tokens + (now_s - self._refilled_s) * rate)
        self._refilled_s = now_s
        if self._tokens <= 0:
            return max(1, int(-self._tokens / rate) + 1)
        self._tokens -= tokens
        return None
