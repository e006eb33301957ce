"""Which concrete parts there are, and how they are put together. Nothing else names them all."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from aiokafka.errors import KafkaError
from pydantic import SecretStr

from agents.contract import Agent, PermanentError
from app import garbage, metrics, ports
from app.config import Settings
from app.kafka.connection import client_options
from app.kafka.late import LateSender
from app.kafka.topics import check_topics
from app.knowledge import solved
from app.knowledge.documents import Document, Found, Unreadable, read
from app.knowledge.importing import Imported, Plan, import_documents
from app.knowledge.search import Knowledge
from app.models import guidelines, prices, provider
from app.models.answer import ModelAnswerer
from app.models.client import Chat, Embeddings, PatientEmbeddings
from app.models.guard import Guard
from app.models.prices import EmbeddingPrice
from app.models.prompts import PromptLibrary
from app.models.rate_headers import Told
from app.ports import ChatRequest, Embedder, ProviderAway
from app.runtime.record import Limits, Safeguards, Stage
from app.runtime.worker import Worker
from app.stage import StageHandler, admit
from app.store import database, policies
from app.store.claims import Claims
from app.store.journal import Journal
from app.store.ledger import attempts, spend, total
from app.store.queries import query
from app.store.retention import expiring
from app.store.threads import Threads
from app.verify import controls
from schemas.policy import TenantPolicy
from schemas.tickets import Passage
from schemas.topics import DEAD_LETTER_TOPIC
from schemas.usage import Usage

log = structlog.get_logger()

# Heartbeat, begins, finishes, failures, claims and expiry at once.
_RUNTIME_CONNECTIONS_MAX = 10
_APP_CONNECTIONS_MAX = 10
_ROOT_IDS_MAX = 10_000  # of one query
_PROBE_TOKENS = 16
_SAID_EVERY_S = 10.0
_LOOK_AGAIN_S = 1.0
_TOPICS_KNOWN_S_MAX = 10.0


def say(text: str) -> None:
    """To the log of this process."""
    log.warning(text)


async def run_stage(settings: Settings, agent: Agent, stop: asyncio.Event) -> None:
    """One worker of ``agent``'s stage until ``stop``. ``settings`` must be resolved."""
    configure_log(settings.log_level)
    port = metrics.serve(settings.metrics_host, settings.metrics_port)
    log.info("stage_started", stage=agent.name, metrics=f"http://{settings.metrics_host}:{port}/metrics")
    if not await _servers_are_there(settings, stop):
        return
    async with _stage_handler(settings, agent) as (handler, guard):
        stage = Stage(
            topic=agent.consumes.TOPIC,
            group=f"deskstream-{agent.name}",
            handler=handler,
            dead_letter_topic=DEAD_LETTER_TOPIC,
            admit=admit,
            last_words=handler.last_words,
            outputs=(agent.produces.TOPIC,),
            safeguards=Safeguards(fencing="fencing" not in controls.off(), completion_map="map" not in controls.off()),
            limits=Limits(
                in_flight_max=settings.in_flight_max, time_in_flight_s_max=settings.record_time_in_flight_s_max
            ),
        )
        worker = Worker(
            stage, client=client_options(settings), observer=metrics.StageMetrics(agent.name), on_wait=say,
            on_drain=guard.leave,
        )  # fmt: skip
        garbage.settle()
        await worker.run(stop)
    log.info("stage_stopped", stage=agent.name)


async def _servers_are_there(settings: Settings, stop: asyncio.Event) -> bool:
    """Wait for servers that are not there yet, and say so. False: told to stop meanwhile.

    Raises PermanentError where topics or schema are not as they must be.
    """
    began, said = time.monotonic(), float("-inf")
    while not stop.is_set():
        try:
            await check_topics(client_options(settings))
            await database.revision(settings.database_url or "")
            await _models_are_there(settings)
        except (KafkaError, ProviderAway) as error:
            if time.monotonic() - said > _SAID_EVERY_S:
                said = time.monotonic()
                say(f"waiting for Kafka at {settings.kafka_bootstrap}, PostgreSQL and the models: {error}")
        except PermanentError as error:
            # A broker that is just starting may not know its topics yet.
            if error.reason != "no_topic" or time.monotonic() - began > _TOPICS_KNOWN_S_MAX:
                raise
        else:
            return True
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), _LOOK_AGAIN_S)
    return False


async def _models_are_there(settings: Settings) -> None:
    async with AsyncExitStack() as stack:
        await _provider(stack, settings.llm_base_url, settings.llm_api_key)
        await _embedder(stack, settings)


