"""A worker that leaves sends no call that it would not wait for; what it leaves costs the next owner nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from agents import classify
from app.config import Settings
from app.ingest import ingest
from app.kafka.connection import client_options
from app.models.guard import Guard
from app.runtime.record import Limits, Output, Record, Stage
from app.runtime.worker import Worker
from app.setup import prepare
from app.wiring import create_tenant, run_stage
from tests.events import verdict
from tests.processes import serving
from tests.topics import Bench, reader, running, until

TENANT = "acme"
LEFT_S_MAX = Limits.drain_s_max / 2  # it did not wait until the drain was over


async def test_a_record_whose_handler_gives_up_in_a_drain_is_left_with_all_that_follow_it(
    kafka_bootstrap: str, prefix: str
) -> None:
    bench = await Bench(kafka_bootstrap, prefix).create()
    await bench.fill([(b"k", b"0"), (b"k", b"1")], partition=0)
    started: list[bytes | None] = []
    draining, stop = asyncio.Event(), asyncio.Event()

    async def leaving(record: Record) -> Sequence[Output]:
        started.append(record.value)
        await draining.wait()
        raise asyncio.CancelledError

    async def copying(record: Record) -> Sequence[Output]:
        return bench.copy(record)

    stage = Stage(bench.source, f"{bench.name}-group", leaving, bench.dead)
    worker = Worker(stage, client=bench.client, on_drain=lambda within_s: draining.set())
    run = asyncio.create_task(worker.run(stop))
    await until(lambda: bool(started))
    stop.set()
    async with asyncio.timeout(LEFT_S_MAX):
        await run
    assert started == [b"0"]
    async with running(bench.worker(copying)):
        got = await bench.read(bench.target, at_least=2)
    assert [record.value for record in got] == [b"0", b"1"]


# -- a stage


@dataclass
class Model:
    """Its first answer is malformed, so that a second call is needed, and comes when it may."""

    asked: int = 0
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    async def complete(self, request: Request) -> JSONResponse:
        self.asked += 1
        text = verdict().model_dump_json()
        if self.asked == 1:
            await self.may_answer.wait()
            text = "no"
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        answer = {"id": "a", "object": "chat.completion", "created": 0, "model": "m"}
        return JSONResponse({**answer, "choices": [choice], "usage": usage})

    async def models(self, request: Request) -> JSONResponse:
        return JSONResponse({"data": []})


@asynccontextmanager
async def model_at_hand() -> AsyncIterator[tuple[Model, str]]:
    model = Model()
    routes = [
        Route("/v1/models", model.models),
        Route("/v1/chat/completions", model.complete, methods=["POST"]),
    ]
    async with serving(Starlette(routes=routes)) as url:
        yield model, url


async def classified(settings: Settings, ticket: str) -> list[str]:
    """Bodies of this ticket's events in the next topic."""
    async with reader(client_options(settings), "tickets.classified") as consumer:
        found: list[str] = []
        async with asyncio.timeout(60):
            while not found:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    found += [text for record in records if ticket in (text := (record.value or b"").decode())]
        return found


async def test_a_second_call_that_would_not_be_waited_for_is_the_next_worker_s(
    kafka_bootstrap: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = asyncio.Event()

    class Told(Guard):
        def leave(self, within_s: float) -> None:
            super().leave(within_s)
            told.set()

    monkeypatch.setattr("app.wiring.Guard", Told)
    monkeypatch.setattr("app.models.guard._LEAVING_MARGIN", 1e6)  # no call would be answered in time
    async with model_at_hand() as (model, url):
        settings = Settings(
            kafka_bootstrap=kafka_bootstrap, database_url=database_url, llm_base_url=url, embeddings_base_url=url,
            state_dir=tmp_path,
        )  # fmt: skip
        await prepare(settings)
        await create_tenant(settings, TENANT)
        ticket = await put(settings)
        first, stop = asyncio.Event(), asyncio.Event()
        leaving = asyncio.create_task(run_stage(settings, classify.AGENT, first))
        await until(lambda: model.asked == 1)
        first.set()
        async with asyncio.timeout(LEFT_S_MAX):
            await told.wait()
            model.may_answer.set()
            await leaving
        assert model.asked == 1
        next_one = asyncio.create_task(run_stage(settings, classify.AGENT, stop))
        assert len(await classified(settings, ticket)) == 1
        stop.set()
        await next_one
    assert model.asked == 2


async def put(settings: Settings) -> str:
    """One ticket; gives its text."""
    text = f"How do I print? {uuid4().hex}"
    file = settings.state_dir / "tickets.jsonl"
    file.write_text(json.dumps({"ticket_id": "t1", "text": text}))
    await ingest(
        file, client=client_options(settings), tenant=TENANT, source=f"/test/{uuid4().hex}", limit=None,
        on_bad_line=lambda number, text: None,
    )  # fmt: skip
    return text
