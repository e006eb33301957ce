"""What a person can decide on a ticket, and what an edit changed. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Literal
from uuid import UUID

from agents.contract import PermanentError
from agents.evidence import unfounded
from schemas.event import derived_id
from schemas.reviews import Decision, Edit

REPLY_CHARS_MAX = 50_000
REASON_CHARS_MAX = 2_000
# Comparing takes time that grows faster than the length.
TOKENS_MAX = 1_000  # a second on a busy machine; a draft has some 250 words
SPELLING_LETTERS_MIN = 5
SPELLING_CHANGED_MAX = 0.25
MATERIAL_SHARE = 0.2


class State(StrEnum):
    """Of a ticket."""

    WORKING = "working"  # in the pipeline
    WAITING = "waiting"
    ESCALATED = "escalated"
    SENDING = "sending"
    SENT = "sent"
    REJECTED = "rejected"
    TAKEN_OVER = "taken_over"
    SUPERSEDED = "superseded"
    DEAD = "dead"
    UNKNOWN = "unknown"  # nobody can tell whether its reply went out: a person looks


class Action(StrEnum):
    APPROVED = "approved"
    EDITED = "edited"
    REJECTED = "rejected"
    SPECIALIST = "specialist"  # waits on, for somebody else
    TAKEN_OVER = "taken_over"  # a person answers in the help desk


_DRAFT = frozenset({State.WAITING, State.ESCALATED})
_ALLOWED = {
    Action.APPROVED: _DRAFT,
    Action.EDITED: _DRAFT,
    Action.REJECTED: _DRAFT,
    Action.SPECIALIST: _DRAFT | {State.REJECTED, State.DEAD},
    Action.TAKEN_OVER: frozenset(State) - {State.SENT, State.SUPERSEDED, State.TAKEN_OVER},
}
AFTER = {
    Action.APPROVED: State.SENDING,
    Action.EDITED: State.SENDING,
    Action.REJECTED: State.REJECTED,
    Action.SPECIALIST: State.ESCALATED,
    Action.TAKEN_OVER: State.TAKEN_OVER,
}
# What says something of the draft.
REVIEWS = {
    Action.APPROVED: Decision.APPROVED,
    Action.EDITED: Decision.EDITED,
    Action.REJECTED: Decision.REJECTED,
}


@dataclass(frozen=True)
class Choice:
    """``draft_event_id`` is the draft that the person looked at ("" where there is none)."""

    action: Action
    draft_event_id: str
    reply: str = ""
    reason: str = ""
    wording_only: bool = False  # the person says so of an edit


def check(choice: Choice, state: State, draft_event_id: str, *, is_answered: bool = False) -> None:
    """Raises PermanentError: decided, changed, answered, no_reply, no_reason, too_long."""
    if state not in _ALLOWED[choice.action]:
        raise PermanentError("decided", f"the ticket is {state}: it cannot be {choice.action} now; load it again")
    if choice.draft_event_id != draft_event_id:
        raise PermanentError("changed", "the ticket has changed since it was shown: load it again")
    if choice.action is Action.APPROVED and is_answered:
        raise PermanentError("answered", "this reply was sent already: edit it, or take the ticket over")
    if choice.action in (Action.APPROVED, Action.EDITED) and not draft_event_id:
        raise PermanentError("no_reply", "there is no draft yet: wait for it, or take the ticket over")
    if choice.action is Action.EDITED and not choice.reply.strip():
        raise PermanentError("no_reply", "the reply is empty: write one, or reject the draft")
    if choice.action in (Action.REJECTED, Action.SPECIALIST):
        check_said_why(choice.reason)
    if len(choice.reply) > REPLY_CHARS_MAX or len(choice.reason) > REASON_CHARS_MAX:
        raise PermanentError(
            "too_long", f"a reply has at most {REPLY_CHARS_MAX:,} characters, a reason {REASON_CHARS_MAX:,}"
        )


def check_said_why(reason: str) -> None:
    """Raises PermanentError("no_reason")."""
    if not reason.strip():
        raise PermanentError("no_reason", "say why: the reason helps whoever comes next")


def new_decision_id(draft_event_id: str, earlier: int) -> UUID:
    """With the same number of earlier decisions on the same draft the same: so nothing is decided twice, and a
    decision of ours is known wherever it comes from."""
    return UUID(derived_id(draft_event_id, f"decision {earlier}"))


def reply_id(event_id: str) -> UUID:
    """Of the reply that follows from a decision, or from a TicketRouted."""
    return UUID(derived_id(event_id, "reply"))


def as_sent(draft_body: str, document_ids: Sequence[str]) -> str:
    """The draft without the marks of its citations, which mean nothing to a customer."""
    for document_id in document_ids:
        draft_body = re.sub(rf"[ \t]*\[{re.escape(document_id)}\]", "", draft_body)
    return draft_body.strip()


Kind = Literal["same", "removed", "added"]


@dataclass(frozen=True)
class Piece:
    kind: Kind
    text: str


# A word or mark with the space behind it; of scripts without spaces each character.
_TOKEN = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]\s*|[\w'’]+\s*|\s+|[^\w\s]\s*")


def word_diff(draft: str, reply: str) -> tuple[Piece, ...]:
    """From the draft to the reply. What is longer than TOKENS_MAX words is not compared: all removed, all added."""
    before, after = _TOKEN.findall(draft), _TOKEN.findall(reply)
    pieces: list[Piece] = []
    for tag, i, j, k, m in _changes(before, after):
        if tag == "equal":
            pieces.append(Piece("same", "".join(before[i:j])))
            continue
        pieces += [Piece("removed", "".join(before[i:j]))] if j > i else []
        pieces += [Piece("added", "".join(after[k:m]))] if m > k else []
    return tuple(pieces)


def edit_of(draft: str, reply: str, *, wording_only: bool = False) -> Edit:
    """Material in doubt: only spelling and marks, or what the person calls wording, is not. A changed number, price,
    date, link or quote always is."""
    before, after = _words(draft), _words(reply)
    changed = [(before[i:j], after[k:m]) for tag, i, j, k, m in _changes(before, after) if tag != "equal"]
    words = max(len(before), len(after), 1)
    share = min(1.0, sum(max(len(old), len(new)) for old, new in changed) / words)
    facts = bool(unfounded(reply, (), draft) or unfounded(draft, (), reply))
    spelling = share <= MATERIAL_SHARE and all(_same_but_for_spelling(old, new) for old, new in changed)
    return Edit(words_changed=share, material=facts or not (spelling or wording_only))


def _words(text: str) -> list[str]:
    return [token.rstrip().casefold() for token in _TOKEN.findall(text) if token[0].isalnum()]


def _changes(before: Sequence[str], after: Sequence[str]) -> Sequence[tuple[str, int, int, int, int]]:
    if max(len(before), len(after)) > TOKENS_MAX:
        return [("equal" if before == after else "replace", 0, len(before), 0, len(after))]
    return SequenceMatcher(None, before, after, autojunk=False).get_opcodes()


def _same_but_for_spelling(old: Sequence[str], new: Sequence[str]) -> bool:
    """Word by word: long ones that begin alike and differ in a letter or two. "Possible" and "impossible" do not."""
    return len(old) == len(new) and all(
        min(len(a), len(b)) >= SPELLING_LETTERS_MIN
        and a[0] == b[0]
        and 1 - SequenceMatcher(None, a, b, autojunk=False).ratio() <= SPELLING_CHANGED_MAX
        for a, b in zip(old, new, strict=True)
    )
