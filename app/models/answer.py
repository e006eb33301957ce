"""Answers an agent's questions (port: Answerer): journalled, guarded, validated, priced.

begin (stored? done) -> call -> validate -> finish; malformed: once more with what was wrong; then a typed failure
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import orjson
from pydantic import BaseModel, ValidationError

from agents.contract import ModelCall, PermanentError, PolicyLookup, Question, Search, ThreadLookup, TransientError
from app.models.errors import charged
from app.models.guard import PLACE_S_MAX, Guard
from app.models.masking import Mask
from app.models.prices import Prices
from app.models.prompts import PromptLibrary, Rendered
from app.models.reply_schema import asked_fields
from app.ports import (
    Answered,
    CallContext,
    CallKey,
    ChatModel,
    ChatRequest,
    Embedder,
    Intent,
    Journal,
    Knowledge,
    LedgerRow,
    Policies,
    Run,
    Threads,
)
from schemas.policy import TenantPolicy
from schemas.usage import Usage

_ATTEMPTS_MAX = 2  # the first answer and one repair
_EMBED_TIMEOUT_S = 120.0
_ERRORS_SHOWN_MAX = 3
# Or drawn from what the customer wrote.
_OF_THE_CUSTOMER = ("subject", "body", "quoted", "attachments", "questions", "history", "reply", "correction")
_BAD_ANSWER_CHARS_MAX = 4_000
# How long an intent outlasts its call's own time: the wait for a place, and the work around the call. Were it shorter,
# somebody else could make the call while it is still under way.
_AROUND_S = PLACE_S_MAX + 10.0


class Refused(PermanentError):
    """A PermanentError that knows what was spent before it."""

    def __init__(self, reason: str, message: str, ledger: Sequence[LedgerRow]) -> None:
        super().__init__(reason, message)
        self.ledger = tuple(ledger)


class _Overtaken(Exception):
    """Another request for the same has the answer."""

    def __init__(self, answer: bytes) -> None:
        super().__init__("another request answered first")
        self.answer = answer


class _AnsweredBefore(_Overtaken, TransientError):
    """As was found before this one was sent: it costs nothing."""


class Malformed(Exception):
    """An answer that is not what was asked for; the message tells the model what is wrong."""


@dataclass(frozen=True)
class _Made:
    """What a call gave: bytes for the journal, what they cost, and whether they are of use."""

    answer: bytes
    usage: Usage
    outcome: Any  # "ok" or "malformed"
    latency_s: float


@dataclass
class ModelAnswerer:
    chat: ChatModel
    embedder: Embedder
    knowledge: Knowledge
    policies: Policies
    threads: Threads
    journal: Journal
    prompts: PromptLibrary
    prices: Prices
    guard: Guard
    models: dict[str, str]  # prompt to the model's name as the provider knows it
    label: Callable[[str], str]  # the model's name as the ledger shows it
    fallbacks: dict[str, str] = field(default_factory=dict)  # prompt to the model asked while the first is away
    on_call: Callable[[LedgerRow], None] = lambda row: None
    hedge_after_s: float | None = None

    async def answer(self, question: Question, context: CallContext) -> Answered:
        match question:
            case ModelCall():
                return await self._ask_model(question, context)
            case Search():
                return await self._search(question, context)
            case PolicyLookup():
                return Answered(await self.policies.policy(context.tenant))
            case ThreadLookup(conversation, accepted_at):
                return Answered(await self.threads.thread(context.tenant, conversation, accepted_at))

    async def _mask(self, tenant: str) -> Mask | None:
        return _mask_of(await self.policies.policy(tenant))

    # -- a chat completion

    async def _ask_model(self, call: ModelCall[Any], context: CallContext) -> Answered:
        mask = await self._mask(context.tenant)
        rendered = self.prompts.render(_masked(call, mask), tenant=context.tenant)
        ledger: list[LedgerRow] = []
        problem = ""
        for attempt in range(_ATTEMPTS_MAX):
            request = self._request(call, rendered)
            intent = self._intent(request, rendered, context, attempt)
            try:
                stored = await self._journalled(intent, ledger, partial(self._hedged, intent, ledger, request, call))
            except _Overtaken as overtaken:
                stored = overtaken.answer
            kept = orjson.loads(stored)
            try:
                return Answered(_unmasked(validated(kept, call.reply), mask), tuple(ledger))
            except Malformed as error:
                problem = str(error)
                rendered = _with_correction(rendered, kept["text"], problem)
        raise Refused("malformed_answer", f"{self.models[call.prompt]} answered twice wrongly: {problem}", ledger)

    async def _chat(self, request: ChatRequest, call: ModelCall[Any], run: Run) -> _Made:
        result = await self.chat.complete(replace(request, call_id=run.call_id))  # the id is known only now
        kept = {"text": result.text, "model": result.model, "finish_reason": result.finish_reason}
        try:
            validated(kept, call.reply)
            outcome = "ok"
        except Malformed:
            outcome = "malformed"
        return _Made(orjson.dumps(kept), result.usage, outcome, result.latency_s)

    async def _hedged(
        self, intent: Intent, ledger: list[LedgerRow], request: ChatRequest, call: ModelCall[Any], run: Run
    ) -> _Made:
        """One request, or two if the first is slow. Raises _Overtaken where the second has the answer."""
        if self.hedge_after_s is None:
            return await self._chat(request, call, run)
        second = replace(intent, key=replace(intent.key, attempt=intent.key.attempt + _ATTEMPTS_MAX))
        if run.lost:  # the first of an earlier worker, whose second may have been answered
            await self._look_for(second, ledger)
        answered = asyncio.Event()

        async def make(run: Run) -> _Made:
            made = await self._chat(request, call, run)
            answered.set()
            return made

        first = asyncio.create_task(self._chat(request, call, run))
        tasks: list[asyncio.Task[Any]] = [first]
        try:
            if not (await asyncio.wait(tasks, timeout=self.hedge_after_s))[0]:
                tasks.append(asyncio.create_task(self._journalled(second, ledger, make)))
            pending = set(tasks)
            while pending:
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                if first in done and _is_valid(first, call):
                    break
                if tasks[-1] in done and tasks[-1] is not first and _is_valid(tasks[-1], call):
                    raise _Overtaken(tasks[-1].result())
            if answered.is_set():  # its cost is known, and belongs in the ledger
                await asyncio.wait(tasks)
            return first.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    async def _look_for(self, intent: Intent, ledger: list[LedgerRow]) -> None:
        """Raises _AnsweredBefore. Takes no place: nothing is sent, and the first request may hold the only one."""
        begun = await self.journal.begin(intent)
        ledger.extend(begun.lost)
        if not isinstance(begun, Run):
            ledger.append(begun.row)
            raise _AnsweredBefore(begun.answer)
        await self.journal.fail(begun.call_id, error="only looked for", charged="no")

    def _request(self, call: ModelCall[Any], rendered: Rendered) -> ChatRequest:
        return ChatRequest(
            model=self._model(call.prompt),
            messages=rendered.messages,
            max_tokens=call.max_tokens,
            timeout_s=call.timeout_s,
            response_format=rendered.response_format,
            call_id="",
        )

    def _model(self, prompt: str) -> str:
        model, fallback = self.models[prompt], self.fallbacks.get(prompt)
        return fallback if fallback and self.guard.is_away(self.label(model)) else model

    def _intent(self, request: ChatRequest, rendered: Rendered, context: CallContext, attempt: int) -> Intent:
        body = orjson.dumps([request.model, request.max_tokens, request.messages, request.response_format])
        return Intent(
            key=_key(context, attempt),
            root_id=context.root_id,
            operation="chat",
            provider=self.chat.provider,
            model=self.label(request.model),
            prompt_version=rendered.version,
            digest=hashlib.sha256(body).hexdigest(),
            cost_usd_max=self.prices.cost_usd_max(
                request.model, request_bytes=len(body), output_tokens_max=request.max_tokens
            ),
            timeout_s=request.timeout_s + _AROUND_S,
        )

    # -- a search

    async def _search(self, search: Search, context: CallContext) -> Answered:
        ledger: list[LedgerRow] = []
        policy = await self.policies.policy(context.tenant)
        mask = _mask_of(policy)
        asked = replace(search, query=mask.mask(search.query)) if mask else search
        body = asked.query.encode()
        intent = Intent(
            key=_key(context, 0),
            root_id=context.root_id,
            operation="embeddings",
            provider=self.embedder.provider,
            model=self.embedder.model,
            prompt_version="query/1",
            digest=hashlib.sha256(body).hexdigest(),
            cost_usd_max=self.prices.cost_usd_max(self.embedder.model, request_bytes=len(body), output_tokens_max=0),
            timeout_s=_EMBED_TIMEOUT_S + _AROUND_S,
        )
        vector = np.frombuffer(await self._journalled(intent, ledger, partial(self._embed, asked)), np.float32)
        try:
            passages = await self.knowledge.search(
                tenant=context.tenant, query=search.query, vector=vector, language=search.language,
                limit=search.limit_reranked or search.limit if policy.rerank else search.limit,
            )  # fmt: skip
        except PermanentError as error:
            raise Refused(error.reason, str(error), ledger) from error
        return Answered(passages, tuple(ledger))

    async def _embed(self, search: Search, run: Run) -> _Made:
        began = asyncio.get_running_loop().time()
        vectors, usage = await self.embedder.embed([search.query], kind="query", call_id=run.call_id)
        latency_s = asyncio.get_running_loop().time() - began
        return _Made(vectors[0].astype(np.float32).tobytes(), usage, "ok", latency_s)

    # -- the journal around both

    async def _journalled(
        self, intent: Intent, ledger: list[LedgerRow], make: Callable[[Run], Awaitable[_Made]]
    ) -> bytes:
        """The answer, stored or made now. Every request ever made for it is added to ``ledger``."""
        begun = await self.journal.begin(intent)
        ledger.extend(begun.lost)
        if not isinstance(begun, Run):
            ledger.append(begun.row)
            return begun.answer
        try:
            async with self.guard.call(intent.model):
                made = await self._send(begun, make)
        except BaseException as error:
            # Cancelled too: the provider may have the request, and the key must not stay reserved.
            with suppress(TransientError):  # the database is away: the key stays reserved until its deadline
                await asyncio.shield(self.journal.fail(begun.call_id, error=repr(error), charged=charged(error)))
            if isinstance(error, PermanentError):
                raise Refused(error.reason, str(error), ledger) from error
            if charged(error) == "unknown":  # read by nobody unless another request has the answer
                ledger.append(_unconfirmed(intent, begun))
            raise
        cost_usd, known = self.prices.cost_usd(intent.model, made.usage)
        row = await self.journal.finish(
            begun.call_id,
            answer=made.answer,
            usage=made.usage,
            cost_usd=cost_usd,
            price_known=known,
            outcome=made.outcome,
            latency_s=made.latency_s,
        )
        self.on_call(row)
        ledger.append(row)
        return made.answer

    async def _send(self, run: Run, make: Callable[[Run], Awaitable[_Made]]) -> _Made:
        """Asked once there is a place: this worker may have waited, or been frozen, since it reserved the call."""
        if not self.journal.may_send(run.call_id):
            raise TransientError("another worker may have taken this call over")
        return await make(run)


def _is_valid(task: asyncio.Task[Any], call: ModelCall[Any]) -> bool:
    if task.cancelled() or task.exception():
        return False
    made = task.result()
    try:
        validated(orjson.loads(made.answer if isinstance(made, _Made) else made), call.reply)
    except Malformed:
        return False
    return True


def _unconfirmed(intent: Intent, run: Run) -> LedgerRow:
    return LedgerRow(
        call_id=run.call_id, key=intent.key, root_id=intent.root_id, operation=intent.operation,
        provider=intent.provider, model=intent.model, usage=Usage(), cost_usd=intent.cost_usd_max, price_known=True,
        outcome="unconfirmed", latency_s=0.0,
    )  # fmt: skip


def _mask_of(policy: TenantPolicy) -> Mask | None:
    return Mask() if policy.mask_personal_data else None


def _masked(call: ModelCall[Any], mask: Mask | None) -> ModelCall[Any]:
    """What comes from the customer; a company's articles name its own addresses, and go as they are."""
    if mask is None:
        return call
    own = {name: _mask_texts(call.variables[name], mask) for name in _OF_THE_CUSTOMER if call.variables.get(name)}
    return replace(call, variables={**call.variables, **own})


