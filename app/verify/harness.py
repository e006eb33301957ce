"""Runs the proof: servers of its own, tickets, faults, and the count."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from agents.confidence import FORMULA
from app.config import Settings
from app.embedded.kafka import EmbeddedKafka
from app.embedded.model_server import EmbeddedModelServer
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.process import Process, ServerError
from app.ingest import ticket_received
from app.kafka.cloudevents import to_output
from app.kafka.connection import client_options
from app.setup import prepare
from app.tracker import Progress, Tracker
from app.verify import controls
from app.verify.audit import DEAD, USAGE, Damage, Seen, count
from app.verify.calls import count_calls
from app.verify.door import SOURCE, TENANTS, Delivery, bursts
from app.verify.folder import open_folder, stop_abandoned
from app.verify.schedule import APART_S, Fault, schedule
from app.verify.sources import calls_on_bus, read_ledger, read_requests, read_topics
from app.verify.striker import Striker
from app.verify.workers import Workers
from app.wiring import create_tenant, import_knowledge, settings_as_environment

STALLED_S_MAX = 90.0  # after the last fault: no ticket ended for so long
BEGIN_S_MAX = 90.0  # from the first worker's start to the first ticket's end
PROGRESS_S = 10.0
LOOK_S = 2.0  # how soon a worker that ended by itself is replaced
SENT_BY = 0.85  # of the time of the faults
SEND_AGAIN_S = 1.0
ACCEPTED_S_MAX = 60.0
CLOSED_S_MAX = 5.0
HISTORIES_MAX = 50
# The simulated provider's ordinary bad days.
MODEL_FAULTS = {
    "rate_limited_share": 0.01, "server_error_share": 0.01, "malformed_share": 0.02, "truncated_share": 0.01,
    "hang_share": 0.002, "hang_s": 5,
}  # fmt: skip
# So that every route is taken: half of the simulated verdicts are harmless questions.
_AUTOMATIC = """
    update tenant set mode = 'auto', confidence_min = 0;
    insert into graduation (tenant, category, locale, state, bound_max, opened_by, opened_at)
    select tenant, 'how_to', locale, 'open', 0.5, 'proof', now()
    from tenant, unnest(array['en', 'de', 'fr', 'es', 'ja', 'ar']) locale;
    insert into calibration (tenant, version, formula, reviewed_until, curves, measured)
    select tenant, 1, {formula}, now(), '[{"reviews": 0, "raw_from": [0], "confidence": [1]}]', '{}' from tenant
