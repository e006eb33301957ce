"""What calls cost."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.models.prices import Price, Prices, load
from app.models.provider import OFFLINE_PREFIX
from schemas.usage import Usage

LIST = Prices({})
MILLION = 1_000_000


@pytest.mark.parametrize(
    ("model", "prices"),
    [
        ("claude-haiku-4-5", ("1", "0.1", "1.25", "5")),
        ("claude-sonnet-4-6", ("3", "0.3", "3.75", "15")),
        ("text-embedding-3-large", ("0.13", "0.13", "0.13", "0")),
    ],
)
def test_list_prices_for_a_million_tokens(model: str, prices: tuple[str, ...]) -> None:
    kinds = ("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens")
    found = [LIST.cost_usd(model, Usage(**{kind: MILLION}))[0] for kind in kinds]
    assert found == [Decimal(price) for price in prices]


def test_an_unknown_model_costs_nothing_and_says_so() -> None:
    assert LIST.cost_usd("my-own-model", Usage(input_tokens=MILLION)) == (Decimal(0), False)


def test_an_offline_call_is_priced_as_the_model_it_was_addressed_to() -> None:
    usage = Usage(input_tokens=10, output_tokens=5)
    assert LIST.cost_usd(OFFLINE_PREFIX + "claude-haiku-4-5", usage) == LIST.cost_usd("claude-haiku-4-5", usage)


def test_an_own_price_goes_before_the_list(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text('["claude-haiku-4-5"]\ninput = 2.0\noutput = 4.0\n')
    assert load(file).cost_usd("claude-haiku-4-5", Usage(input_tokens=MILLION)) == (Decimal(2), True)


@pytest.mark.parametrize("text", ["nope", '["m"]\nprice = 1\n', '["m"]\ninput = -1\n'])
def test_a_wrong_price_file_is_named(text: str, tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=r"PRICES_FILE .*prices\.toml"):
        load(file)


counts = st.integers(0, 50_000)


@given(
    st.sampled_from(["claude-haiku-4-5", "claude-sonnet-4-6", "dear-cache", "free-cache"]),
    counts,
    counts,
    counts,
    counts,
)
def test_the_bound_is_never_below_the_cost(model: str, fresh: int, cached: int, written: int, output: int) -> None:
    prices = Prices(
        {
            "dear-cache": Price(input=Decimal(1), cached=Decimal(2), cache_write=Decimal(1)),
            "free-cache": Price(input=Decimal(1), cached=Decimal(0), cache_write=Decimal(0), output=Decimal(3)),
        }
    )
    usage = Usage(input_tokens=fresh, cached_tokens=cached, cache_write_tokens=written, output_tokens=output)
    bound = prices.cost_usd_max(model, request_bytes=fresh + cached + written, output_tokens_max=output)
    assert bound >= prices.cost_usd(model, usage)[0]
