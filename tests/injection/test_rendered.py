"""Every attack in a prompt: it stays inside its tags, as data, and ends up whole where it belongs."""

from __future__ import annotations

import json
import re
from collections import Counter

import pytest

from agents import classify, draft, route
from agents.contract import ModelCall
from app.models.prompts import PromptLibrary
from schemas.tickets import Draft, TicketDrafted, TicketEnriched
from tests.events import drafted, enriched, open_policy, received
from tests.injection.corpus import PUBLIC, Attack, attacks, public

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
    (classifying,) = classify.ask(received(ticket=attack.ticket))
    return [classifying, draft.ask(of(attack))[0], *route.follow_up(echoing(attack), open_policy())]


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
    assert message == {"subject": "", "body": attack.ticket.body}
    assert [article["text"] for article in articles] == [found.text for found in attack.passages]


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
