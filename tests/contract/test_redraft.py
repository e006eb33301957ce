"""A past ticket drafted again under other guidelines: asked anew, paid for, and beside the old one."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import orjson

from agents import draft
from agents.contract import PermanentError
from app.models.errors import REFUSED
from app.models.guidelines import Guidelines, TenantGuidelines
from app.models.prompts import PromptLibrary
from app.redraft import STAGE, draftable, redraft
from schemas.tickets import Draft, Route, TicketRouted
from schemas.usage import UsageRecorded
from tests.contract.test_answer import DRAFT, Chat, Journal, answerer
from tests.events import drafted

ROUTED = TicketRouted.following(drafted(), grounding=None, route=Route.REVIEW, reasons=("draft mode",))
OWN = Guidelines({"acme": TenantGuidelines({"tone": "Always say ahoy."})})


async def test_the_model_is_told_the_other_guidelines() -> None:
    chat = Chat([DRAFT])
    told = replace(answerer(chat), prompts=PromptLibrary(cache_control=False, json_schema=True, guidelines=OWN))
    found, _ = await redraft(ROUTED, told)
    assert "Always say ahoy." in chat.asked[0].messages[0]["content"]
    assert (found.before, found.after) == ("Press Ctrl+P [printing].", "Press it.")


async def test_each_preview_is_paid_for_and_stands_under_a_stage_of_its_own() -> None:
    """What is in the journal already was answered under other guidelines; the ticket's own cost stays what it was."""
    journal = Journal()
    asked = answerer(Chat([DRAFT, DRAFT]), journal)
    first, used = await redraft(ROUTED, asked)
    second, _ = await redraft(ROUTED, asked)
    assert len(journal.answers) == 2 and first.cost_usd == second.cost_usd > 0
    [event] = [UsageRecorded.model_validate(orjson.loads(output.value or b"")) for output in used]
    assert (event.stage, event.cost_usd) == (STAGE, first.cost_usd)
    assert event.root_id != ROUTED.root_id


async def test_a_reply_that_must_be_repaired_costs_both_calls() -> None:
    wrong = draft.Reply(reply="Pay $99.", citations=("nowhere",), confidence=0.9).model_dump_json()
    found, used = await redraft(ROUTED, answerer(Chat([wrong, DRAFT])))
    assert (found.after, len(used)) == ("Press it.", 2)


async def test_a_refusal_is_told_in_place_of_the_draft() -> None:
    found, _ = await redraft(ROUTED, answerer(Chat([PermanentError(REFUSED, "no such model")])))
    assert (found.after, found.cost_usd) == ("", Decimal(0))
    assert "no such model" in found.problem


def test_what_was_never_drafted_is_not_drafted_again() -> None:
    superseded = ROUTED.model_copy(update={"route": Route.SUPERSEDED})
    empty = ROUTED.model_copy(update={"draft": Draft(body="", confidence=0)})
    assert draftable([superseded, empty, ROUTED]) == [ROUTED]
