"""What a person can decide, and what an edit changed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.contract import PermanentError
from app.desk.decisions import Action, Choice, State, as_sent, check, edit_of, word_diff

DRAFT = "You can return the shoes within 30 days. Please keep the receipt."


def refused(choice: Choice, state: State = State.WAITING, draft: str = "d1") -> str | None:
    try:
        check(choice, state, draft)
    except PermanentError as error:
        return error.reason
    return None


@pytest.mark.parametrize("state", [State.WAITING, State.ESCALATED])
def test_a_draft_that_waits_can_be_approved(state: State) -> None:
    assert refused(Choice(Action.APPROVED, "d1"), state) is None


@pytest.mark.parametrize("state", sorted(set(State) - {State.WAITING, State.ESCALATED}))
@pytest.mark.parametrize("action", [Action.APPROVED, Action.EDITED, Action.REJECTED])
def test_a_draft_that_does_not_wait_cannot_be_decided_on(action: Action, state: State) -> None:
    assert refused(Choice(action, "d1", reply="x", reason="x"), state) == "decided"


@pytest.mark.parametrize("action", list(Action))
def test_nobody_decides_on_a_draft_that_they_have_not_seen(action: Action) -> None:
    assert refused(Choice(action, "d0", reply="x", reason="x")) == "changed"


def test_what_has_no_draft_can_be_taken_over_and_not_approved() -> None:
    assert refused(Choice(Action.TAKEN_OVER, ""), State.DEAD, "") is None
    assert refused(Choice(Action.APPROVED, ""), State.ESCALATED, "") == "no_reply"


def test_a_rejection_says_why() -> None:
    assert refused(Choice(Action.REJECTED, "d1", reason=" ")) == "no_reason"


def test_an_edit_has_a_text() -> None:
    assert refused(Choice(Action.EDITED, "d1", reply=" \n")) == "no_reply"


def test_a_reply_has_a_longest_length() -> None:
    assert refused(Choice(Action.EDITED, "d1", reply="x" * 50_001)) == "too_long"


def test_marks_of_citations_are_not_sent() -> None:
    assert as_sent("Press Ctrl+P [a.b] or F5 [c]. See [d].", ["a.b", "c"]) == "Press Ctrl+P or F5. See [d]."


# --- edits


def material(reply: str, *, wording_only: bool = False) -> bool:
    return edit_of(DRAFT, reply, wording_only=wording_only).material


def test_spelling_and_marks_are_not_material() -> None:
    assert not material("You can return the shoes within 30 days! Please keep the reciept.")


@pytest.mark.parametrize(
    "reply",
    [
        DRAFT.replace("can", "cannot"),
        DRAFT.replace("30", "14"),
        DRAFT.replace("You can", "You can always"),
        DRAFT.replace(" Please keep the receipt.", ""),
        DRAFT + " See https://example.com/returns.",
        "No.",
    ],
)
def test_what_changes_what_is_said_is_material(reply: str) -> None:
    assert material(reply)


def test_possible_is_not_a_spelling_of_impossible() -> None:
    assert edit_of("That is possible.", "That is impossible.").material


def test_a_person_may_call_an_edit_wording() -> None:
    assert not material("Dear Ann, " + DRAFT, wording_only=True)


def test_a_changed_figure_is_material_whatever_a_person_calls_it() -> None:
    assert material(DRAFT.replace("30", "14"), wording_only=True)


def test_nothing_changed_is_no_change() -> None:
    edit = edit_of(DRAFT, DRAFT)
    assert (edit.words_changed, edit.material) == (0.0, False)


def test_all_changed_is_the_whole_share() -> None:
    assert edit_of("one two", "three four").words_changed == 1.0


def test_scripts_without_spaces_are_compared_by_character() -> None:
    assert edit_of("本日発送します", "明日発送します").words_changed == pytest.approx(1 / 7)


@given(st.text(max_size=200), st.text(max_size=200))
def test_a_diff_holds_both_texts(draft: str, reply: str) -> None:
    pieces = word_diff(draft, reply)
    assert "".join(piece.text for piece in pieces if piece.kind != "added") == draft
    assert "".join(piece.text for piece in pieces if piece.kind != "removed") == reply


def test_a_very_long_text_is_not_compared_word_by_word() -> None:
    long = "word " * 20_000
    assert [piece.kind for piece in word_diff(long, long + "more")] == ["removed", "added"]


def test_an_edit_that_only_adds_keeps_its_share_below_the_whole() -> None:
    assert 0 < edit_of(DRAFT, DRAFT + " Thank you.").words_changed < 0.5
