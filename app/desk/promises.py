"""What must hold of a routed ticket and of a sent reply, said a second time.

On purpose this uses nothing of ``agents``: a mistake of the rule that decides is to be seen here, not repeated. It
asks for no more than the rule does, so that it is silent where the rule is right. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from schemas.reviews import Decision
from schemas.tickets import Audience, Category, Passage, Priority, Route, Stake, TicketRouted

SENDABLE = (Category.HOW_TO, Category.TECHNICAL_PROBLEM, Category.BILLING, Category.FEATURE_REQUEST)
REPLIES_MAX = 3
COPIED_CHARS = 60
_SENT_AFTER_UNDO_S = 9.0  # 10 s, and clocks that differ a little
_PUBLIC_CHARS = 20
_HOST = re.compile(r"https?://(?:www\.)?([\w.-]*\w)", re.IGNORECASE)


@dataclass(frozen=True)
class Allowed:
    """What a tenant allowed about when a ticket was routed. In doubt, by the time that a policy is kept, it did."""

    auto: bool
    graduated: bool
    halted: bool
    confidence_min: float


def broken_by(event: TicketRouted, allowed: Allowed) -> tuple[str, ...]:
    """Every promise that this record breaks."""
    return (*_a_person_is_reached(event), *(_sent_wrongly(event, allowed) if event.route is Route.SEND else ()))


def _a_person_is_reached(event: TicketRouted) -> Iterator[str]:
    verdict = event.verdict
    signs = {
        "a person was asked for": verdict.wants_human,
        "a complaint was repeated": verdict.complains_again,
        "the customer went round in circles": verdict.goes_in_circles,
        f"{event.replies} replies were no end": event.replies >= REPLIES_MAX,
        "it was a legal or security matter": bool({Stake.LEGAL, Stake.SECURITY} & set(verdict.stakes)),
    }
    if event.route is not Route.ESCALATE:
        yield from (f"{sign}, and it was not escalated" for sign, is_there in signs.items() if is_there)
    if event.route is Route.SUPERSEDED and verdict.stakes:
        yield "a ticket with high stakes was superseded"


def _sent_wrongly(event: TicketRouted, allowed: Allowed) -> Iterator[str]:
    verdict, confidence = event.verdict, event.confidence
    calibrated = None if confidence is None else confidence.calibrated
    if verdict.stakes:
        yield f"sent with high stakes ({', '.join(verdict.stakes)})"
    if verdict.category not in SENDABLE:
        yield f"sent in category {verdict.category}"
    if verdict.priority is not Priority.LOW:
        yield f"sent with priority {verdict.priority}"
    if not allowed.auto:
        yield "sent in draft mode"
    if not allowed.graduated:
        yield f"sent though {verdict.category}/{verdict.language} was closed"
    if allowed.halted:
        yield "sent while sending was halted"
    if calibrated is None:
        yield "sent uncalibrated"
    if min(calibrated or 0.0, verdict.confidence) < allowed.confidence_min:
        yield "sent below the tenant's confidence"
    yield from _unfounded(event)


def _unfounded(event: TicketRouted) -> Iterator[str]:
    draft, grounding = event.draft, event.grounding
    public = [passage for passage in event.passages if passage.audience is Audience.PUBLIC]
    ids = {passage.document_id for passage in public}
    if not draft.body.strip():
        yield "sent an empty reply"
    if not draft.citations or not ids.issuperset(draft.citations):
        yield "sent with an invalid citation, or none"
    if draft.unanswered or draft.unfounded or draft.internal:
        yield "sent with findings on its draft"
    if grounding is None or not grounding.claims or not all(claim.supported for claim in grounding.claims):
        yield "sent with a claim that nothing supports"
    known = "\n".join(f"{p.title}\n{p.heading}\n{p.text}\n{p.url or ''}" for p in public).casefold()
    if any(host.casefold() not in known for host in _HOST.findall(draft.body)):
        yield "sent a link to a place that no public article names"
    if _copies(draft.body, event.passages):
        yield "sent a passage of an internal article"


def _copies(body: str, passages: Sequence[Passage]) -> bool:
    """Whether so many letters in a row stand in an internal passage, and nothing of them in a public one."""
    public = " ".join(_letters(f"{p.title}{p.text}") for p in passages if p.audience is Audience.PUBLIC)
    internal = " ".join(_letters(p.text) for p in passages if p.audience is Audience.INTERNAL)
    said = _letters(body)
    return bool(internal) and any(
        run in internal and not any(part in public for part in _windows(run, _PUBLIC_CHARS))
        for run in _windows(said, COPIED_CHARS)
    )


def _windows(text: str, chars: int) -> Iterator[str]:
    return (text[at : at + chars] for at in range(len(text) - chars + 1))


def _letters(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKC", text).casefold() if char.isalnum())


@dataclass(frozen=True)
class Sent:
    """A reply that went out, and what it followed from. None: that is not known here."""

    reply_id: str
    sent_at: datetime
    body: str
    times: int  # replies sent to the same message
    decision: str | None = None  # by a person; else it went out by itself
    decided_at: datetime | None = None
    decided_reply: str | None = None
    undone: bool = False
    route: str | None = None  # where it went out by itself
    stakes: Sequence[str] = ()
    priority: str | None = None
    category: str | None = None
    halted_before: bool = False  # sending was halted when it went out by itself


def sent_wrongly(sent: Sent) -> tuple[str, ...]:
    """Every promise that this reply breaks."""
    return tuple(_by_a_person(sent) if sent.decision is not None else _by_itself(sent))


def _by_a_person(sent: Sent) -> Iterator[str]:
    if sent.decision not in {Decision.APPROVED, Decision.EDITED}:
        yield f"a reply went out on the decision {sent.decision}"
    if sent.undone:
        yield "a reply went out whose decision was undone"
    if sent.body != sent.decided_reply:
        yield "a reply went out that nobody approved"
    if sent.decided_at is not None and (sent.sent_at - sent.decided_at).total_seconds() < _SENT_AFTER_UNDO_S:
        yield "a reply went out before its decision could be undone"
    yield from _twice(sent)


def _by_itself(sent: Sent) -> Iterator[str]:
    if sent.route is not None and sent.route != Route.SEND:
        yield f"a reply went out by itself, and the route was {sent.route}"
    if sent.stakes:
        yield "a reply with high stakes went out by itself"
    if sent.priority not in {None, Priority.LOW}:
        yield f"a reply of priority {sent.priority} went out by itself"
    if sent.category is not None and sent.category not in SENDABLE:
        yield f"a reply in category {sent.category} went out by itself"
    if sent.halted_before:
        yield "a reply went out by itself while sending was halted"
    yield from _twice(sent)


def _twice(sent: Sent) -> Iterator[str]:
    if sent.times > 1:
        yield f"{sent.times} replies went out to one message"
