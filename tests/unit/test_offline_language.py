"""The language of a text, and how sure it is."""

from __future__ import annotations

import pytest

from app.offline.language import FALLBACK_PROBABILITY, Opinion, decide, letter_opinion


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Ich kann mich seit gestern nicht mehr in meinem Konto anmelden.", "de"),
        ("Je n'arrive plus à me connecter à mon compte depuis hier.", "fr"),
        ("昨日からアカウントにログインできません。", "ja"),
        ("لا أستطيع تسجيل الدخول إلى حسابي منذ أمس", "ar"),
        ("I HAVE NOT BEEN ABLE TO LOG IN SINCE YESTERDAY", "en"),
    ],
)
def test_a_sentence_is_enough(text: str, language: str) -> None:
    found = decide(text, letter_opinion(text), None)
    assert found.value == language
    assert found.probability > 0.5


def test_a_word_is_not_enough_and_the_answer_says_so() -> None:
    assert decide("ok", Opinion("nl", 0.99), None) == Opinion("en", FALLBACK_PROBABILITY)


def test_no_letters_at_all_fall_back() -> None:
    assert decide("12345 !!!", Opinion("zh", 0.9), Opinion("de", 0.9)).probability == FALLBACK_PROBABILITY


def test_for_short_texts_the_embedding_may_decide() -> None:
    assert decide("bitte hilf", Opinion("nl", 0.95), Opinion("de", 0.8)).value == "de"


def test_two_equal_opinions_are_believed() -> None:
    assert decide("hola", Opinion("es", 0.4), Opinion("es", 0.7)) == Opinion("es", 0.7)


def test_a_log_has_no_language_of_its_own() -> None:
    log = "bp-44434ce5-245f-4ad5-b736-e6f390190909 9/9/19 bp-0808fe04-a54c-4f32-b9b5-7405c0190909"
    assert decide(log, letter_opinion(log), None).value == "en"


def test_a_dialect_is_answered_in_its_written_standard() -> None:
    assert letter_opinion("如何解鎖帳號 E-MAIL認證信件被退回而被鎖帳號， 該如何解鎖帳號，以利能繼續使用").value == "zh"
