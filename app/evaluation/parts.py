"""The parts of an evaluation: what each needs, and the figures it gives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol, TypeVar

import orjson

from agents import classify
from agents.contract import PermanentError, Search
from agents.language import checked
from app.config import Settings
from app.embedded.model_server import training
from app.evaluation import calibration, cost, replies, retrieval, tickets
from app.evaluation.classification import figures as classification_figures
from app.evaluation.data import Data, Row
from app.evaluation.figures import Figure
from app.evaluation.vectors import RememberedEmbeddings
from app.ingest import ticket_received
from app.knowledge.documents import Document, read
from app.models.answer import ModelAnswerer
from app.models.client import PatientEmbeddings
from app.models.prices import load
from app.ports import CallContext
from app.wiring import create_tenant, import_knowledge, public_articles, unjournalled
from schemas.tickets import TicketReceived

CLASSIFICATION, LANGUAGE, RETRIEVAL = "classification", "language", "retrieval"
CITATIONS, CALIBRATION, COST = "citations", "calibration", "cost"
PARTS = (CLASSIFICATION, LANGUAGE, RETRIEVAL, CITATIONS, CALIBRATION, COST)
TENANT = "evaluation"
VECTORS_FILE = "evaluation/vectors.sqlite"

ARTICLES = "kb/sumo_firefox.docs.jsonl"
INTERNAL_ARTICLES = "kb/abcd_guidelines.docs.jsonl"
TICKETS = "tickets/sumo_firefox_gold.dev.jsonl"
MULTILINGUAL = "multilingual/sumo_multilingual.dev.jsonl"
ARRIVALS = "stream/sumo_2025.jsonl.gz"

_SOURCE = "/evaluation"
_LOOK_AGAIN_S = 2.0

T = TypeVar("T")


class Progress(Protocol):
    def __call__(self, step: str, done: int, of: int) -> None: ...


@dataclass(frozen=True)
class Evaluation:
    """``settings`` are resolved; ``limit``: at most so many tickets of each part, spread evenly over all of them."""

    settings: Settings
    data: Data
    progress: Progress
    limit: int | None = None

    async def run(self, parts: Iterable[str]) -> AsyncIterator[list[Figure]]:
        """The figures of each part as soon as they are there. Raises PermanentError, TransientError, OSError."""
        wanted = set(parts)
        await create_tenant(self.settings, TENANT)
        async with answering(self.settings) as answerer:
            if CLASSIFICATION in wanted:
                async for figures in self._classification(answerer):
                    yield figures
            if LANGUAGE in wanted:
                yield await self._language(answerer)
            if RETRIEVAL in wanted:
                yield await self._retrieval(answerer)
            if wanted & {CITATIONS, CALIBRATION, COST}:
                yield await self._tickets(answerer, wanted)

    def _classification(self, answerer: ModelAnswerer) -> AsyncIterator[list[Figure]]:
        embedder = answerer.embedder
        assert isinstance(embedder, RememberedEmbeddings)
        return classification_figures(self.data, embedder, self.progress)

    async def _language(self, answerer: ModelAnswerer) -> list[Figure]:
        await self._classifier_is_ready()
        events = [e for e in self._received(MULTILINGUAL) if replies.letters(e.ticket) >= replies.LETTERS_MIN]
        ended = await tickets.run(
            spread(events, self.limit), answerer, (classify.AGENT,), progress=self._step("language of tickets")
        )
        return [replies.language(ended, model=answerer.label(answerer.models["classify"]))]

    async def _retrieval(self, answerer: ModelAnswerer) -> list[Figure]:
        await self._import(answerer)
        rows = spread(self._specific(), self.limit)
        measured = await measure_search(
            self.settings, answerer, TENANT, retrieval.judged(rows), self._step("judged questions")
        )
        return retrieval.figures(measured, model=answerer.embedder.model)

    async def _tickets(self, answerer: ModelAnswerer, wanted: set[str]) -> list[Figure]:
        await self._classifier_is_ready()
        await self._import(answerer)
        limit = self.limit if wanted & {CITATIONS, CALIBRATION} else min(self.limit or cost.TICKETS, cost.TICKETS)
        events = spread(self._received(TICKETS), limit)
        ended = await tickets.run(events, answerer, progress=self._step("tickets through all agents"))
        draft_model = answerer.label(answerer.models["draft"])
        figures = []
        if CITATIONS in wanted:
            public = await public_articles(self.settings, TENANT)
            internal = {document.document_id: document.text for document in self._internal()}
            figures.append(replies.citations(ended, public=public, internal=internal, model=draft_model))
        if CALIBRATION in wanted:
            linked = {row["ticket_id"]: row["gold_doc_ids"] for row in self._specific()}
            figures += calibration.figures(ended, linked, model=draft_model)
        if COST in wanted:
            calls = [one.calls for one in spread(ended, cost.TICKETS)]
            arrivals = [orjson.loads(line)["offset_s"] for line in islice(self.data.lines(ARRIVALS), len(calls))]
            figures += cost.figures(calls, arrivals, load(self.settings.prices_file), model=draft_model)
        return figures

    async def _import(self, answerer: ModelAnswerer) -> None:
        """Articles for customers, and beside them internal ones, which must stay unseen."""
        documents = [one for one in read(self.data.path(ARTICLES)) if isinstance(one, Document)]
        await import_knowledge(
            self.settings, [*documents, *self._internal()], TENANT, sync=True,
            on_progress=self._step("characters of articles"), on_unreadable=lambda one: None,
            embedder=answerer.embedder,
        )  # fmt: skip

    def _internal(self) -> list[Document]:
        found = (one for one in read(self.data.path(INTERNAL_ARTICLES)) if isinstance(one, Document))
        return [document.model_copy(update={"audience": "internal"}) for document in found]

    def _specific(self) -> list[Row]:
        """Tickets for which people linked an article about their very question."""
        return [row for row in self.data.rows(TICKETS) if row["gold_kind"] == "specific"]

    def _received(self, name: str) -> list[TicketReceived]:
        return [ticket_received(line, tenant=TENANT, source=_SOURCE) for line in self.data.lines(name)]

    async def _classifier_is_ready(self) -> None:
        """The offline model learns once, from its own rows; another needs no wait."""
        while (step := await training(self.settings.llm_base_url or "")) is not None:
            self.progress(f"the offline model trains ({step})", 0, 0)
            await asyncio.sleep(_LOOK_AGAIN_S)

    def _step(self, name: str) -> Callable[[int, int], None]:
        return lambda done, of: self.progress(name, done, of)


def spread(rows: list[T], count: int | None) -> list[T]:
    """``count`` of ``rows``, evenly apart: the data are in the order of their time or language."""
    if count is None or count >= len(rows):
        return rows
    return [rows[number * len(rows) // count] for number in range(count)]


@asynccontextmanager
async def answering(settings: Settings) -> AsyncIterator[ModelAnswerer]:
    """What answers the agents' questions everywhere; vectors are kept for the next time."""
    async with unjournalled(settings) as answerer:
        patient = PatientEmbeddings(answerer.embedder)
        yield replace(answerer, embedder=RememberedEmbeddings(patient, settings.state_dir / VECTORS_FILE))


async def measure_search(
    settings: Settings,
    answerer: ModelAnswerer,
    tenant: str,
    questions: Sequence[retrieval.Judged],
    progress: Callable[[int, int], None],
) -> list[retrieval.Measured]:
    """``tenant``'s search as enrichment asks it, in the language that the letters of a question say."""
    articles = await public_articles(settings, tenant)
    if not articles:
        raise PermanentError("no_articles", f"tenant {tenant!r} has no articles: run `deskstream kb import` first")

    async def find(query: str, locale: str) -> list[str]:
        search = Search(query=query, limit=retrieval.FOUND_MAX, language=checked(locale.partition("-")[0], query))
        context = CallContext(tenant, "evaluation", "evaluation", "evaluation", 0, 0)
        return [passage.document_id for passage in (await answerer.answer(search, context)).value]

    return await retrieval.measure(questions, find, articles, progress=progress)
