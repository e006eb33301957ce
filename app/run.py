"""``deskstream run``: from nothing to the summary on this machine.

Servers, schema, topics, knowledge base, one process for each stage, tickets, progress, summary. What it started it
stops at the end, whatever the end is.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from agents.pipeline import PIPELINE
from app.config import Settings
from app.embedded import process, servers
from app.embedded.command import deskstream
from app.embedded.model_server import training
from app.embedded.process import Process, Running, ServerError
from app.ingest import Ingested, ingest
from app.kafka.connection import client_options
from app.knowledge.importing import Imported
from app.progress import KnowledgeBar, LiveProgress
from app.setup import prepare
from app.summary import Summary, stage_times
from app.tracker import Progress, Tracker
from app.wiring import create_tenant, import_knowledge, ledger_totals, settings_as_environment

# Nothing ended for this long: the run gives up and says what is missing.
STALLED_S_MAX = 180.0
BAD_LINES_SHOWN_MAX = 10
TRAINING_SAID_EVERY_S = 10.0
TRAINING_POLL_S = 0.5


@dataclass(frozen=True)
class RunOptions:
    tickets: Path
    knowledge: Path
    tenant: str
    limit: int | None
    run_id: str


async def run(settings: Settings, options: RunOptions, console: Console) -> Summary:
    """Everything, in order. Raises ServerError, OSError, KafkaError, PermanentError, TransientError."""
    began = time.monotonic()
    async with _servers(settings, console) as resolved:
        await prepare(resolved)
        await create_tenant(resolved, options.tenant)
        await _knowledge(resolved, options, console)
        await _model_trained(resolved, console)
        async with _stages(resolved) as stages:
            return await _tickets(resolved, options, stages, console, began=began)


@asynccontextmanager
async def _servers(settings: Settings, console: Console) -> AsyncIterator[Settings]:
    started = await servers.up(settings, say=lambda text: console.print(text, style="dim"))
    if started.started:
        console.print(f"Started {', '.join(started.started)}.")
    try:
        yield servers.resolve(settings)
    finally:
        if started.started:
            await servers.down(settings, only=started.started)


async def _knowledge(settings: Settings, options: RunOptions, console: Console) -> Imported:
    with KnowledgeBar(console) as bar:
        imported = await import_knowledge(
            settings,
            options.knowledge,
            options.tenant,
            on_progress=bar.update,
            on_unreadable=lambda one: console.print(f"{one.place}: {one.reason}", style="yellow", markup=False),
        )
    changed = imported.added + imported.updated
    console.print(f"Knowledge base: {changed + imported.unchanged} articles, {changed} of them new or changed.")
    return imported


async def _model_trained(settings: Settings, console: Console) -> None:
    """The offline model learns its classifier once, beside the import; tickets that came before would only wait."""
    said = float("-inf")
    while (step := await training(settings.llm_base_url or "")) is not None:
        if time.monotonic() - said > TRAINING_SAID_EVERY_S:
            said = time.monotonic()
            console.print(f"The offline model trains its classifier (once): {step}", markup=False)
        await asyncio.sleep(TRAINING_POLL_S)


@asynccontextmanager
async def _stages(settings: Settings) -> AsyncIterator[list[Running]]:
    """Each stage, the desk and the auditor, each as its own process; stopped on the way out, all at once."""
    environment = settings_as_environment(settings)
    commands = {f"stage {agent.name}": ("stage", agent.name) for agent in PIPELINE} | {
        name: (name,) for name in ("desk", "auditor")
    }
    running: list[Running] = []
    try:
        for name, command in commands.items():
            log = settings.state_dir / "logs" / f"{command[-1]}.log"
            running.append(process.launch(Process(name, (*deskstream(), *command), log, env=environment)))
        yield running
    finally:
        await asyncio.gather(*(process.stop(one, stop_signal=signal.SIGTERM) for one in running))


async def _tickets(
    settings: Settings, options: RunOptions, stages: list[Running], console: Console, *, began: float
) -> Summary:
    client = client_options(settings)
    source = f"/run/{options.run_id}"
    tracker = Tracker(client=client, source=source)
    await tracker.start()
    try:
        with LiveProgress(console, settings.state_dir / "logs") as live:
            accepted = await _ingest(settings, options, source, console)
            watch = _Watch(stages, tickets=len(accepted.event_ids))
            await tracker.run(watch.done, lambda progress: live.update(progress, tickets=len(accepted.event_ids)))
    finally:
        await tracker.stop()
    ledger = await ledger_totals(settings, options.tenant, accepted.event_ids)
    return Summary(
        run_id=options.run_id,
        tickets=len(accepted.event_ids),
        progress=tracker.progress,
        seconds=time.monotonic() - began,
        ledger_calls=ledger.calls,
        ledger_cost_usd=ledger.cost_usd,
        stage_times=stage_times(tracker.progress, PIPELINE),
    )


async def _ingest(settings: Settings, options: RunOptions, source: str, console: Console) -> Ingested:
    bad = 0

    def on_bad_line(number: int, text: str) -> None:
        nonlocal bad
        bad += 1
        if bad <= BAD_LINES_SHOWN_MAX:
            console.print(f"{options.tickets}, line {number}: {text}", style="yellow", markup=False)

    accepted = await ingest(
        options.tickets,
        client=client_options(settings),
        tenant=options.tenant,
        source=source,
        limit=options.limit,
        on_bad_line=on_bad_line,
    )
    if bad > BAD_LINES_SHOWN_MAX:
        console.print(f"... and {bad - BAD_LINES_SHOWN_MAX} more bad lines", style="yellow")
    return accepted


class _Watch:
    """When to stop watching: all ended, or nothing ends any more. Raises ServerError."""

    def __init__(self, stages: list[Running], *, tickets: int) -> None:
        self._stages = stages
        self._tickets = tickets
        self._ended = -1
        self._since = time.monotonic()

    def done(self, progress: Progress) -> bool:
        for stage in self._stages:
            if not process.is_alive(stage):
                raise ServerError(f"{stage.name} ended before its time: {stage.log} says why")
        ended = len(progress.ended)
        if ended != self._ended:
            self._ended, self._since = ended, time.monotonic()
        return ended >= self._tickets or time.monotonic() - self._since > STALLED_S_MAX
