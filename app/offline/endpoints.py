"""What each path of the offline model server does.

A chat request: parse, meet its simulated fate, answer its task, count, log, send.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import Any

import orjson
import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from app.offline import instant
from app.offline.call_log import CallLog
from app.offline.classify import Judge, classify
from app.offline.embedding import Embedder, QueueFull, Urgency, Vector
from app.offline.extract import draft
from app.offline.ground import ground
from app.offline.request import BadRequest, Chat, parse_chat
from app.offline.simulation import Fate, Fault, Simulation, Simulator
from app.offline.usage import PromptCache, chat_usage, count_tokens
from app.offline.wire import (
    Answer,
    EmbeddingsRequest,
    HttpError,
    completion_body,
    embeddings_body,
    error_answer,
    parse_embeddings,
    parse_json,
    read_body,
    spoilt,
)

KEY_CHARS_MAX = 200
TRAINING_RETRY_AFTER_S = 2
MODEL_OF_TASK = {
    "classify": "offline-classifier", "draft": "offline-extractive", "ground": "offline-grounding",
    "rerank": "offline-order",
}  # fmt: skip
EMBEDDINGS_MODEL = "offline-e5-small"
SIMULATED_MODEL = "offline-simulated"

Progress = Callable[[str, int, int], None]  # step, done, of

log = structlog.get_logger()


@dataclass
class Call:
    """One request on its way."""

    path: str
    key: str  # names the request for the simulation
    idempotency_key: str | None
    task: str | None = None
    model: str | None = None
    fault: Fault | None = None
    digest: str | None = None  # of the body: the same question has the same one
    began: float = field(default_factory=time.time)


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ["path", "task", "status"]
        self.requests = Counter("deskstream_offline_requests", "Requests answered", labels, registry=self.registry)
        self.seconds = Histogram(
            "deskstream_offline_request_duration_seconds",
            "Time to the answer",
            ["path", "task"],
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
        )
        self.tokens = Counter("deskstream_offline_tokens", "Tokens reported", ["task", "kind"], registry=self.registry)
        self.waiting = Gauge("deskstream_offline_embedding_queue_texts", "Texts waiting", registry=self.registry)


class Endpoints:
    """``embedder`` is None in instant mode only."""

    def __init__(
        self,
        *,
        simulation: Simulation,
        embedder: Embedder | None,
        load_classifier: Callable[[Progress], Judge] | None,
        call_log: CallLog,
    ) -> None:
        self._simulator = Simulator(simulation)
        self._instant = simulation.instant
        self._embedder = embedder
        self._load_classifier = load_classifier
        self._call_log = call_log
        self._cache = PromptCache(always_warm=simulation.always_warm)
        self._metrics = Metrics()
        self._classifier: Judge | None = None
        self._progress: dict[str, Any] = {"step": "starting", "done": 0, "of": 0}
        self._training: asyncio.Task[None] | None = None

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/v1/embeddings", self.embeddings, methods=["POST"]),
                Route("/v1/models", self.models),
                Route("/healthz", self.healthz),
                Route("/metrics", self.metrics),
                Route("/log", self.calls),
            ],
            lifespan=self._lifespan,
        )

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        if self._load_classifier is not None:
            self._training = asyncio.create_task(self._train(self._load_classifier))
        try:
            yield
        finally:
            if self._embedder is not None:
                # Waiting texts are dropped, so training, which waits for them in a thread, ends too.
                await asyncio.to_thread(self._embedder.close)
            if self._training is not None:
                await asyncio.wait([self._training])
            self._call_log.close()

    async def _train(self, load: Callable[[Progress], Judge]) -> None:
        started_s = time.monotonic()
        try:
            self._classifier = await asyncio.to_thread(load, self._on_progress)
        except (ValueError, OSError, QueueFull) as error:
            self._progress = {"step": "failed", "error": str(error)}
            log.error("the classifier could not be trained", error=str(error))  # noqa: TRY400 - bad input, not a bug
            return
        log.info("classifier ready", seconds=round(time.monotonic() - started_s, 1), **self._accuracy())

    def _on_progress(self, step: str, done: int, of: int) -> None:
        self._progress = {"step": step, "done": done, "of": of}
        log.info("training the classifier", step=step, done=done, of=of)

    def _accuracy(self) -> dict[str, Any]:
        report = self._classifier.report if self._classifier else {}
        return {name: report[name]["accuracy"] for name in ("category", "priority", "sentiment") if name in report}

    async def models(self, _: Request) -> Response:
        names = [SIMULATED_MODEL] if self._instant else [*MODEL_OF_TASK.values(), EMBEDDINGS_MODEL]
        data = [{"id": name, "object": "model", "created": 0, "owned_by": "deskstream-offline"} for name in names]
        return _json({"object": "list", "data": data})

    async def healthz(self, _: Request) -> Response:
        """200 once every task can be answered; embeddings are answered before that."""
        if self._load_classifier is None or self._classifier is not None:
            report = self._classifier.report if self._classifier else None
            return _json({"status": "ok", "instant": self._instant, "classifier": report})
        status = "failed" if self._progress["step"] == "failed" else "training"
        return _json({"status": status, **self._progress}, status=503)

    async def metrics(self, _: Request) -> Response:
        self._metrics.waiting.set(self._embedder.pending if self._embedder else 0)
        return Response(generate_latest(self._metrics.registry), media_type="text/plain; version=0.0.4")

    async def calls(self, _: Request) -> Response:
        if self._call_log.path is None:
            return _sent(
                error_answer(HttpError(404, "no call log is kept; start the server with one", kind="not_found"))
            )
        return FileResponse(self._call_log.path, media_type="application/x-ndjson")

    async def chat(self, request: Request) -> Response:
        return await self._handle(request, self._chat)

    async def embeddings(self, request: Request) -> Response:
        return await self._handle(request, self._embeddings)

    async def _handle(self, request: Request, answer: Callable[[Call, Any], Awaitable[Answer]]) -> Response:
        """Around every paid call: read, answer, turn errors into answers, count and log."""
        started_s = time.perf_counter()
        raw_key = request.headers.get("idempotency-key")
        call = Call(path=request.url.path, key="", idempotency_key=raw_key[:KEY_CHARS_MAX] if raw_key else None)
        try:
            raw = await read_body(request)
            call.digest = blake2b(raw, digest_size=16).hexdigest()
            call.key = raw_key or call.digest
            body = parse_json(raw)
            fate = self._simulator.fate(call.key)
            call.fault = fate.fault
            await self._meet(fate, request)
            reply = await answer(call, body)
        except ClientDisconnect:
            return Response(status_code=499)
        except (HttpError, BadRequest, QueueFull) as error:
            reply = error_answer(error)
        self._account(call, reply, time.perf_counter() - started_s)
        return _sent(reply)

    async def _meet(self, fate: Fate, request: Request) -> None:
        simulation = self._simulator.simulation
        if fate.fault == "hang":
            await _wait_for_disconnect(request, simulation.hang_s)
            raise HttpError(504, "simulated: no answer in time", kind="timeout")
        if fate.latency_s:
            await asyncio.sleep(fate.latency_s)
        if fate.fault == "rate_limited":
            raise HttpError(
                429, "simulated: too many requests", kind="rate_limit_error", retry_after_s=simulation.retry_after_s
            )
        if fate.fault == "server_error":
            raise HttpError(500, "simulated: internal error", kind="server_error")

    def _spend(self, tokens: int) -> None:
        if (wait_s := self._simulator.retry_after_s(tokens)) is not None:
            raise HttpError(429, "token rate limit reached", kind="rate_limit_error", retry_after_s=wait_s)

    async def _chat(self, call: Call, body: Any) -> Answer:
        chat = parse_chat(body)
        call.task, call.model = chat.task, chat.model
        self._spend(count_tokens(chat.prompt))
        content = orjson.dumps(await self._answer(chat, call.key)).decode()
        content, finish_reason = spoilt(content, call.fault, chat.max_tokens)
        cached, written = self._cache.look_up(chat.model, chat.system_prefix)
        usage = chat_usage(prompt=chat.prompt, completion_tokens=count_tokens(content), cached=cached, written=written)
        model = SIMULATED_MODEL if self._instant else MODEL_OF_TASK[chat.task]
        return Answer(200, completion_body(content, finish_reason, key=call.key, model=model, usage=usage), usage)

    async def _answer(self, chat: Chat, key: str) -> Any:
        if self._instant or self._embedder is None:
            return instant.answer(chat, key)
        if chat.task == "draft":
            return {**asdict(await draft(chat, self._embedder)), "model": MODEL_OF_TASK["draft"]}
        if chat.task == "ground":
            return {"claims": [asdict(claim) for claim in await ground(chat, self._embedder)]}
        if chat.task == "rerank":
            return {"document_ids": [source.id for source in chat.sources]}  # the search knows as much as this model
        if self._classifier is None:
            raise self._not_ready()
        return await classify(chat, self._embedder, self._classifier)

    def _not_ready(self) -> HttpError:
        if self._progress["step"] == "failed":
            return HttpError(
                500, f"the classifier could not be trained: {self._progress['error']}", kind="server_error"
            )
        step = f"{self._progress['step']}, {self._progress['done']} of {self._progress['of']}"
        return HttpError(
            503,
            f"the classifier is still being trained ({step})",
            kind="server_error",
            retry_after_s=TRAINING_RETRY_AFTER_S,
        )

    async def _embeddings(self, call: Call, body: Any) -> Answer:
        call.task = "embed"
        wanted = parse_embeddings(body)
        call.model = wanted.model
        tokens = sum(count_tokens(text) for text in wanted.texts)
        self._spend(tokens)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        model = SIMULATED_MODEL if self._instant else EMBEDDINGS_MODEL
        raw = embeddings_body(await self._vectors(wanted), wanted, model=model, usage=usage)
        return Answer(200, raw[: len(raw) // 2] if call.fault in {"malformed", "truncated"} else raw, usage)

    async def _vectors(self, wanted: EmbeddingsRequest) -> Vector:
        if self._embedder is None:
            return instant.vectors(wanted.texts)
        if wanted.query:
            return await self._embedder.embed(wanted.texts, "query", Urgency.QUERY)
        return await self._embedder.embed(wanted.texts, "passage", Urgency.PASSAGE)

    def _account(self, call: Call, reply: Answer, seconds: float) -> None:
        task = call.task or "unknown"
        self._call_log.write(
            key=call.idempotency_key,
            digest=call.digest,
            began=call.began,
            task=call.task,
            model=call.model,
            status=reply.status,
            usage=reply.usage,
            fault=call.fault,
        )
        self._metrics.requests.labels(call.path, task, str(reply.status)).inc()
        self._metrics.seconds.labels(call.path, task).observe(seconds)
        if reply.usage:
            for kind in ("prompt_tokens", "completion_tokens"):
                self._metrics.tokens.labels(task, kind.removesuffix("_tokens")).inc(reply.usage.get(kind, 0))


async def _wait_for_disconnect(request: Request, timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while (await request.receive())["type"] != "http.disconnect":
                pass


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status_code=status, media_type="application/json")


def _sent(answer: Answer) -> Response:
    return Response(answer.body, status_code=answer.status, headers=answer.headers, media_type="application/json")
