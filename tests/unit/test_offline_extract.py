"""Choosing sentences and putting them into a frame."""

from __future__ import annotations

from app.offline.extract import (
    CANDIDATES_MAX,
    QUOTES_MAX,
    Candidate,
    choose,
    compose,
    confidence,
    open_question,
    pick_candidates,
)
from app.offline.frames import frame_for
from app.offline.request import Source
from app.offline.sentences import sentences, words

POPUPS = Source("kb-1", "Pop-ups", "", "Firefox blocks pop-ups by default on every page. Click Settings to allow them.")
PRINT = Source("kb-2", "Printing", "", "# Printing a page\n1. Open the menu and choose Print to see a preview.")


def quotes(*texts: str) -> list[Candidate]:
    return [Candidate(0, n, text) for n, text in enumerate(texts)]


def test_shared_rare_words_come_before_the_rank() -> None:
    message = "How can I see a print preview from the menu?"
    assert pick_candidates(message, [POPUPS, PRINT])[0].text == "Open the menu and choose Print to see a preview."


def test_without_shared_words_the_rank_decides() -> None:
    assert pick_candidates("ポップアップをブロックしたい", [POPUPS, PRINT])[0].source == 0


def test_headings_are_no_candidates() -> None:
    assert all("Printing a page" not in c.text for c in pick_candidates("printing a page", [PRINT]))


def test_candidates_are_limited() -> None:
    long = Source("kb", "t", "", "\n".join(f"Sentence number {n} about the settings page." for n in range(500)))
    assert len(pick_candidates("settings", [long, long])) == CANDIDATES_MAX


def test_a_sentence_found_in_two_passages_is_quoted_once() -> None:
    assert len(pick_candidates("pop-ups", [POPUPS, POPUPS])) == 2


def test_nothing_near_enough_gives_no_quote() -> None:
    assert choose(quotes("a", "b"), [0.75, 0.7], tokens_max=400) == []


def test_quotes_are_limited_and_in_document_order() -> None:
    texts = [f"sentence {n}" for n in range(8)]
    chosen = choose(quotes(*texts), [0.90, 0.91, 0.92, 0.90, 0.91, 0.92, 0.90, 0.93], tokens_max=400)
    assert [c.position for c in chosen] == sorted(c.position for c in chosen)
    assert len(chosen) == QUOTES_MAX


def test_quotes_that_do_not_fit_are_left_out() -> None:
    assert [c.text for c in choose(quotes("x" * 800, "short"), [0.95, 0.93], tokens_max=100)] == ["short"]


def test_confidence_rises_with_similarity_and_is_low_for_other_subjects() -> None:
    assert confidence(0.95) > confidence(0.9) > confidence(0.85)
    assert confidence(0.85) < 0.05


def test_a_reply_names_each_document_once_by_its_id() -> None:
    reply = compose(
        frame_for("de"), [Candidate(0, 0, "One."), Candidate(0, 1, "Two."), Candidate(1, 0, "Three.")], [POPUPS, PRINT]
    )
    assert reply.count("[kb-1]") == reply.count("[kb-2]") == 1
    assert "„One.“\n„Two.“" in reply
    assert reply.startswith("Guten Tag,")


def test_the_open_question_is_the_customers() -> None:
    assert open_question("Help", "I am lost. Where is my file? Thanks") == "Where is my file?"
    assert open_question("Help", "I am lost.") == "Help"
    assert open_question("", "") == "?"


def test_sentences_end_in_every_script() -> None:
    assert sentences("- One. Two!\n设置页面。点击这里。") == ["One.", "Two!", "设置页面。", "点击这里。"]
    assert sentences("यह एक है। यह दो है।") == ["यह एक है।", "यह दो है।"]


def test_unspaced_scripts_are_read_in_pairs() -> None:
    assert words("設定画面 OK") == ["設定", "定画", "画面", "ok"]
