"""The console on a port of its own, with people who can sign in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

import uvicorn

from app.console.accounts import Accounts
from app.console.application import application
from app.console.gaps import Find, found
from app.console.guidelines import Tried
from app.console.jobs import Jobs
from app.console.live import Counts
from app.console.machines import Machines
from app.console.oidc import Oidc
from app.console.queue import read_counts
from app.console.report import counted, jobs_of
from app.console.roles import Role
from app.console.web import Console
from app.embedded.server import free_port
from app.knowledge.gap_report import Gap
from app.models.prompts import PromptLibrary
from app.redraft import Redraft
from app.store.database import Pool
from app.store.policies import create_tenant
from schemas.policy import TenantPolicy

READY_S_MAX = 20.0


@dataclass(frozen=True)
class Site:
    url: str
    accounts: Accounts
    tenant: str

    async def link(self, name: str = "ada", role: Role = Role.REVIEWER) -> str:
        email = f"{name}@example.com"
        await self.accounts.add(self.tenant, email, name=name.title(), role=role, actor="test")
        return f"{self.url}/sign-in/link?token={await self.accounts.link(self.tenant, email)}"


async def _no_gaps(tenant: str) -> Sequence[Gap]:
    return ()


async def _no_redrafts(tenant: str, tried: Tried) -> tuple[Redraft, ...]:
    return ()


def console(
    pool: Pool, runtime: Pool, client: Mapping[str, Any] | None = None, *, find: Find | None = None,
    oidc: Oidc | None = None, redraft: Callable[[str, Tried], Awaitable[tuple[Redraft, ...]]] | None = None,
) -> Console:  # fmt: skip
    return Console(
        pool=pool, runtime=runtime, accounts=Accounts(pool), machines=Machines(pool),
        counts=Counts(partial(read_counts, pool)), client=client or {}, gaps=Jobs(partial(found, find or _no_gaps)),
        previews=Jobs(redraft or _no_redrafts), reports=jobs_of(partial(counted, pool)),
        prompts=PromptLibrary(cache_control=True, json_schema=True), oidc=oidc,
    )  # fmt: skip


async def new_tenant(pool: Pool) -> str:
    tenant = f"t{uuid4().hex[:12]}"
    await create_tenant(pool, TenantPolicy(tenant=tenant))
    return tenant


@asynccontextmanager
async def site(console: Console) -> AsyncIterator[Site]:
    port = free_port()
    config = uvicorn.Config(
        application(console), port=port, log_level="error", access_log=False, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(READY_S_MAX):
            while not server.started:
                await asyncio.sleep(0.02)
        yield Site(f"http://127.0.0.1:{port}", console.accounts, await new_tenant(console.pool))
    finally:
        server.should_exit = True
        await serving
