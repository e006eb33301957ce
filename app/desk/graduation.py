"""Graduation of a tenant's categories and locales: what reviews prove, who opened it, what closed it.

Each change stands in the audit log, in its own transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from agents.contract import PermanentError
from agents.graduation import BAD_RATING_MAX, BOUND_MAX, CLEAN_MIN, Evidence, Since, missing, upper_bound, worse
from app.desk.store import add_audit
from app.store.database import Pool
from app.store.queries import query
from schemas.policy import GRADUATED_MAX
from schemas.tickets import Category

BY_ITSELF = "deskstream"


@dataclass(frozen=True)
class Group:
    """A category in a locale. ``bound_max`` is what was asked for when it was opened, else the usual."""

    category: Category
    locale: str
    is_open: bool
    bound_max: float
    evidence: Evidence
    since: Since
    opened_by: str | None = None
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    closed_by: str | None = None
    closed_why: str | None = None

    def missing(self, bound_max: float | None = None) -> tuple[str, ...]:
        return missing(self.category, self.evidence, self.bound_max if bound_max is None else bound_max)

    @property
    def subject(self) -> str:
        return _subject(self.category, self.locale)


async def groups(pool: Pool, tenant: str) -> list[Group]:
    """Those with reviews of low priority, or that were ever opened."""
    async with pool.transaction(tenant) as connection:
        rows = await connection.fetch(query("graduation/groups"), tenant, None, None, BAD_RATING_MAX)
    return [_group(row) for row in rows]


async def group(pool: Pool, tenant: str, category: Category, locale: str) -> Group:
    async with pool.transaction(tenant) as connection:
        return await _read(connection, tenant, category, locale)


async def open_group(
    pool: Pool, tenant: str, category: Category, locale: str, *, actor: str, bound_max: float = BOUND_MAX
) -> Group:
    """By a person. Raises PermanentError: unknown_tenant, not_proven (its text has every reason), too_many."""
    if not 0 < bound_max <= BOUND_MAX:
        least = upper_bound(0, CLEAN_MIN)
        raise PermanentError("bound", f"a bound is at most {BOUND_MAX:.2%} ({CLEAN_MIN} clean reviews: {least:.2%})")
    async with pool.transaction(tenant) as connection:
        # Nobody opens or closes meanwhile: the figures stay those that it is opened on.
        if await connection.fetchval(query("lock_tenant"), tenant) is None:
            raise PermanentError("unknown_tenant", f"there is no tenant {tenant!r}")
        found = await _read(connection, tenant, category, locale)
        if reasons := found.missing(bound_max):
            raise PermanentError("not_proven", f"{found.subject} stays closed: {'; '.join(reasons)}")
        if await connection.fetchval(query("graduation/count_open"), tenant) >= GRADUATED_MAX:
            raise PermanentError("too_many", f"a tenant has at most {GRADUATED_MAX} open: close some")
        await connection.execute(query("graduation/open"), tenant, category, locale, bound_max, actor)
        await add_audit(
            connection, tenant, actor, action="graduation_opened", subject=found.subject,
            details={"reviewed": found.evidence.reviewed, "clean": found.evidence.clean,
                     "bound": found.evidence.bound, "bound_max": bound_max},
        )  # fmt: skip
        return await _read(connection, tenant, category, locale)


async def close_group(pool: Pool, tenant: str, category: Category, locale: str, *, actor: str, why: str) -> bool:
    """False where it was not open."""
    async with pool.transaction(tenant) as connection:
        return await _close(connection, tenant, category, locale, actor=actor, why=why)


async def close_worse(pool: Pool, tenant: str) -> list[Group]:
    """By itself: closes, and gives, those where what came since they were opened is worse than was promised."""
    async with pool.transaction(tenant) as connection:
        rows = await connection.fetch(query("graduation/groups"), tenant, None, None, BAD_RATING_MAX)
        closed = []
        for found in (_group(row) for row in rows):
            why = worse(found.since, found.bound_max) if found.is_open else ""
            if why and await _close(connection, tenant, found.category, found.locale, actor=BY_ITSELF, why=why):
                closed.append(found)
    return closed


async def tenants_open(runtime_pool: Pool) -> list[str]:
    return [row["tenant"] for row in await runtime_pool.fetch(query("graduation/tenants_open"))]


async def _close(connection: Any, tenant: str, category: Category, locale: str, *, actor: str, why: str) -> bool:
    if not await connection.fetchval(query("graduation/close"), tenant, category, locale, actor, why):
        return False
    subject = _subject(category, locale)
    await add_audit(connection, tenant, actor, action="graduation_closed", subject=subject, details={"why": why})
    return True


def _subject(category: Category, locale: str) -> str:
    return f"{category}/{locale}"


async def _read(connection: Any, tenant: str, category: Category, locale: str) -> Group:
    row = await connection.fetchrow(query("graduation/groups"), tenant, category, locale, BAD_RATING_MAX)
    if row is None:
        return Group(category, locale, False, BOUND_MAX, Evidence(0, 0), Since(0, 0, 0, 0))
    return _group(row)


def _group(row: Mapping[str, Any]) -> Group:
    return Group(
        category=Category(row["category"]),
        locale=row["locale"],
        is_open=row["state"] == "open",
        bound_max=row["bound_max"] or BOUND_MAX,
        evidence=Evidence(row["reviewed"], row["clean"]),
        since=Since(row["since_sent"], row["since_reviewed"], row["since_bad"], row["since_complaints"]),
        opened_by=row["opened_by"],
        opened_at=row["opened_at"],
        closed_at=row["closed_at"],
        closed_by=row["closed_by"],
        closed_why=row["closed_why"],
    )
