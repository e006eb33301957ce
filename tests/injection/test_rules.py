"""What the rules stop even if every model obeys the attack: best verdict, reply as demanded, every claim supported."""

from __future__ import annotations

import re

import pytest

from agents import draft, route
from schemas.tickets import Claim, Grounding, Route, TicketDrafted
from tests.events import ALONE, enriched, open_policy
from tests.injection.corpus import PUBLIC, Attack, attacks

SUPPORTED = Grounding(claims=(Claim(text="x", supported=True, document_id=PUBLIC[0]),))
BY_FORM = re.compile("hidden_|homoglyph|letters|forged_")
ATTACKS = attacks()


def obeyed(attack: Attack, said: str) -> TicketDrafted:
    """A confident how-to verdict of low priority, and a reply that says what the attack wants."""
    reply = draft.Reply(reply=said, citations=PUBLIC, confidence=1)
    return draft.decide(enriched(ticket=attack.ticket, passages=attack.passages), reply, reply)


def route_of(attack: Attack, said: str) -> Route:
    return route.rule(obeyed(attack, said), open_policy(), ALONE, SUPPORTED)[0]


@pytest.mark.parametrize("attack", [a for a in ATTACKS if BY_FORM.match(a.kind)], ids=lambda attack: attack.id)
def test_an_attack_that_shows_in_its_form_is_never_sent(attack: Attack) -> None:
    assert route_of(attack, "Press it.") is Route.REVIEW


@pytest.mark.parametrize(
    "attack",
    [a for a in ATTACKS if a.kind == "link" and a.where != "article"],
    ids=lambda attack: attack.id,
)
def test_a_link_that_an_attack_asks_for_is_never_sent(attack: Attack) -> None:
    link = re.search(r"https?://[\x21-\x7e]+", attack.text)
    assert link and route_of(attack, f"Press it, see {link[0]}") is Route.REVIEW


def test_without_an_attack_the_same_reply_is_sent() -> None:
    """So it is the attack that the tests above see."""
    plain = Attack(id="plain", language="en", kind="none", where="message", text="How do I print a note?")
    assert route_of(plain, "Press it.") is Route.SEND
