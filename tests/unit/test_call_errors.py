"""Was a call that failed paid for? Unknown stands in the ledger with its upper bound."""

import asyncio

import pytest

from agents.contract import PermanentError
from app.models.errors import REFUSED, CallFailed, RateLimited, charged
from app.ports import ProviderAway


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RateLimited("429", retry_after_s=None), "no"),
        (ProviderAway("no connection"), "no"),
        (PermanentError(REFUSED, "400"), "no"),
        (CallFailed("500", charged="no"), "no"),
        (CallFailed("504", charged="unknown"), "unknown"),
        (PermanentError("dimensions", "vectors came, of another length"), "unknown"),
        (asyncio.CancelledError(), "unknown"),
        (ZeroDivisionError(), "unknown"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_only_what_the_provider_surely_refused_was_not_charged(error: BaseException, expected: str) -> None:
    assert charged(error) == expected
