"""The auditor's own rules: silent on whatever the route agent decides, loud on what must not be."""

import ast
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import route
from app.desk import promises
from app.desk.promises import Allowed, Sent, broken_by, sent_wrongly
from schemas.policy import Mode
from schemas.tickets import Category, Claim, Draft, Grounding, JointConfidence, Priority, Route, Stake, TicketRouted
from tests.events import ALONE, NOON, drafted, open_policy, passage, verdict
from tests.unit.test_route_properties import INTERNAL, Inputs, inputs, openings, quoted, sendable

ALLOWED = Allowed(auto=True, graduated=True, halted=False, confidence_min=0.9)


def sent_by_itself(**fields: Any) -> TicketRouted:
    supported = Grounding(claims=(Claim(text="Press Ctrl+P.", supported=True),))
    event = route.decide(drafted(), open_policy(), ALONE, supported)
    assert event.route is Route.SEND
    return event.model_copy(update=fields)


def test_the_auditor_shares_no_code_with_the_agents() -> None:
    tree = ast.parse(Path(promises.__file__).read_text(encoding="utf-8"))
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert not [name for name in imported if name and name.split(".")[0] in {"agents", "app"}]


@given(inputs | st.just(sendable()), openings, quoted, st.booleans())
def test_it_is_silent_on_whatever_the_route_agent_decides(
    given_: Inputs, opening: str, taken: str, quotes: bool
) -> None:
    event, policy, *others = given_
    if quotes:
        draft = event.draft.model_copy(update={"body": f"{opening}{taken}. See https://www.Example.com/print/."})
        found = (*event.passages, INTERNAL, passage("linked", url="https://example.com/print"))
        event = event.model_copy(update={"draft": draft, "passages": found})
    decided = route.decide(event, policy, *others)
    kept = event.verdict
    allowed = Allowed(
        auto=policy.mode is Mode.AUTO, graduated=policy.has_graduated(kept.category, kept.language),
        halted=policy.halted, confidence_min=policy.confidence_min,
    )  # fmt: skip
    assert broken_by(decided, allowed) == ()


def test_it_is_silent_on_what_is_sent_rightly() -> None:
    assert broken_by(sent_by_itself(), ALLOWED) == ()


SENT = sent_by_itself()
WRONG: dict[str, TicketRouted] = {
    **{f"stake {stake}": sent_by_itself(verdict=verdict(stakes=(stake,))) for stake in Stake},
    **{
        f"category {category}": sent_by_itself(verdict=verdict(category=category))
        for category in route.NEVER_SENT_CATEGORIES
    },
    "a person asked for": sent_by_itself(verdict=verdict(wants_human=True)),
    "a repeated complaint": sent_by_itself(verdict=verdict(complains_again=True)),
    "a loop": sent_by_itself(verdict=verdict(goes_in_circles=True)),
    "three replies": sent_by_itself(replies=3),
    "a person asked for, to review": sent_by_itself(route=Route.REVIEW, verdict=verdict(wants_human=True)),
    "a person asked for, superseded": sent_by_itself(route=Route.SUPERSEDED, verdict=verdict(wants_human=True)),
    "high stakes, superseded": sent_by_itself(route=Route.SUPERSEDED, verdict=verdict(stakes=("refund",))),
    "priority": sent_by_itself(verdict=verdict(priority=Priority.NORMAL)),
    "uncalibrated": sent_by_itself(confidence=JointConfidence(raw=1)),
    "no confidence": sent_by_itself(confidence=None),
    "confidence": sent_by_itself(confidence=JointConfidence(raw=1, calibrated=0.89)),
    "classification": sent_by_itself(verdict=verdict(confidence=0.89)),
    "no citation": sent_by_itself(draft=SENT.draft.model_copy(update={"citations": ()})),
    "a citation of nothing": sent_by_itself(draft=SENT.draft.model_copy(update={"citations": ("elsewhere",)})),
    "an internal citation": sent_by_itself(passages=(passage(audience="internal"),)),
    "no passages": sent_by_itself(passages=()),
    "an open question": sent_by_itself(draft=SENT.draft.model_copy(update={"unanswered": ("?",)})),
    "an unfounded figure": sent_by_itself(draft=SENT.draft.model_copy(update={"unfounded": ("12 €",)})),
    "an internal finding": sent_by_itself(draft=SENT.draft.model_copy(update={"internal": ("12 €",)})),
    "an empty reply": sent_by_itself(draft=SENT.draft.model_copy(update={"body": " "})),
    "no check": sent_by_itself(grounding=None),
    "a check without claims": sent_by_itself(grounding=Grounding()),
    "an unsupported claim": sent_by_itself(grounding=Grounding(claims=(Claim(text="x", supported=False),))),
    "a foreign link": sent_by_itself(
        draft=Draft(body="See https://evil.example/.", citations=("printing",), confidence=1)
    ),
    "an internal passage": sent_by_itself(
        passages=(passage(), INTERNAL), draft=Draft(body=INTERNAL.text, citations=("printing",), confidence=1)
    ),
}


@pytest.mark.parametrize("event", WRONG.values(), ids=WRONG)
def test_it_sees_what_breaks_a_promise(event: TicketRouted) -> None:
    assert broken_by(event, ALLOWED)


@pytest.mark.parametrize("change", [{"auto": False}, {"graduated": False}, {"halted": True}, {"confidence_min": 1.0}])
def test_it_sees_what_the_tenant_did_not_allow(change: dict[str, Any]) -> None:
    assert broken_by(sent_by_itself(), Allowed(**{**vars(ALLOWED), **change}))


def reply(**fields: Any) -> Sent:
    return Sent(**{"reply_id": "r1", "sent_at": NOON, "body": "Hi", "times": 1, **fields})


BY_A_PERSON = {"decision": "approved", "decided_at": NOON - timedelta(seconds=11), "decided_reply": "Hi"}
BY_ITSELF = {"route": "send", "priority": "low", "category": "how_to"}


@pytest.mark.parametrize("right", [BY_A_PERSON, BY_ITSELF, {**BY_A_PERSON, "stakes": ("refund",)}, {}])
def test_a_reply_that_somebody_or_the_rule_wanted_is_right(right: dict[str, Any]) -> None:
    assert sent_wrongly(reply(**right)) == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {**BY_A_PERSON, "decision": "rejected"},
        {**BY_A_PERSON, "undone": True},
        {**BY_A_PERSON, "decided_reply": "Something else"},
        {**BY_A_PERSON, "decided_at": NOON - timedelta(seconds=2)},
        {**BY_A_PERSON, "times": 2},
        {**BY_ITSELF, "times": 2},
        {**BY_ITSELF, "route": "review"},
        {**BY_ITSELF, "stakes": ("refund",)},
        {**BY_ITSELF, "priority": "high"},
        {**BY_ITSELF, "category": Category.REFUND},
        {**BY_ITSELF, "halted_before": True},
    ],
)
def test_a_reply_that_nobody_wanted_so_is_seen(wrong: dict[str, Any]) -> None:
    assert sent_wrongly(reply(**wrong))