@asynccontextmanager
async def _stage_handler(settings: Settings, agent: Agent) -> AsyncIterator[tuple[StageHandler, Guard]]:
    async with AsyncExitStack() as stack:
        runtime = await _pool(stack, settings, "deskstream_runtime", _RUNTIME_CONNECTIONS_MAX)
        tenant_pool = await _pool(stack, settings, "deskstream_app", _APP_CONNECTIONS_MAX)
        off = controls.off()
        repeated = metrics.REPEATED.labels(agent.name)
        journal = controls.ForgetfulJournal() if "journal" in off else Journal(runtime, on_repeated=repeated.inc)
        claims = controls.BlindClaims() if "claims" in off else Claims(runtime)
        await journal.start()
        stack.push_async_callback(journal.close)
        stack.push_async_callback(claims.close)
        await stack.enter_async_context(expiring(runtime, days_kept=settings.journal_days_kept))
        known = policies.Policies(tenant_pool)
        answerer = await _answerer(stack, settings, tenant_pool, known, journal)
        answerer.on_call = metrics.count_call
        send_late = LateSender(client_options(settings))
        stack.push_async_callback(send_late.close)
        handler = StageHandler(
            agent, answerer=answerer, claims=claims, policies=known, spent=partial(attempts, runtime),
            send_late=send_late,
        )  # fmt: skip
        yield handler, answerer.guard


def _prompts(settings: Settings) -> PromptLibrary:
    found = guidelines.load(settings.guidelines_dir)
    for problem in found.problems:
        say(problem)
    return prompt_library(settings, found)


def prompt_library(settings: Settings, found: guidelines.Guidelines) -> PromptLibrary:
    return PromptLibrary(
        cache_control=settings.llm_cache_control, json_schema=settings.llm_json_schema, guidelines=found
    )


def models_by_prompt(settings: Settings) -> dict[str, str]:
    return {
        "classify": settings.classify_model,
        "draft": settings.draft_model,
        "ground": settings.ground_model,
        "rerank": settings.rerank_model,
        "article": settings.draft_model,
    }


def fallbacks_by_prompt(settings: Settings) -> dict[str, str]:
    named = {
        "classify": settings.classify_fallback_model,
        "draft": settings.draft_fallback_model,
        "ground": settings.ground_fallback_model,
    }
    return {prompt: model for prompt, model in named.items() if model}


# -- what commands need


@asynccontextmanager
async def runtime_pool(settings: Settings) -> AsyncIterator[database.Pool]:
    """Sees all tenants' calls, claims and dead letters; no articles."""
    async with AsyncExitStack() as stack:
        yield await _pool(stack, settings, "deskstream_runtime", 2)


@asynccontextmanager
async def tenant_pool(
    settings: Settings, *, statement_timeout_s: float = database.STATEMENT_TIMEOUT_S
) -> AsyncIterator[database.Pool]:
    """Sees one tenant at a time."""
    async with AsyncExitStack() as stack:
        yield await _pool(stack, settings, "deskstream_app", 2, statement_timeout_s)


@dataclass(frozen=True)
class GapParts:
    answerer: ModelAnswerer  # its calls are journalled
    price: EmbeddingPrice
    masks: bool  # personal data do not go to the embedder

    @property
    def embedder(self) -> PatientEmbeddings:
        return PatientEmbeddings(self.answerer.embedder)

    @property
    def has_language_model(self) -> bool:
        return not self.answerer.label(self.answerer.models["article"]).startswith(provider.OFFLINE_PREFIX)


@asynccontextmanager
async def gap_parts(settings: Settings, tenant: str) -> AsyncIterator[GapParts]:
    """``settings`` must be resolved. Raises PermanentError("unknown_tenant")."""
    async with AsyncExitStack() as stack:
        runtime = await _pool(stack, settings, "deskstream_runtime", 2)
        pool = await _pool(stack, settings, "deskstream_app", 2)
        journal = Journal(runtime)
        await journal.start()
        stack.push_async_callback(journal.close)
        known = policies.Policies(pool)
        answerer = await _answerer(stack, settings, pool, known, journal)
        yield GapParts(
            answerer,
            EmbeddingPrice(answerer.embedder.model, _prices(settings)),
            masks=(await known.policy(tenant)).mask_personal_data,
        )


async def create_tenant(settings: Settings, tenant: str) -> bool:
    """False where it exists already."""
    async with AsyncExitStack() as stack:
        pool = await _pool(stack, settings, "deskstream_app", 1)
        return await policies.create_tenant(pool, TenantPolicy(tenant=tenant))


async def tenant_policy(settings: Settings, tenant: str) -> TenantPolicy:
    """Raises PermanentError("unknown_tenant")."""
    async with AsyncExitStack() as stack:
        return await policies.Policies(await _pool(stack, settings, "deskstream_app", 1)).policy(tenant)