def _mask_texts(value: Any, mask: Mask) -> Any:
    """Every text of ``value``, however it is made up."""
    if isinstance(value, Mapping):
        return {name: _mask_texts(part, mask) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_mask_texts(part, mask) for part in value]
    return mask.mask(value) if isinstance(value, str) else value


def _unmasked(value: Any, mask: Mask | None) -> Any:
    """``value`` with the data back in all of its texts."""
    if mask is None or not mask.found:
        return value
    if isinstance(value, str):
        return mask.unmask(value)
    if isinstance(value, tuple):
        return tuple(_unmasked(part, mask) for part in value)
    if isinstance(value, BaseModel):
        return value.model_copy(update={name: _unmasked(part, mask) for name, part in value})
    return value


def validated(kept: dict[str, Any], reply: type[BaseModel]) -> Any:
    """The answer as ``reply``; a field ``model`` of it is filled with the provider's name. Raises Malformed."""
    if kept["finish_reason"] == "length":
        raise Malformed("the answer was cut off at the limit of tokens: be briefer")
    try:
        data = orjson.loads(_object_in(kept["text"]))
    except orjson.JSONDecodeError as error:
        raise Malformed(f"not a JSON object: {error}") from error
    if not isinstance(data, dict):
        raise Malformed("not a JSON object")
    if "model" in reply.model_fields:
        data["model"] = kept["model"]
    # Not filled from defaults: stakes left out must not read as nothing at stake.
    missing = [name for name in asked_fields(reply) if name not in data]
    try:
        value = reply.model_validate(data)
    except ValidationError as error:
        raise Malformed(_problems(missing, error)) from error
    if missing:
        raise Malformed(_problems(missing, None))
    return value


def _problems(missing: Sequence[str], error: ValidationError | None) -> str:
    """All that is wrong, as there is only one repair."""
    wrong = error.errors(include_url=False, include_input=False) if error else []
    others = [one for one in wrong if one["type"] != "missing" or len(one["loc"]) > 1]  # the rest is in missing
    said = [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in others[:_ERRORS_SHOWN_MAX]]
    return "; ".join([*([f"{', '.join(missing)}: missing"] if missing else []), *said])


def _object_in(text: str) -> str:
    """From the first brace to the last: models like to put a fence or a sentence around."""
    start, end = text.find("{"), text.rfind("}")
    return text[start : end + 1] if start >= 0 else text


def _with_correction(rendered: Rendered, answer: str, problem: str) -> Rendered:
    more = (
        {"role": "assistant", "content": answer[:_BAD_ANSWER_CHARS_MAX] or "(empty)"},
        {"role": "user", "content": f"That was not valid: {problem}. Answer again, with the JSON object only."},
    )
    return Rendered((*rendered.messages, *more), rendered.version, rendered.response_format)


def _key(context: CallContext, attempt: int) -> CallKey:
    return CallKey(context.tenant, context.stage, context.event_id, context.replay, context.question, attempt)
