"""Ours, as a process of its own.

``python -m tests.bench.ours NAME BOOTSTRAP IN_FLIGHT CALL_MS SIGMA [DATABASE_URL]``: with a database, journalled.
"""

from __future__ import annotations

import asyncio
import random
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from decimal import Decimal

import uvloop

from app.ports import CallKey, Intent, Run
from app.runtime.record import Handler, Limits, Output, Record, Stage
from app.runtime.worker import Worker
from app.store.database import connect
from app.store.journal import Journal
from schemas.usage import Usage


async def main(
    name: str, bootstrap: str, in_flight: int, call_s: float, sigma: float, database_url: str | None
) -> None:
    async def call() -> None:
        await asyncio.sleep(random.lognormvariate(-sigma * sigma / 2, sigma) * call_s if sigma else call_s)

    async def alone(record: Record) -> Sequence[Output]:
        await call()
        return [Output(f"{name}.out", record.key, record.value)]

    async with AsyncExitStack() as stack:
        handler: Handler = alone
        if database_url:
            pool = await connect(database_url, role="deskstream_runtime", connections_max=10)
            stack.push_async_callback(pool.close)
            journal = Journal(pool)
            await journal.start()
            stack.push_async_callback(journal.close)
            handler = journalled(name, journal, call)
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        stage = Stage(f"{name}.in", f"group-{name}", handler, f"{name}.dead", limits=Limits(in_flight_max=in_flight))
        await Worker(stage, client={"bootstrap_servers": bootstrap}).run(stop)


def journalled(name: str, journal: Journal, call: object) -> Handler:
    async def handler(record: Record) -> Sequence[Output]:
        key = CallKey("bench", name, f"{record.partition}-{record.offset}", 0, 0, 0)
        begun = await journal.begin(
            Intent(key, key.event_id, "chat", "simulated", "simulated", "1", "", Decimal(0), timeout_s=120)
        )
        if isinstance(begun, Run):
            await call()  # type: ignore[operator]
            await journal.finish(
                begun.call_id, answer=b"x" * 500, usage=Usage(input_tokens=1), cost_usd=Decimal(0), price_known=True,
                outcome="ok", latency_s=0.05,
            )  # fmt: skip
        return [Output(f"{name}.out", record.key, record.value)]

    return handler


if __name__ == "__main__":
    _name, _bootstrap, _in_flight, _call_ms, _sigma, *_rest = sys.argv[1:]
    uvloop.run(
        main(_name, _bootstrap, int(_in_flight), float(_call_ms) / 1_000, float(_sigma), _rest[0] if _rest else None)
    )
