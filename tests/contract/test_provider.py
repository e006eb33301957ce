"""One contract for every OpenAI-compatible server: ours, llama.cpp's on random weights, llmock; and failures."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx2
import numpy as np
import pytest
from openai import APITimeoutError
from pydantic import SecretStr
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from agents.contract import PermanentError
from app.embedded.server import free_port
from app.models.client import Chat, Embeddings
from app.models.errors import CallFailed, RateLimited
from app.models.provider import Provider, connect
from app.models.rate_headers import Allowance, Told
from app.ports import ChatRequest, ProviderAway
from schemas.tickets import Verdict
from schemas.usage import Usage
from tests.gguf import write_random_model
from tests.processes import model_server, serving

PEERS = {"llama.cpp": "llama_url", "llmock": "llmock_url"}  # fixtures
SERVERS = ["offline", *(pytest.param(name, marks=pytest.mark.peer) for name in PEERS)]
KEY = SecretStr("key-of-the-test")
CONTEXT_TOKENS = 8_192


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
    parameters.model.path, parameters.n_ctx, parameters.warmup = str(model), CONTEXT_TOKENS, False
    parameters.embedding = True
    parameters.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    parameters.api_keys = [KEY.get_secret_value()]
    server = xllamacpp.Server(parameters)
    yield f"{server.listening_address}/v1"
    del server


@pytest.fixture(scope="module")
def llmock_server() -> Iterator[Any]:
    testing = pytest.importorskip("llmock.testing", reason="the wheel llmock is not installed")
    with testing.LLMockServer() as server:
        yield server


@pytest.fixture(scope="module")
def llmock_url(llmock_server: Any) -> str:
    return str(llmock_server.base_url("openai"))


@pytest.fixture(params=SERVERS)
async def provider(request: pytest.FixtureRequest, offline_url: str) -> AsyncIterator[Provider]:
    """Each server in turn; only the one that a test is for must be installed."""
    url = offline_url if request.param == "offline" else request.getfixturevalue(PEERS[request.param])
    provider = await connect(url, KEY)
    yield provider
    await provider.close()


@pytest.fixture
def dimensions(request: pytest.FixtureRequest) -> int:
    """What the server under test gives, whatever it is asked for."""
    return {"offline": 384, "llama.cpp": 32, "llmock": 1_536}[request.node.callspec.params["provider"]]


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


async def test_vectors_are_of_unit_length_and_counted(provider: Provider, dimensions: int) -> None:
    embeddings = Embeddings(provider, model="test-model", dimensions=dimensions)
    vectors, usage = await embeddings.embed(["one", "two", "three"], kind="query")
    assert vectors.shape == (3, dimensions) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert usage.input_tokens > 0


async def test_messages_of_no_form_are_refused_for_good(provider: Provider) -> None:
    with pytest.raises(PermanentError) as refused:
        await Chat(provider).complete(request(messages=({"no": "role"},)))
    assert refused.value.reason == "provider_refused"


@pytest.mark.peer
async def test_llama_cpp_refuses_a_wrong_key_and_that_waits(llama_url: str) -> None:
    provider = Provider(llama_url, SecretStr("another"))
    with pytest.raises(ProviderAway, match="API key"):
        await Chat(provider).complete(request())
    await provider.close()


@pytest.mark.peer
async def test_llama_cpp_refuses_a_prompt_beyond_its_context_for_good(llama_url: str) -> None:
    provider = Provider(llama_url, KEY)
    long = ({"role": "user", "content": "long" * CONTEXT_TOKENS},)
    with pytest.raises(PermanentError, match="context"):
        await Chat(provider).complete(request(messages=long))
    await provider.close()


@pytest.mark.peer
async def test_a_rate_limit_of_llmock_says_how_long_to_wait(llmock_server: Any, llmock_url: str) -> None:
    scenarios = pytest.importorskip("llmock.scenarios")
    llmock_server.state.scenarios.add(scenarios.Fail(429, retry_after=3))
    provider = Provider(llmock_url, KEY)
    with pytest.raises(RateLimited) as refused:
        await Chat(provider).complete(request())
    assert refused.value.retry_after_s == 3
    await provider.close()


async def test_embeddings_of_the_offline_server_are_unit_vectors_of_their_texts(offline_url: str) -> None:
    provider = await connect(offline_url, None)
    embeddings = Embeddings(provider, model="text-embedding-3-large", dimensions=384)
    vectors, usage = await embeddings.embed([f"text {n}" for n in range(70)], kind="passage")
    assert vectors.shape == (70, 384) and np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert usage.input_tokens > 0
    await provider.close()


# -- failures, from a server that fails as it is told


@asynccontextmanager
async def failing(
    status: int, body: Any, headers: dict[str, str] | None = None, *, seen: list[str] | None = None
) -> AsyncIterator[Provider]:
    async def answer(asked: Request) -> Response:
        if seen is not None:
            seen.append(asked.headers["idempotency-key"])
        if status == 0:
            await asyncio.sleep(30)
        if isinstance(body, AsyncIterator):
            return StreamingResponse(body, status, headers, media_type="application/json")
        if isinstance(body, bytes):
            return Response(body, status, {"content-type": "application/json", **(headers or {})})
        return JSONResponse(body, status, headers)

    app = Starlette(routes=[Route("/v1/{path:path}", answer, methods=["POST"])])
    async with serving(app) as url:
        provider = Provider(url, None)
        try:
            yield provider
        finally:
            await provider.close()


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


@pytest.mark.parametrize("sent", ["nan", "inf", "soon"])
async def test_a_wait_that_is_no_number_is_left_to_our_backoff(sent: str) -> None:
    async with failing(429, ERROR, {"Retry-After": sent}) as provider:
        with pytest.raises(RateLimited) as refused:
            await Chat(provider).complete(request())
    assert refused.value.retry_after_s is None


async def test_a_wait_until_a_date_is_read() -> None:
    at = datetime.now(UTC) + timedelta(seconds=30)
    async with failing(429, ERROR, {"Retry-After": format_datetime(at, usegmt=True)}) as provider:
        with pytest.raises(RateLimited) as refused:
            await Chat(provider).complete(request())
    assert refused.value.retry_after_s == pytest.approx(30, abs=5)


LIMITS = {
    "x-ratelimit-limit-tokens": "5000",
    "x-ratelimit-remaining-tokens": "4000",
    "x-ratelimit-reset-tokens": "12s",
}


@pytest.mark.parametrize(("status", "tokens"), [(200, 7 + 64), (429, 0)])
async def test_limits_in_headers_are_told_with_answers_and_with_refusals(status: int, tokens: int) -> None:
    """By the model's label, and with the most that the call may have counted for."""
    heard: list[tuple[str, Told]] = []
    body = completion({"prompt_tokens": 7, "completion_tokens": 1}) if status == 200 else ERROR
    async with failing(status, body, LIMITS) as served:
        provider = Provider(served.url, None, name="offline", on_told=lambda model, told: heard.append((model, told)))
        with suppress(RateLimited):
            await Chat(provider).complete(request())
        await provider.close()
    ((model, told),) = heard
    assert (model, told.tokens) == ("offline-instead-of-test-model", tokens)
    assert told.allowances == (Allowance("tokens", 4_000, 5_000, 12),)


