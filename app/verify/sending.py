"""The proof of sending: replies to a help desk that fails on purpose, kill -9 at each step, then a count at the desk.

``python -m app.verify.sending --replies 10000 --results infra/docs/generated/sending.json``
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaProducer

from agents.contract import PermanentError
from app.config import Settings
from app.desk import store
from app.desk.decisions import Action, Choice, State
from app.desk.projector import Projector
from app.embedded import process
from app.embedded.kafka import EmbeddedKafka
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.process import Process, Running
from app.kafka.cloudevents import to_output
from app.setup import prepare
from app.store.database import Pool, connect
from app.verify.desk import Desk
from app.verify.folder import note_worker, open_folder, stop_abandoned
from app.verify.sending_worker import PACE
from app.wiring import create_tenant
from schemas.event import Event
from schemas.tickets import TicketReceived, TicketRouted

TENANTS = ("acme", "globex", "initech")
SENDERS = 3
LATE_SHARE = 0.05  # of the tickets get a newer message while their reply is under way
LATE_S = 2.0
PERSON_SHARE = 0.1  # are approved by a person
STALLED_S_MAX = 120.0
LOOK_S = 1.0
TABLES_KILLED_EVERY_S = 40.0
BURST = 20
IN_FLIGHT_MAX = 200  # not yet ended
# What a backup keeps, and what is rolled back to it.
TABLES = (
    "ticket",
    "ticket_term",
    "message",
    "ticket_call",
    "decision",
    "outbox",
    "audit_log",
    "projection_offset",
    "review",
)
_SETUP = """
    update tenant set mode = 'auto';
    insert into graduation (tenant, category, locale, state, bound_max, opened_by, opened_at)
    select tenant, 'how_to', 'en', 'open', 0.05, 'verify', now() from tenant;
    insert into document (tenant, document_id, version, title, digest, collection, imported_at)
    select tenant, 'printing', 1, 'Printing', '', 'default', now() from tenant;
"""

_SOONER = """
    update outbox set not_before = least(not_before, created_at + interval '1 second')
    where state = 'pending' and decision_id is not null
"""
_LEFT = """
    select (select count(*) from outbox where state in ('pending', 'claimed'))
         + (select count(*) from ticket where state in ('waiting', 'sending')
            or (state = 'working' and ticket_id like 't%')) as open,
           (select count(*) from ticket where ticket_id like 't%') as tickets
"""
_COLUMNS = """
    select column_name as name from information_schema.columns
    where table_schema = 'public' and table_name = $1 and is_generated = 'NEVER'
