"""Servers that call themselves compatible and differ: what of it is taken, and as what."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agents.contract import PermanentError
from app.models.client import Chat
from app.models.errors import CallFailed
from app.models.provider import Provider
from app.ports import ChatRequest
from tests.processes import serving

Answer = Callable[[dict[str, Any]], tuple[int, Any]]
REQUEST = ChatRequest("m", ({"role": "user", "content": "hi"},), 5, 10.0, None, "call-1")


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[Chat]:
    async def endpoint(request: Request) -> Response:
        status, body = answer(await request.json())
        return Response(json.dumps(body), status, media_type="application/json")

    app = Starlette(routes=[Route("/v1/chat/completions", endpoint, methods=["POST"])])
    async with serving(app) as url:
        provider = Provider(url, None)
        try:
            yield Chat(provider)
        finally:
            await provider.close()


def completion(content: Any, finish_reason: str = "stop") -> dict[str, Any]:
    choice = {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": content}}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}


@pytest.mark.parametrize(
    ("content", "text"),
    [(None, ""), ([{"type": "text", "text": "one "}, {"type": "text", "text": "two"}], "one two")],
    ids=["nothing", "parts"],
)
async def test_an_answer_of_nothing_or_in_parts_is_text(content: Any, text: str) -> None:
    async with answering(lambda _: (200, completion(content))) as chat:
        assert (await chat.complete(REQUEST)).text == text


async def test_an_emoji_cut_in_half_at_the_limit_can_still_be_stored() -> None:
    async with answering(lambda _: (200, completion("so \ud83d", "length"))) as chat:
        result = await chat.complete(REQUEST)
    assert orjson.loads(orjson.dumps(result.text)) == "so ?" and result.finish_reason == "length"


async def test_an_error_that_comes_with_status_200_is_quoted() -> None:
    async with answering(lambda _: (200, {"error": {"message": "upstream is overloaded"}})) as chat:
        with pytest.raises(CallFailed, match="upstream is overloaded"):
            await chat.complete(REQUEST)


async def test_a_model_that_takes_only_the_newer_name_of_the_limit_is_asked_by_it_from_then_on() -> None:
    names: list[str] = []

    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        names.extend(name for name in ("max_tokens", "max_completion_tokens") if name in body)
        if "max_tokens" in body:
            return 400, {"error": {"message": "'max_tokens' is not supported: use 'max_completion_tokens' instead."}}
        return 200, completion("hi")

    async with answering(answer) as chat:
        for _ in range(2):
            await chat.complete(REQUEST)
    assert names == ["max_tokens", "max_completion_tokens", "max_completion_tokens"]


async def test_a_server_that_refuses_both_names_of_the_limit_is_asked_twice_not_for_ever() -> None:
    asked: list[dict[str, Any]] = []

    def answer(body: dict[str, Any]) -> tuple[int, Any]:
        asked.append(body)
        return 400, {"error": {"message": "use 'max_completion_tokens'"}}

    async with answering(answer) as chat:
        with pytest.raises(PermanentError):
            await chat.complete(REQUEST)
    assert len(asked) == 2
