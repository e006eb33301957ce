"""What a call costs at list prices, in US dollars.

Prices come from the package genai-prices, and from a file of your own over it. A call to the offline server is priced
as the model that it was addressed to: that is what the call *would* cost; its label says that it did not.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path

from genai_prices.data_snapshot import get_snapshot
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.models.provider import OFFLINE_PREFIX
from schemas.usage import Usage

_MILLION = Decimal(1_000_000)
_SHOWN_USD_MIN = Decimal("0.0001")


class Price(BaseModel):
    """US dollars for a million tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: Decimal = Field(ge=0)
    output: Decimal = Field(default=Decimal(0), ge=0)
    cached: Decimal | None = Field(default=None, ge=0)  # None: as input
    cache_write: Decimal | None = Field(default=None, ge=0)


@dataclass(frozen=True)
class Prices:
    overrides: dict[str, Price]

    def cost_usd(self, model: str, usage: Usage) -> tuple[Decimal, bool]:
        """(cost, whether a price is known). An unknown price costs 0 and says so."""
        price = self._price(model.removeprefix(OFFLINE_PREFIX))
        if price is None:
            return Decimal(0), False
        cached = price.input if price.cached is None else price.cached
        written = price.input if price.cache_write is None else price.cache_write
        cost = (
            usage.input_tokens * price.input
            + usage.cached_tokens * cached
            + usage.cache_write_tokens * written
            + usage.output_tokens * price.output
        )
        return cost / _MILLION, True

    def cost_usd_max(self, model: str, *, request_bytes: int, output_tokens_max: int) -> Decimal:
        """An upper bound before the call: a token is at least a byte, and all may be of the dearest kind of input."""
        kinds = ("input_tokens", "cached_tokens", "cache_write_tokens")
        output = self.cost_usd(model, Usage(output_tokens=output_tokens_max))[0]
        return output + max(self.cost_usd(model, Usage(**{kind: request_bytes}))[0] for kind in kinds)

    def _price(self, model: str) -> Price | None:
        return self.overrides.get(model) or _list_price(model)


@dataclass(frozen=True)
class EmbeddingPrice:
    """What an import costs, in words. ``model`` is the label under which vectors are kept."""

    model: str
    prices: Prices

    def said(self, tokens: int) -> str:
        if self.model.startswith(OFFLINE_PREFIX):
            return "nothing to pay: the embedded model"
        cost_usd, known = self.prices.cost_usd(self.model, Usage(input_tokens=tokens))
        if not known:
            return f"the price of {self.model} is not known: name it in PRICES_FILE"
        shown = f"${cost_usd:.4f}" if cost_usd >= _SHOWN_USD_MIN or not cost_usd else f"under ${_SHOWN_USD_MIN}"
        return f"{shown} at {self.model}'s list price"


def load(file: Path | None) -> Prices:
    """``file``: TOML, a table for each model: ["my-model"] input = 1.0, output = 5.0. Raises ValueError, OSError."""
    if file is None:
        return Prices({})
    try:
        rows = tomllib.loads(file.read_text())
        return Prices({model: Price.model_validate(row) for model, row in rows.items()})
    except (tomllib.TOMLDecodeError, ValidationError) as error:
        raise ValueError(f"PRICES_FILE {file}: {error}") from error


@cache
def _list_price(model: str) -> Price | None:
    found = None
    # OpenAI's embeddings are found under its name only; the other names say whose they are.
    for provider in (None, "openai"):
        try:
            _, found = get_snapshot().find_provider_model(model, None, provider, None)
            break
        except LookupError:
            continue
    if found is None:
        return None
    prices = found.prices[-1].prices if isinstance(found.prices, list) else found.prices
    return Price(
        input=_base(prices.input_mtok) or Decimal(0),
        output=_base(prices.output_mtok) or Decimal(0),
        cached=_base(prices.cache_read_mtok),
        cache_write=_base(prices.cache_write_mtok),
    )


def _base(price: object) -> Decimal | None:
    """The price of the first tier: our requests stay far below the long-context ones."""
    value = getattr(price, "base", price)
    return None if value is None else Decimal(str(value))
