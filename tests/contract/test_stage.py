"""An agent on the engine, with small stand-ins for what answers it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import orjson
import pytest

from agents import classify, draft, enrich
from agents.contract import Agent, PermanentError, Question, TransientError
from agents.draft import Reply
from app.kafka.cloudevents import header, to_output
from app.ports import Answered, CallContext, CallKey, ClaimOutcome, LedgerRow, ProviderAway
from app.runtime.record import Away, Output, Reject, Retry
from app.stage import StageHandler, admit
from schemas.event import Event
from schemas.policy import TenantPolicy
from schemas.usage import Usage
from tests.events import ALONE, classified, enriched, passage, received, verdict


@dataclass
class Rec:
    value: bytes | None
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    key: bytes | None = b"acme/c1"
    topic: str = "tickets.raw"
    partition: int = 0
    offset: int = 5
    timestamp: int = 0


def record(event: Event, **fields: Any) -> Rec:
    output = to_output(event, **fields)
    return Rec(output.value, list(output.headers), output.key)


def row(call_id: str = "c-1", outcome: Any = "ok") -> LedgerRow:
    key = CallKey("acme", "classify", "e1", 0, 0, 0)
    return LedgerRow(
        call_id=call_id, key=key, root_id="e1", operation="chat", provider="test", model="m",
        usage=Usage(input_tokens=10), cost_usd=Decimal("0.00001"), price_known=True, outcome=outcome, latency_s=0.1,
    )  # fmt: skip


class Claims:
    def __init__(self, outcome: ClaimOutcome = "new") -> None:
        self.outcome = outcome
        self.claimed: list[dict[str, Any]] = []

    async def claim(self, **claim: Any) -> ClaimOutcome:
        self.claimed.append(claim)
        return self.outcome


class Policies:
    async def policy(self, tenant: str) -> TenantPolicy:
        if tenant != "acme":
            raise PermanentError("unknown_tenant", f"there is no tenant {tenant}")
        return TenantPolicy(tenant=tenant)


@dataclass
class Answers:
    """Answers questions in turn; an exception is raised."""

    given: list[Any]
    asked: list[tuple[Question, CallContext]] = field(default_factory=list)

    async def answer(self, question: Question, context: CallContext) -> Answered:
        self.asked.append((question, context))
        answer = self.given[len(self.asked) - 1]
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, Answered) else Answered(answer, (row(f"c-{len(self.asked)}"),))


@dataclass
class Ledger:
    rows: tuple[LedgerRow, ...] = ()
    asked: dict[str, Any] = field(default_factory=dict)

    async def __call__(self, **asked: Any) -> tuple[LedgerRow, ...]:
        self.asked = asked
        return self.rows


@dataclass
class Late:
    sent: list[tuple[int, Output]] = field(default_factory=list)

    async def __call__(self, outputs: Sequence[Output], partition: int) -> None:
        self.sent += [(partition, output) for output in outputs]


def staged(
    agent: Agent, answers: Answers, claims: Claims | None = None, *, ledger: Ledger | None = None,
    late: Late | None = None,
) -> StageHandler:  # fmt: skip
    return StageHandler(
        agent, answerer=answers, claims=claims or Claims(), policies=Policies(), spent=ledger or Ledger(),
        send_late=late or Late(),
    )  # fmt: skip


def handler(answers: list[Any], *, agent: Agent = classify.AGENT, claims: Claims | None = None) -> StageHandler:
    return staged(agent, Answers(answers), claims)


def classifying(answer: Any) -> list[Any]:
    """The answers to its questions, of which the second is paid."""
    return [Answered(ALONE), answer]


async def test_a_record_becomes_the_next_event_and_its_usage() -> None:
    usage, following = await handler(classifying(verdict()))(record(received()))
    assert (usage.topic, following.topic) == ("llm.usage", "tickets.classified")
    assert orjson.loads(usage.value or b"")["cost_usd"] == "0.00001"
    assert following.key == b"acme/c1"


async def test_the_same_record_handled_twice_gives_the_same_bytes() -> None:
    first = await handler(classifying(verdict()))(record(received()))
    second = await handler(classifying(verdict()))(record(received()))
    assert [o.value for o in first] == [o.value for o in second]


async def test_a_repeat_is_dropped_before_it_costs_anything() -> None:
    unasked = handler([], claims=Claims("repeat"))
    assert await unasked(record(received())) == ()


async def test_the_same_place_again_goes_on() -> None:
    assert len(await handler(classifying(verdict()), claims=Claims("same"))(record(received()))) == 2


async def test_an_id_used_again_with_other_content_is_refused() -> None:
    with pytest.raises(Reject) as refused:
        await handler([], claims=Claims("conflict"))(record(received()))
    assert refused.value.reason == "id_reused"


async def test_an_unknown_tenant_is_refused_before_it_costs_anything() -> None:
    with pytest.raises(Reject) as refused:
        await handler([])(record(received(tenant="nobody")))
    assert refused.value.reason == "unknown_tenant"


async def test_an_unreadable_record_is_refused() -> None:
    with pytest.raises(Reject) as refused:
        await handler([])(Rec(b"{"))
    assert refused.value.reason == "not_json"


async def test_a_second_round_is_asked_where_the_first_answer_needs_it() -> None:
    bad = Reply(reply="x", citations=("elsewhere",), confidence=0.9)
    good = Reply(reply="y", citations=("printing",), confidence=0.9)
    outputs = await handler([bad, good], agent=draft.AGENT)(record(enriched()))
    assert [o.topic for o in outputs] == ["llm.usage", "llm.usage", "tickets.drafted"]
    assert orjson.loads(outputs[-1].value or b"")["draft"]["body"] == "y"


async def test_a_reranking_is_paid_and_counted_with_the_search() -> None:
    found = (passage("a"), passage("b"))
    thorough = Answered(TenantPolicy(tenant="acme", rerank=True))
    answers = [found, Answered(ALONE), thorough, enrich.Order(document_ids=("b",))]
    outputs = await handler(answers, agent=enrich.AGENT)(record(classified()))
    assert [o.topic for o in outputs] == ["llm.usage", "llm.usage", "tickets.enriched"]
    passages = orjson.loads(outputs[-1].value or b"")["passages"]
    assert [one["document_id"] for one in passages] == ["b", "a"]


async def test_questions_are_numbered_across_rounds() -> None:
    bad = Reply(reply="x", citations=("elsewhere",), confidence=0.9)
    answers = Answers([bad, bad])
    stage = staged(draft.AGENT, answers)
    await stage(record(enriched()))
    assert [context.question for _, context in answers.asked] == [0, 1]


async def test_what_a_refused_record_has_spent_is_committed_with_its_dead_letter() -> None:
    error = PermanentError("malformed_answer", "twice")
    error.ledger = (row(),)  # type: ignore[attr-defined]
    with pytest.raises(Reject) as refused:
        await handler([error])(record(received()))
    assert [output.topic for output in refused.value.outputs] == ["llm.usage"]


async def test_what_was_spent_on_a_record_that_the_engine_gives_up_is_told_from_the_ledger() -> None:
    ledger = Ledger((row("c-1"), row("c-2", outcome="unconfirmed")))
    outputs = await staged(classify.AGENT, Answers([]), ledger=ledger).last_words(record(received(), replay=1))
    told = [orjson.loads(output.value or b"") for output in outputs]
    assert [(one["call_id"], one["outcome"]) for one in told] == [("c-1", "ok"), ("c-2", "unconfirmed")]
    assert (ledger.asked["stage"], ledger.asked["tenant"], ledger.asked["replay"]) == ("classify", "acme", 1)


async def test_nothing_was_spent_on_a_record_that_cannot_be_read() -> None:
    assert await staged(classify.AGENT, Answers([]), ledger=Ledger((row(),))).last_words(Rec(b"{")) == ()


async def test_only_an_answer_that_came_late_is_told_outside_of_the_record_s_own_transaction() -> None:
    late = Late()
    answered = Answered(verdict(), (row("in-time"), replace(row("late"), late=True)))
    outputs = await staged(classify.AGENT, Answers(classifying(answered)), late=late)(record(received()))
    ((partition, sent),) = late.sent
    assert (partition, orjson.loads(sent.value or b"")["call_id"]) == (0, "late")
    assert len(outputs) == 3  # committed with the record too, if it is still this worker's


async def test_a_transient_failure_is_tried_again_when_the_other_side_says() -> None:
    with pytest.raises(Retry) as again:
        await handler([TransientError("busy", retry_after_s=3)])(record(received()))
    assert again.value.retry_after_s == 3 and not isinstance(again.value, Away)


async def test_a_provider_that_is_away_is_waited_for() -> None:
    with pytest.raises(Away):
        await handler([ProviderAway("no route")])(record(received()))


async def test_a_replay_has_its_own_number_in_claim_context_and_output() -> None:
    claims, answers = Claims(), Answers(classifying(verdict()))
    stage = staged(classify.AGENT, answers, claims)
    following = (await stage(record(received(), replay=2)))[-1]
    assert (claims.claimed[0]["replay"], answers.asked[0][1].replay) == (2, 2)
    assert header(following.headers, "deskstream-replay") == "2"


def test_admission_is_by_key_tenant_and_priority() -> None:
    admitted = admit(record(received(), priority="urgent"))
    assert admitted == (b"acme/c1", "acme", True)


def test_a_record_without_a_key_waits_for_nobody() -> None:
    assert admit(Rec(b"{}", key=None, offset=7)).lane == 7
