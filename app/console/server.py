"""Serving the console on this machine until it is told to stop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

import uvicorn
from starlette.applications import Starlette

from app.config import Settings
from app.console.accounts import Accounts
from app.console.application import application
from app.console.gaps import found
from app.console.guidelines import DAYS, Tried
from app.console.jobs import Jobs
from app.console.live import Counts
from app.console.machines import Machines
from app.console.oidc import Oidc
from app.console.policy import newest
from app.console.queue import read_counts
from app.console.report import counted, jobs_of
from app.console.roles import Role
from app.console.web import Console
from app.desk.report import REPORT_S_MAX
from app.kafka.connection import client_options
from app.kafka.late import LateSender
from app.knowledge import gap_report
from app.models import guidelines
from app.redraft import Redraft, draftable, redraft
from app.store import database
from app.wiring import gap_parts, prompt_library

FIRST_ADMIN = "admin@localhost"
CONNECTIONS_MAX = 10
GAP_DAYS = 30
GAP_TICKETS_MIN = 3
_STATEMENT_TIMEOUT_S = 10.0
# Streams of counts never end by themselves.
_LAST_REQUESTS_S = 2


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Starlette]:
    """``settings`` must be resolved. Raises PermanentError, TransientError."""
    async with AsyncExitStack() as stack:
        pool = await database.connect(
            settings.database_url or "", connections_max=CONNECTIONS_MAX, statement_timeout_s=_STATEMENT_TIMEOUT_S
        )
        stack.push_async_callback(pool.close)
        runtime = await database.connect(settings.database_url or "", role="deskstream_runtime", connections_max=2)
        stack.push_async_callback(runtime.close)
        gaps = Jobs(partial(found, partial(_gaps, settings)))
        stack.push_async_callback(gaps.close)
        previews = Jobs(partial(_redrafts, settings))
        stack.push_async_callback(previews.close)
        counting = await database.connect(
            settings.database_url or "", connections_max=1, statement_timeout_s=REPORT_S_MAX
        )
        stack.push_async_callback(counting.close)
        reports = jobs_of(partial(counted, counting))
        for each in reports.values():
            stack.push_async_callback(each.close)
        own = guidelines.load(settings.guidelines_dir)
        oidc = _oidc(settings)
        if oidc is not None:
            stack.push_async_callback(oidc.close)
        yield application(
            Console(
                pool=pool,
                runtime=runtime,
                accounts=Accounts(pool),
                machines=Machines(pool),
                counts=Counts(partial(read_counts, pool)),
                client=client_options(settings),
                gaps=gaps,
                previews=previews,
                reports=reports,
                prompts=prompt_library(settings, own),
                guidelines=own,
                oidc=oidc,
                url=settings.console_url or "",
            )
        )


async def serve(settings: Settings) -> None:
    async with opened(settings) as app:
        config = uvicorn.Config(
            app, host=settings.console_host, port=settings.console_port, log_level="warning", access_log=False,
            # Behind a proxy, whose word on who asks is taken from the addresses of FORWARDED_ALLOW_IPS.
            server_header=False, proxy_headers=settings.console_url is not None,
            timeout_graceful_shutdown=_LAST_REQUESTS_S,
        )  # fmt: skip
        await uvicorn.Server(config).serve()


def address(settings: Settings) -> str:
    """Where people reach it."""
    return (settings.console_url or f"http://{settings.console_host}:{settings.console_port}").rstrip("/")


async def sign_in_address(settings: Settings, tenant: str, email: str | None = None) -> str | None:
    """A link that signs this user in once. Without ``email``: the first admin, until somebody has another way in."""
    pool = await database.connect(settings.database_url or "", connections_max=1)
    try:
        accounts = Accounts(pool)
        if email is None:
            known = await accounts.listed(tenant)
            if any(each.seen_at or each.has_password or each.disabled_at for each in known):
                return None
            await accounts.add(tenant, FIRST_ADMIN, name="Admin", role=Role.ADMIN, actor="deskstream")
        token = await accounts.link(tenant, email or FIRST_ADMIN)
    finally:
        await pool.close()
    return f"{address(settings)}/sign-in/link?token={token}"


async def _gaps(settings: Settings, tenant: str) -> Sequence[gap_report.Gap]:
    since = datetime.now(UTC) - timedelta(days=GAP_DAYS)
    found = await gap_report.read(client_options(settings), tenant, since=since, similarity_min=None)
    async with gap_parts(settings, tenant) as parts:
        return await gap_report.gaps(
            found, parts.embedder, parts.answerer.knowledge, tenant=tenant, size_min=GAP_TICKETS_MIN, masks=parts.masks
        )


async def _redrafts(settings: Settings, tenant: str, tried: Tried) -> tuple[Redraft, ...]:
    client = client_options(settings)
    events = draftable(await newest(client, tenant, datetime.now(UTC) - timedelta(days=DAYS)))
    if tried.ticket_id:
        chosen = [event for event in events if event.ticket.ticket_id == tried.ticket_id][:1]
    else:
        chosen = [event for event in events if event.verdict.language == tried.language][: tried.tickets]
    tell, redrafts = LateSender(client), []
    async with gap_parts(settings, tenant) as parts:
        prompts = prompt_library(settings, guidelines.Guidelines({tenant: tried.own}))
        answerer = replace(parts.answerer, prompts=prompts)
        try:
            for event in chosen:
                found, used = await redraft(event, answerer)
                await tell(used, 0)
                redrafts.append(found)
        finally:
            await tell.close()
    return tuple(redrafts)


def _oidc(settings: Settings) -> Oidc | None:
    if settings.oidc_issuer is None or settings.oidc_client_id is None:
        return None
    secret = settings.oidc_client_secret
    return Oidc(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=secret.get_secret_value() if secret else "",
        redirect_uri=f"{address(settings)}/sign-in/provider/return",
    )
