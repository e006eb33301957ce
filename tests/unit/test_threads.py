"""What was said before in a conversation, and what came after: shown, answered, or the end of a draft."""

from agents import classify, draft, enrich
from agents.contract import Search, ThreadLookup
from app.models.prompts import PromptLibrary
from app.offline.request import parse_chat
from schemas.tickets import Draft, Thread, Turn
from tests.events import ALONE, NOON, classified, enriched, open_policy, received, verdict

ASKED = Turn(author="customer", text="My 12 notes are gone.")
ANSWERED = Turn(author="deskstream", text="Look in the bin.")
AGAIN = Turn(author="customer", text="They are not in the bin of shelf 34.")
BEFORE = (ASKED, ANSWERED, AGAIN)
LIBRARY = PromptLibrary(cache_control=False, json_schema=True)


def test_the_thread_is_asked_for_as_of_the_message() -> None:
    assert classify.ask(received()) == (ThreadLookup("c1", NOON),)


def test_the_classifier_is_shown_who_said_what_before() -> None:
    (call,) = classify.follow_up(received(), Thread(before=BEFORE))
    assert call.variables["history"] == [
        {"from": "customer", "text": ASKED.text},
        {"from": "company", "text": ANSWERED.text},
        {"from": "customer", "text": AGAIN.text},
    ]


def test_a_first_message_is_shown_as_ever() -> None:
    assert "history" not in classify.follow_up(received(), ALONE)[0].variables


def test_the_history_goes_on_with_the_ticket() -> None:
    event = classify.decide(received(), Thread(before=BEFORE), verdict())
    assert enrich.decide(event, (), ALONE, open_policy()).history == BEFORE


def test_what_is_unanswered_is_searched_with_the_message() -> None:
    search = enrich.ask(classified(history=BEFORE))[0]
    assert isinstance(search, Search)
    assert search.query.endswith(AGAIN.text) and ASKED.text not in search.query


def test_a_reply_may_use_figures_of_the_customers_earlier_messages_but_not_of_ours() -> None:
    event = enriched(history=(*BEFORE, Turn(author="deskstream", text="It costs 56 €.")))
    assert draft.decide(event, draft.Reply(reply="Shelf 34.", confidence=1)).draft.unfounded == ()
    assert draft.decide(event, draft.Reply(reply="It costs 56 €.", confidence=1)).draft.unfounded == ("56 €",)


def test_a_message_that_was_overtaken_gets_no_draft_and_costs_none() -> None:
    event = enrich.decide(classified(), (), Thread(newer="the customer wrote again"), open_policy())
    assert draft.ask(event) == () == draft.follow_up(event)
    assert draft.decide(event).draft == Draft(body="", confidence=0)


def test_what_needs_a_person_is_not_overtaken() -> None:
    of_stakes = classified(verdict=verdict(stakes=("refund",)))
    event = enrich.decide(of_stakes, (), Thread(newer="the customer wrote again"), open_policy())
    assert event.superseded == ""


def test_the_offline_model_reads_what_was_answered_apart_from_what_was_not() -> None:
    rendered = LIBRARY.render(classify.follow_up(received(), Thread(before=BEFORE))[0])
    customer = parse_chat({"model": "any", "messages": list(rendered.messages)}).customer
    assert customer is not None
    assert (customer.before, customer.since) == ((ASKED.text,), (AGAIN.text,))
    assert customer.text.endswith(AGAIN.text)
