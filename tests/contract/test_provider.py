"""One contract for every OpenAI-compatible server: ours, llama.cpp's on random weights, llmock; and failures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from llmock.testing import LLMockServer
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from agents.contract import PermanentError
from app.embedded.server import free_port
from app.models.client import Chat, Embeddings
from app.models.errors import CallFailed, RateLimited
from app.models.provider import Provider, connect
from app.ports import ChatRequest, ProviderAway
from schemas.tickets import Verdict
from tests.gguf import write_random_model
from tests.processes import model_server

SERVERS = ["offline", pytest.param("llama.cpp", marks=pytest.mark.peer), pytest.param("llmock", marks=pytest.mark.peer)]


@pytest.fixture(scope="module")
async def offline_url(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    async with model_server(tmp_path_factory.mktemp("offline")) as url:
        yield url


@pytest.fixture(scope="module")
def llama_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    xllamacpp = pytest.importorskip("xllamacpp", reason="the wheel xllamacpp is not installed")
    model = tmp_path_factory.mktemp("llama") / "random.gguf"
    write_random_model(model)
    parameters = xllamacpp.CommonParams()
    parameters.model.path, parameters.n_ctx, parameters.warmup = str(model), 8_192, False
    server = xllamacpp.Server(parameters)
    yield f"{server.listening_address}/v1"
    del server


@pytest.fixture(scope="module")
def llmock_url() -> Iterator[str]:
    with LLMockServer() as server:
        yield server.base_url("openai")


@pytest.fixture(params=SERVERS)
async def provider(
    request: pytest.FixtureRequest, offline_url: str, llama_url: str, llmock_url: str
) -> AsyncIterator[Provider]:
    url = {"offline": offline_url, "llama.cpp": llama_url, "llmock": llmock_url}[request.param]
    provider = await connect(url, None, lambda text: None)
    yield provider
    await provider.close()


def request(**fields: Any) -> ChatRequest:
    messages = (
        {"role": "system", "content": "Task: classify"},
        {"role": "user", "content": '<customer_message>\n{"subject":"","body":"How do I print?"}\n</customer_message>'},
    )
    return ChatRequest(
        **{
            "model": "test-model", "messages": messages, "max_tokens": 64, "timeout_s": 30.0, "response_format": None,
            "call_id": "call-1", **fields,
        }
    )  # fmt: skip


async def test_an_answer_has_text_a_reason_to_end_and_usage_counted(provider: Provider) -> None:
    result = await Chat(provider).complete(request())
    assert isinstance(result.text, str) and result.model
    assert result.finish_reason in {"stop", "length"}
    assert result.usage.input_tokens > 0 and result.usage.output_tokens > 0


async def test_a_json_schema_may_be_asked_for(provider: Provider) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "Verdict", "schema": Verdict.model_json_schema()}}
    result = await Chat(provider).complete(request(response_format=schema, max_tokens=200))
    assert result.usage.output_tokens > 0


async def test_content_parts_with_a_cache_breakpoint_are_taken(provider: Provider) -> None:
    part = {"type": "text", "text": "Task: classify", "cache_control": {"type": "ephemeral"}}
    messages = ({"role": "system", "content": [part]}, request().messages[1])
    assert (await Chat(provider).complete(request(messages=messages))).usage.input_tokens > 0


async def test_only_the_offline_server_is_labelled_offline(provider: Provider, offline_url: str) -> None:
    assert provider.is_offline == (provider.url == offline_url)
    assert provider.label("m").startswith("offline-") == provider.is_offline


async def test_embeddings_of_the_offline_server_are_unit_vectors_of_their_texts(offline_url: str) -> None:
    provider = await connect(offline_url, None, lambda text: None)
    embeddings = Embeddings(provider, model="text-embedding-3-large", dimensions=384)
    vectors, usage = await embeddings.embed([f"text {n}" for n in range(70)], kind="passage")
    assert vectors.shape == (70, 384) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert usage.input_tokens > 0
    await provider.close()


# -- failures, from a server that fails as it is told


@asynccontextmanager
async def failing(status: int, body: Any, headers: dict[str, str] | None = None) -> AsyncIterator[Provider]:
    async def answer(_: Request) -> Response:
        if status == 0:
            await asyncio.sleep(30)
        if isinstance(body, bytes):
            return Response(body, status, headers, media_type="application/json")
        return JSONResponse(body, status, headers)

    app = Starlette(routes=[Route("/v1/{path:path}", answer, methods=["POST"])])
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    provider = Provider(f"http://127.0.0.1:{port}/v1", None)
    try:
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.01)
        yield provider
    finally:
        await provider.close()
        server.should_exit = server.force_exit = True
        await serving


ERROR = {"error": {"message": "simulated", "type": "x"}}


async def test_a_rate_limit_says_how_long_to_wait() -> None:
    async with failing(429, ERROR, {"Retry-After": "7"}) as provider:
        with pytest.raises(RateLimited) as refused:
            await Chat(provider).complete(request())
    assert (refused.value.retry_after_s, refused.value.charged) == (7.0, "no")


async def test_milliseconds_are_read_before_seconds() -> None:
    async with failing(429, ERROR, {"Retry-After": "7", "retry-after-ms": "1500"}) as provider:
        with pytest.raises(RateLimited) as refused:
            await Chat(provider).complete(request())
    assert refused.value.retry_after_s == 1.5


@pytest.mark.parametrize("status", [401, 403])
async def test_a_wrong_key_waits_for_somebody_to_mend_it(status: int) -> None:
    async with failing(status, ERROR) as provider:
        with pytest.raises(ProviderAway, match="API key"):
            await Chat(provider).complete(request())


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_a_refused_request_is_permanent(status: int) -> None:
    async with failing(status, ERROR) as provider:
        with pytest.raises(PermanentError) as refused:
            await Chat(provider).complete(request())
    assert refused.value.reason == "provider_refused"


@pytest.mark.parametrize(("status", "charged"), [(500, "no"), (503, "no"), (504, "unknown")])
async def test_a_server_error_is_transient(status: int, charged: str) -> None:
    async with failing(status, ERROR) as provider:
        with pytest.raises(CallFailed) as failed:
            await Chat(provider).complete(request())
    assert failed.value.charged == charged


async def test_no_answer_in_time_may_have_been_charged() -> None:
    async with failing(0, ERROR) as provider:
        with pytest.raises(CallFailed) as failed:
            await Chat(provider).complete(request(timeout_s=0.3))
    assert failed.value.charged == "unknown"


async def test_no_connection_is_a_provider_that_is_away() -> None:
    provider = Provider(f"http://127.0.0.1:{free_port()}/v1", None)
    with pytest.raises(ProviderAway, match="no connection"):
        await Chat(provider).complete(request())
    await provider.close()


@pytest.mark.parametrize("body", [b"{nope", b"<html>", json.dumps({"choices": []}).encode()])
async def test_an_answer_that_is_none_is_a_failed_call(body: bytes) -> None:
    async with failing(200, body) as provider:
        with pytest.raises(CallFailed):
            await Chat(provider).complete(request())


async def test_an_answer_without_usage_is_not_taken_as_free() -> None:
    message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [message]}
    async with failing(200, body) as provider:
        with pytest.raises(CallFailed, match="usage"):
            await Chat(provider).complete(request())


async def test_vectors_of_another_length_name_the_setting() -> None:
    row = {"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    async with failing(200, {"object": "list", "data": [row], "model": "m", "usage": usage}) as provider:
        with pytest.raises(PermanentError, match="EMBEDDINGS_DIMENSIONS"):
            await Embeddings(provider, model="m", dimensions=384).embed(["x"], kind="query")


async def test_a_server_that_is_not_there_yet_is_waited_for(tmp_path: Path) -> None:
    said: list[str] = []
    port = free_port()
    waiting = asyncio.create_task(connect(f"http://127.0.0.1:{port}/v1", None, said.append))
    async with asyncio.timeout(10):
        while not said:
            await asyncio.sleep(0.01)
    waiting.cancel()
    assert f"127.0.0.1:{port}" in said[0]
