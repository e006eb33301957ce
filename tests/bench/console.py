"""``python -m tests.bench.console``: how fast the console's pages are at 100,000 tickets of several workspaces.

The tickets are made of the demo's sentences and written through SQL; then the real console is started as a process of
its own, an admin signs in, and one page after the other is asked for over HTTP by one browser that waits for each
answer. CPU is the console's own and that of the database's processes that answer it, as Linux counts them. A time limit
over all pages makes a page on a busy machine end with fewer requests, and its row says how many there were.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
from aiokafka import AIOKafkaProducer

from app import demo
from app.console.accounts import Accounts
from app.console.roles import Role
from app.desk.terms import terms
from app.embedded.console import EmbeddedConsole
from app.kafka.topics import create_topics
from app.runtime.dead_letter import PREFIX
from app.store.database import connect, migrate
from app.store.policies import create_tenant
from schemas.policy import TenantPolicy
from schemas.tickets import Category
from schemas.topics import DEAD_LETTER_TOPIC
from tests.bench.systems import ROOT, system_version
from tests.servers import embedded_kafka, embedded_postgres, fresh_database, server_folder
from tests.waiting import DRAFT, GROUNDING, PASSAGES

RESULTS = ROOT / "infra" / "docs" / "generated" / "console.json"
TICKETS = 100_000
SHARES = {"large": 0.6, "middle": 0.3, "small": 0.09, "tiny": 0.01}
WATCHED = "large"
REQUESTS, WARM_UP = 200, 3
SECONDS = 150.0  # for all pages together
P95_MS_MAX = 100.0
DEAD_LETTERS = 50
BATCH = 5_000
DAYS = 60
SEED = 7
# Of a hundred tickets.
STATES = ["sent"] * 78 + ["rejected"] * 3 + ["taken_over"] * 4 + ["superseded"] * 5 + ["dead"] + ["working"] * 2
STATES += ["waiting"] * 5 + ["escalated"] * 2
EMAIL = "bench@example.com"

_STAGED = """create temp table staged (tenant text, ticket_id text, subject text, text text, age_s double precision,
    state text, language text, category text, priority text, terms text[])"""
_TICKETS = """insert into ticket (tenant, ticket_id, conversation_id, root_id, source, partition, channel, subject,
    customer_text, accepted_at, state, routed_event_id, routed_at, route, reasons, language, category, priority,
    draft_body, draft_model, citations, passages, grounding, signals, cost_usd)
select tenant, ticket_id, ticket_id, tenant || ticket_id, 'bench', 0, 'email', subject, text,
    now() - make_interval(secs => age_s), state, 'routed-' || tenant || ticket_id, now() - make_interval(secs => age_s),
    case when state in ('sent', 'superseded') then 'send' else 'review' end, '{the tenant is in draft mode}', language,
    category, priority, $1, 'bench', '{print-note,shortcuts}', $2, $3, '{}', 0.01
