"""Every attack in a prompt: it stays inside its tags, as data, and ends up whole where it belongs."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

import pytest

from agents import classify, draft, route
from agents.contract import ModelCall
from app.models.prompts import PromptLibrary
from schemas.tickets import QUESTION_CHARS_MAX, Draft, TicketDrafted, TicketEnriched
from tests.events import ALONE, drafted, enriched, open_policy, received, verdict
from tests.injection.corpus import PUBLIC, QUESTION, Attack, attacks, public

LIBRARY = PromptLibrary(cache_control=False, json_schema=True)
ATTACKS = attacks()
TAGS = ("customer_message", "knowledge_base", "reply")
every_attack = pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.id)


def of(attack: Attack) -> TicketEnriched:
    return enriched(ticket=attack.ticket, passages=attack.passages)


def echoing(attack: Attack) -> TicketDrafted:
    """As if the model had obeyed and repeated the attack."""
    echo = Draft(body=attack.text, citations=PUBLIC, confidence=1)
    return drafted(ticket=attack.harmless_ticket, passages=public(), draft=echo)


def calls(attack: Attack) -> list[ModelCall[object]]:
    """With questions as a classifier would list them that repeats the attack."""
    tickets = (attack.ticket, attack.html_ticket)
    questions = (attack.text[:QUESTION_CHARS_MAX], QUESTION)
    events = [
        enriched(ticket=ticket, passages=attack.passages, verdict=verdict(questions=questions)) for ticket in tickets
    ]
    return [
        *(classify.follow_up(received(ticket=ticket), ALONE)[0] for ticket in tickets),
        *(draft.ask(event)[0] for event in events),
        *route.follow_up(echoing(attack), open_policy(), ALONE),
    ]


def test_the_corpus_is_as_large_as_it_says() -> None:
    assert len(ATTACKS) >= 200 and len({attack.language for attack in ATTACKS}) >= 10
    assert {attack.where for attack in ATTACKS} == {"message", "quoted", "article", "attachment"}
    assert len({attack.id for attack in ATTACKS}) == len({attack.text for attack in ATTACKS}) == len(ATTACKS)
    assert min(Counter(attack.where for attack in ATTACKS).values()) >= 50


@every_attack
def test_no_attack_closes_or_opens_a_tag(attack: Attack) -> None:
    for call in calls(attack):
        user = LIBRARY.render(call).messages[1]["content"]
        assert all(user.count(f"<{tag}>") == user.count(f"</{tag}>") <= 1 for tag in TAGS)
        assert len(re.findall("[<>]", user)) == 4 * sum(f"<{tag}>" in user for tag in TAGS)


@every_attack
def test_every_attack_is_read_back_as_it_was(attack: Attack) -> None:
    call = draft.ask(of(attack))[0]
    user = LIBRARY.render(call).messages[1]["content"]
    message, articles = (json.loads(re.search(f"<{tag}>(.*?)</{tag}>", user, re.DOTALL)[1]) for tag in TAGS[:2])  # type: ignore[index]
    parts = ("".join(str(message.get(name, "")) for name in ("body", "quoted")), *_attached(message))
    told = (attack.ticket.body, *(f"{each.name}{each.media_type}{each.text}" for each in attack.ticket.attachments))
    assert ["".join(part.split()) for part in parts] == ["".join(part.split()) for part in told]
    assert [article["text"] for article in articles] == [found.text for found in attack.passages]


def _attached(message: dict[str, Any]) -> list[str]:
    return ["".join(each.values()) for each in message.get("attachments", ())]


@pytest.mark.parametrize("attack", [a for a in ATTACKS if a.where == "attachment"], ids=lambda attack: attack.id)
def test_an_attack_in_a_file_reaches_the_models_as_a_file(attack: Attack) -> None:
    for call in calls(attack)[:4]:
        assert [each["name"] for each in call.variables["attachments"]] and attack.text not in call.variables["body"]


def test_attacks_in_a_quoted_mail_reach_the_models_as_quoted() -> None:
    """Those in the usual form, which is a line with a date and lines with ">": in text and in HTML."""
    usual = [a for a in ATTACKS if a.where == "quoted" and re.search(r"[:：]\n> ", a.text)]
    assert len(usual) >= 40
    for attack in usual:
        for call in calls(attack)[:4]:
            assert call.variables["body"] == attack.harmless_ticket.body and call.variables["quoted"]


@every_attack
def test_no_attack_gets_into_the_system_prompt(attack: Attack) -> None:
    """Nor outside the tags: with other data, the rest of the prompt is the same."""
    call = draft.ask(of(attack))[0]
    clean = draft.ask(enriched(ticket=attack.harmless_ticket, passages=public()))[0]
    system, user = (message["content"] for message in LIBRARY.render(call).messages)
    clean_system, clean_user = (message["content"] for message in LIBRARY.render(clean).messages)
    assert system == clean_system and _outside(user) == _outside(clean_user)


def _outside(user: str) -> str:
    return re.sub("|".join(f"<{tag}>.*?</{tag}>" for tag in TAGS), "", user, flags=re.DOTALL)


@every_attack
def test_a_correction_keeps_an_attack_on_one_line_without_tags(attack: Attack) -> None:
    """A model that obeyed may cite or say what an attack told it: that is shown to it once more, outside the tags."""
    reply = draft.Reply(reply=attack.text[:8_000], citations=(attack.text,), confidence=1)
    (again,) = draft.follow_up(enriched(ticket=attack.harmless_ticket, passages=public()), reply)
    (line,) = _outside(LIBRARY.render(again).messages[1]["content"]).strip().splitlines()[-1:]
    assert line.startswith("Correction: ") and not re.search("[<>]", line)
    assert len(line) <= 2 * draft.SHOWN_MAX * (draft.SHOWN_CHARS_MAX + 2) + 200
