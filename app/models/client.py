"""Chat and embeddings of an OpenAI-compatible server (ports: ChatModel, Embedder)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import openai
import stamina
from pydantic import BaseModel

from agents.contract import PermanentError, TransientError
from app.models.errors import CallFailed
from app.models.provider import Provider
from app.models.usage import UnknownUsage, normalised
from app.ports import ChatRequest, ChatResult, Embedder, Vector
from schemas.usage import Usage

_EMBED_TEXTS_MAX = 64  # of one request
_EMBED_S_MAX = 120.0
_PATIENCE_S_MAX = 300.0
_OLDER_LIMIT, _NEWER_LIMIT = "max_tokens", "max_completion_tokens"


class Chat:
    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.provider = provider.name
        # Some models take only the newer name and say so; some servers ignore it, so it is not tried first.
        self._newer_limit: set[str] = set()

    async def complete(self, request: ChatRequest) -> ChatResult:
        """Raises CallFailed, RateLimited, ProviderAway, PermanentError("provider_refused")."""
        began = time.monotonic()
        # The client's time-out is for each read: a server that sends a blank now and then would never reach it.
        with self._provider.errors(request.model):
            async with asyncio.timeout(request.timeout_s):
                answer = await self._create(request)
            completion = answer.parse()
        self._tell(request, answer.headers, completion, began)
        choice = _choice(completion, request.model)
        return ChatResult(
            text=_text(choice.message.content),
            usage=_usage(completion.usage, request.model),
            model=completion.model or request.model,
            finish_reason=choice.finish_reason or "",
            latency_s=time.monotonic() - began,
        )

    def _tell(self, request: ChatRequest, headers: Any, completion: Any, asked_at: float) -> None:
        """The longest answer that could have come counts against some limits, not the one that came."""
        tokens = _prompt_tokens(completion)
        told = tokens + request.max_tokens if tokens else 0
        self._provider.tell(request.model, headers, asked_at=asked_at, tokens=told)

    async def _create(self, request: ChatRequest) -> Any:
        newer = request.model in self._newer_limit
        options: dict[str, Any] = {_NEWER_LIMIT if newer else _OLDER_LIMIT: request.max_tokens}
        if request.response_format:
            options["response_format"] = request.response_format
        try:
            return await self._provider.client.chat.completions.with_raw_response.create(
                model=request.model,
                messages=list(request.messages),  # type: ignore[arg-type] # plain dicts of the same shape
                extra_headers={"Idempotency-Key": request.call_id},
                **options,
            )
        except openai.BadRequestError as error:
            if newer or _NEWER_LIMIT not in str(error):
                raise
        self._newer_limit.add(request.model)
        return await self._create(request)


class Embeddings:
    """``model`` is the labelled name under which vectors are kept; ``asked_model`` goes to the server."""

    def __init__(self, provider: Provider, *, model: str, dimensions: int) -> None:
        self._provider = provider
        self._asked_model = model
        self.provider = provider.name
        self.model = provider.label(model)
        self.dimensions = dimensions

    async def embed(
        self, texts: Sequence[str], *, kind: Literal["query", "passage"], call_id: str | None = None
    ) -> tuple[Vector, Usage]:
        """Unit vectors of shape (len(texts), dimensions). Raises as Chat.complete, and PermanentError("dimensions")."""
        parts, usages = [], []
        for start in range(0, len(texts), _EMBED_TEXTS_MAX):
            vectors, usage = await self._embed_some(texts[start : start + _EMBED_TEXTS_MAX], kind, call_id)
            parts.append(vectors)
            usages.append(usage)
        if not parts:
            return np.zeros((0, self.dimensions), np.float32), Usage()
        return np.concatenate(parts), Usage(input_tokens=sum(usage.input_tokens for usage in usages))

    async def _embed_some(self, texts: Sequence[str], kind: str, call_id: str | None) -> tuple[Vector, Usage]:
        # Others take no such field, and some refuse what they don't know.
        extra = {"input_type": kind} if self._provider.is_offline else {}
        asked_at = time.monotonic()
        with self._provider.errors(self._asked_model):
            async with asyncio.timeout(_EMBED_S_MAX):
                answer = await self._provider.client.embeddings.with_raw_response.create(
                    model=self._asked_model,
                    input=list(texts),
                    dimensions=self.dimensions,
                    encoding_format="float",
                    extra_body=extra,
                    extra_headers={"Idempotency-Key": call_id} if call_id else {},
                )
            response = answer.parse()
        self._provider.tell(self._asked_model, answer.headers, asked_at=asked_at, tokens=_prompt_tokens(response))
        vectors = _vectors(response, len(texts), self._asked_model)
        if vectors.shape != (len(texts), self.dimensions):
            # Some servers ignore the number that they are asked for.
            raise PermanentError(
                "dimensions",
                f"{self._asked_model} gave vectors of shape {vectors.shape}, not {(len(texts), self.dimensions)}: "
                "set EMBEDDINGS_DIMENSIONS to what it gives, and import again",
            )
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors / np.maximum(lengths, 1e-12), _usage(response.usage, self._asked_model)


class PatientEmbeddings:
    """For a command, which has no engine that tries again (port: Embedder)."""

    def __init__(self, embeddings: Embedder) -> None:
        self._embeddings = embeddings
        self.provider = embeddings.provider
        self.model = embeddings.model
        self.dimensions = embeddings.dimensions

    async def embed(
        self, texts: Sequence[str], *, kind: Literal["query", "passage"], call_id: str | None = None
    ) -> tuple[Vector, Usage]:
        async for attempt in stamina.retry_context(on=TransientError, attempts=8, timeout=_PATIENCE_S_MAX):
            with attempt:
                return await self._embeddings.embed(texts, kind=kind, call_id=call_id)
        raise AssertionError("stamina raises the last failure")


def _prompt_tokens(answer: Any) -> int:
    """0: not told."""
    tokens = getattr(getattr(answer, "usage", None), "prompt_tokens", None)
    return max(0, tokens) if isinstance(tokens, int) else 0


def _choice(completion: Any, model: str) -> Any:
    """The client checks nothing: it gives a page of HTML as a string, and None for what is missing."""
    choices = getattr(completion, "choices", None)
    if not isinstance(choices, list) or not choices or getattr(choices[0], "message", None) is None:
        instead = getattr(completion, "error", None) or completion  # some give an error with status 200
        raise CallFailed(f"{model}: an answer without choices: {instead!r:.200}", charged="unknown")
    return choices[0]


def _vectors(response: Any, texts: int, model: str) -> Vector:
    """In the order of the texts."""
    try:
        rows = sorted(response.data, key=lambda row: row.index)
        vectors = np.array([row.embedding for row in rows], np.float32)
    except (AttributeError, TypeError, ValueError) as error:
        raise CallFailed(f"{model}: an answer that is no list of vectors: {error}", charged="unknown") from error
    if len(rows) != texts or not np.isfinite(vectors).all():
        raise CallFailed(f"{model}: {len(rows)} vectors of {texts}, or not all finite", charged="unknown")
    return vectors


def _text(content: Any) -> str:
    """Some servers answer with a list of parts, or with nothing. Half a surrogate pair, from an emoji cut off at the
    limit of tokens, could not be stored as UTF-8."""
    if isinstance(content, list):
        content = "".join(str(part.get("text", "")) if isinstance(part, dict) else str(part) for part in content)
    return str(content or "").encode("utf-8", "replace").decode()


def _usage(reported: Any, model: str) -> Usage:
    if not isinstance(reported, BaseModel):
        raise CallFailed(f"{model}: an answer without usage: its cost is unknown", charged="unknown")
    try:
        return normalised(reported.model_dump(exclude_none=True, warnings=False))
    except UnknownUsage as error:
        raise CallFailed(f"{model}: {error}", charged="unknown") from error