"""


@dataclass(frozen=True)
class Options:
    tickets: int = 600
    duration_s: float = 100.0  # for which faults strike
    seed: int = 1
    apart_s: float = APART_S  # from one fault to the next, on average
    conversations: int = 150
    per_stage: int = 2  # workers
    latency_s: float = 1.0  # of a call, log-normal, on average
    faults: frozenset[Fault] = frozenset(Fault)
    safeguards_off: frozenset[str] = frozenset()
    libs: Path | None = None  # Kafka's jars, shared
    keep: bool = False  # the folder, though nothing was wrong


@dataclass
class Report:
    options: Options
    damage: Damage
    kills: int
    strikes: list[str] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)  # workers that ended by themselves, and were replaced
    seconds: float = 0.0
    kept_at: Path | None = None

    def as_json(self) -> dict[str, Any]:
        damage, calls = self.damage, self.damage.calls
        return {
            "seed": self.options.seed,
            "records": damage.tickets,
            "kills": self.kills,
            "lost": len(damage.lost),
            "repeated": len(damage.repeated),
            "out_of_order": len(damage.out_of_order),
            "calls": calls.paid,
            "calls_repeated": calls.repeated,
            "calls_bound": calls.bound,
            "calls_bound_by_fault": dict(calls.bound_by_fault),
            "calls_unexplained": len(calls.unexplained),
            "calls_at_once": calls.at_once,
            "calls_unconfirmed": calls.unconfirmed,
            "calls_off_bus": calls.off_bus,
            "calls_unaccounted": len(calls.unaccounted),
            "dead": dict(damage.dead),
            "crashed": len(self.crashed),
            "safeguards_off": sorted(self.options.safeguards_off),
            "apart_s": self.options.apart_s,
            "seconds": round(self.seconds, 1),
        }


async def verify(options: Options, say: Callable[[str], None]) -> Report:
    """Raises ServerError, KafkaError, OSError. A failing run keeps its folder, named in the report."""
    began = time.monotonic()
    await stop_abandoned(say)
    folder = open_folder()
    try:
        report = await _Run(options, folder, say).run()
    except BaseException:  # cancelled, too: what there is may tell why
        say(f"Logs, topics and tables are kept in {folder}.")
        raise
    report.seconds = time.monotonic() - began
    if report.damage.is_whole and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        report.kept_at = folder
    return report


class SimulatedModel(EmbeddedModelServer):
    """The offline model server as a provider with bad days, which logs its calls."""

    def __init__(self, directory: Path, simulation: Path, calls: Path) -> None:
        super().__init__(directory)
        self._options = ("--simulate", str(simulation), "--call-log", str(calls))

    async def prepare(self) -> Process:
        todo = await super().prepare()
        return replace(todo, argv=(*todo.argv, *self._options))


class _Run:
    def __init__(self, options: Options, folder: Path, say: Callable[[str], None]) -> None:
        self._options = options
        self._folder = folder
        self._say = say
        self._kafka = EmbeddedKafka(folder / "kafka", libs=options.libs, say=say)
        self._postgres = EmbeddedPostgres(folder / "postgres", say=say)
        self._calls = folder / "calls.jsonl"
        self._model = SimulatedModel(folder / "model", self._simulation(), self._calls)
        self._accepted: set[str] = set()
        self._peace_since: float | None = None  # the last fault has passed and every ticket is in

    async def run(self) -> Report:
        async with AsyncExitStack() as stack:
            servers = (self._kafka, self._postgres, self._model)
            for server in servers:
                stack.push_async_callback(server.stop)
            await asyncio.gather(*(server.start() for server in servers))
            settings = await self._prepared()
            environment = settings_as_environment(settings)
            environment[controls.VARIABLE] = ",".join(sorted(self._options.safeguards_off))
            workers = Workers(self._folder, environment, per_stage=self._options.per_stage)
            stack.push_async_callback(workers.stop_all)
            workers.start_missing()
            striker = Striker(workers, self._kafka, self._postgres, self._say)
            await self._through(settings, workers, striker)
            await workers.stop_all()
            damage = await self._counted(settings, striker)
        return Report(self._options, damage, striker.kills, striker.told, workers.crashed)

    # -- servers, tenants, articles

    async def _prepared(self) -> Settings:
        settings = Settings(
            kafka_bootstrap=self._kafka.address, database_url=self._postgres.address,
            llm_base_url=self._model.address, embeddings_base_url=self._model.address, state_dir=self._folder,
            partitions=4,
        )  # fmt: skip
        await prepare(settings)
        for tenant in TENANTS:
            await create_tenant(settings, tenant)
            articles = self._folder / f"{tenant}.jsonl"
            articles.write_text(_articles(tenant))
            await import_knowledge(
                settings, articles, tenant, on_progress=lambda done, total: None, on_unreadable=lambda one: None
            )
        connection = await asyncpg.connect(self._postgres.address)
        await connection.execute(_AUTOMATIC.replace("{formula}", str(FORMULA)))
        await connection.close()
        return settings

    def _simulation(self) -> Path:
        file = self._folder / "simulation.json"
        latency = {"latency": "lognormal", "latency_mean_s": self._options.latency_s, "latency_sigma": 0.5}
        file.write_text(json.dumps({"instant": True, "seed": self._options.seed, **latency, **MODEL_FAULTS}))
        return file

    # -- tickets and faults

    async def _through(self, settings: Settings, workers: Workers, striker: Striker) -> None:
        """Tickets in, faults on, then peace until everything ended or nothing moves."""
        options = self._options
        strikes = schedule(options.seed, options.duration_s, options.faults, apart_s=options.apart_s)
        tracker = Tracker(client=client_options(settings), source=SOURCE)
        await tracker.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(tracker.run(self._is_over, lambda progress: None))
                replacing = tasks.create_task(_replace_forever(workers))
                telling = tasks.create_task(self._tell_forever(tracker.progress))
                sending = tasks.create_task(self._send(settings))
                await _until_the_first_ended(tracker.progress)
                await striker.strike_all(strikes)
                await sending
                self._say("No more faults: waiting for what is under way.")
                self._peace_since = self._moved_at = time.monotonic()
                await watching
                replacing.cancel()
                telling.cancel()
        except BaseExceptionGroup as group:  # the first is the cause
            raise group.exceptions[0] from group
        finally:
            await tracker.stop()

    _ended = 0
    _moved_at = 0.0

    def _is_over(self, progress: Progress) -> bool:
        if self._peace_since is None:
            return False
        now, ended = time.monotonic(), len(progress.ended)
        if ended != self._ended:
            self._ended, self._moved_at = ended, now
        return ended >= self._options.tickets or now - self._moved_at > STALLED_S_MAX

    async def _tell_forever(self, progress: Progress) -> None:
        while True:
            await asyncio.sleep(PROGRESS_S)
            self._say(
                f"{len(self._accepted)} of {self._options.tickets} tickets in, {len(progress.ended)} ended, "
                f"{len(progress.calls)} calls"
            )

    async def _send(self, settings: Settings) -> None:
        """Bursts spread over the time of the faults, so that each fault meets some under way."""
        options = self._options
        door = _Door(client_options(settings))
        try:
            for burst in bursts(options.seed, options.tickets, options.conversations):
                for delivery in burst:
                    self._accepted.add(await door.accept(delivery))
                await asyncio.sleep(options.duration_s * SENT_BY * len(burst) / options.tickets)
        finally:
            await door.close()

    # -- the count

    async def _counted(self, settings: Settings, striker: Striker) -> Damage:
        topics = await read_topics(client_options(settings))
        ledger = None if "journal" in self._options.safeguards_off else await read_ledger(self._postgres.address)
        calls = count_calls(read_requests(self._calls), striker.faults, ledger, calls_on_bus(topics[USAGE]))
        damage = count(topics, calls, accepted=self._accepted)
        if not damage.is_whole:
            self._write_findings(damage, topics, striker.told)
        return damage

    def _write_findings(self, damage: Damage, topics: dict[str, list[Seen]], strikes: Sequence[str]) -> None:
        """Each finding, and every record of the tickets that it names."""
        named = list(dict.fromkeys(finding.partition(":")[0] for finding in damage.findings))[:HISTORIES_MAX]
        histories = {
            ticket: [
                f"{topic}[{seen.partition}]@{seen.offset} {(seen.key or b'').decode(errors='replace')}"
                + (f" {seen.event.get('reason')}" if topic == DEAD else "")
                for topic, records in topics.items()
                for seen in records
                if seen.ticket == ticket
            ]
            for ticket in named
        }
        content = {"findings": damage.findings, "strikes": strikes, "records_of": histories}
        (self._folder / "findings.json").write_text(json.dumps(content, indent=2))


async def _until_the_first_ended(progress: Progress) -> None:
    """Faults that strike workers which have not begun prove nothing."""
    try:
        async with asyncio.timeout(BEGIN_S_MAX):
            while not progress.ended:  # noqa: ASYNC110 - the tracker fills it
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise ServerError(f"no ticket ended within {BEGIN_S_MAX:.0f} s: see the workers' logs") from None


async def _replace_forever(workers: Workers) -> None:
    while True:
        await asyncio.sleep(LOOK_S)
        workers.start_missing()


class _Door:
    """Where tickets come in, through whatever happens to the broker."""

    def __init__(self, client: Mapping[str, Any]) -> None:
        self._client = client
        self._producer: AIOKafkaProducer | None = None

    async def accept(self, delivery: Delivery) -> str:
        """As a help desk does: again, until it is told that its ticket was taken. Gives the event's id.

        Each time the door stamps it anew, so that what comes again is never the same event byte for byte.
        """
        while True:
            event = ticket_received(delivery.line, tenant=delivery.tenant, source=SOURCE)
            output = to_output(event)
            try:
                async with asyncio.timeout(ACCEPTED_S_MAX):
                    producer = await self._open()
                    await producer.send_and_wait(
                        output.topic, value=output.value, key=output.key, headers=list(output.headers)
                    )
            except (KafkaError, TimeoutError):
                # After a broker was away for long, an idempotent producer may never send again, and not say so.
                await self.close()
                await asyncio.sleep(SEND_AGAIN_S)
            else:
                return event.event_id

    async def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            with suppress(KafkaError, TimeoutError):  # it waits for what it could not send
                async with asyncio.timeout(CLOSED_S_MAX):
                    await producer.stop()

    async def _open(self) -> AIOKafkaProducer:
        if self._producer is None:
            self._producer = AIOKafkaProducer(**self._client, enable_idempotence=True, acks="all", linger_ms=5)
            await self._producer.start()
        return self._producer


def _articles(tenant: str) -> str:
    """Each tenant's own, so that no two ask for the same embedding."""
    texts = {"Print a page": "Press Ctrl+P to print the page.", "Bookmarks": "Press Ctrl+D to bookmark the page."}
    rows = ({"doc_id": title, "title": title, "text": f"{text} ({tenant})"} for title, text in texts.items())
    return "\n".join(map(json.dumps, rows))
