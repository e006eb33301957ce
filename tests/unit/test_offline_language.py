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
