"""`deskstream tenant rerank` through all stages on real servers: which passages a draft sees, and in which order."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agents.enrich import PASSAGES_MAX, RERANKED_MAX
from app.config import Settings
from app.ingest import ingest
from app.kafka.connection import client_options
from app.offline.request import parse_chat
from app.setup import prepare
from app.store.policies import set_rerank
from app.tracker import Tracker
from app.wiring import create_tenant, import_knowledge, ledger_totals, search_knowledge, tenant_pool
from tests.processes import model_server, serving, stages

TENANT = "acme"
QUESTION = "How do I print a page?"
ARTICLES = [
    {"doc_id": f"a{n:02}", "title": f"Printing, part {n}", "text": f"Print page {n} " + "with the printer " * n}
    for n in range(2 * RERANKED_MAX)
]


@dataclass
class Between:
    """Between the stages and the offline model: sees the articles of each prompt, and may turn the order around."""

    url: str
    turns_around: bool = False
    seen: dict[str, list[str]] = field(default_factory=dict)

    async def pass_on(self, request: Request) -> Response:
        body = await request.body()
        kept = {name: value for name, value in request.headers.items() if name not in {"host", "content-length"}}
        async with httpx2.AsyncClient(timeout=30, trust_env=False) as client:
            url = self.url.removesuffix("/v1") + request.url.path
            answer = await client.request(request.method, url, content=body, headers=kept)
        said = answer.content
        if request.url.path.endswith("/chat/completions"):
            chat = parse_chat(orjson.loads(body))
            self.seen[chat.task] = [source.id for source in chat.sources]
            if chat.task == "rerank" and self.turns_around:
                said = turned_around(said)
        return Response(said, answer.status_code, media_type="application/json")


def turned_around(said: bytes) -> bytes:
    completion = orjson.loads(said)
    message = completion["choices"][0]["message"]
    message["content"] = json.dumps({"document_ids": json.loads(message["content"])["document_ids"][::-1]})
    return orjson.dumps(completion)


@asynccontextmanager
async def between(url: str) -> AsyncIterator[tuple[Between, str]]:
    model = Between(url)
    methods = ["GET", "POST"]
    async with serving(Starlette(routes=[Route("/{path:path}", model.pass_on, methods=methods)])) as here:
        yield model, here


@dataclass(frozen=True)
class Pipeline:
    settings: Settings
    model: Between

    async def routed(self) -> set[str]:
        """One ticket through all stages; gives its id on the bus."""
        source = f"/test/{uuid4().hex}"
        tracker = Tracker(client=client_options(self.settings), source=source)
        await tracker.start()
        file = self.settings.state_dir / f"{uuid4().hex}.jsonl"
        file.write_text(json.dumps({"ticket_id": uuid4().hex, "conversation": uuid4().hex, "text": QUESTION}))
        done = await ingest(
            file, client=client_options(self.settings), tenant=TENANT, source=source, limit=None,
            on_bad_line=lambda n, t: None,
        )  # fmt: skip
        await tracker.run(lambda progress: len(progress.ended) == 1, lambda progress: None)
        await tracker.stop()
        assert not tracker.progress.dead
        return done.event_ids

    async def found(self) -> list[str]:
        passages = await search_knowledge(
            self.settings, TENANT, QUESTION, language="en", limit=RERANKED_MAX, as_of=None
        )
        return [passage.document_id for passage in passages]


@pytest.fixture(scope="module")
async def pipeline(kafka_bootstrap: str, database_url: str, server_folder: Path) -> AsyncIterator[Pipeline]:
    folder = server_folder / f"rerank-{uuid4().hex[:8]}"
    folder.mkdir()
    async with model_server(folder) as offline, between(offline) as (model, url):
        settings = Settings(
            kafka_bootstrap=kafka_bootstrap, database_url=database_url, llm_base_url=url, embeddings_base_url=url,
            state_dir=folder,
        )  # fmt: skip
        await prepare(settings)
        await create_tenant(settings, TENANT)
        articles = folder / "articles.jsonl"
        articles.write_text("\n".join(json.dumps(row) for row in ARTICLES))
        await import_knowledge(settings, articles, TENANT, on_progress=nothing, on_unreadable=nothing)
        async with tenant_pool(settings) as pool:
            await set_rerank(pool, TENANT, True)
        async with stages(settings):
            yield Pipeline(settings, model)


def nothing(*_: Any) -> None:
    pass


async def test_the_offline_model_keeps_the_searchs_order_for_one_more_paid_call(pipeline: Pipeline) -> None:
    event_ids = await pipeline.routed()
    found = await pipeline.found()
    assert len(found) == RERANKED_MAX
    assert pipeline.model.seen["rerank"] == found
    assert pipeline.model.seen["draft"] == found[:PASSAGES_MAX]
    calls = (await ledger_totals(pipeline.settings, TENANT, event_ids)).calls
    assert calls == 4, "classify, embed, rerank, draft, each once"


async def test_the_draft_sees_the_first_five_of_a_reranking_models_order(pipeline: Pipeline) -> None:
    pipeline.model.turns_around = True
    await pipeline.routed()
    assert pipeline.model.seen["draft"] == (await pipeline.found())[::-1][:PASSAGES_MAX]
