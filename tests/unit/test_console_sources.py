"""Each sentence of a draft leads to the passage that it rests on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from app.console.sources import linked
from schemas.tickets import Claim, Grounding, Passage

PRINT = Passage(document_id="print", version=1, chunk=0, title="Print a note", text="Choose File, then Print.", score=1)
KEYS = Passage(document_id="keys", version=1, chunk=0, title="Shortcuts", text="Ctrl+P prints.", score=1)
MORE_KEYS = Passage(document_id="keys", version=1, chunk=1, title="More", text="Ctrl+Z takes it back.", score=1)
JAPANESE = Passage(document_id="ja", version=1, chunk=0, title="印刷", text="ファイルから印刷を選びます。", score=1)
ALL = (PRINT, KEYS, MORE_KEYS, JAPANESE)
IDS = ("print", "keys", "ja")


def _passages(body: str, grounding: Grounding | None = None) -> list[int | None]:
    return [sentence.passage for sentence in linked(body, ALL, IDS, grounding)]


@given(st.text(max_size=300))
def test_the_sentences_together_are_the_draft(body: str) -> None:
    assert "".join(sentence.text for sentence in linked(body, ALL, IDS, None)) == body


def test_a_sentence_leads_to_the_passage_that_shares_its_words() -> None:
    assert _passages("Choose File and then Print. Kind regards") == [0, None]


def test_the_mark_behind_a_sentence_goes_before_its_words() -> None:
    assert _passages("Choose File, then Print. [keys]") == [1]


def test_of_an_articles_passages_the_one_that_shares_most_is_meant() -> None:
    assert _passages("Ctrl+Z takes your last step back. [keys]") == [2]


def test_a_sentence_without_spaces_is_found_too() -> None:
    assert _passages("ファイルから印刷を選びます。よろしくお願いします。") == [3, None]


def test_what_is_not_cited_is_no_source() -> None:
    assert [each.passage for each in linked("Choose File, then Print.", ALL, ("keys",), None)] == [None]


def test_an_unsupported_claim_marks_its_sentence() -> None:
    claim = Claim(text="Choose File, then Print.", supported=False, document_id="print")
    [sentence, other] = linked("Choose File, then Print. Ctrl+P prints.", ALL, IDS, Grounding(claims=(claim,)))
    assert (sentence.passage, sentence.supported, other.supported) == (0, False, None)


def test_a_mark_is_shown_as_its_passages_number_and_what_is_no_mark_stays() -> None:
    [sentence] = linked("Press [Enter] twice. [keys]", ALL, IDS, None)
    assert sentence.shown == "Press [Enter] twice."
