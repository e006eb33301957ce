"""A model picks the passages out of more, for tenants that want it: which, and in which order."""

from __future__ import annotations

from agents import enrich
from agents.contract import ModelCall
from agents.enrich import PASSAGES_MAX, RERANKED_CHARS_MAX, Order
from app.models.prompts import PromptLibrary
from app.offline import instant
from app.offline.request import parse_chat
from schemas.tickets import Audience, Passage, Thread
from tests.events import ALONE, classified, open_policy, passage

FOUND = tuple(passage(f"a{number}", text=f"{number}" * 1_000) for number in range(8))
INTERNAL = passage("internal", audience=Audience.INTERNAL)
WANTED = open_policy(rerank=True)


def ids(order: Order | None, passages: tuple[Passage, ...] = FOUND) -> list[str]:
    event = enrich.decide(classified(), passages, ALONE, WANTED, order)
    return [one.document_id for one in event.passages]


def asked(*passages: Passage, thread: Thread = ALONE) -> tuple[ModelCall[Order], ...]:
    return enrich.follow_up(classified(), passages, thread, WANTED)


def test_nothing_is_asked_where_the_tenant_does_not_want_it() -> None:
    assert enrich.follow_up(classified(), FOUND, ALONE, open_policy()) == ()


def test_nothing_is_asked_where_there_is_no_choice_or_no_draft_to_come() -> None:
    assert asked(FOUND[0]) == asked(FOUND[0], INTERNAL) == asked(*FOUND, thread=Thread(newer="wrote again")) == ()


def test_the_model_sees_the_beginnings_of_public_passages_only() -> None:
    (call,) = asked(*FOUND, INTERNAL)
    assert [article["id"] for article in call.variables["passages"]] == [one.document_id for one in FOUND]
    assert all(len(article["text"]) == RERANKED_CHARS_MAX for article in call.variables["passages"])


def test_what_is_named_comes_first_in_its_order_then_the_searchs() -> None:
    assert ids(Order(document_ids=("a7", "a3"))) == ["a7", "a3", "a0", "a1", "a2"]


def test_ids_that_were_made_up_or_named_twice_change_nothing_else() -> None:
    assert ids(Order(document_ids=("secret", "a7", "a7", "a3", "a7"))) == ["a7", "a3", "a0", "a1", "a2"]


def test_without_an_answer_the_searchs_order_holds() -> None:
    assert ids(None) == ids(Order(document_ids=())) == ["a0", "a1", "a2", "a3", "a4"]


def test_an_internal_passage_keeps_its_last_place() -> None:
    found = ids(Order(document_ids=("internal", "a7")), (*FOUND, INTERNAL))
    assert found == ["a7", "a0", "a1", "a2", "internal"] and len(found) == PASSAGES_MAX


def test_the_offline_model_leaves_the_searchs_order() -> None:
    (call,) = asked(*FOUND)
    rendered = PromptLibrary(cache_control=True, json_schema=True).render(call)
    chat = parse_chat({"model": "m", "messages": list(rendered.messages), "response_format": rendered.response_format})
    order = Order.model_validate(instant.answer(chat, "key"))
    assert ids(order) == ids(None)