from staged"""
_TERMS = "insert into ticket_term select tenant, ticket_id, as_terms(tenant, terms) from staged"
_BESIDE = (
    """insert into message (tenant, conversation_id, ticket_id, event_id, author, body, at)
    select tenant, conversation_id, ticket_id, root_id, 'customer', customer_text, accepted_at from ticket""",
    """insert into message (tenant, conversation_id, ticket_id, event_id, author, body, at)
    select tenant, conversation_id, ticket_id, root_id || '-r', 'deskstream', draft_body, accepted_at from ticket
    where state = 'sent'""",
    """insert into routing (tenant, event_id, root_id, ticket_id, route, accepted_at, routed_at)
    select tenant, routed_event_id, root_id, ticket_id, route, accepted_at, routed_at from ticket""",
    """insert into ticket_call (tenant, call_id, root_id, cost_usd, told_at)
    select tenant, root_id || '-' || call, root_id, 0.0033, accepted_at from ticket, generate_series(1, 3) call""",
    """insert into decision (id, tenant, ticket_id, draft_event_id, decision, actor, reply, state_before, at,
        relayed_at)
    select gen_random_uuid(), tenant, ticket_id, routed_event_id, 'approved', 'ada@example.com', draft_body, 'waiting',
        accepted_at, accepted_at from ticket where state = 'sent' and route = 'send'""",
    """insert into audit_log (tenant, at, actor, action, subject, details)
    select tenant, at, actor, decision, ticket_id, '{"reason": ""}' from decision""",
    """insert into review (tenant, event_id, ticket_id, draft_event_id, decision, category, language, priority,
        review_s, decided_at)
    select d.tenant, d.id::text, d.ticket_id, d.draft_event_id, 'approved', t.category, t.language, 'low', 30, d.at
    from decision d join ticket t using (tenant, ticket_id)""",
)


@dataclass
class Took:
    """Of each request, in milliseconds."""

    wall: list[float] = field(default_factory=list)
    console: list[float] = field(default_factory=list)
    database: list[float] = field(default_factory=list)
    bytes_max: int = 0
    failed: int = 0  # answered with an error, as a page does whose query takes longer than the console lets it

    def as_json(self) -> dict[str, Any]:
        p95 = _share(self.wall, 0.95)
        return {
            "requests": len(self.wall), "wall_ms_p50": _share(self.wall, 0.5), "wall_ms_p95": p95,
            "console_cpu_ms_p50": _share(self.console, 0.5), "console_cpu_ms_p95": _share(self.console, 0.95),
            "database_cpu_ms_p50": _share(self.database, 0.5), "database_cpu_ms_p95": _share(self.database, 0.95),
            "bytes_max": self.bytes_max, "failed": self.failed, "meets_target": p95 < P95_MS_MAX and not self.failed,
        }  # fmt: skip


def _share(values: list[float], share: float) -> float:
    return round(sorted(values)[min(int(len(values) * share), len(values) - 1)], 1)


class Filled:
    """A database with ``tickets`` of several tenants; ``ids`` are those of WATCHED."""

    def __init__(self, url: str, tickets: int) -> None:
        self.url = url
        self.tickets = tickets
        self.ids: list[str] = []
        self._draw = random.Random(SEED)
        rows = [json.loads(line) for line in (demo.HERE / "tickets.jsonl").read_text("utf-8").splitlines()]
        self._demo = [row for row in rows if row["text"].strip()]

    async def fill(self) -> None:
        owner = await asyncpg.connect(self.url)
        try:
            await owner.execute(
                "set maintenance_work_mem = '512MB'; set work_mem = '128MB'; drop index ticket_term_terms"
            )
            await owner.execute(_STAGED)
            for tenant, share in SHARES.items():
                await self._tickets(owner, tenant, round(self.tickets * share))
            for statement in _BESIDE:
                await owner.execute(statement)
            await owner.execute("create index ticket_term_terms on ticket_term using gin (terms)")
            await owner.execute("vacuum analyze")
        finally:
            await owner.close()

    async def _tickets(self, owner: asyncpg.Connection[Any], tenant: str, count: int) -> None:
        passages = json.dumps([passage.model_dump(mode="json") for passage in PASSAGES])
        for start in range(0, count, BATCH):
            rows = [self._ticket(tenant, number) for number in range(start, min(start + BATCH, count))]
            await owner.execute("truncate staged")
            await owner.copy_records_to_table("staged", records=rows)
            await owner.execute(_TICKETS, DRAFT, passages, GROUNDING.model_dump_json())
            await owner.execute(_TERMS)

    def _ticket(self, tenant: str, number: int) -> tuple[Any, ...]:
        draw, ticket_id = self._draw, f"B-{number}"
        one, other = draw.choice(self._demo), draw.choice(self._demo)
        subject, rare = one["subject"], f"Order {_rare(number)}."
        text = f"{one['text']}\n{other['text']}\n{rare}"
        if tenant == WATCHED:
            self.ids.append(ticket_id)
        return (
            tenant, ticket_id, subject, text, draw.uniform(0, DAYS * 86_400), draw.choice(STATES),
            one["locale"], draw.choice(list(Category)), draw.choice(["low", "normal", "normal", "high"]),
            sorted({*terms(ticket_id, "", rare), *_terms(subject), *_terms(one["text"]), *_terms(other["text"])}),
        )  # fmt: skip


@cache
def _terms(text: str) -> frozenset[str]:
    """Of a sentence that stands in hundreds of tickets."""
    return frozenset(terms("", "", text))


def _rare(number: int) -> str:
    return f"X{number * 7919 % 1_000_003}"


def pages(ids: list[str]) -> dict[str, Callable[[int], str]]:
    """Each page's address, by the number of the request."""
    return {
        "queue": lambda n: "/",
        "queue, filtered": lambda n: "/?category=how_to&priority=normal&language=en",
        "queue, sent": lambda n: "/?state=sent",
        "search, rare word": lambda n: f"/?state=sent&text={_rare(n)}",
        "search, common word": lambda n: f"/?text={('notes', 'print', 'account', 'ノート', 'notizen')[n % 5]}",
        "search, common word, sent": lambda n: f"/?state=sent&text={('notes', 'print', 'account', 'ノート')[n % 4]}",
        "search, two words": lambda n: (
            f"/?state=sent&text={('print+comments', '印刷', 'sync+phone', 'mot+passe')[n % 4]}"
        ),
        "search, nothing found": lambda n: f"/?text=nothing{n}",
        "ticket": lambda n: f"/ticket?id={ids[n * 97 % len(ids)]}",
        "next ticket": lambda n: "/next",
        "report": lambda n: f"/report?days={(7, 30)[n % 2]}",
        "graduation": lambda n: "/graduation",
        "policy": lambda n: "/policy",
        "gaps": lambda n: "/gaps",
        "audit": lambda n: f"/audit?before={10**9 - n}",
        "users": lambda n: "/users",
        "account": lambda n: "/account",
        "sign-in": lambda n: "/sign-in",
        "dead letters": lambda n: "/dead-letters",
    }


