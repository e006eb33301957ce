"""Ours, as a process of its own.

``python -m tests.bench.ours SOURCE TARGET BOOTSTRAP IN_FLIGHT CALL_MS SIGMA [DATABASE_URL]``: with a database,
each record is claimed and its call journalled, as a stage does for an agent with one question.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from decimal import Decimal

import uvloop

from app.garbage import settle
from app.ports import CallKey, Intent, Place, Run
from app.runtime.record import Handler, Limits, Output, Record, Stage
from app.runtime.worker import Worker
from app.store.claims import Claims
from app.store.database import connect
from app.store.journal import Journal
from schemas.usage import Usage

ANSWER = b"x" * 500
Call = Callable[[], Awaitable[None]]


async def main(
    source: str, target: str, bootstrap: str, in_flight: int, call_s: float, sigma: float, database_url: str | None
) -> None:
    async def call() -> None:
        await asyncio.sleep(random.lognormvariate(-sigma * sigma / 2, sigma) * call_s if sigma else call_s)

    async def alone(record: Record) -> Sequence[Output]:
        await call()
        return [Output(target, record.key, record.value)]

    async with AsyncExitStack() as stack:
        handler: Handler = alone
        if database_url:
            pool = await connect(database_url, role="deskstream_runtime", connections_max=10)
            stack.push_async_callback(pool.close)
            journal, claims = Journal(pool), Claims(pool)
            await journal.start()
            stack.push_async_callback(journal.close)
            stack.push_async_callback(claims.close)
            handler = journalled(target, journal, claims, call)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        limits = Limits(in_flight_max=in_flight)
        stage = Stage(source, f"group-{target}", handler, f"{target}.dead", limits=limits, outputs=(target,))
        settle()
        await Worker(stage, client={"bootstrap_servers": bootstrap}, on_wait=print).run(stop)


def journalled(target: str, journal: Journal, claims: Claims, call: Call) -> Handler:
    async def handler(record: Record) -> Sequence[Output]:
        event_id = f"{target}-{record.partition}-{record.offset}"
        claimed = await claims.claim(
            stage="bench", tenant="bench", source="bench", event_id=event_id, replay=0, digest="",
            place=Place(record.topic, record.partition, record.offset),
        )  # fmt: skip
        if claimed in ("repeat", "conflict"):
            return []
        key = CallKey("bench", "bench", event_id, replay=0, question=0, attempt=0)
        begun = await journal.begin(
            Intent(key, event_id, "chat", "simulated", "simulated", "1", "", cost_usd_max=Decimal(0), timeout_s=120)
        )
        if isinstance(begun, Run):
            await call()
            await journal.finish(
                begun.call_id, answer=ANSWER, usage=Usage(input_tokens=1), cost_usd=Decimal(0), price_known=True,
                outcome="ok", latency_s=0.05,
            )  # fmt: skip
        return [Output(target, record.key, record.value)]

    return handler


if __name__ == "__main__":
    _source, _target, _bootstrap, _in_flight, _call_ms, _sigma, *_rest = sys.argv[1:]
    _call_s = float(_call_ms) / 1_000
    uvloop.run(main(_source, _target, _bootstrap, int(_in_flight), _call_s, float(_sigma), _rest[0] if _rest else None))
