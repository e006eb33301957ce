"""Questions answered: journalled, validated, repaired once, priced."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import orjson
import pytest

from agents import classify, draft
from agents.contract import PermanentError, PolicyLookup, Question, Search, TransientError
from app.models.answer import ModelAnswerer, Refused
from app.models.errors import REFUSED, CallFailed
from app.models.guard import Guard
from app.models.guidelines import Guidelines, TenantGuidelines
from app.models.limits import Breaker, ConcurrencyLimit
from app.models.prices import Prices
from app.models.prompts import PromptLibrary
from app.ports import (
    CallContext,
    CallKey,
    ChatRequest,
    ChatResult,
    Intent,
    LedgerRow,
    ProviderAway,
    Run,
    Stored,
    Vector,
)
from schemas.policy import TenantPolicy
from schemas.tickets import Attachment, Thread, Ticket
from schemas.usage import Usage
from tests.events import ALONE, enriched, passage, received, verdict

CONTEXT = CallContext("acme", "classify", "e1", "e1", 0, 0)
GOOD = verdict().model_dump_json()
DRAFT = draft.Reply(reply="Press it.", confidence=0.9).model_dump_json()


def lost_row() -> LedgerRow:
    key = CallKey("acme", "classify", "e1", 0, 0, 0)
    return LedgerRow("lost", key, "e1", "chat", "test", "m", Usage(), Decimal(1), True, "unconfirmed", 0.0)


@dataclass
class Journal:
    """Keeps answers by key, as the real one does."""

    lost: tuple[LedgerRow, ...] = ()
    answers: dict[CallKey, Stored] = field(default_factory=dict)
    open: dict[str, Intent] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    holds: bool = True

    def may_send(self, call_id: str) -> bool:
        return self.holds

    async def begin(self, intent: Intent) -> Run | Stored:
        if intent.key in self.answers:
            return self.answers[intent.key]
        call_id = f"call-{len(self.open)}"
        self.open[call_id] = intent
        return Run(call_id, self.lost)

    async def finish(self, call_id: str, **given: Any) -> LedgerRow:
        intent = self.open[call_id]
        answer = given.pop("answer")
        row = LedgerRow(
            call_id=call_id, key=intent.key, root_id=intent.root_id, operation=intent.operation,
            provider=intent.provider, model=intent.model, **given,
        )  # fmt: skip
        self.answers[intent.key] = Stored(answer, row)
        return row

    async def fail(self, call_id: str, *, error: str, charged: str) -> None:
        self.failed.append(charged)


@dataclass
class Chat:
    replies: list[Any]
    asked: list[ChatRequest] = field(default_factory=list)
    provider: str = "test"

    async def complete(self, request: ChatRequest) -> ChatResult:
        self.asked.append(request)
        reply = self.replies[len(self.asked) - 1]
        if isinstance(reply, BaseException):
            raise reply
        text, reason = reply if isinstance(reply, tuple) else (reply, "stop")
        return ChatResult(text, Usage(input_tokens=100, output_tokens=10), "test-model", reason, 0.1)


class Embedder:
    provider, model, dimensions = "test", "e", 3

    async def embed(self, texts: Sequence[str], *, kind: str, call_id: str | None = None) -> tuple[Vector, Usage]:
        assert call_id
        return np.array([[1, 0, 0]], np.float32), Usage(input_tokens=4)


class Knowledge:
    async def search(self, *, vector: Vector, limit: int, **_: Any) -> Any:
        assert vector.tolist() == [1, 0, 0]
        return tuple(passage(f"a{number}") for number in range(limit))


class Policies:
    async def policy(self, tenant: str) -> TenantPolicy:
        return TenantPolicy(tenant=tenant, mask_personal_data=tenant == "discreet", rerank=tenant == "thorough")


class Threads:
    async def thread(self, tenant: str, conversation: str, accepted_at: datetime) -> Thread:
        return ALONE


def answerer(chat: Chat, journal: Journal | None = None) -> ModelAnswerer:
    return ModelAnswerer(
        chat=chat, embedder=Embedder(), knowledge=Knowledge(), policies=Policies(), threads=Threads(),
        journal=journal or Journal(),
        prompts=PromptLibrary(cache_control=False, json_schema=True), prices=Prices({}), guard=Guard(),
        models={"classify": "claude-haiku-4-5", "draft": "claude-sonnet-4-6"}, label=lambda model: model,
    )  # fmt: skip


(QUESTION,) = classify.follow_up(received(), ALONE)


async def test_a_valid_answer_is_validated_priced_and_kept() -> None:
    journal = Journal()
    answered = await answerer(Chat([GOOD]), journal).answer(QUESTION, CONTEXT)
    assert answered.value == verdict()
    assert [(row.outcome, row.cost_usd) for row in answered.ledger] == [("ok", Decimal("0.00015"))]


async def test_a_stored_answer_is_not_asked_for_again() -> None:
    journal, chat = Journal(), Chat([GOOD])
    for _ in range(2):
        answered = await answerer(chat, journal).answer(QUESTION, CONTEXT)
    assert len(chat.asked) == 1 and answered.value == verdict() and len(answered.ledger) == 1


def drafting(chat: Chat, journal: Journal, tone: str) -> ModelAnswerer:
    own = Guidelines({CONTEXT.tenant: TenantGuidelines({"tone": tone})})
    prompts = PromptLibrary(cache_control=False, json_schema=True, guidelines=own)
    return replace(answerer(chat, journal), prompts=prompts)


async def test_the_tenants_guidelines_are_asked_with_and_only_theirs() -> None:
    (question,) = draft.ask(enriched())
    chat = Chat([DRAFT, DRAFT])
    for tenant in (CONTEXT.tenant, "other"):
        await drafting(chat, Journal(), "We say thou.").answer(question, replace(CONTEXT, tenant=tenant))
    assert ["We say thou." in str(asked.messages[0]) for asked in chat.asked] == [True, False]


async def test_a_guideline_changed_in_flight_pays_for_no_answer_again() -> None:
    (question,) = draft.ask(enriched())
    chat, journal = Chat([DRAFT]), Journal()
    for tone in ("We say thou.", "We say you."):
        await drafting(chat, journal, tone).answer(question, CONTEXT)
    assert len(chat.asked) == 1


async def test_the_journal_tells_under_which_guidelines_a_call_was_made() -> None:
    (question,) = draft.ask(enriched())
    journals = [Journal(), Journal()]
    for journal, tone in zip(journals, ("We say thou.", "We say you."), strict=True):
        await drafting(Chat([DRAFT]), journal, tone).answer(question, CONTEXT)
    assert len({intent.prompt_version for journal in journals for intent in journal.open.values()}) == 2


async def test_an_answer_in_a_fence_is_read() -> None:
    assert (await answerer(Chat([f"Here:\n```json\n{GOOD}\n```"])).answer(QUESTION, CONTEXT)).value == verdict()


async def test_a_malformed_answer_is_repaired_once_with_what_was_wrong() -> None:
    wrong = orjson.dumps({**orjson.loads(GOOD), "category": "pizza"}).decode()
    chat = Chat([wrong, GOOD])
    answered = await answerer(chat).answer(QUESTION, CONTEXT)
    assert answered.value == verdict()
    assert [row.outcome for row in answered.ledger] == ["malformed", "ok"]
    assert "category" in chat.asked[1].messages[-1]["content"]


@pytest.mark.parametrize("field", ["stakes", "wants_human"])
async def test_a_veto_left_out_is_malformed_not_a_no(field: str) -> None:
    partial = orjson.dumps({name: value for name, value in orjson.loads(GOOD).items() if name != field}).decode()
    chat = Chat([partial, GOOD])
    answered = await answerer(chat).answer(QUESTION, CONTEXT)
    assert [row.outcome for row in answered.ledger] == ["malformed", "ok"]
    assert f"{field}: missing" in chat.asked[1].messages[-1]["content"]


async def test_a_repair_is_told_what_is_missing_and_what_is_wrong() -> None:
    chat = Chat(['{"category": "pizza"}', GOOD])
    await answerer(chat).answer(QUESTION, CONTEXT)
    told = chat.asked[1].messages[-1]["content"]
    missing = (
        "priority, sentiment, language, stakes, wants_human, complains_again, goes_in_circles, questions, confidence: "
        "missing"
    )
    assert missing in told and "category:" in told
    assert told.count("priority") == 1


async def test_two_malformed_answers_are_a_typed_failure_that_knows_its_cost() -> None:
    with pytest.raises(Refused) as refused:
        await answerer(Chat(["no", "no"])).answer(QUESTION, CONTEXT)
    assert refused.value.reason == "malformed_answer"
    assert [row.outcome for row in refused.value.ledger] == ["malformed", "malformed"]


async def test_an_answer_cut_off_at_the_limit_is_malformed_even_if_it_parses() -> None:
    answered = await answerer(Chat([(GOOD, "length"), GOOD])).answer(QUESTION, CONTEXT)
    assert [row.outcome for row in answered.ledger] == ["malformed", "ok"]


async def test_after_a_crash_the_repair_goes_on_where_it_was() -> None:
    journal = Journal()
    with pytest.raises(CallFailed):
        await answerer(Chat(["no", CallFailed("500", charged="no")]), journal).answer(QUESTION, CONTEXT)
    chat = Chat([GOOD])
    answered = await answerer(chat, journal).answer(QUESTION, CONTEXT)
    assert len(chat.asked) == 1 and [row.outcome for row in answered.ledger] == ["malformed", "ok"]


@pytest.mark.parametrize("charged", ["no", "unknown"])
async def test_a_failed_call_is_told_to_the_journal(charged: Any) -> None:
    journal = Journal()
    with pytest.raises(CallFailed):
        await answerer(Chat([CallFailed("x", charged=charged)]), journal).answer(QUESTION, CONTEXT)
    assert journal.failed == [charged]


async def test_a_call_that_another_may_have_taken_over_is_not_sent_and_costs_nothing() -> None:
    journal, chat = Journal(holds=False), Chat([GOOD])
    with pytest.raises(TransientError):
        await answerer(chat, journal).answer(QUESTION, CONTEXT)
    assert (chat.asked, journal.failed) == ([], ["no"])


async def test_a_call_that_is_too_late_for_a_worker_that_leaves_costs_nothing_and_is_the_next_owner_s_at_once() -> None:
    journal, chat = Journal(), Chat([GOOD])
    asked = answerer(chat, journal)
    asked.guard.leave(within_s=20)
    with pytest.raises(asyncio.CancelledError):
        await asked.answer(QUESTION, CONTEXT)
    assert (chat.asked, journal.failed) == ([], ["no"])


async def test_a_worker_that_leaves_takes_what_is_answered_already() -> None:
    journal = Journal()
    await answerer(Chat([GOOD]), journal).answer(QUESTION, CONTEXT)
    leaving = answerer(Chat([]), journal)
    leaving.guard.leave(within_s=0)
    assert (await leaving.answer(QUESTION, CONTEXT)).value == verdict()


async def test_a_cancelled_call_may_have_been_charged() -> None:
    journal = Journal()
    with pytest.raises(asyncio.CancelledError):
        await answerer(Chat([asyncio.CancelledError()]), journal).answer(QUESTION, CONTEXT)
    assert journal.failed == ["unknown"]


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), PermanentError(REFUSED, "400")], ids=["cancelled", "refused"]
)
async def test_a_database_that_is_away_does_not_hide_how_the_call_ended(error: BaseException) -> None:
    """A cancellation must not become a retry; the key stays reserved until its deadline."""

    class Away(Journal):
        async def fail(self, call_id: str, *, error: str, charged: str) -> None:
            raise TransientError("the database is away")

    with pytest.raises(type(error)):
        await answerer(Chat([error]), Away()).answer(QUESTION, CONTEXT)


async def test_a_request_refused_for_good_was_not_charged() -> None:
    journal = Journal()
    with pytest.raises(Refused) as refused:
        await answerer(Chat([PermanentError(REFUSED, "400")]), journal).answer(QUESTION, CONTEXT)
    assert (refused.value.reason, journal.failed) == (REFUSED, ["no"])


async def test_requests_whose_answers_were_lost_are_passed_on() -> None:
    answered = await answerer(Chat([GOOD]), Journal(lost=(lost_row(),))).answer(QUESTION, CONTEXT)
    assert [row.outcome for row in answered.ledger] == ["unconfirmed", "ok"]


async def test_a_draft_carries_the_name_of_the_model_that_wrote_it() -> None:
    (question,) = draft.ask(enriched())
    fields = {"reply": "Hi", "citations": [], "unanswered": [], "answered": [], "confidence": 0.5, "model": "another"}
    reply = orjson.dumps(fields).decode()
    assert (await answerer(Chat([reply])).answer(question, CONTEXT)).value.model == "test-model"


async def test_a_search_pays_for_its_vector_once() -> None:
    journal = Journal()
    for _ in range(2):
        answered = await answerer(Chat([]), journal).answer(Search("how", limit=1), CONTEXT)
    assert answered.value == (passage("a0"),) and len(journal.open) == 1
    assert answered.ledger[0].operation == "embeddings"


async def test_more_passages_are_found_only_where_they_are_reranked() -> None:
    search = Search("how", limit=5, limit_reranked=15)
    contexts = (CONTEXT, replace(CONTEXT, tenant="thorough"))
    found = [(await answerer(Chat([])).answer(search, context)).value for context in contexts]
    assert [len(passages) for passages in found] == [5, 15]


DISCREET = replace(CONTEXT, tenant="discreet")


def a_draft_for(body: str) -> Question:
    event = enriched()
    (question,) = draft.ask(event.model_copy(update={"ticket": event.ticket.model_copy(update={"body": body})}))
    return question


def a_reply(text: str, unanswered: Sequence[str] = ()) -> str:
    fields = {"reply": text, "citations": [], "unanswered": unanswered, "answered": [], "confidence": 1}
    return orjson.dumps(fields).decode()


async def test_a_tenant_s_personal_data_do_not_reach_the_provider_and_are_put_back() -> None:
    question = a_draft_for("I am anna@example.org. Help?")
    chat, journal = Chat([a_reply("We wrote to [EMAIL_1].", unanswered=["is [EMAIL_1] mine"])]), Journal()
    answered = await answerer(chat, journal).answer(question, DISCREET)
    sent = str(chat.asked[0].messages)
    assert "[EMAIL_1]" in sent and "anna@" not in sent
    assert "anna@" not in str(list(journal.answers.values()))
    assert (answered.value.reply, answered.value.unanswered) == (
        "We wrote to anna@example.org.", ("is anna@example.org mine",),
    )  # fmt: skip


async def test_what_a_discreet_tenant_s_customers_quote_and_attach_and_ask_is_masked_as_what_they_write() -> None:
    card = Attachment(name="from-eve@example.org.txt", text="My card is 4111 1111 1111 1111.")
    body = "I am anna@example.org. Help?\n\nOn 5 May 2026 at 09:00, Bob wrote:\n> Ask bob@example.org."
    ticket = Ticket(ticket_id="t", body=body, attachments=(card,))
    event = enriched(ticket=ticket, verdict=verdict(questions=("Is anna@example.org mine?", "Is dan@example.org?")))
    (question,) = draft.ask(event)
    chat = Chat([a_reply("To [EMAIL_2], [CARD_1].")])
    answered = await answerer(chat).answer(question, DISCREET)
    sent = str(chat.asked[0].messages[1])
    assert not re.search("anna@|bob@|eve@|dan@|4111", sent) and sent.count("[EMAIL_1]") == 2
    assert answered.value.reply == "To bob@example.org, 4111 1111 1111 1111."


async def test_a_stored_answer_has_its_data_put_back_too() -> None:
    question, journal = a_draft_for("I am anna@example.org."), Journal()
    await answerer(Chat([a_reply("To [EMAIL_1].")]), journal).answer(question, DISCREET)
    again = await answerer(Chat([]), journal).answer(question, DISCREET)
    assert again.value.reply == "To anna@example.org."


async def test_another_tenant_s_data_go_as_they_are() -> None:
    chat = Chat([a_reply("x")])
    await answerer(chat).answer(a_draft_for("I am anna@example.org."), CONTEXT)
    assert "anna@example.org" in str(chat.asked[0].messages)


async def test_a_search_of_a_discreet_tenant_embeds_no_personal_data() -> None:
    seen: list[str] = []

    class Watched(Embedder):
        async def embed(self, texts: Sequence[str], *, kind: str, call_id: str | None = None) -> tuple[Vector, Usage]:
            seen.extend(texts)
            return await super().embed(texts, kind=kind, call_id=call_id)

    asking = answerer(Chat([]))
    asking.embedder = Watched()  # type: ignore[assignment] # as in ``answerer``
    await asking.answer(Search("call +49 30 1234567"), DISCREET)
    assert seen == ["call [PHONE_1]"]


async def test_a_policy_costs_nothing() -> None:
    answered = await answerer(Chat([])).answer(PolicyLookup(), CONTEXT)
    assert (answered.value, answered.ledger) == (TenantPolicy(tenant="acme"), ())


async def test_a_fallback_is_asked_while_the_model_is_away_and_costs_its_own_price() -> None:
    down = [CallFailed("500", charged="no")] * Breaker().failures_max
    chat = Chat([*down, GOOD])
    asking = replace(answerer(chat), fallbacks={"classify": "claude-sonnet-4-6"})
    for _ in down:
        with pytest.raises(CallFailed):
            await asking.answer(QUESTION, CONTEXT)
    answered = await asking.answer(QUESTION, CONTEXT)
    assert [request.model for request in chat.asked[-2:]] == ["claude-haiku-4-5", "claude-sonnet-4-6"]
    assert (answered.ledger[-1].model, answered.ledger[-1].cost_usd) == ("claude-sonnet-4-6", Decimal("0.00045"))


async def test_without_a_fallback_a_model_that_is_away_is_waited_for() -> None:
    chat = Chat([CallFailed("500", charged="no")] * Breaker().failures_max)
    asking = answerer(chat)
    for _ in chat.replies:
        with pytest.raises(CallFailed):
            await asking.answer(QUESTION, CONTEXT)
    with pytest.raises(ProviderAway):
        await asking.answer(QUESTION, CONTEXT)
    assert len(chat.asked) == len(chat.replies)


# -- a second request where the first is slow


@dataclass
class Racing(Chat):
    """Each reply comes after its delay; None: never."""

    delays: Sequence[float | None] = ()
    cancelled: int = 0

    async def complete(self, request: ChatRequest) -> ChatResult:
        delay = self.delays[len(self.asked)]
        number = len(self.asked)
        self.asked.append(request)
        try:
            await (asyncio.sleep(delay) if delay is not None else asyncio.Event().wait())
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        reply = self.replies[number]
        if isinstance(reply, BaseException):
            raise reply
        return ChatResult(reply, Usage(input_tokens=100, output_tokens=10), "test-model", "stop", 0.1)


def hedging(chat: Chat, journal: Journal, after_s: float = 0.02) -> ModelAnswerer:
    return replace(answerer(chat, journal), hedge_after_s=after_s)


async def test_without_the_setting_a_slow_call_is_made_once() -> None:
    chat = Racing([GOOD], delays=[0.1])
    await answerer(chat).answer(QUESTION, CONTEXT)
    assert len(chat.asked) == 1


async def test_a_call_that_answers_in_time_is_made_once() -> None:
    chat = Racing([GOOD], delays=[0.0])
    answered = await hedging(chat, Journal(), after_s=5).answer(QUESTION, CONTEXT)
    assert len(chat.asked) == 1 and len(answered.ledger) == 1


async def test_a_second_request_that_answers_first_wins_and_both_are_in_the_ledger() -> None:
    """The first may be charged: it stands there with its bound."""
    chat, journal = Racing([GOOD, GOOD], delays=[None, 0.0]), Journal()
    async with asyncio.timeout(5):
        answered = await hedging(chat, journal).answer(QUESTION, CONTEXT)
    assert answered.value == verdict()
    assert {(row.outcome, row.key.attempt) for row in answered.ledger} == {("ok", 2), ("unconfirmed", 0)}
    assert all(row.cost_usd > 0 for row in answered.ledger)
    assert (chat.cancelled, journal.failed) == (1, ["unknown"])
    assert len({request.call_id for request in chat.asked}) == 2


async def test_a_first_request_that_answers_after_all_wins_and_both_are_in_the_ledger() -> None:
    chat, journal = Racing([GOOD, GOOD], delays=[0.1, None]), Journal()
    answered = await hedging(chat, journal).answer(QUESTION, CONTEXT)
    assert {(row.outcome, row.key.attempt) for row in answered.ledger} == {("ok", 0), ("unconfirmed", 2)}
    assert (chat.cancelled, journal.failed) == (1, ["unknown"])


async def test_the_next_owner_finds_the_answer_of_the_second_request() -> None:
    journal = Journal()
    await hedging(Racing([GOOD, GOOD], delays=[None, 0.0]), journal).answer(QUESTION, CONTEXT)
    journal.lost = (lost_row(),)  # as the real one tells of the first
    chat = Chat([])
    answered = await hedging(chat, journal).answer(QUESTION, CONTEXT)
    assert answered.value == verdict() and not chat.asked
    assert [row.outcome for row in answered.ledger] == ["unconfirmed", "ok"]
    assert journal.failed == ["unknown", "no"]  # the call that was begun to no purpose costs nothing


async def test_where_the_second_was_never_answered_the_next_owner_asks() -> None:
    """Also where the provider takes no more than one call at once."""
    journal, chat = Journal(lost=(lost_row(),)), Chat([GOOD])
    guard = Guard(place_s_max=0.2)
    async with AsyncExitStack() as others:
        for _ in range(int(ConcurrencyLimit().limit) - 1):
            await others.enter_async_context(guard.call("claude-haiku-4-5"))
        asking = replace(hedging(chat, journal, after_s=5), guard=guard)
        assert (await asking.answer(QUESTION, CONTEXT)).value == verdict()
    assert len(chat.asked) == 1


@pytest.mark.parametrize("first", ["no", CallFailed("500", charged="no")], ids=["malformed", "failed"])
async def test_a_first_that_is_of_no_use_leaves_it_to_the_second(first: Any) -> None:
    chat = Racing([first, GOOD], delays=[0.05, 0.1])
    answered = await hedging(chat, Journal()).answer(QUESTION, CONTEXT)
    assert answered.value == verdict() and len(chat.asked) == 2


async def test_a_repair_is_numbered_apart_from_second_requests() -> None:
    chat, journal = Racing(["no", "no", GOOD], delays=[0.1, 0.2, 0.0]), Journal()
    answered = await hedging(chat, journal, after_s=0.03).answer(QUESTION, CONTEXT)
    assert answered.value == verdict()
    assert [row.key.attempt for row in answered.ledger if row.outcome == "ok"] == [1]
    assert sorted(row.key.attempt for row in answered.ledger) == [0, 1, 2]


async def test_cancelled_both_requests_are_cancelled_and_may_have_been_charged() -> None:
    chat, journal = Racing([GOOD, GOOD], delays=[None, None]), Journal()
    task = asyncio.create_task(hedging(chat, journal).answer(QUESTION, CONTEXT))
    async with asyncio.timeout(5):
        while len(chat.asked) < 2:
            await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (chat.cancelled, journal.failed) == (2, ["unknown", "unknown"])
