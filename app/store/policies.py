"""What each tenant allows (port: Policies)."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from agents.confidence import FORMULA
from agents.contract import PermanentError
from app.calibration.fit import Fitted, Measured
from app.store.database import Pool
from app.store.queries import query
from schemas.policy import Calibration, TenantPolicy

# A tenant that is put back into draft mode must stop sending soon: this long at most.
KEPT_S = 2.0
TENANTS_MAX = 10_000


class Policies:
    def __init__(self, pool: Pool, *, kept_s: float = KEPT_S) -> None:
        self._pool = pool
        self._kept_s = kept_s
        self._kept: dict[str, tuple[float, TenantPolicy]] = {}

    async def policy(self, tenant: str) -> TenantPolicy:
        """At most ``kept_s`` old. Raises PermanentError("unknown_tenant") for a tenant that does not exist."""
        read_at, kept = self._kept.get(tenant, (float("-inf"), None))
        if kept is not None and time.monotonic() - read_at < self._kept_s:
            return kept
        started = time.monotonic()
        async with self._pool.transaction(tenant) as connection:
            row = await connection.fetchrow(query("policy"), tenant)
        if row is None:
            self._kept.pop(tenant, None)
            raise PermanentError(
                "unknown_tenant", f"there is no tenant {tenant!r}: create it with `deskstream kb import --tenant`"
            )
        if len(self._kept) >= TENANTS_MAX:
            self._kept.clear()
        policy = _policy(row)
        self._kept[tenant] = (started, policy)
        return policy


@dataclass(frozen=True)
class Kept:
    """A calibration with what it was worth when it was fitted."""

    calibration: Calibration
    measured: Measured
    fitted_at: datetime


async def create_tenant(pool: Pool, policy: TenantPolicy, *, name: str | None = None) -> bool:
    """Create the tenant; False, and nothing changed, where it exists already. Nothing has graduated at first."""
    async with pool.transaction(policy.tenant) as connection:
        row = await connection.fetchrow(
            query("create_tenant"), policy.tenant, name or policy.tenant, policy.mode, policy.confidence_min,
            policy.mask_personal_data, policy.rerank,
        )  # fmt: skip
    return row is not None


async def set_masking(pool: Pool, tenant: str, on: bool) -> None:
    """Raises PermanentError("unknown_tenant")."""
    await _set(pool, "set_masking", tenant, on)


async def set_rerank(pool: Pool, tenant: str, on: bool) -> None:
    """Raises PermanentError("unknown_tenant")."""
    await _set(pool, "set_rerank", tenant, on)


async def _set(pool: Pool, statement: str, tenant: str, on: bool) -> None:
    async with pool.transaction(tenant) as connection:
        if await connection.fetchrow(query(statement), tenant, on) is None:
            raise PermanentError("unknown_tenant", f"there is no tenant {tenant!r}")


async def keep_calibration(pool: Pool, tenant: str, fitted: Fitted) -> int:
    """Gives its version. Raises PermanentError("unknown_tenant")."""
    curves = orjson.dumps([curve.model_dump(mode="json") for curve in fitted.curves]).decode()
    async with pool.transaction(tenant) as connection:
        # Two fits at once would take one version: the tenant's row makes them take turns.
        if await connection.fetchval(query("lock_tenant"), tenant) is None:
            raise PermanentError("unknown_tenant", f"there is no tenant {tenant!r}")
        version: int = await connection.fetchval(
            query("add_calibration"), tenant, FORMULA, fitted.reviewed_until, curves,
            fitted.measured.model_dump_json(),
        )  # fmt: skip
    return version


async def kept_calibration(pool: Pool, tenant: str) -> Kept | None:
    async with pool.transaction(tenant) as connection:
        row = await connection.fetchrow(query("calibration"), tenant)
    if row is None:
        return None
    return Kept(_calibration(row), Measured.model_validate_json(row["measured"]), row["fitted_at"])


def _policy(row: Mapping[str, Any]) -> TenantPolicy:
    calibration = None if row["version"] is None else _calibration(row)
    return TenantPolicy.model_validate({**row, "graduated": orjson.loads(row["graduated"]), "calibration": calibration})


def _calibration(row: Mapping[str, Any]) -> Calibration:
    return Calibration.model_validate({**row, "curves": orjson.loads(row["curves"])})