async def set_masking(settings: Settings, tenant: str, on: bool) -> None:
    """Raises PermanentError("unknown_tenant")."""
    async with AsyncExitStack() as stack:
        await policies.set_masking(await _pool(stack, settings, "deskstream_app", 1), tenant, on)


async def import_knowledge(
    settings: Settings,
    source: Path | Iterable[Found],
    tenant: str,
    *,
    on_progress: Callable[[int, int], None],
    on_unreadable: Callable[[Unreadable], None],
    on_plan: Callable[[Plan, EmbeddingPrice], None] | None = None,
    collection: str = "default",
    sync: bool = False,
    embedder: Embedder | None = None,
) -> Imported:
    """Raises OSError, TransientError, PermanentError. What cannot be read is reported and passed over."""
    async with AsyncExitStack() as stack:
        pool = await _pool(stack, settings, "deskstream_app", _APP_CONNECTIONS_MAX)
        embedder = embedder or PatientEmbeddings(await _embedder(stack, settings))
        price = EmbeddingPrice(embedder.model, _prices(settings))
        readable = _readable(read(source) if isinstance(source, Path) else source, on_unreadable)
        return await import_documents(
            pool,
            embedder,
            readable,
            tenant=tenant,
            collection=collection,
            sync=sync,
            progress=on_progress,
            on_plan=(lambda plan: on_plan(plan, price)) if on_plan else None,
        )


async def search_knowledge(
    settings: Settings, tenant: str, text: str, *, language: str | None, limit: int, as_of: datetime | None
) -> tuple[Passage, ...]:
    """As the enrich stage searches, or among the versions valid then. Raises TransientError, PermanentError."""
    async with AsyncExitStack() as stack:
        pool = await _pool(stack, settings, "deskstream_app", 1)
        await policies.Policies(pool).policy(tenant)
        embedder = PatientEmbeddings(await _embedder(stack, settings))
        [vector], _ = await embedder.embed([text], kind="query")
        base = Knowledge(pool, model=embedder.model)
        if as_of is None:
            return await base.search(tenant=tenant, query=text, vector=vector, language=language, limit=limit)
        return await base.search_as_of(
            tenant=tenant, query=text, vector=vector, language=language, limit=limit, as_of=as_of
        )


async def learn_tickets(
    settings: Settings, file: Path, tenant: str, *, on_progress: Callable[[int, int], None]
) -> tuple[int, Usage]:
    """How many past tickets were learnt. Raises PermanentError, TransientError, OSError."""
    async with AsyncExitStack() as stack:
        pool = await _pool(stack, settings, "deskstream_app", 2)
        masks = (await policies.Policies(pool).policy(tenant)).mask_personal_data
        embedder = PatientEmbeddings(await _embedder(stack, settings))
        tickets = solved.read_tickets(file)
        return await solved.learn_tickets(pool, embedder, tickets, tenant=tenant, masks=masks, progress=on_progress)


def _prices(settings: Settings) -> prices.Prices:
    try:
        return prices.load(settings.prices_file)
    except ValueError as error:
        raise PermanentError("prices", str(error)) from error


def _readable(found: Iterable[Found], on_unreadable: Callable[[Unreadable], None]) -> Iterator[Document]:
    for one in found:
        if isinstance(one, Unreadable):
            on_unreadable(one)
        else:
            yield one


@dataclass(frozen=True)
class LedgerTotals:
    calls: int
    cost_usd: Decimal


async def ledger_totals(settings: Settings, tenant: str, root_ids: Iterable[str]) -> LedgerTotals:
    """Calls and cost of these tickets as the ledger has them, unconfirmed ones with their bound."""
    wanted = sorted(root_ids)
    calls, cost_usd = 0, Decimal(0)
    async with AsyncExitStack() as stack:
        pool = await _pool(stack, settings, "deskstream_runtime", 1)
        for start in range(0, len(wanted), _ROOT_IDS_MAX):
            found = total(await spend(pool, tenant=tenant, root_ids=wanted[start : start + _ROOT_IDS_MAX]))
            calls += found.calls + found.unconfirmed
            cost_usd += found.cost_usd + found.unconfirmed_usd_max
    return LedgerTotals(calls, cost_usd)


@asynccontextmanager
async def unjournalled(settings: Settings) -> AsyncIterator[ModelAnswerer]:
    """To measure answers by: every call is made, whatever was answered before."""
    async with AsyncExitStack() as stack:
        pool = await _pool(stack, settings, "deskstream_app", _APP_CONNECTIONS_MAX)
        yield await _answerer(stack, settings, pool, policies.Policies(pool), controls.ForgetfulJournal())


