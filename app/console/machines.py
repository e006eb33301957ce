"""Machines' tokens: what each may do, until when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from app.console.accounts import SHOWN_MAX, User
from app.console.roles import Scope
from app.console.tokens import digest, new_token, tenant_of
from app.desk.store import add_audit
from app.store.database import Pool
from app.store.queries import query

TOKEN_DAYS_MAX = 365


@dataclass(frozen=True)
class Machine:
    tenant: str
    name: str
    scopes: frozenset[str]


class Machines:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, user: User, name: str, scopes: frozenset[Scope], days: int) -> str:
        """The token itself: shown once, then only its digest is left."""
        token = new_token(user.tenant)
        async with self._pool.transaction(user.tenant) as connection:
            await connection.execute(
                query("console/add_token"), user.tenant, digest(token), name, sorted(scopes), user.actor,
                timedelta(days=max(1, min(days, TOKEN_DAYS_MAX))),
            )  # fmt: skip
            await add_audit(
                connection,
                user.tenant,
                user.actor,
                action="token_added",
                subject=name,
                details={"scopes": sorted(scopes)},
            )
        return token

    async def listed(self, tenant: str) -> list[Mapping[str, Any]]:
        async with self._pool.transaction(tenant) as connection:
            return await connection.fetch(query("console/tokens"), tenant, SHOWN_MAX)

    async def revoke(self, user: User, token_id: UUID) -> None:
        async with self._pool.transaction(user.tenant) as connection:
            name = await connection.fetchval(query("console/revoke_token"), user.tenant, token_id)
            if name is not None:
                await add_audit(connection, user.tenant, user.actor, action="token_revoked", subject=name, details={})

    async def known(self, token: str) -> Machine | None:
        tenant = tenant_of(token)
        if not tenant:
            return None
        async with self._pool.transaction(tenant) as connection:
            row = await connection.fetchrow(query("console/use_token"), tenant, digest(token))
        return None if row is None else Machine(tenant, row["name"], frozenset(row["scopes"]))
