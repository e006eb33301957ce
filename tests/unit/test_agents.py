"""The agents: plain values in, plain values out."""

from itertools import pairwise

import pytest

from agents import classify, draft, enrich, message, route
from agents.draft import Reply
from agents.pipeline import PIPELINE
from schemas.tickets import Claim, Draft, Grounding, Priority, Route, Stake, Ticket
from tests.events import ALONE, classified, drafted, enriched, open_policy, passage, received, verdict

SUPPORTED = Grounding(claims=(Claim(text="Press Ctrl+P.", supported=True, document_id="printing"),))


def test_each_stage_consumes_what_the_one_before_produces() -> None:
    assert all(a.produces is b.consumes for a, b in pairwise(PIPELINE))


def test_deciding_twice_gives_the_same_event() -> None:
    assert classify.decide(received(), ALONE, verdict()) == classify.decide(received(), ALONE, verdict())


def test_a_verdict_in_doubt_is_an_ordinary_outcome() -> None:
    assert classify.decide(received(), ALONE, verdict(confidence=0.1)).verdict.confidence == 0.1


def test_a_long_body_is_cut_before_it_is_paid_for() -> None:
    event = received(ticket=Ticket(ticket_id="t", body="x" * 100_000))
    assert len(classify.follow_up(event, ALONE)[0].variables["body"]) == message.TEXT_CHARS_MAX


def test_a_subject_repeated_in_the_body_is_searched_once() -> None:
    event = classified(ticket=Ticket(ticket_id="t", subject="Printing", body="Printing\n\nHow?"))
    assert enrich.ask(event)[0].query == "Printing\n\nHow?"


def test_a_valid_reply_is_not_asked_for_again() -> None:
    assert draft.follow_up(enriched(), Reply(reply="Hi", citations=("printing",), confidence=0.9)) == ()


def test_a_reply_that_cites_what_was_not_retrieved_is_repaired_once() -> None:
    bad = Reply(reply="Hi", citations=("elsewhere",), confidence=0.9)
    (repair,) = draft.follow_up(enriched(), bad)
    assert "elsewhere" in repair.variables["correction"]


def test_a_citation_that_stays_invalid_costs_all_confidence() -> None:
    bad = Reply(reply="Hi", citations=("elsewhere", "printing"), confidence=0.9)
    decided = draft.decide(enriched(), bad, bad).draft
    assert (decided.citations, decided.confidence) == (("printing",), 0.0)


def test_low_priority_confident_and_supported_is_sent() -> None:
    assert route.rule(drafted(), open_policy(), ALONE, SUPPORTED)[0] is Route.SEND


def test_grounding_is_asked_only_where_everything_else_would_allow_sending() -> None:
    assert len(route.follow_up(drafted(), open_policy(), ALONE)) == 1
    assert route.follow_up(drafted(), open_policy(calibration=None), ALONE) == ()


@pytest.mark.parametrize("stake", list(Stake))
def test_high_stakes_are_never_sent(stake: Stake) -> None:
    decided = route.decide(drafted(verdict=verdict(stakes=(stake,))), open_policy(), ALONE, SUPPORTED)
    assert decided.route in {Route.REVIEW, Route.ESCALATE}


def test_a_customer_who_asks_for_a_person_gets_one() -> None:
    assert route.rule(drafted(verdict=verdict(wants_human=True)), open_policy(), ALONE, SUPPORTED)[0] is Route.ESCALATE


@pytest.mark.parametrize(
    "policy",
    [
        open_policy(mode="draft"),
        open_policy(calibration=None),
        open_policy(graduated=()),
        open_policy(confidence_min=1),
    ],
    ids=["draft mode", "uncalibrated", "not graduated", "confidence too low"],
)
def test_a_policy_that_does_not_allow_it_sends_nothing(policy: object) -> None:
    assert route.rule(drafted(), policy, ALONE, SUPPORTED)[0] is Route.REVIEW  # type: ignore[arg-type]


def test_an_unsupported_claim_goes_to_review() -> None:
    doubtful = Grounding(claims=(*SUPPORTED.claims, Claim(text="It is free.", supported=False)))
    assert route.rule(drafted(), open_policy(), ALONE, doubtful)[0] is Route.REVIEW


def test_a_check_without_claims_supports_nothing() -> None:
    assert route.rule(drafted(), open_policy(), ALONE, Grounding())[0] is Route.REVIEW


@pytest.mark.parametrize("priority", [Priority.NORMAL, Priority.HIGH, Priority.URGENT])
def test_only_low_priority_is_sent(priority: Priority) -> None:
    assert route.rule(drafted(verdict=verdict(priority=priority)), open_policy(), ALONE, SUPPORTED)[0] is not Route.SEND


def test_a_reply_without_citations_goes_to_review() -> None:
    bare = Draft(body="Hi", confidence=0.99)
    assert route.rule(drafted(draft=bare), open_policy(), ALONE, SUPPORTED)[0] is Route.REVIEW


def test_every_decision_has_reasons() -> None:
    assert route.rule(drafted(passages=(passage(),)), open_policy(), ALONE, None)[1]