class Clock:
    """CPU of the console and of the database's processes that serve it."""

    def __init__(self, console: int, database: list[int]) -> None:
        self._console, self._database = console, database

    def read(self) -> tuple[float, float]:
        return _cpu_ms(self._console), sum(map(_cpu_ms, self._database))


def _cpu_ms(pid: int) -> float:
    """Of all its threads, to the microsecond; what has ended counts no more."""
    used = 0
    for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        try:
            used += int(task.read_text().split()[0])
        except (OSError, ValueError, IndexError):
            continue
    return used / 1e6


async def _backends(url: str) -> list[int]:
    owner = await asyncpg.connect(url)
    try:
        rows = await owner.fetch("select pid from pg_stat_activity where application_name like 'deskstream%'")
        return [row["pid"] for row in rows]
    finally:
        await owner.close()


async def measure(client: httpx2.AsyncClient, clock: Clock, address: Callable[[int], str], seconds: float) -> Took:
    """For ``seconds``, with one request at least."""
    took, ends_at = Took(), time.monotonic() + seconds
    for number in range(-WARM_UP, REQUESTS):
        if number > 0 and time.monotonic() > ends_at:
            break
        before, began = clock.read(), time.perf_counter()
        answer = await client.get(address(number))
        wall, after = (time.perf_counter() - began) * 1e3, clock.read()
        if number < 0:
            continue
        took.failed += answer.status_code not in {200, 303}
        took.wall.append(wall)
        took.console.append(after[0] - before[0])
        took.database.append(after[1] - before[1])
        took.bytes_max = max(took.bytes_max, len(answer.content))
    return took


@asynccontextmanager
async def served(folder: Path, environment: Mapping[str, str]) -> AsyncIterator[tuple[str, int]]:
    """The console's address and its process."""
    console = EmbeddedConsole(folder, environment)
    await console.start()
    try:
        running = console.running
        assert running is not None, "it answered"
        yield console.address, running.pid
    finally:
        await console.stop()


