"""Several questions in one message: each is answered or named as open, and an open one is never sent."""

from __future__ import annotations

import pytest

from agents import draft, route
from agents.draft import Reply
from app.offline.classify import asked
from app.offline.extract import Candidate, answers
from app.offline.sentences import questions
from schemas.tickets import QUESTION_CHARS_MAX, QUESTIONS_MAX, Route, Verdict
from tests.events import ALONE, drafted, enriched, open_policy, verdict

TWO = ("How do I print?", "How do I share?")


def decided(reply: Reply, questions: tuple[str, ...] = TWO) -> tuple[str, ...]:
    return draft.decide(enriched(verdict=verdict(questions=questions)), reply).draft.unanswered


def reply(answered: tuple[int, ...], unanswered: tuple[str, ...] = ()) -> Reply:
    return Reply(reply="Press it.", citations=("printing",), answered=answered, unanswered=unanswered, confidence=1)


def test_the_drafting_model_is_shown_the_questions() -> None:
    (call,) = draft.ask(enriched(verdict=verdict(questions=TWO)))
    assert call.variables["questions"] == TWO


def test_where_each_is_answered_none_is_open() -> None:
    assert decided(reply((1, 2))) == ()


@pytest.mark.parametrize("answered", [(1,), (1, 3), (1, 0), (1, 1)])
def test_one_that_the_model_does_not_say_it_answered_is_open(answered: tuple[int, ...]) -> None:
    assert decided(reply(answered)) == ("How do I share?",)


def test_one_that_the_model_names_as_open_is_not_named_twice() -> None:
    assert decided(reply((1,), unanswered=("how do I share",))) == ("how do I share",)


def test_one_that_is_answered_and_named_as_open_is_open() -> None:
    assert decided(reply((1, 2), unanswered=("How do I share?",))) == ("How do I share?",)


def test_of_a_repaired_draft_the_last_reply_counts() -> None:
    event = enriched(verdict=verdict(questions=TWO))
    assert draft.decide(event, reply(()), reply((1, 2))).draft.unanswered == ()


def test_an_open_question_keeps_a_reply_from_being_sent() -> None:
    event = drafted(draft=draft.decide(enriched(verdict=verdict(questions=TWO)), reply((2,))).draft)
    assert route.rule(event, open_policy(), ALONE, None) == (Route.REVIEW, ("some questions are left open",))


def test_a_classifier_that_lists_too_many_or_too_long_questions_is_not_asked_again() -> None:
    given = {**verdict().model_dump(), "questions": ["", *(str(n) + "x" * 1_000 for n in range(9))]}
    found = Verdict.model_validate(given).questions
    assert len(found) == QUESTIONS_MAX and found[0][0] == "0" and max(map(len, found)) == QUESTION_CHARS_MAX


def test_a_verdict_from_before_questions_were_listed_has_none() -> None:
    old = {name: value for name, value in verdict().model_dump().items() if name != "questions"}
    assert Verdict.model_validate(old).questions == ()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("I tried. How do I print? And share?", ["How do I print?", "And share?"]),
        ("怎样打印？谢谢。如何分享？", ["怎样打印？", "如何分享？"]),
        ("印刷できますか。ありがとう。", ["印刷できますか。"]),
        ("كيف أطبع؟ شكرا.", ["كيف أطبع؟"]),
        ("Πώς τυπώνω;\nΕυχαριστώ.", ["Πώς τυπώνω;"]),
        ("Ինչպե՞ս տպել", ["Ինչպե՞ս տպել"]),
        ("See https://a.example/?x=1 and x; then y;", []),
        ('He asked "Why?"', ['He asked "Why?"']),
    ],
)
def test_the_offline_model_knows_questions_by_their_marks(text: str, found: list[str]) -> None:
    assert questions(text) == found


def test_the_offline_model_lists_questions_only_where_there_are_several() -> None:
    assert asked("Printing", "How do I print?") == []
    assert asked("How do I print?", "How do I print?\n\nHow do I print? And how do I share?") == [
        "How do I print?",
        "And how do I share?",
    ]


def test_a_question_is_answered_by_the_offline_model_where_a_quote_is_near_it() -> None:
    near = {"a": [0.95, 0.5, 0.5], "b": [0.5, 0.9, 0.5], "c": [0.5, 0.5, 0.99]}
    assert answers(near, [Candidate(0, 0, "a"), Candidate(0, 1, "b")], 3) == (1, 2)