async def public_articles(settings: Settings, tenant: str) -> dict[str, str]:
    """Title and text of what may be shown to customers, by document id."""
    async with AsyncExitStack() as stack:
        pool = await _pool(stack, settings, "deskstream_app", 1)
        async with pool.transaction(tenant) as connection:
            return {row["document_id"]: row["text"] for row in await connection.fetch(query("public_texts"), tenant)}


async def probe_model(settings: Settings, prompt: str) -> str:
    """One small call; gives who answered. Raises as the client does."""
    async with AsyncExitStack() as stack:
        models = await _provider(stack, settings.llm_base_url, settings.llm_api_key)
        name = models_by_prompt(settings)[prompt]
        if models.is_offline:
            return f"{name} would be asked, but the offline model at {models.url} answers: it is no language model"
        result = await Chat(models).complete(
            ChatRequest(
                model=name,
                messages=({"role": "user", "content": "Say ok."},),
                max_tokens=_PROBE_TOKENS,
                timeout_s=20,
                response_format=None,
                call_id="doctor",
            )
        )
        priced = prices.load(settings.prices_file).cost_usd(name, result.usage)[1]
        return f"{result.model} at {models.url}" + ("" if priced else ": no price known; set PRICES_FILE")


async def probe_embeddings(settings: Settings) -> str:
    async with AsyncExitStack() as stack:
        embedder = await _embedder(stack, settings)
        await embedder.embed(["ok"], kind="query")
        return f"{embedder.model}, {embedder.dimensions} dimensions, at {settings.embeddings_base_url}"


def settings_as_environment(settings: Settings) -> dict[str, str]:
    """For a child process: the addresses that were resolved here. The rest it reads as this process did."""
    names = ("kafka_bootstrap", "database_url", "llm_base_url", "embeddings_base_url")
    found = {name.upper(): str(getattr(settings, name)) for name in names if getattr(settings, name)}
    return {**found, "STATE_DIR": os.fspath(settings.state_dir.absolute())}


def configure_log(level: str) -> None:
    """JSON lines to standard output. aiokafka says at length what the engine's events say in a word."""
    logging.getLogger("aiokafka").setLevel(logging.DEBUG if level == "debug" else logging.CRITICAL)
    asyncio.get_running_loop().set_exception_handler(_on_unhandled)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
    )


def _on_unhandled(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A failed producer leaves futures behind that nobody awaits; its failure was handled where it was committed."""
    if not isinstance(context.get("exception"), KafkaError):
        loop.default_exception_handler(context)


# -- parts


def _unheard(model: str, told: Told) -> None:
    """A command that makes a few calls has nobody who keeps limits."""


async def _pool(
    stack: AsyncExitStack, settings: Settings, role: database.Role, connections_max: int,
    statement_timeout_s: float = database.STATEMENT_TIMEOUT_S,
) -> database.Pool:  # fmt: skip
    assert settings.database_url, "settings are resolved first"
    pool = await database.connect(
        settings.database_url, role=role, connections_max=connections_max, statement_timeout_s=statement_timeout_s
    )
    stack.push_async_callback(pool.close)
    return pool


async def _answerer(
    stack: AsyncExitStack,
    settings: Settings,
    tenant_pool: database.Pool,
    known: policies.Policies,
    journal: ports.Journal,
) -> ModelAnswerer:
    guard = Guard()
    models = await _provider(stack, settings.llm_base_url, settings.llm_api_key, guard.told)
    embedder = await _embedder(stack, settings, guard.told)
    return ModelAnswerer(
        chat=Chat(models),
        embedder=embedder,
        knowledge=Knowledge(tenant_pool, model=embedder.model),
        policies=known,
        threads=Threads(tenant_pool),
        journal=journal,
        prompts=_prompts(settings),
        prices=prices.load(settings.prices_file),
        guard=guard,
        models=models_by_prompt(settings),
        fallbacks=fallbacks_by_prompt(settings),
        label=models.label,
        hedge_after_s=settings.hedge_after_s,
    )


async def _provider(
    stack: AsyncExitStack, url: str | None, key: SecretStr | None, on_told: Callable[[str, Told], None] = _unheard
) -> provider.Provider:
    assert url, "settings are resolved first"
    connected = await provider.connect(url, key, on_told)
    stack.push_async_callback(connected.close)
    return connected


async def _embedder(
    stack: AsyncExitStack, settings: Settings, on_told: Callable[[str, Told], None] = _unheard
) -> Embeddings:
    key = settings.embeddings_api_key or settings.llm_api_key
    server = await _provider(stack, settings.embeddings_base_url, key, on_told)
    return Embeddings(server, model=settings.embeddings_model, dimensions=settings.embeddings_dimensions)
