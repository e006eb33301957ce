"""Real tickets through the real agents, without a bus: what was asked, answered and decided."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import stamina

from agents.contract import Agent, PermanentError, Question, TransientError
from agents.pipeline import PIPELINE
from app.models.answer import ModelAnswerer
from app.ports import Answered, CallContext, ChatModel, ChatRequest, ChatResult
from schemas.event import Event
from schemas.tickets import TicketReceived
from schemas.usage import Usage

AT_ONCE = 4
_ATTEMPTS_MAX = 6
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Call:
    """One paid call. ``prefix``: what a provider may cache of it; empty for embeddings."""

    model: str
    prefix: str
    usage: Usage


@dataclass(frozen=True)
class Ended:
    """A ticket at its end: the last agent's event, or why there is none."""

    received: TicketReceived
    event: Event | None
    calls: tuple[Call, ...] = ()
    failure: str = ""


@dataclass
class _Recording:
    """What one ticket's calls used (port: ChatModel)."""

    chat: ChatModel
    provider: str
    calls: list[Call] = field(default_factory=list)

    async def complete(self, request: ChatRequest) -> ChatResult:
        result = await self.chat.complete(request)
        self.calls.append(Call(request.model, cacheable(request.messages), result.usage))
        return result


def cacheable(messages: Sequence[dict[str, Any]]) -> str:
    """The system prompt up to its last cache breakpoint."""
    texts, prefix = "", ""
    for message in messages:
        content = message["content"]
        if message["role"] != "system" or isinstance(content, str):
            continue
        for part in content:
            texts += part["text"]
            prefix = texts if part.get("cache_control") else prefix
    return prefix


async def run(
    events: Sequence[TicketReceived], answerer: ModelAnswerer, agents: Sequence[Agent] = PIPELINE,
    *, progress: Progress = lambda done, of: None,
) -> list[Ended]:  # fmt: skip
    """In the order of ``events``. Provider errors that stay end a ticket, not the run."""
    places, done = asyncio.Semaphore(AT_ONCE), 0

    async def one(event: TicketReceived) -> Ended:
        nonlocal done
        async with places:
            ended = await _through(event, answerer, agents)
        done += 1
        progress(done, len(events))
        return ended

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(event)) for event in events]
    return [task.result() for task in tasks]


async def _through(received: TicketReceived, answerer: ModelAnswerer, agents: Sequence[Agent]) -> Ended:
    recording = _Recording(answerer.chat, answerer.chat.provider)
    own = replace(answerer, chat=recording)
    event: Event = received
    searched: list[Call] = []
    try:
        for agent in agents:
            event = await _stage(agent, event, own, searched)
    except (PermanentError, TransientError) as error:
        return Ended(received, None, (*recording.calls, *searched), str(error))
    return Ended(received, event, (*recording.calls, *searched))


async def _stage(agent: Agent, event: Event, answerer: ModelAnswerer, searched: list[Call]) -> Event:
    answers: list[Any] = []
    for questions in (agent.ask, agent.follow_up):
        for question in questions(event, *answers):
            context = CallContext(event.tenant, agent.name, event.event_id, event.root_id, 0, len(answers))
            answered = await _answer(question, context, answerer)
            answers.append(answered.value)
            searched += [Call(row.model, "", row.usage) for row in answered.ledger if row.operation == "embeddings"]
    return agent.decide(event, *answers)


async def _answer(question: Question, context: CallContext, answerer: ModelAnswerer) -> Answered:
    async for attempt in stamina.retry_context(on=TransientError, attempts=_ATTEMPTS_MAX):
        with attempt:
            return await answerer.answer(question, context)
    raise AssertionError("stamina raises the last failure")
