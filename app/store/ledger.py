"""What calls have cost, from the journal's ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from app.ports import LedgerRow
from app.store.database import Pool
from app.store.queries import query
from app.store.rows import ledger_row
from schemas.usage import Usage


@dataclass(frozen=True)
class Spend:
    """Calls of one tenant, stage and model; ``unconfirmed`` ones apart, whose cost is an upper bound."""

    tenant: str
    stage: str
    model: str
    unconfirmed: bool
    calls: int
    usage: Usage
    cost_usd: Decimal
    price_known: bool


@dataclass(frozen=True)
class Total:
    calls: int
    usage: Usage
    cost_usd: Decimal
    unconfirmed: int
    unconfirmed_usd_max: Decimal


async def attempts(
    pool: Pool, *, tenant: str, stage: str, event_id: str, replay: int, root_id: str
) -> tuple[LedgerRow, ...]:
    """The requests made for one event of one stage that were or may have been charged. One still in flight is
    unconfirmed, with its bound. The pool must be the runtime's."""
    rows = await pool.fetch(query("attempts"), root_id, tenant, stage, event_id, replay)
    return tuple(_as_charged(row["attempt"]) for row in rows)


def _as_charged(attempt: Mapping[str, Any]) -> LedgerRow:
    row = ledger_row(attempt)
    if attempt["outcome"] != "in_flight":
        return row
    return replace(row, outcome="unconfirmed", cost_usd=attempt["cost_usd_max"])


async def spend(
    pool: Pool, *, tenant: str | None = None, model: str | None = None, since: datetime | None = None,
    root_ids: Sequence[str] | None = None,
) -> list[Spend]:  # fmt: skip
    """Calls that were or may have been charged. The app's role needs a tenant; the runtime's sees all."""
    async with pool.transaction(tenant) as connection:
        rows = await connection.fetch(query("spend"), tenant, model, since, root_ids)
    return [
        Spend(
            tenant=row["tenant"], stage=row["stage"], model=row["model"], unconfirmed=row["unconfirmed"],
            calls=row["calls"], usage=Usage.model_validate(dict(row)), cost_usd=row["cost_usd"],
            price_known=row["price_known"],
        )
        for row in rows
    ]  # fmt: skip


def total(parts: Iterable[Spend]) -> Total:
    """The sum: confirmed calls, and the unconfirmed ones with their bound beside them."""
    parts = list(parts)
    sure = [part for part in parts if not part.unconfirmed]
    unsure = [part for part in parts if part.unconfirmed]
    return Total(
        calls=sum(part.calls for part in sure),
        usage=sum((part.usage for part in sure), Usage()),
        cost_usd=sum((part.cost_usd for part in sure), Decimal(0)),
        unconfirmed=sum(part.calls for part in unsure),
        unconfirmed_usd_max=sum((part.cost_usd for part in unsure), Decimal(0)),
    )
