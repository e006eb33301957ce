"""Whether a tenant sends anything without a person: its mode, and halts by the auditor or by a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from agents.contract import PermanentError
from app.desk.store import add_audit
from app.store.database import Pool
from app.store.queries import query
from schemas.policy import Mode


@dataclass(frozen=True)
class Halt:
    at: datetime
    why: str
    by: str


async def set_mode(pool: Pool, tenant: str, mode: Mode, *, actor: str) -> None:
    """Raises PermanentError("unknown_tenant")."""
    async with pool.transaction(tenant) as connection:
        if await connection.fetchval(query("autosend/set_mode"), tenant, mode) is None:
            raise PermanentError("unknown_tenant", f"there is no tenant {tenant!r}")
        await add_audit(connection, tenant, actor, action="mode_set", subject=tenant, details={"mode": mode})


async def halt(pool: Pool, tenant: str, *, why: str, by: str) -> bool:
    """False where one stands already; then nothing is changed."""
    async with pool.transaction(tenant) as connection:
        if not await connection.fetchval(query("autosend/halt"), tenant, why, by):
            return False
        await add_audit(connection, tenant, by, action="sending_halted", subject=tenant, details={"why": why})
    return True


async def lift(pool: Pool, tenant: str, *, actor: str) -> bool:
    """By a person, who has looked at why. False where none stands."""
    async with pool.transaction(tenant) as connection:
        why = await connection.fetchval(query("autosend/lift_halt"), tenant, actor)
        if why is None:
            return False
        await add_audit(connection, tenant, actor, action="sending_resumed", subject=tenant, details={"why": why})
    return True


async def standing(pool: Pool, tenant: str) -> Halt | None:
    async with pool.transaction(tenant) as connection:
        row = await connection.fetchrow(query("autosend/standing_halt"), tenant)
    return None if row is None else Halt(**row)