async def test_limits_are_told_with_vectors() -> None:
    heard: list[Told] = []
    body = {"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [1.0]}], "model": "m"}
    async with failing(200, {**body, "usage": {"prompt_tokens": 9, "total_tokens": 9}}, LIMITS) as served:
        provider = Provider(served.url, None, on_told=lambda model, told: heard.append(told))
        await Embeddings(provider, model="m", dimensions=1).embed(["x"], kind="query")
        await provider.close()
    assert [told.tokens for told in heard] == [9]


async def test_a_very_long_wait_is_cut_short() -> None:
    async with failing(429, ERROR, {"Retry-After": "86400"}) as provider:
        with pytest.raises(RateLimited) as refused:
            await Chat(provider).complete(request())
    assert refused.value.retry_after_s == 300


@pytest.mark.parametrize(
    ("status", "advice"), [(401, "API key"), (403, "API key"), (402, "no credit"), (404, "names of the models")]
)
async def test_a_wrong_setting_waits_for_somebody_to_mend_it(status: int, advice: str) -> None:
    async with failing(status, ERROR) as provider:
        with pytest.raises(ProviderAway, match=advice):
            await Chat(provider).complete(request())


async def test_an_account_without_credit_is_no_rate_limit() -> None:
    async with failing(429, {"error": {"message": "x", "code": "insufficient_quota"}}) as provider:
        with pytest.raises(ProviderAway, match="no credit"):
            await Chat(provider).complete(request())


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_refused_request_is_permanent(status: int) -> None:
    async with failing(status, ERROR) as provider:
        with pytest.raises(PermanentError) as refused:
            await Chat(provider).complete(request())
    assert refused.value.reason == "provider_refused"


@pytest.mark.parametrize(("status", "charged"), [(500, "no"), (503, "no"), (502, "unknown"), (504, "unknown")])
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


async def test_a_server_that_sends_a_blank_now_and_then_is_not_waited_for_longer() -> None:
    """The deadline of the journal's intent rests on it."""
    async with failing(200, trickle()) as provider:
        with pytest.raises(CallFailed, match="in time") as failed:
            await Chat(provider).complete(request(timeout_s=0.5))
    assert failed.value.charged == "unknown"


async def trickle() -> AsyncIterator[bytes]:
    for _ in range(100):
        await asyncio.sleep(0.05)
        yield b" "


async def test_a_connection_that_cannot_be_made_in_time_was_charged_nothing() -> None:
    provider = Provider("http://127.0.0.1:9/v1", None)
    with pytest.raises(ProviderAway, match="ConnectTimeout"), provider.errors("m"):
        raise APITimeoutError(httpx2.Request("POST", provider.url)) from httpx2.ConnectTimeout("")
    await provider.close()


async def test_no_connection_is_a_provider_that_is_away() -> None:
    url = f"http://127.0.0.1:{free_port()}/v1"
    provider = Provider(url, None)
    with pytest.raises(ProviderAway, match=f"no connection to {url}: nothing listens there"):
        await Chat(provider).complete(request())
    await provider.close()


async def test_a_server_without_tls_is_told_from_one_that_is_not_there() -> None:
    async with serving(Starlette()) as url:
        with pytest.raises(ProviderAway, match=r"TLS failed .*http://"):
            await connect(url.replace("http://", "https://"), None)


@pytest.mark.parametrize(
    "body", [b"{nope", b"<html>", b"[]", b"null", b'{"choices": []}', b'{"choices": 5}', b'{"choices": [{"index": 0}]}']
)
@pytest.mark.parametrize("kind", ["application/json", "text/html"])
async def test_an_answer_that_is_none_is_a_failed_call(body: bytes, kind: str) -> None:
    async with failing(200, body, {"content-type": kind}) as provider:
        with pytest.raises(CallFailed) as failed:
            await Chat(provider).complete(request())
    assert failed.value.charged == "unknown"


@pytest.mark.parametrize("data", [[], [[0.1, 0.2], [0.3]], [["a", "b"]], [[float("nan"), 0.1]], None], ids=str)
async def test_vectors_that_are_none_are_a_failed_call(data: Any) -> None:
    rows = data and [{"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(data)]
    body = json.dumps({"object": "list", "data": rows, "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}})
    async with failing(200, body.encode()) as provider:
        with pytest.raises(CallFailed):
            await Embeddings(provider, model="m", dimensions=2).embed(["x"], kind="query")


async def test_usage_of_an_unknown_shape_is_not_taken_as_free() -> None:
    async with failing(200, completion({"tokens": 5})) as provider:
        with pytest.raises(CallFailed, match="usage"):
            await Chat(provider).complete(request())


async def test_usage_in_anthropics_own_shape_is_counted() -> None:
    async with failing(200, completion({"input_tokens": 5, "cache_read_input_tokens": 7, "output_tokens": 2})) as given:
        result = await Chat(given).complete(request())
    assert result.usage == Usage(input_tokens=5, cached_tokens=7, output_tokens=2)


async def test_the_call_id_is_sent_so_that_a_gateway_can_tell_a_repeat() -> None:
    seen: list[str] = []
    async with failing(200, completion({"prompt_tokens": 1, "completion_tokens": 1}), seen=seen) as provider:
        await Chat(provider).complete(request(call_id="call-7"))
    assert seen == ["call-7"]


def completion(usage: Any) -> dict[str, Any]:
    message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hi"}}
    body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "choices": [message]}
    return body if usage is None else {**body, "usage": usage}


async def test_an_answer_without_usage_is_not_taken_as_free() -> None:
    async with failing(200, completion(None)) as provider:
        with pytest.raises(CallFailed, match="usage"):
            await Chat(provider).complete(request())


async def test_vectors_of_another_length_name_the_setting() -> None:
    row = {"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    async with failing(200, {"object": "list", "data": [row], "model": "m", "usage": usage}) as provider:
        with pytest.raises(PermanentError, match="EMBEDDINGS_DIMENSIONS"):
            await Embeddings(provider, model="m", dimensions=384).embed(["x"], kind="query")
