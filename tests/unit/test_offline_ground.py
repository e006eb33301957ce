"""Which sentences of a reply are claims, and which claims are quotes."""

from __future__ import annotations

import pytest

from app.offline.extract import Candidate, compose
from app.offline.frames import frame_for, frames
from app.offline.ground import CLAIM_CHARS_MAX, Claim, _fitting, _tokens, claims_of, exact_parts_occur, is_quote
from app.offline.request import Source

SOURCE = Source(
    "kb-1", "Pop-ups", "", "Firefox blocks pop-ups on **every page**. Refunds take 14 days, see https://a.example/x."
)


@pytest.mark.parametrize("language", sorted(frames()))
def test_only_the_quotes_of_an_extracted_reply_are_claims(language: str) -> None:
    reply = compose(frame_for(language), [Candidate(0, 0, "Firefox blocks pop-ups on every page")], [SOURCE])
    claims = claims_of(reply, [SOURCE])
    assert len(claims) == 1
    assert is_quote(claims[0], SOURCE.text)


@pytest.mark.parametrize("language", sorted(frames()))
def test_a_reply_without_quotes_makes_no_claim(language: str) -> None:
    frame = frame_for(language)
    assert claims_of(f"{frame.greeting}\n\n{frame.colleague}", [SOURCE]) == []


def test_an_attribution_to_a_document_that_was_not_given_is_a_claim() -> None:
    assert claims_of(frame_for("en").attribution("Pop-ups", "kb-9"), [SOURCE])


def test_a_claim_hidden_in_the_title_of_an_attribution_is_a_claim() -> None:
    assert claims_of(frame_for("en").attribution("You get a refund today", "kb-1"), [SOURCE])


def test_markup_case_and_spaces_do_not_matter_to_a_quote() -> None:
    assert is_quote("firefox blocks  Pop-ups on every page", SOURCE.text)


def test_a_changed_word_is_no_quote() -> None:
    assert not is_quote("Firefox never blocks pop-ups on every page", SOURCE.text)


def test_part_of_a_word_is_no_quote() -> None:
    assert not is_quote("fox blocks pop-ups on", SOURCE.text)


@pytest.mark.parametrize(
    ("claim", "occurs"),
    [
        ("It takes 14 days.", True),
        ("It takes 1 day.", False),
        ("It takes 4 days.", False),
        ("See https://a.example/x.", True),
        ("See https://a.example/y.", False),
        ("Write to me@b.example", False),
        ("No number here", True),
    ],
)
def test_numbers_and_links_must_occur_whole(claim: str, occurs: bool) -> None:
    assert exact_parts_occur(claim, SOURCE.text) is occurs


def test_claims_are_cut_to_the_token_limit_and_unsupported_ones_stay() -> None:
    claims = [Claim(f"{n} " + "x" * 300, supported=n != 19, document_id=None) for n in range(20)]
    fitted = _fitting(claims, 300)
    assert _tokens(fitted) <= 300
    assert any(not claim.supported for claim in fitted)
    assert all(len(claim.text) <= CLAIM_CHARS_MAX for claim in fitted)
