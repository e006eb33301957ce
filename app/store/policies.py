"""What each tenant allows (port: Policies)."""

from __future__ import annotations

import time

from agents.contract import PermanentError
from app.store.database import Pool
from app.store.queries import query
from schemas.policy import TenantPolicy

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
        policy = TenantPolicy.model_validate(dict(row))
        self._kept[tenant] = (started, policy)
        return policy


async def create_tenant(pool: Pool, policy: TenantPolicy, *, name: str | None = None) -> bool:
    """Create the tenant; False, and nothing changed, where it exists already."""
    async with pool.transaction(policy.tenant) as connection:
        row = await connection.fetchrow(
            query("create_tenant"), policy.tenant, name or policy.tenant, policy.mode, list(policy.graduated),
            policy.confidence_min, policy.calibrated, policy.mask_personal_data,
        )  # fmt: skip
    return row is not None


async def set_masking(pool: Pool, tenant: str, on: bool) -> None:
    """Raises PermanentError("unknown_tenant")."""
    async with pool.transaction(tenant) as connection:
        if await connection.fetchrow(query("set_masking"), tenant, on) is None:
            raise PermanentError("unknown_tenant", f"there is no tenant {tenant!r}")