"""


@dataclass(frozen=True)
class Options:
    replies: int = 300
    seed: int = 1
    fault_share: float = 0.2  # of the desk's answers
    kill_share: float = 1 / 150  # of the sender's steps
    blind: bool = False  # without reading back
    restores: bool = True  # the database is rolled back once
    libs: Path | None = None


@dataclass
class Report:
    options: Options
    replies: int = 0
    sent: int = 0
    sent_twice: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unknown: int = 0
    stale: int = 0
    answered_late: list[float] = field(default_factory=list)  # seconds from the newer message to the reply
    newer_messages: int = 0
    kills: Counter[str] = field(default_factory=Counter)  # by step
    faults: dict[str, int] = field(default_factory=dict)  # met at the desk
    restores: int = 0
    desk_lag_s_max: float = 0.0
    seconds: float = 0.0
    kept_at: Path | None = None

    @property
    def is_whole(self) -> bool:
        return not self.sent_twice and not self.lost

    def as_json(self) -> dict[str, Any]:
        late = sorted(self.answered_late)
        return {
            "replies": self.replies, "sent_twice": len(self.sent_twice), "lost": len(self.lost),
            "unknown": self.unknown, "sent": self.sent, "stale": self.stale, "kills": sum(self.kills.values()),
            "kills_by_step": dict(sorted(self.kills.items())), "faults_met": dict(sorted(self.faults.items())),
            "database_restored": self.restores, "newer_messages": self.newer_messages,
            "answered_though_newer": len(late), "window_s_max": round(late[-1], 3) if late else 0.0,
            "desk_lag_s_max": round(self.desk_lag_s_max, 3), "seed": self.options.seed,
            "seconds": round(self.seconds, 1),
        }  # fmt: skip


@dataclass
class _Asked:
    """What was put on the bus: its reply must be sent once, unless a newer message came in before."""

    newer_at: float | None = None


async def verify(options: Options, say: Callable[[str], None]) -> Report:
    """Raises ServerError, KafkaError, OSError. What is not whole keeps its folder."""
    began = time.monotonic()
    await stop_abandoned(say)
    folder = open_folder()
    report = await _Run(options, folder, say).run()
    report.seconds = time.monotonic() - began
    if report.is_whole:
        shutil.rmtree(folder, ignore_errors=True)
    else:
        report.kept_at = folder
    return report


class _Run:
    def __init__(self, options: Options, folder: Path, say: Callable[[str], None]) -> None:
        self._options = options
        self._folder = folder
        self._say = say
        self._rng = random.Random(options.seed)  # noqa: S311 - to be repeated, not to be secret
        self._kafka = EmbeddedKafka(folder / "kafka", libs=options.libs, say=say)
        self._postgres = EmbeddedPostgres(folder / "postgres", say=say)
        self._desk = Desk(seed=options.seed, share=options.fault_share)
        self._asked: dict[str, _Asked] = {}  # by ticket id
        self._at_work = asyncio.Lock()  # whoever starts workers or decides; nobody does while a backup is restored
        self._started = 0
        self._workers: dict[str, Running] = {}
        self._report = Report(options)

    async def run(self) -> Report:
        async with AsyncExitStack() as stack:
            for server in (self._kafka, self._postgres):
                stack.push_async_callback(server.stop)
            await asyncio.gather(self._kafka.start(), self._postgres.start())
            await self._prepared()
            await stack.enter_async_context(self._desk.serving())
            pool = await connect(self._postgres.address, connections_max=4)
            stack.push_async_callback(pool.close)
            stack.push_async_callback(self._stop_workers)
            async with asyncio.TaskGroup() as tasks:
                keeping = [tasks.create_task(one) for one in (self._keep_workers(), self._approve(pool))]
                await self._feed()
                await self._quiet()
                if self._options.restores:
                    await self._restore()
                    await self._quiet()
                for task in keeping:
                    task.cancel()
            await self._stop_workers()
            await self._count()
        return self._report

    # -- before

    async def _prepared(self) -> None:
        settings = Settings(
            kafka_bootstrap=self._kafka.address, database_url=self._postgres.address, state_dir=self._folder,
            partitions=4,
        )  # fmt: skip
        await prepare(settings)
        for tenant in TENANTS:
            await create_tenant(settings, tenant)
        await self._execute(_SETUP)

    async def _execute(self, sql: str) -> None:
        connection = await asyncpg.connect(self._postgres.address)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    # -- tickets

    async def _feed(self) -> None:
        producer = AIOKafkaProducer(bootstrap_servers=self._kafka.address, enable_idempotence=True, acks="all")
        await producer.start()
        try:
            async with asyncio.TaskGroup() as later:
                for start in range(0, self._options.replies, BURST):
                    burst = [self._ticket(start + at) for at in range(min(BURST, self._options.replies - start))]
                    await _put(producer, [message for message, _ in burst])
                    await _put(producer, [routed for _, routed in burst])
                    for message, _ in burst:
                        self._asked[message.ticket.ticket_id] = asked = _Asked()
                        if self._rng.random() < LATE_SHARE:
                            later.create_task(self._newer(producer, message, asked, self._rng.uniform(0, LATE_S)))
                    if self._options.restores and start <= self._options.replies // 2 < start + BURST:
                        await self._back_up()
                    # Kills and faults are to meet replies all the time.
                    while await self._left() > IN_FLIGHT_MAX:  # noqa: ASYNC110 - nobody tells when it is less
                        await asyncio.sleep(LOOK_S)
        finally:
            await producer.stop()
        self._say(f"{len(self._asked)} tickets are in.")

    def _ticket(self, number: int) -> tuple[TicketReceived, TicketRouted]:
        by_person = self._rng.random() < PERSON_SHARE
        known = {
            "event_id": f"e{number}", "source": "/verify", "tenant": TENANTS[number % len(TENANTS)],
            "conversation": f"c{number}", "accepted_at": datetime.now(UTC).isoformat(),
            "ticket": {"ticket_id": f"t{number}", "subject": f"Question {number}", "body": "How do I print?"},
        }  # fmt: skip
        message = TicketReceived.model_validate(known)
        routed = TicketRouted.model_validate(
            {
                **known, "event_id": f"r{number}", "root_id": message.event_id,
                "verdict": {"category": "how_to", "priority": "low", "sentiment": "neutral", "language": "en",
                            "confidence": 0.99},
                "passages": [{"document_id": "printing", "version": 1, "chunk": 0, "title": "Printing",
                              "text": "Press Ctrl+P.", "score": 0.9, "similarity": 0.9}],
                "draft": {"body": f"Reply to t{number}", "citations": ["printing"], "confidence": 0.9},
                "grounding": None, "route": "review" if by_person else "send", "reasons": ["verify"],
            }
        )  # fmt: skip
        return message, routed

    async def _newer(self, producer: AIOKafkaProducer, message: TicketReceived, asked: _Asked, in_s: float) -> None:
        await asyncio.sleep(in_s)
        ticket = message.ticket.model_copy(update={"ticket_id": f"n{message.ticket.ticket_id}"})
        newer = message.model_copy(
            update={"event_id": f"n{message.event_id}", "root_id": f"n{message.event_id}", "ticket": ticket}
        )
        await _put(producer, [newer])
        asked.newer_at = time.time()

    async def _approve(self, pool: Pool) -> None:
        """A person who approves whatever waits; undoing is over after a second."""
        while True:
            async with self._at_work:
                for tenant in TENANTS:
                    for row in await store.queue(pool, tenant, store.Wanted((State.WAITING,))):
                        await _approved(pool, tenant, row.ticket_id)
                await self._execute(_SOONER)
            await asyncio.sleep(LOOK_S)

    # -- a database from a backup

    async def _back_up(self) -> None:
        connection = await asyncpg.connect(self._postgres.address)
        try:
            async with connection.transaction(isolation="repeatable_read"):
                for name in TABLES:
                    await connection.execute(f"create table backup_{name} as table {name}")
        finally:
            await connection.close()
        self._say("The database is backed up.")

    async def _restore(self) -> None:
        """As an operator does it: nothing works on the database meanwhile, and people go on once the tables have what
        is on the bus."""
        async with self._at_work:
            await self._stop_workers()
            await asyncio.sleep(PACE.look_first_after_s)  # no backup is back sooner
            connection = await asyncpg.connect(self._postgres.address)
            try:
                async with connection.transaction():
                    await connection.execute(f"truncate {', '.join(TABLES)}")
                    for name in TABLES:
                        columns = ", ".join(row["name"] for row in await connection.fetch(_COLUMNS, name))
                        await connection.execute(
                            f"insert into {name} ({columns}) overriding system value"  # noqa: S608 - names of ours
                            f" select {columns} from backup_{name}"
                        )
            finally:
                await connection.close()
            runtime = await connect(self._postgres.address, role="deskstream_runtime", connections_max=1)
            await Projector(runtime, {"bootstrap_servers": self._kafka.address}).catch_up()
            await runtime.close()
            self._report.restores += 1
        self._say("The database is back as it was in the middle.")

    # -- workers

    async def _keep_workers(self) -> None:
        kill_at = time.monotonic() + TABLES_KILLED_EVERY_S
        while True:
            async with self._at_work:
                for name in ("tables", *(f"sender-{number}" for number in range(SENDERS))):
                    running = self._workers.get(name)
                    if running is None or not process.is_alive(running):
                        self._start(name)
                if time.monotonic() > kill_at:
                    kill_at = time.monotonic() + TABLES_KILLED_EVERY_S
                    process.kill(self._workers["tables"])
                    self._report.kills["tables"] += 1
            await asyncio.sleep(LOOK_S)

    def _start(self, name: str) -> None:
        self._started += 1
        options = {
            "part": name.partition("-")[0], "kafka": self._kafka.address, "database": self._postgres.address,
            "desk": self._desk.address, "seed": self._options.seed * 100_003 + self._started,
            "kill_share": self._options.kill_share, "noted": str(self._folder / "deaths"),
            "blind": self._options.blind,
        }  # fmt: skip
        argv = (sys.executable, "-m", "app.verify.sending_worker", json.dumps(options))
        running = process.launch(Process(name, argv, self._folder / "logs" / f"{name}.log"))
        note_worker(self._folder, running)
        self._workers[name] = running

    async def _stop_workers(self) -> None:
        await asyncio.gather(*(process.stop(running) for running in self._workers.values()))
        self._workers.clear()

    # -- after

    async def _left(self) -> int:
        """What is still to be sent or decided."""
        (row,) = await self._fetch(_LEFT)
        return int(row["open"]) + max(0, len(self._asked) - int(row["tickets"]))

    async def _quiet(self) -> None:
        """Until nothing is left. Raises TimeoutError where nothing moves any more and something is."""
        last, since = -1, time.monotonic()
        while left := await self._left():
            if left != last:
                last, since = left, time.monotonic()
            if time.monotonic() - since > STALLED_S_MAX:
                raise TimeoutError(f"{left} replies do not end: see the logs and tables in {self._folder}")
            await asyncio.sleep(LOOK_S)

    async def _fetch(self, sql: str) -> list[Any]:
        connection = await asyncpg.connect(self._postgres.address)
        try:
            return list(await connection.fetch(sql))
        finally:
            await connection.close()

    async def _count(self) -> None:
        """At the desk, by what customers would have read; the tables only say what was not to be sent."""
        report, landed = self._report, self._desk.landed
        times: dict[str, list[float]] = {}
        for reply_id, at in landed.at.items():
            times.setdefault(landed.bodies[reply_id].removeprefix("Reply to "), []).extend(at)
        told = {row["ticket_id"]: set(row["states"]) for row in await self._fetch(
            "select ticket_id, array_agg(state) as states from outbox group by ticket_id")}  # fmt: skip
        report.replies = len(self._asked)
        for ticket_id, asked in self._asked.items():
            at, states = times.get(ticket_id, []), told.get(ticket_id, set())
            report.sent += bool(at)
            report.newer_messages += asked.newer_at is not None
            if len(at) > 1:
                report.sent_twice.append(ticket_id)
            elif at and asked.newer_at is not None and at[0] > asked.newer_at:
                report.answered_late.append(at[0] - asked.newer_at)
            elif not at and "unknown" in states:
                report.unknown += 1
            elif not at and asked.newer_at is not None and "sent" not in states:
                report.stale += 1
            elif not at:
                report.lost.append(ticket_id)
        deaths = self._folder / "deaths"
        report.kills.update(deaths.read_text().split() if deaths.exists() else ())
        report.faults, report.desk_lag_s_max = dict(self._desk.met), self._desk.lag_s_max


async def _put(producer: AIOKafkaProducer, events: Sequence[Event]) -> None:
    outputs = [to_output(event) for event in events]
    sent = [
        await producer.send(output.topic, value=output.value, key=output.key, headers=list(output.headers))
        for output in outputs
    ]
    for acknowledged in sent:
        await acknowledged


async def _approved(pool: Pool, tenant: str, ticket_id: str) -> None:
    draft = (await store.ticket(pool, tenant, ticket_id)).routed_event_id or ""
    with suppress(PermanentError):  # a newer message came in meanwhile
        await store.decide(pool, tenant, ticket_id, "verify", Choice(Action.APPROVED, draft))


def _arguments() -> tuple[Options, Path | None]:
    parser = argparse.ArgumentParser(prog="python -m app.verify.sending", description=__doc__)
    parser.add_argument("--replies", type=int, default=Options.replies)
    parser.add_argument("--seed", type=int, default=Options.seed)
    parser.add_argument("--kill-share", type=float, default=Options.kill_share, help="of the sender's steps")
    parser.add_argument("--blind", action="store_true", help="without reading back: must do damage")
    parser.add_argument("--results", type=Path, help="JSON to write")
    given = parser.parse_args()
    libs = Settings().state_dir / "kafka" / "libs"
    options = Options(
        replies=given.replies, seed=given.seed, kill_share=given.kill_share, blind=given.blind, libs=libs
    )  # fmt: skip
    return options, given.results


def main() -> int:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    options, results = _arguments()
    report = asyncio.run(verify(options, lambda text: print(text, file=sys.stderr)))
    told = json.dumps(report.as_json(), indent=2) + "\n"
    sys.stdout.write(told)
    if results and not options.blind:
        results.parent.mkdir(parents=True, exist_ok=True)
        results.write_text(told)
    if not report.is_whole:
        sys.stderr.write(f"sent twice: {report.sent_twice[:20]}; lost: {report.lost[:20]}; see {report.kept_at}\n")
    return 0 if report.is_whole else 1


if __name__ == "__main__":
    sys.exit(main())
