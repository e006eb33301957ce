"""The desk's worker (the topics into the tables, decisions onto the bus, replies to the help desk), and the auditor."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import structlog

from agents.contract import PermanentError
from app import metrics
from app.config import Settings
from app.desk.adapters import Adapter
from app.desk.adapters.console import Console
from app.desk.adapters.file import Files
from app.desk.adapters.webhook import Webhook
from app.desk.auditor import Auditor
from app.desk.outbox import Outbox
from app.desk.projector import Projector
from app.desk.relay import Relay
from app.desk.sender import Pace, Sender
from app.kafka.connection import client_options
from app.store import database
from app.wiring import configure_log, runtime_pool

CONNECTIONS_MAX = 10

log = structlog.get_logger()


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Until ``stop``. Any number may run: they share the work. ``settings`` must be resolved.

    Raises PermanentError, TransientError.
    """
    configure_log(settings.log_level)
    port = metrics.serve(settings.metrics_host, settings.metrics_port)
    client = client_options(settings)
    async with AsyncExitStack() as stack:
        replies_to = adapter(settings)
        stack.push_async_callback(replies_to.close)
        url = settings.database_url or ""
        runtime = await database.connect(url, role="deskstream_runtime", connections_max=CONNECTIONS_MAX)
        stack.push_async_callback(runtime.close)
        app = await database.connect(url, connections_max=CONNECTIONS_MAX)
        stack.push_async_callback(app.close)
        pace = Pace(timeout_s=settings.reply_timeout_s, lease_s=Pace.lease_s + 2 * settings.reply_timeout_s)
        log.info("desk_started", adapter=replies_to.name, metrics=f"http://{settings.metrics_host}:{port}/metrics")
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(Projector(runtime, client).run(stop))
            tasks.create_task(Relay(runtime, client).run(stop))
            tasks.create_task(Sender(Outbox(runtime, app), replies_to, client, pace=pace).run(stop))
    log.info("desk_stopped")


async def audit(settings: Settings, stop: asyncio.Event) -> None:
    """Until ``stop``. ``settings`` must be resolved."""
    configure_log(settings.log_level)
    port = metrics.serve(settings.metrics_host, settings.metrics_port)
    log.info("auditor_started", metrics=f"http://{settings.metrics_host}:{port}/metrics")
    async with runtime_pool(settings) as pool:
        await Auditor(pool, client_options(settings)).run(stop)


def adapter(settings: Settings) -> Adapter:
    """Raises PermanentError("no_webhook")."""
    match settings.reply_adapter:
        case "file":
            return Files(settings.reply_folder or settings.state_dir / "replies")
        case "webhook":
            if not settings.reply_webhook_url or settings.reply_webhook_secret is None:
                raise PermanentError(
                    "no_webhook", "REPLY_ADAPTER=webhook needs REPLY_WEBHOOK_URL and REPLY_WEBHOOK_SECRET"
                )
            return Webhook(
                settings.reply_webhook_url,
                settings.reply_webhook_secret.get_secret_value(),
                timeout_s=settings.reply_timeout_s,
                settle_s=settings.reply_settle_s if settings.reply_webhook_reads_back else None,
            )
        case _:
            return Console()
