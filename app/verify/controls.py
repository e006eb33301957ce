"""Parts without their safeguard, for the negative controls: with one of them the proof must find damage.

Never wired in but by the variable ``DESKSTREAM_SAFEGUARDS_OFF``, which only the proof sets.
"""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Any, Literal
from uuid import uuid4

from app.ports import ClaimOutcome, Intent, LedgerRow, Run, Stored
from schemas.usage import Usage

VARIABLE = "DESKSTREAM_SAFEGUARDS_OFF"


def off() -> frozenset[str]:
    """fencing, map, journal, claims."""
    return frozenset(filter(None, os.environ.get(VARIABLE, "").split(",")))


class ForgetfulJournal:
    """Every call is made, and nothing is remembered."""

    def __init__(self) -> None:
        self._intents: dict[str, Intent] = {}

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def begin(self, intent: Intent) -> Run | Stored:
        call_id = str(uuid4())
        self._intents[call_id] = intent
        return Run(call_id)

    def may_send(self, call_id: str) -> bool:
        return True

    async def finish(
        self, call_id: str, *, answer: bytes, usage: Usage, cost_usd: Decimal, price_known: bool,
        outcome: Literal["ok", "malformed"], latency_s: float,
    ) -> LedgerRow:  # fmt: skip
        intent = self._intents.pop(call_id)
        return LedgerRow(
            call_id=call_id, key=intent.key, root_id=intent.root_id, operation=intent.operation,
            provider=intent.provider, model=intent.model, usage=usage, cost_usd=cost_usd, price_known=price_known,
            outcome=outcome, latency_s=latency_s,
        )  # fmt: skip

    async def fail(self, call_id: str, *, error: str, charged: Literal["no", "unknown"]) -> None:
        self._intents.pop(call_id, None)


class BlindClaims:
    """Every event is new."""

    async def claim(self, **_: Any) -> ClaimOutcome:
        return "new"

    async def close(self) -> None: ...
