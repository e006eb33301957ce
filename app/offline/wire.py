"""Requests and answers as they are on the wire: the OpenAI API's shapes, and its errors."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import orjson
from starlette.requests import Request

from app.offline.embedding import DIMENSIONS, QueueFull, Vector
from app.offline.request import BadRequest
from app.offline.simulation import Fault
from app.offline.usage import count_tokens

BODY_BYTES_MAX = 4 * 1024 * 1024
INPUTS_MAX = 2_048
INPUT_CHARS_MAX = 50_000
FINGERPRINT = "offline"


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


async def read_body(request: Request) -> bytes:
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            raise HttpError(413, f"the body has more than {BODY_BYTES_MAX} bytes", kind="invalid_request_error")
        chunks.append(chunk)
    return b"".join(chunks)


def parse_json(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the body is not JSON: {error}") from error


@dataclass(frozen=True)
class EmbeddingsRequest:
    model: str
    texts: list[str]
    query: bool
    base64: bool


def parse_embeddings(body: Any) -> EmbeddingsRequest:
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


def embeddings_body(vectors: Vector, wanted: EmbeddingsRequest, *, model: str, usage: dict[str, Any]) -> bytes:
    body = {
        "object": "list",
        "data": [
            {"object": "embedding", "index": n, "embedding": _encoded(vector, wanted.base64)}
            for n, vector in enumerate(vectors)
        ],
        "model": model,
        "system_fingerprint": FINGERPRINT,
        "usage": usage,
    }
    return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY)


def _encoded(vector: Vector, as_base64: bool) -> Any:
    return base64.b64encode(vector.astype("<f4").tobytes()).decode() if as_base64 else vector


def completion_body(content: str, finish_reason: str, *, key: str, model: str, usage: dict[str, Any]) -> bytes:
    body = {
        "id": f"chatcmpl-offline-{blake2b(key.encode(), digest_size=8).hexdigest()}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "system_fingerprint": FINGERPRINT,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": content, "refusal": None},
                "logprobs": None,
                "finish_reason": finish_reason,
            }
        ],
        "usage": usage,
    }
    return orjson.dumps(body)


def spoilt(content: str, fault: Fault | None, max_tokens: int) -> tuple[str, str]:
    """The content as sent and its finish_reason: cut where it is too long, or where the simulation says so."""
    if fault == "malformed":
        return f"Here is the answer: {content[: len(content) // 2]}", "stop"
    if fault == "truncated":
        return content[: len(content) // 2], "length"
    if count_tokens(content) > max_tokens:
        return content.encode()[: max_tokens * 4].decode(errors="ignore"), "length"
    return content, "stop"


def error_answer(error: HttpError | BadRequest | QueueFull) -> Answer:
    if isinstance(error, BadRequest):
        error = HttpError(400, str(error), kind="invalid_request_error")
    elif isinstance(error, QueueFull):
        error = HttpError(503, str(error), kind="server_error", retry_after_s=1)
    body = {"error": {"message": str(error), "type": error.kind, "param": None, "code": None}}
    headers = {"retry-after": str(error.retry_after_s)} if error.retry_after_s is not None else {}
    return Answer(error.status, orjson.dumps(body), headers=headers)
