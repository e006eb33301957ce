"""Runs the proof: servers of its own, tickets, faults, and the count."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from aiokafka import AIOKafkaProducer

from app.config import Settings
from app.embedded import process
from app.embedded.command import deskstream
from app.embedded.kafka import EmbeddedKafka
from app.embedded.model_server import EmbeddedModelServer
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.process import Process
from app.ingest import ticket_received
from app.kafka.cloudevents import to_output
from app.kafka.connection import client_options
from app.setup import prepare
from app.tracker import Tracker
from app.verify import controls
from app.verify.audit import Damage, count, read_requests, read_topics
from app.verify.schedule import FREEZE_S, Fault, Strike, schedule
from app.verify.workers import WORKERS_MAX, Workers
from app.wiring import create_tenant, import_knowledge, settings_as_environment

TENANTS = ("acme", "globex", "initech")
SOURCE = "/verify"
STALLED_S_MAX = 90.0
WRITE_DELAY_S = 1.0  # an answer is stored within this, or is counted as one that a strike may have lost
ARTICLES = (
    {"doc_id": "printing", "title": "Print a page", "text": "Press Ctrl+P to print the page."},
    {"doc_id": "bookmarks", "title": "Bookmarks", "text": "Press Ctrl+D to keep a page as a bookmark."},
)
# The simulated provider's ordinary bad days.
MODEL_FAULTS = {
    "rate_limited_share": 0.01,
    "server_error_share": 0.01,
    "malformed_share": 0.02,
    "truncated_share": 0.01,
}


@dataclass(frozen=True)
class Options:
    tickets: int = 600
    duration_s: float = 100.0
    seed: int = 1
    conversations: int = 150
    per_stage: int = 2
    latency_s: float = 0.5
    safeguards_off: frozenset[str] = frozenset()
    libs: Path | None = None  # Kafka's jars, shared


@dataclass
class Report:
    options: Options
    damage: Damage
    kills: int
    strikes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    kept_at: Path | None = None

    def as_json(self) -> dict[str, Any]:
        damage = self.damage
        return {
            "seed": self.options.seed,
            "records": damage.tickets,
            "kills": self.kills,
            "lost": len(damage.lost),
            "repeated": len(damage.repeated),
            "out_of_order": len(damage.out_of_order),
            "calls": damage.calls,
            "calls_repeated": damage.calls_repeated,
            "calls_bound": damage.calls_bound,
            "calls_unaccounted": len(damage.calls_unaccounted),
            "dead": dict(damage.dead),
            "safeguards_off": sorted(self.options.safeguards_off),
            "seconds": round(self.seconds, 1),
        }


async def verify(options: Options, say: Callable[[str], None]) -> Report:
    """Raises ServerError, KafkaError, OSError. A failing run keeps its folder, named in the report."""
    began = time.monotonic()
    folder = _open_folder()
    report = await _Run(options, folder, say).run()
    report.seconds = time.monotonic() - began
    if report.damage.is_whole:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        report.kept_at = folder
    return report


class _Run:
    def __init__(self, options: Options, folder: Path, say: Callable[[str], None]) -> None:
        self._options = options
        self._folder = folder
        self._say = say
        self._kafka = EmbeddedKafka(folder / "kafka", libs=options.libs, say=say)
        self._postgres = EmbeddedPostgres(folder / "postgres", say=say)
        self._calls = folder / "calls.jsonl"
        self._strikes_at: list[float] = []
        self._kills = 0
        self._told: list[str] = []

    async def run(self) -> Report:
        async with AsyncExitStack() as stack:
            for server in (self._kafka, self._postgres):
                stack.push_async_callback(server.stop)
            await asyncio.gather(self._kafka.start(), self._postgres.start())
            settings = await self._prepared(stack)
            environment = settings_as_environment(settings)
            environment[controls.VARIABLE] = ",".join(sorted(self._options.safeguards_off))
            workers = Workers(self._folder, environment, per_stage=self._options.per_stage)
            stack.push_async_callback(workers.stop_all)
            workers.start_all()
            tracker = Tracker(client=client_options(settings), source=SOURCE)
            await self._through(settings, workers, tracker)
            topics = await read_topics(client_options(settings))
        requests = read_requests(self._calls)
        damage = count(topics, requests, self._strikes_at, WRITE_DELAY_S)
        return Report(self._options, damage, self._kills, self._told)

    async def _prepared(self, stack: AsyncExitStack) -> Settings:
        url = await self._model_server(stack)
        settings = Settings(
            kafka_bootstrap=self._kafka.address, database_url=self._postgres.address, llm_base_url=url,
            embeddings_base_url=url, state_dir=self._folder, partitions=4,
        )  # fmt: skip
        await prepare(settings)
        articles = self._folder / "articles.jsonl"
        articles.write_text("\n".join(json.dumps(row) for row in ARTICLES))
        for tenant in TENANTS:
            await create_tenant(settings, tenant)
            await import_knowledge(
                settings, articles, tenant, on_progress=lambda done, total: None, on_unreadable=lambda one: None
            )
        return settings

    async def _model_server(self, stack: AsyncExitStack) -> str:
        server = EmbeddedModelServer(self._folder / "model")
        port = await server.choose_port("http")
        simulation = self._folder / "simulation.json"
        latency = {"latency": "lognormal", "latency_mean_s": self._options.latency_s, "latency_sigma": 0.5}
        simulation.write_text(json.dumps({"instant": True, "seed": self._options.seed, **latency, **MODEL_FAULTS}))
        todo = await server.prepare()
        command = (*deskstream(), "model-server", "--port", str(port), "--simulate", str(simulation))
        running = await process.start(
            Process(
                todo.name,
                (*command, "--call-log", str(self._calls)),
                todo.log,
                ready=todo.ready,
                ready_timeout_s=60,
                env={"STATE_DIR": str(self._folder)},
            )
        )
        stack.push_async_callback(process.stop, running)
        return server.address

    async def _through(self, settings: Settings, workers: Workers, tracker: Tracker) -> None:
        """Tickets in, faults on, then peace until everything ended or nothing moves."""
        await tracker.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(self._watch(tracker))
                sending = tasks.create_task(self._send(settings))
                await self._strike_all(workers)
                workers.thaw_all()
                workers.start_all()
                await sending
                self._at_peace_since = time.monotonic()
                await watching
        finally:
            await tracker.stop()

    _at_peace_since: float | None = None

    async def _watch(self, tracker: Tracker) -> None:
        moved_at, ended, said_at = time.monotonic(), -1, 0.0

        def done(progress: Any) -> bool:
            nonlocal moved_at, ended, said_at
            now = time.monotonic()
            if len(progress.ended) != ended:
                ended, moved_at = len(progress.ended), now
            if now - said_at > 10:
                said_at = now
                self._say(f"{ended} of {self._options.tickets} tickets ended, {len(progress.calls)} calls")
            if self._at_peace_since is None:
                return False
            return ended >= self._options.tickets or now - max(moved_at, self._at_peace_since) > STALLED_S_MAX

        await tracker.run(done, lambda progress: None)

    async def _send(self, settings: Settings) -> None:
        """Tickets spread over the time of the faults, so that each fault meets some under way."""
        options = self._options
        producer = AIOKafkaProducer(**client_options(settings), enable_idempotence=True, acks="all")
        await producer.start()
        try:
            for number in range(options.tickets):
                # Half of the conversations' tickets fall into a tenth of them.
                hot = number % 2 == 0
                conversation = number % (options.conversations // 10 if hot else options.conversations)
                row = {
                    "ticket_id": f"t{number}",
                    "conversation": f"c{conversation}",
                    "subject": f"Question {number}",
                    "text": f"How do I print page {number}?",
                }
                event = ticket_received(
                    json.dumps(row).encode(), tenant=TENANTS[conversation % len(TENANTS)], source=SOURCE
                )
                output = to_output(event)
                await producer.send_and_wait(
                    output.topic, value=output.value, key=output.key, headers=list(output.headers)
                )
                await asyncio.sleep(options.duration_s * 0.85 / options.tickets)
        finally:
            await producer.stop()

    async def _strike_all(self, workers: Workers) -> None:
        began = time.monotonic()
        async with asyncio.TaskGroup() as thaws:
            for strike in schedule(self._options.seed, self._options.duration_s):
                await asyncio.sleep(max(0.0, strike.at_s - (time.monotonic() - began)))
                await self._strike(strike, workers, thaws)

    async def _strike(self, strike: Strike, workers: Workers, thaws: asyncio.TaskGroup) -> None:
        target = workers.pick(strike.stage, strike.worker)
        self._strikes_at.append(time.time())
        text = strike.fault.value + (f" {target[1].running.name}" if target else "")
        self._told.append(f"{strike.at_s:.1f} s: {text}")
        self._say(self._told[-1])
        match strike.fault:
            case Fault.RESTART_BROKER:
                await self._kafka.restart()
            case Fault.KILL_BROKER:
                self._kills += 1
                await self._kafka.kill()
                await self._kafka.start()
            case Fault.RESTART_DATABASE:
                await self._postgres.restart()
            case _ if target is None:
                return
            case Fault.KILL_WORKER:
                self._kills += 1
                workers.kill(*target)
            case Fault.FREEZE_WORKER:
                workers.freeze(target[1])
                thaws.create_task(self._thaw_later(workers, target))
            case Fault.REMOVE_WORKER:
                await workers.remove(*target)
                workers.start_all()
            case Fault.ADD_WORKER:
                if len(workers.of[target[0]]) < WORKERS_MAX:
                    workers.start(target[0])
        self._strikes_at.append(time.time())

    async def _thaw_later(self, workers: Workers, target: Any) -> None:
        await asyncio.sleep(FREEZE_S)
        workers.thaw(target[1])
        self._strikes_at.append(time.time())


def _open_folder() -> Path:
    """PostgreSQL runs as another account where we are root, and must get in."""
    folder = Path(mkdtemp(prefix="deskstream-verify-"))
    folder.chmod(0o755)
    return folder
