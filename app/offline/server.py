"""The HTTP face of the offline model: the OpenAI API as far as Deskstream uses it.

A chat request: parse, meet its simulated fate, answer its task, count, log, send.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson
import structlog
import uvicorn
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from app.offline import instant
from app.offline.call_log import CallLog
from app.offline.classify import TRAINING_FILE, classify, load_or_train
from app.offline.embedding import DIMENSIONS, Embedder, QueueFull, Urgency, Vector
from app.offline.extract import draft
from app.offline.ground import ground
from app.offline.heads import Classifier
from app.offline.language import letter_opinion
from app.offline.request import BadRequest, Chat, parse_chat
from app.offline.simulation import Fate, Simulation, Simulator
from app.offline.usage import PromptCache, chat_usage, count_tokens

BODY_BYTES_MAX = 4 * 1024 * 1024
INPUTS_MAX = 2_048
INPUT_CHARS_MAX = 50_000
KEY_CHARS_MAX = 200
BACKLOG = 2_048
CONNECTIONS_MAX = 10_000
STOP_S_MAX = 2
TRAINING_RETRY_AFTER_S = 2
FINGERPRINT = "offline"
MODEL_OF_TASK = {"classify": "offline-classifier", "draft": "offline-extractive", "ground": "offline-grounding"}
EMBEDDINGS_MODEL = "offline-e5-small"
SIMULATED_MODEL = "offline-simulated"
_STATUS_OF_FAULT = {"hang": 504, "rate_limited": 429, "server_error": 500}

log = structlog.get_logger()


class HttpError(Exception):
    """Answered in the shape of OpenAI's errors."""

    def __init__(self, status: int, message: str, *, kind: str, retry_after_s: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.retry_after_s = retry_after_s


@dataclass
class Answer:
    """What is about to be sent, and what the log keeps of it."""

    status: int
    body: bytes
    usage: dict[str, Any] | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Call:
    """One request on its way."""

    path: str
    key: str  # names the request for the simulation
    idempotency_key: str | None
    task: str | None = None
    model: str | None = None
    fate: Fate | None = None


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


class Server:
    """``embedder`` is None in instant mode only."""

    def __init__(
        self,
        *,
        simulation: Simulation,
        embedder: Embedder | None,
        load_classifier: Callable[[Callable[[str, int, int], None]], Classifier] | None,
        call_log: CallLog,
    ) -> None:
        self._simulator = Simulator(simulation)
        self._instant = simulation.instant
        self._embedder = embedder
        self._load_classifier = load_classifier
        self._call_log = call_log
        self._cache = PromptCache(always_warm=simulation.always_warm)
        self._metrics = Metrics()
        self._classifier: Classifier | None = None
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

    async def _train(self, load: Callable[[Callable[[str, int, int], None]], Classifier]) -> None:
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
            return _error(HttpError(404, "no call log is kept; start the server with one", kind="not_found"))
        return FileResponse(self._call_log.path, media_type="application/x-ndjson")

    async def chat(self, request: Request) -> Response:
        return await self._handle(request, self._chat)

    async def embeddings(self, request: Request) -> Response:
        return await self._handle(request, self._embeddings)

    async def _handle(self, request: Request, answer: Callable[[Call, Any], Any]) -> Response:
        """Around every paid call: read, answer, turn errors into answers, count and log."""
        started_s = time.perf_counter()
        raw_key = request.headers.get("idempotency-key")
        call = Call(path=request.url.path, key="", idempotency_key=raw_key[:KEY_CHARS_MAX] if raw_key else None)
        try:
            raw = await _read(request)
            call.key = raw_key or blake2b(raw, digest_size=16).hexdigest()
            body = _parsed(raw)
            call.fate = self._simulator.fate(call.key)
            await self._meet(call.fate, request)
            reply: Answer = await answer(call, body)
        except ClientDisconnect:
            return Response(status_code=499)
        except (HttpError, BadRequest, QueueFull) as error:
            reply = _error_answer(error)
        self._account(call, reply, time.perf_counter() - started_s)
        return Response(reply.body, status_code=reply.status, headers=reply.headers, media_type="application/json")

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
        content, finish = _spoilt(content, call.fate, chat.max_tokens)
        cached, written = self._cache.look_up(chat.model, chat.system_prefix)
        usage = chat_usage(prompt=chat.prompt, completion_tokens=count_tokens(content), cached=cached, written=written)
        completion = {
            "id": f"chatcmpl-offline-{blake2b(call.key.encode(), digest_size=8).hexdigest()}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": SIMULATED_MODEL if self._instant else MODEL_OF_TASK[chat.task],
            "system_fingerprint": FINGERPRINT,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": content, "refusal": None},
                    "logprobs": None,
                    "finish_reason": finish,
                }
            ],
            "usage": usage,
        }
        return Answer(200, orjson.dumps(completion), usage)

    async def _answer(self, chat: Chat, key: str) -> Any:
        if self._instant or self._embedder is None:
            return instant.answer(chat, key)
        if chat.task == "draft":
            return {**asdict(await draft(chat, self._embedder)), "model": MODEL_OF_TASK["draft"]}
        if chat.task == "ground":
            return {"claims": [asdict(claim) for claim in await ground(chat, self._embedder)]}
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
        wanted = _embeddings_request(body)
        call.model = wanted.model
        tokens = sum(count_tokens(text) for text in wanted.texts)
        self._spend(tokens)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        vectors = await self._vectors(wanted)
        data = [
            {"object": "embedding", "index": n, "embedding": _encoded(vector, wanted.base64)}
            for n, vector in enumerate(vectors)
        ]
        answer = {
            "object": "list",
            "data": data,
            "model": SIMULATED_MODEL if self._instant else EMBEDDINGS_MODEL,
            "system_fingerprint": FINGERPRINT,
            "usage": usage,
        }
        raw = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
        fault = call.fate.fault if call.fate else None
        return Answer(200, raw[: len(raw) // 2] if fault in {"malformed", "truncated"} else raw, usage)

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
            task=call.task,
            model=call.model,
            status=reply.status,
            usage=reply.usage,
            fault=call.fate.fault if call.fate else None,
        )
        self._metrics.requests.labels(call.path, task, str(reply.status)).inc()
        self._metrics.seconds.labels(call.path, task).observe(seconds)
        if reply.usage:
            for kind in ("prompt_tokens", "completion_tokens"):
                self._metrics.tokens.labels(task, kind.removesuffix("_tokens")).inc(reply.usage.get(kind, 0))


@dataclass(frozen=True)
class EmbeddingsRequest:
    model: str
    texts: list[str]
    query: bool
    base64: bool


def _embeddings_request(body: Any) -> EmbeddingsRequest:
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        raise BadRequest("the body must be a JSON object with a model")
    texts = body.get("input")
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadRequest("input must be a string or a list of strings; token ids are not understood")
    if not 0 < len(texts) <= INPUTS_MAX:
        raise BadRequest(f"input must hold 1 to {INPUTS_MAX} texts")
    if any(len(text) > INPUT_CHARS_MAX for text in texts):
        raise BadRequest(f"each input text must have at most {INPUT_CHARS_MAX} characters")
    if body.get("dimensions") not in {None, DIMENSIONS}:
        raise BadRequest(f"dimensions must be {DIMENSIONS} (or left out), not {body['dimensions']!r}")
    kind = body.get("input_type", "passage")
    if kind not in {"query", "passage"}:
        raise BadRequest(f"input_type must be query or passage, not {kind!r}")
    encoding = body.get("encoding_format", "float")
    if encoding not in {"float", "base64"}:
        raise BadRequest(f"encoding_format must be float or base64, not {encoding!r}")
    return EmbeddingsRequest(body["model"], texts, kind == "query", encoding == "base64")


def _encoded(vector: Vector, as_base64: bool) -> Any:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode() if as_base64 else vector


def _spoilt(content: str, fate: Fate | None, max_tokens: int) -> tuple[str, str]:
    """The content as sent and its finish_reason: cut where it is too long, or where the simulation says so."""
    fault = fate.fault if fate else None
    if fault == "malformed":
        return f"Here is the answer: {content[: len(content) // 2]}", "stop"
    if fault == "truncated":
        return content[: len(content) // 2], "length"
    if count_tokens(content) > max_tokens:
        return content.encode()[: max_tokens * 4].decode(errors="ignore"), "length"
    return content, "stop"


async def _read(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            raise HttpError(413, f"the body has more than {BODY_BYTES_MAX} bytes", kind="invalid_request_error")
        chunks.append(chunk)
    return b"".join(chunks)


def _parsed(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}") from error


async def _wait_for_disconnect(request: Request, timeout_s: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(timeout_s):
            while (await request.receive())["type"] != "http.disconnect":
                pass


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status_code=status, media_type="application/json")


def _error(error: HttpError) -> Response:
    answer = _error_answer(error)
    return Response(answer.body, status_code=answer.status, media_type="application/json")


def _error_answer(error: HttpError | BadRequest | QueueFull) -> Answer:
    if isinstance(error, BadRequest):
        error = HttpError(400, str(error), kind="invalid_request_error")
    elif isinstance(error, QueueFull):
        error = HttpError(503, str(error), kind="server_error", retry_after_s=1)
    body = {"error": {"message": str(error), "type": error.kind, "param": None, "code": None}}
    headers = {"retry-after": str(error.retry_after_s)} if error.retry_after_s is not None else {}
    return Answer(error.status, orjson.dumps(body), headers=headers)


def create_app(
    *,
    state_dir: Path,
    simulation: Simulation | None = None,
    call_log: Path | None = None,
    training_file: Path = TRAINING_FILE,
) -> Starlette:
    """The application; loading and training begin with its lifespan."""
    simulation = simulation or Simulation()
    if simulation.instant:
        server = Server(simulation=simulation, embedder=None, load_classifier=None, call_log=CallLog(call_log))
        return server.app()
    embedder = Embedder()

    def load(progress: Callable[[str, int, int], None]) -> Classifier:
        letter_opinion("The language model is loaded here, not by the first ticket.")
        return load_or_train(training_file=training_file, state_dir=state_dir, embedder=embedder, progress=progress)

    return Server(simulation=simulation, embedder=embedder, load_classifier=load, call_log=CallLog(call_log)).app()


def serve(
    host: str,
    port: int,
    state_dir: Path,
    simulation: Simulation | None = None,
    *,
    call_log: Path | None = None,
    training_file: Path = TRAINING_FILE,
    allow_remote: bool = False,
    on_listening: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. Port 0: any free one. ``on_listening`` gets the URL that ends in /v1.

    Raises ValueError for a host beyond loopback unless ``allow_remote``: there is no authentication.
    """
    if not allow_remote and not _is_loopback(host):
        raise ValueError(f"{host} is not a loopback address; the offline model has no authentication")
    listener = _listen(host, port)
    url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/v1"
    app = create_app(state_dir=state_dir, simulation=simulation, call_log=call_log, training_file=training_file)
    log.info("offline model server", url=url, notice="this is not a language model")
    if on_listening is not None:
        on_listening(url)
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=STOP_S_MAX,
        backlog=BACKLOG,
        limit_concurrency=CONNECTIONS_MAX,
        server_header=False,
    )
    with listener:
        uvicorn.Server(config).run(sockets=[listener])


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