async def signed_in(stack: AsyncExitStack, url: str, address: str) -> httpx2.AsyncClient:
    pool = await connect(url, connections_max=1)
    try:
        accounts = Accounts(pool)
        await accounts.add(WATCHED, EMAIL, name="Bench", role=Role.ADMIN, actor="bench")
        token = await accounts.link(WATCHED, EMAIL)
    finally:
        await pool.close()
    client = await stack.enter_async_context(httpx2.AsyncClient(base_url=address, timeout=60, trust_env=False))
    answer = await client.post("/sign-in/link", data={"token": token})
    assert answer.status_code == 303, answer.text
    return client


async def _dead_letters(bootstrap: str) -> None:
    options = {"bootstrap_servers": bootstrap}
    await create_topics(options, partitions=4, replication_factor=1)
    producer = AIOKafkaProducer(**options)
    await producer.start()
    try:
        for number in range(DEAD_LETTERS):
            told = {"reason": "bug", "origin-topic": "tickets.raw", "origin-partition": "0", "origin-offset": number}
            headers = [("ce_tenant", WATCHED.encode()), *((PREFIX + k, str(v).encode()) for k, v in told.items())]
            await producer.send_and_wait(DEAD_LETTER_TOPIC, b"{}", key=f"{WATCHED}/c".encode(), headers=headers)
    finally:
        await producer.stop()


async def run(tickets: int, seconds: float) -> dict[str, Any]:
    load_before = os.getloadavg()[0]
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(server_folder())
        kafka = await stack.enter_async_context(embedded_kafka(folder))
        postgres = await stack.enter_async_context(embedded_postgres(folder))
        url = await stack.enter_async_context(fresh_database(postgres.address))
        await _dead_letters(kafka.address)
        filled = await _filled(url, tickets)
        nowhere = "http://127.0.0.1:9/v1"  # no page asks a model
        environment = {
            "KAFKA_BOOTSTRAP": kafka.address, "DATABASE_URL": url, "LLM_BASE_URL": nowhere,
            "EMBEDDINGS_BASE_URL": nowhere, "STATE_DIR": str(folder),
        }  # fmt: skip
        address, pid = await stack.enter_async_context(served(folder, environment))
        client = await signed_in(stack, url, address)
        found = pages(filled.ids)
        results = {}
        ends_at = time.monotonic() + seconds
        for left, (name, place) in zip(range(len(found), 0, -1), found.items(), strict=True):
            await client.get("/")  # connections that were opened for it have their process
            clock = Clock(pid, await _backends(url))
            took = await measure(client, clock, place, max(1.0, (ends_at - time.monotonic()) / left))
            results[name] = took.as_json()
            print(f"{name:28} {results[name]}", flush=True)
    return {
        "measured_at": f"{datetime.now(UTC):%Y-%m-%d %H:%M}", "version": system_version("ours"),
        "tickets": tickets, "tickets_of_the_workspace": len(filled.ids), "workspaces": len(SHARES),
        "cores": os.cpu_count(), "load_before": round(load_before, 1), "load_after": round(os.getloadavg()[0], 1),
        "p95_ms_max": P95_MS_MAX, "meets_target": all(each["meets_target"] for each in results.values()),
        "pages": results,
    }  # fmt: skip


async def _filled(url: str, tickets: int) -> Filled:
    began = time.perf_counter()
    await migrate(url)
    pool = await connect(url, connections_max=1)
    try:
        for tenant in SHARES:
            await create_tenant(pool, TenantPolicy(tenant=tenant))
    finally:
        await pool.close()
    filled = Filled(url, tickets)
    await filled.fill()
    print(f"{tickets:,} tickets written in {time.perf_counter() - began:.0f} s", flush=True)
    return filled


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.console", description=__doc__)
    parser.add_argument("--tickets", type=int, default=TICKETS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for all pages together")
    parser.add_argument("--out", type=Path, default=RESULTS, help="another file for the results")
    given = parser.parse_args()
    measured = asyncio.run(run(given.tickets, given.seconds))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(measured, indent=2) + "\n")
