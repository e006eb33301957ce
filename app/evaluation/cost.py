"""What tickets cost at list prices: the calls that were made, replayed at the times at which real tickets came. Pure.

A provider caches a prompt for some minutes: how often it is still warm depends on how many tickets come in a day, and
on how evenly. The tickets here come as in a real year, with its bursts, only faster or slower.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from app.cacheable import shortest
from app.evaluation.figures import Figure
from app.evaluation.tickets import Call
from app.models.prices import Prices
from app.offline.usage import PromptCache, cached_tokens_min
from schemas.usage import Usage

TICKETS = 1_000
TICKETS_A_DAY = (100, 1_000, 10_000)
COST_USD_MAX = 0.02
_DAY_S = 86_400

TokensMin = Callable[[str], int]


@dataclass
class _Clock:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def figures(
    tickets: Sequence[Sequence[Call]], arrivals_s: Sequence[float], prices: Prices, *, model: str
) -> list[Figure]:
    """``cost_cached_usd`` is the dearest of the rates."""
    cached = {
        f"{rate:,} a day": _mean(tickets, times_at(arrivals_s, rate, len(tickets)), prices, cached_tokens_min)
        for rate in TICKETS_A_DAY
    }
    documented = {
        f"{rate:,} a day, if cached from the documented length on": _mean(
            tickets, times_at(arrivals_s, rate, len(tickets)), prices, documented_tokens_min
        )
        for rate in TICKETS_A_DAY
    }
    uncached = _mean(tickets, [0.0] * len(tickets), prices, None)
    by_model: dict[str, float] = {}
    for call in (call for calls in tickets for call in calls):
        cost = float(prices.cost_usd(call.model, _at_once(call.usage))[0]) / len(tickets)
        by_model[call.model] = by_model.get(call.model, 0.0) + cost
    note = "classify, search, draft and repairs of a new tenant (draft mode): no grounding check is asked for"
    return [
        Figure(
            "cost_cached_usd", max(cached.values()), len(tickets), model, at_most=COST_USD_MAX,
            note=f"{note}; the dearest rate", details=cached | documented,
        ),
        Figure("cost_uncached_usd", uncached, len(tickets), model, note=note, details=by_model),
    ]  # fmt: skip


def times_at(arrivals_s: Sequence[float], tickets_a_day: int, count: int) -> list[float]:
    """The first ``count`` arrivals, drawn together or apart so that so many come in a day on average."""
    first = sorted(arrivals_s[:count])
    if len(first) < count:
        raise ValueError(f"{len(first)} arrivals for {count} tickets")
    span = (first[-1] - first[0]) or 1.0
    scale = (count / tickets_a_day * _DAY_S) / span
    return [(second - first[0]) * scale for second in first]


def documented_tokens_min(model: str) -> int:
    known = shortest(model)
    return known.documented if known else cached_tokens_min(model)


def _mean(
    tickets: Sequence[Sequence[Call]], times_s: Sequence[float], prices: Prices, tokens_min: TokensMin | None
) -> float:
    """US dollars a ticket. ``tokens_min`` None: nothing is cached."""
    clock = _Clock()
    cache = PromptCache(clock_s=clock, tokens_min=tokens_min) if tokens_min else None
    total = Decimal(0)
    for calls, time_s in zip(tickets, times_s, strict=True):
        clock.now_s = time_s
        for call in calls:
            usage = _at_once(call.usage)
            if cache is not None and call.prefix:
                read, written = cache.look_up(call.model, call.prefix)
                usage = usage.model_copy(
                    update={
                        "input_tokens": max(0, usage.input_tokens - read - written),
                        "cached_tokens": read,
                        "cache_write_tokens": written,
                    }
                )
            total += prices.cost_usd(call.model, usage)[0]
    return float(total / len(tickets))


def _at_once(usage: Usage) -> Usage:
    """As if nothing had been cached."""
    whole = usage.input_tokens + usage.cached_tokens + usage.cache_write_tokens
    return usage.model_copy(update={"input_tokens": whole, "cached_tokens": 0, "cache_write_tokens": 0})
