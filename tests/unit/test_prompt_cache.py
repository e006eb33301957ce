"""What of a system prompt is cached, and what that saves."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.cacheable import Shortest, shortest
from app.models.prices import Price, Prices
from app.models.prompt_cache import costs, counted, expected
from app.models.prompts import Level, PromptLibrary, joined
from app.offline.usage import PromptCache, count_tokens

SONNET = Shortest(1_024, measured=2_048)
# A dollar a token, so that prices read as tokens.
PRICES = Prices(
    {"m": Price(input=Decimal(10**6), cached=Decimal(10**5), cache_write=Decimal("1.25") * 10**6, output=Decimal(0))}
)


def level(tokens: int, name: str = "task") -> Level:
    return Level(name, "x" * 4 * tokens, ())


@pytest.mark.parametrize(
    ("model", "documented"),
    [
        ("claude-haiku-4-5", 4_096),
        ("claude-haiku-4-5-20251001", 4_096),
        ("anthropic/claude-sonnet-4.6", 1_024),
        ("claude-opus-4-7", 2_048),
    ],
)
def test_a_models_shortest_is_found_by_the_names_that_gateways_use(model: str, documented: int) -> None:
    found = shortest(model)
    assert found is not None and found.documented == documented


def test_the_shortest_of_a_model_that_nobody_looked_up_is_not_guessed() -> None:
    assert shortest("gpt-5") is None
    assert [count.cached for count in counted([level(9_000)], None)] == [None]


@pytest.mark.parametrize(("tokens", "verdict"), [(1_023, "no"), (1_024, "unsure"), (2_047, "unsure"), (2_048, "yes")])
def test_between_what_is_documented_and_what_was_measured_nothing_is_certain(tokens: int, verdict: str) -> None:
    assert SONNET.caches(tokens) == verdict


def test_a_level_counts_with_all_that_stands_before_it() -> None:
    """A provider caches prefixes, so a short level behind a long one is cached."""
    counts = counted([level(4_000), level(200, "locale")], Shortest(4_096))
    assert [count.cached for count in counts] == ["no", "yes"]
    assert counts[1].up_to_here == sum(count.tokens for count in counts) == 4_201  # a token between them


def test_the_count_is_what_the_simulated_provider_charges() -> None:
    levels = PromptLibrary(cache_control=True, json_schema=True).levels("draft", tenant=None, language="ja")
    count = counted(levels, SONNET)[-1].up_to_here
    simulated = PromptCache(tokens_min=lambda model: 1)
    assert count == count_tokens(joined(levels)) == simulated.look_up("claude-sonnet-4-6", joined(levels))[1]


def test_a_cached_prompt_is_written_once_and_read_by_the_others() -> None:
    found = costs(PRICES, "m", 10, calls=100)
    assert found is not None
    assert (found.uncached, found.warm) == (1_000, Decimal("12.5") + 99)


def test_a_cache_that_is_never_found_again_costs_more_than_none() -> None:
    found = costs(PRICES, "m", 10, calls=100)
    assert found is not None and found.cold == 1_250 > found.uncached


def test_the_more_calls_a_day_the_nearer_to_a_warm_cache() -> None:
    found = costs(PRICES, "m", 10, calls=100)
    assert found is not None
    usd = [expected(found, calls_a_day=n) for n in (0, 100, 1_000, 10_000)]
    assert usd[0] == found.cold and usd == sorted(usd, reverse=True) and usd[-1] - found.warm < Decimal("0.01")


def test_without_a_price_nothing_is_said_of_costs() -> None:
    assert costs(Prices({}), "nobody-sells-this", 10, calls=1) is None
