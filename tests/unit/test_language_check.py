"""The language that a reply is asked in."""

from __future__ import annotations

import pytest

from agents import classify
from agents.language import checked
from schemas.tickets import Ticket
from tests.events import ALONE, received, verdict

GERMAN = "Ich kann mich seit gestern nicht mehr in meinem Konto anmelden."


def test_clear_letters_overrule_the_classifier() -> None:
    assert checked("en", GERMAN) == "de"


def test_the_classified_event_carries_the_checked_language() -> None:
    event = received(ticket=Ticket(ticket_id="t", subject="Anmeldung", body=GERMAN))
    assert classify.decide(event, ALONE, verdict(language="fr")).verdict.language == "de"


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("de-CH", GERMAN),
        (
            "zh-Hant",
            "如何解鎖帳號？E-MAIL認證信件被退回而被鎖帳號，現在已經可以重新使用，該如何解鎖帳號，以利能繼續使用",
        ),
        ("nb", "Jeg får ikke logget inn på kontoen min siden i går, og passordet virker ikke."),
        ("gsw", GERMAN),
    ],
)
def test_regions_scripts_and_languages_that_letters_cannot_tell_apart_stay_as_they_were_said(
    said: str, text: str
) -> None:
    assert checked(said, text) == said


def test_a_short_text_is_left_to_the_classifier() -> None:
    assert checked("pl", "Warum geht es?") == "pl"


def test_a_log_is_in_no_language_and_says_nothing() -> None:
    assert (
        checked("pt", "bp-44434ce5-245f-4ad5-b736-e6f390190909 9/9/19 bp-0808fe04-a54c-4f32-b9b5-7405c0190909") == "pt"
    )
