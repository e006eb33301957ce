"""Whether a provider caches a system prompt, and what it costs with and without that.

Counts of tokens are estimates: only the provider counts exactly, and its answers are in the ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import exp

from app.cacheable import CACHE_LIFETIME_S, Shortest, Verdict
from app.models.prices import Prices
from app.models.prompts import Level, joined
from app.offline.usage import count_tokens
from schemas.usage import Usage

_DAY_S = 86_400


@dataclass(frozen=True)
class Counted:
    level: str
    tokens: int
    up_to_here: int
    cached: Verdict | None  # None: the model's shortest is not known


@dataclass(frozen=True)
class Costs:
    """US dollars for a number of calls: their system prompts alone."""

    calls: int
    uncached: Decimal
    warm: Decimal  # every call but the first finds the cache
    cold: Decimal  # none does, and each writes it anew


def counted(levels: Sequence[Level], known: Shortest | None) -> tuple[Counted, ...]:
    """By the estimate that the offline provider charges by."""
    found: list[Counted] = []
    before = 0
    for end, level in enumerate(levels, start=1):
        up_to_here = count_tokens(joined(levels[:end]))
        cached = known.caches(up_to_here) if known else None
        found.append(Counted(level.name, up_to_here - before, up_to_here, cached))
        before = up_to_here
    return tuple(found)


def costs(prices: Prices, model: str, tokens: int, *, calls: int) -> Costs | None:
    """As if the whole prompt were cached: whether it is, ``Shortest`` says. None: no price is known."""

    def usd(usage: Usage) -> Decimal:
        return prices.cost_usd(model, usage)[0]

    uncached, known = prices.cost_usd(model, Usage(input_tokens=tokens * calls))
    if not known:
        return None
    warm = usd(Usage(cached_tokens=tokens * (calls - 1), cache_write_tokens=tokens))
    return Costs(calls, uncached, warm, cold=usd(Usage(cache_write_tokens=tokens * calls)))


def expected(found: Costs, *, calls_a_day: int) -> Decimal:
    """What to expect if calls come at random times, all with this system prompt, and each use renews the cache."""
    warm_share = Decimal(1 - exp(-calls_a_day * CACHE_LIFETIME_S / _DAY_S))
    return found.cold + (found.warm - found.cold) * warm_share
