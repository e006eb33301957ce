"""An agent on the engine: a record in; ask, answer, decide; the event that follows and what it cost out.

The steps of one record are those of ``handle``. Everything that can go wrong is one of the engine's words: Retry,
Away or Reject; anything else is a bug.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from agents.contract import Agent, PermanentError, Question, TransientError
from app.kafka.cloudevents import (
    PRIORITY_HEADER,
    TENANT_HEADER,
    encode,
    from_record,
    header,
    replay_number,
    to_output,
)
from app.ports import Answered, Answerer, CallContext, Claims, LedgerRow, Place, Policies, ProviderAway
from app.runtime.record import Admission, Away, Output, Record, Reject, Retry
from schemas.event import Event, derived_id
from schemas.tickets import Priority
from schemas.usage import UsageRecorded

QUESTIONS_MAX = 8  # of one event, both rounds together

Spent = Callable[..., Awaitable[Sequence[LedgerRow]]]
SendLate = Callable[[Sequence[Output], int], Awaitable[None]]


class StageHandler:
    """``spent`` gives the ledger's rows of an event (tenant, stage, event_id, replay, root_id); ``send_late`` puts
    outputs on the bus outside of the engine's transactions."""

    def __init__(
        self,
        agent: Agent,
        *,
        answerer: Answerer,
        claims: Claims,
        policies: Policies,
        spent: Spent,
        send_late: SendLate,
    ) -> None:
        self._agent = agent
        self._answerer = answerer
        self._claims = claims
        self._policies = policies
        self._spent = spent
        self._send_late = send_late

    async def __call__(self, record: Record) -> Sequence[Output]:
        try:
            return await self.handle(record)
        except ProviderAway as error:
            raise Away(str(error), retry_after_s=error.retry_after_s) from error
        except TransientError as error:
            raise Retry(str(error), retry_after_s=error.retry_after_s) from error
        except PermanentError as error:
            raise Reject(error.reason, str(error)) from error

    async def handle(self, record: Record) -> Sequence[Output]:
        agent = self._agent
        event = from_record(record, agent.consumes)
        replay = replay_number(record.headers)
        await self._policies.policy(event.tenant)  # an unknown tenant is refused before it costs anything
        if await self._is_repeat(record, event, replay):
            return ()
        ledger: list[LedgerRow] = []
        try:
            answers = await self._answers(event, replay, ledger)
        except PermanentError as error:
            raise Reject(error.reason, str(error), outputs=self._usage(event, ledger)) from error
        finally:
            if late := [row for row in ledger if row.late]:
                await self._send_late(self._usage(event, late), record.partition)
        following = agent.decide(event, *answers)
        return (*self._usage(event, ledger), self._output(following, replay))

    async def last_words(self, record: Record) -> Sequence[Output]:
        """What was spent on a record that the engine gives up. Raises as ``handle`` does."""
        try:
            event = from_record(record, self._agent.consumes)
        except PermanentError:
            return ()
        rows = await self._spent(
            tenant=event.tenant, stage=self._agent.name, event_id=event.event_id,
            replay=replay_number(record.headers), root_id=event.root_id,
        )  # fmt: skip
        return self._usage(event, rows)

    async def _is_repeat(self, record: Record, event: Event, replay: int) -> bool:
        """The door stamps what it is given twice with two times: they don't make another content of it."""
        outcome = await self._claims.claim(
            stage=self._agent.name,
            tenant=event.tenant,
            source=event.source,
            event_id=event.event_id,
            replay=replay,
            digest=hashlib.sha256(encode(event, exclude={"accepted_at"})).hexdigest(),
            place=Place(record.topic, record.partition, record.offset),
        )
        if outcome == "conflict":
            raise PermanentError(
                "id_reused", f"event {event.event_id} of {event.source} came before with another content"
            )
        return outcome == "repeat"

    async def _answers(self, event: Event, replay: int, ledger: list[LedgerRow]) -> list[Any]:
        first = self._agent.ask(event)
        answers = await self._round(first, event, replay, 0, ledger)
        second = self._agent.follow_up(event, *answers)
        assert len(first) + len(second) <= QUESTIONS_MAX, f"{self._agent.name} asks too much"
        return answers + await self._round(second, event, replay, len(first), ledger)

    async def _round(
        self, questions: Sequence[Question], event: Event, replay: int, number: int, ledger: list[LedgerRow]
    ) -> list[Any]:
        """The answers to ``questions``, asked side by side. What was spent stands in ``ledger`` even on failure."""
        contexts = [
            CallContext(event.tenant, self._agent.name, event.event_id, event.root_id, replay, number + i)
            for i in range(len(questions))
        ]
        outcomes = await asyncio.gather(
            *(self._answerer.answer(question, context) for question, context in zip(questions, contexts, strict=True)),
            return_exceptions=True,
        )
        for outcome in outcomes:
            ledger.extend(outcome.ledger if isinstance(outcome, Answered) else getattr(outcome, "ledger", ()))
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
        return [outcome.value for outcome in outcomes if isinstance(outcome, Answered)]

    def _usage(self, event: Event, ledger: Sequence[LedgerRow]) -> tuple[Output, ...]:
        return tuple(to_output(usage_event(event, row)) for row in ledger)

    def _output(self, following: Event, replay: int) -> Output:
        verdict = getattr(following, "verdict", None)
        return to_output(following, replay=replay, priority=verdict.priority if verdict else None)


def usage_event(event: Event, row: LedgerRow) -> UsageRecorded:
    return UsageRecorded.following(
        event,
        event_id=derived_id(row.call_id, UsageRecorded.TOPIC),
        call_id=row.call_id,
        stage=row.key.stage,
        operation=row.operation,
        model=row.model,
        provider=row.provider,
        usage=row.usage,
        cost_usd=row.cost_usd,
        price_known=row.price_known,
        outcome=row.outcome,
        latency_s=row.latency_s,
    )


def admit(record: Record) -> Admission:
    """By the record key (tenant and conversation), so that nothing is parsed before its turn."""
    tenant = header(record.headers, TENANT_HEADER) or (record.key or b"").split(b"/", 1)[0].decode(errors="replace")
    urgent = header(record.headers, PRIORITY_HEADER) == Priority.URGENT
    return Admission(record.offset if record.key is None else record.key, tenant, urgent)
