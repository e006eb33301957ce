"""Tickets as people see them, and what they decide. The pool must be the app's: it sees one tenant at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from agents.contract import PermanentError
from app.desk.decisions import AFTER, REVIEWS, Action, Choice, State, as_sent, check, edit_of, new_decision_id, reply_id
from app.desk.terms import asked
from app.store.database import Pool
from app.store.queries import query
from schemas.reviews import Decision, Edit, ReviewDecided, Signals
from schemas.tickets import Grounding, Passage

UNDO_S = 10.0
LEASE_S = 120.0
ROWS_MAX = 200  # of one page
MESSAGES_MAX = 200  # of one conversation, the newest
DECISIONS_MAX = 50
OPEN = (State.WAITING, State.ESCALATED, State.UNKNOWN)


@dataclass(frozen=True)
class Wanted:
    """Which tickets; None: any. ``text``: words of its subject and message, or its id."""

    states: Sequence[State] = OPEN
    category: str | None = None
    language: str | None = None
    priority: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Cursor:
    """The last row of a page."""

    rank: int
    accepted_at: datetime
    ticket_id: str


@dataclass(frozen=True)
class QueueRow:
    ticket_id: str
    conversation_id: str
    subject: str
    beginning: str  # of the message
    requester: str
    language: str
    category: str
    priority: str
    stakes: tuple[str, ...]
    route: str | None
    state: State
    confidence: Decimal | None  # calibrated, else None
    cost_usd: Decimal
    accepted_at: datetime
    rank: int
    lease_user: str | None

    @property
    def cursor(self) -> Cursor:
        return Cursor(self.rank, self.accepted_at, self.ticket_id)


@dataclass(frozen=True)
class Message:
    number: int
    ticket_id: str
    author: str  # customer, agent, deskstream
    sent_here: bool
    body: str
    at: datetime


@dataclass(frozen=True)
class Decided:
    """A decision as it is kept."""

    id: UUID
    decision: str
    actor: str
    reason: str
    reply: str
    words_changed: float | None
    material: bool | None
    at: datetime
    undone_at: datetime | None

    @property
    def undo_until(self) -> datetime:
        return self.at + timedelta(seconds=UNDO_S)


@dataclass(frozen=True)
class Reply:
    """A row of the outbox."""

    reply_id: UUID
    state: str  # pending, claimed, sent, unknown, stale, failed
    body: str
    decision_id: UUID | None
    attempts: int
    remote_id: str | None
    last_error: str | None
    not_before: datetime
    created_at: datetime
    sent_at: datetime | None


@dataclass(frozen=True)
class TicketView:
    tenant: str
    ticket_id: str
    conversation_id: str
    channel: str
    subject: str
    customer_text: str
    requester: str
    accepted_at: datetime
    state: State
    superseded_by: str | None
    routed_event_id: str | None  # the draft's id in a Choice
    routed_at: datetime | None
    route: str | None
    reasons: tuple[str, ...]
    language: str
    category: str
    priority: str
    stakes: tuple[str, ...]
    draft_body: str  # with the marks of its citations: [document id]
    draft_model: str
    citations: tuple[str, ...]
    unanswered: tuple[str, ...]
    unfounded: tuple[str, ...]
    internal: tuple[str, ...]
    passages: tuple[Passage, ...]
    grounding: Grounding | None
    confidence: Decimal | None
    cost_usd: Decimal
    lease_user: str | None
    decided_at: datetime | None
    messages: tuple[Message, ...] = ()
    decisions: tuple[Decided, ...] = ()  # newest first
    replies: tuple[Reply, ...] = ()  # newest first
    is_answered: bool = False  # a reply to its newest message was sent
    changed_articles: tuple[str, ...] = ()  # cited ones that were edited or withdrawn since

    @property
    def reply(self) -> str:
        """What approving sends."""
        return as_sent(self.draft_body, [passage.document_id for passage in self.passages])


@dataclass(frozen=True)
class AuditRow:
    id: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: Mapping[str, Any] = field(default_factory=dict)


async def queue(
    pool: Pool, tenant: str, wanted: Wanted | None = None, *, limit: int = 50, after: Cursor | None = None
) -> list[QueueRow]:
    """Urgent and escalated first, then the oldest."""
    wanted = wanted or Wanted()
    at = (after.rank, after.accepted_at, after.ticket_id) if after else (None, None, None)
    async with pool.transaction(tenant) as connection:
        rows = await connection.fetch(
            query("desk/queue"), tenant, list(wanted.states), wanted.category, wanted.language, wanted.priority,
            wanted.text and asked(wanted.text, tenant), *at, min(limit, ROWS_MAX),
        )  # fmt: skip
    return [_queue_row(row) for row in rows]


async def latest(
    pool: Pool, tenant: str, state: State, wanted: Wanted, *, limit: int = 50, after: Cursor | None = None
) -> list[QueueRow]:
    """Of one state, newest first, for looking back; ``wanted.states`` is not looked at."""
    at = (after.accepted_at, after.ticket_id) if after else (None, None)
    async with pool.transaction(tenant) as connection:
        rows = await connection.fetch(
            query("desk/latest"), tenant, state, wanted.category, wanted.language, wanted.priority,
            wanted.text and asked(wanted.text, tenant), *at, min(limit, ROWS_MAX),
        )  # fmt: skip
    return [_queue_row(row) for row in rows]


async def counts(pool: Pool, tenant: str, *, up_to: int | None = None) -> dict[State, int]:
    """Of every state, also of those without a ticket; more than ``up_to`` are not counted."""
    async with pool.transaction(tenant) as connection:
        rows = await connection.fetch(query("desk/counts"), tenant, list(State), up_to)
    return {State(row["state"]): row["tickets"] for row in rows}


async def ticket(pool: Pool, tenant: str, ticket_id: str) -> TicketView:
    """Raises PermanentError("no_ticket")."""
    async with pool.transaction(tenant) as connection:
        row = await connection.fetchrow(query("desk/ticket"), tenant, ticket_id)
        if row is None:
            raise _no_ticket(ticket_id)
        messages = await connection.fetch(query("desk/conversation"), tenant, row["conversation_id"], MESSAGES_MAX)
        decisions = await connection.fetch(query("desk/decisions"), tenant, ticket_id, DECISIONS_MAX)
        replies = await connection.fetch(query("desk/replies"), tenant, ticket_id, DECISIONS_MAX)
        changed = await connection.fetch(query("desk/changed_articles"), tenant, ticket_id)
    return TicketView(
        **_plain_columns(row),
        messages=tuple(Message(**each) for each in messages),
        decisions=tuple(Decided(**each) for each in decisions),
        replies=tuple(Reply(**each) for each in replies),
        changed_articles=tuple(each["document_id"] for each in changed),
    )


async def lease(pool: Pool, tenant: str, ticket_id: str, user: str) -> str:
    """Take or renew the ticket for LEASE_S; gives who has it now. Raises PermanentError("no_ticket")."""
    async with pool.transaction(tenant) as connection:
        holder: str | None = await connection.fetchval(query("desk/lease"), tenant, ticket_id, user, LEASE_S)
    if holder is None:
        raise _no_ticket(ticket_id)
    return holder


async def release(pool: Pool, tenant: str, ticket_id: str, user: str) -> None:
    """Give it back; nothing where another has it."""
    async with pool.transaction(tenant) as connection:
        await connection.execute(query("desk/release"), tenant, ticket_id, user)


async def decide(pool: Pool, tenant: str, ticket_id: str, actor: str, choice: Choice) -> Decided:
    """Decision, reply to send, audit and the ticket's state, in one transaction. A reply waits UNDO_S first.

    Raises PermanentError: no_ticket, taken (another has it), and as ``decisions.check`` does.
    """
    async with pool.transaction(tenant) as connection:
        row = await locked_ticket(connection, tenant, ticket_id)
        if row["is_leased"] and row["lease_user"] != actor:
            raise PermanentError("taken", f"{row['lease_user']} has this ticket: ask them, or wait")
        draft = row["routed_event_id"] or ""
        check(choice, State(row["state"]), draft, is_answered=row["is_answered"])
        proposed = as_sent(row["draft_body"], [each["document_id"] for each in orjson.loads(row["passages"])])
        reply = {Action.APPROVED: proposed, Action.EDITED: choice.reply}.get(choice.action, "")
        if choice.action in (Action.APPROVED, Action.EDITED) and not reply.strip():
            raise PermanentError("no_reply", "the draft is empty: edit it, or take the ticket over")
        edit = None
        if choice.action is Action.EDITED:
            edit = edit_of(proposed, choice.reply, wording_only=choice.wording_only)
        decided = Decided(
            id=new_decision_id(draft or row["root_id"], row["decisions"]),
            decision=choice.action, actor=actor, reason=choice.reason, reply=reply,
            words_changed=edit.words_changed if edit else None, material=edit.material if edit else None,
            at=row["now"], undone_at=None,
        )  # fmt: skip
        await _keep(connection, row, decided, choice, edit)
    return decided


async def undo(pool: Pool, tenant: str, decision_id: UUID, actor: str) -> None:
    """Within UNDO_S, by who decided. Raises PermanentError("too_late")."""
    too_late = PermanentError("too_late", f"only who decided can undo it, within {UNDO_S:g} seconds")
    async with pool.transaction(tenant) as connection:
        row = await connection.fetchrow(query("desk/undo"), tenant, decision_id, actor, UNDO_S)
        if row is None:
            raise too_late
        ticket_id, action = row["ticket_id"], Action(row["decision"])
        stopped = await connection.fetch(query("desk/stop_replies"), tenant, ticket_id, "undone")
        if AFTER[action] is State.SENDING and not stopped:  # the sender has it
            raise too_late
        await connection.execute(
            query("desk/undo_state"), tenant, ticket_id, row["draft_event_id"] or None, row["state_before"],
            AFTER[action],
        )  # fmt: skip
        await add_audit(connection, tenant, actor, action="undone", subject=ticket_id, details={"decision": action})


async def settle_unknown(pool: Pool, tenant: str, ticket_id: str, actor: str, *, landed: bool) -> None:
    """A person looked in the help desk: the reply is there, or it is sent now. Raises PermanentError("decided")."""
    async with pool.transaction(tenant) as connection:
        reply_id = await connection.fetchval(query("desk/unknown_reply"), tenant, ticket_id)
        if reply_id is None:
            raise PermanentError("decided", "no reply of this ticket is unknown: load it again")
        if landed:
            await connection.execute(query("desk/reply_sent"), tenant, reply_id, None, actor)
        else:
            await connection.execute(query("desk/send_again"), tenant, reply_id)
            await connection.execute(query("desk/set_state"), tenant, ticket_id, State.SENDING, None)
        await add_audit(
            connection, tenant, actor, action="reply_settled", subject=ticket_id, details={"landed": landed}
        )


async def audit_log(pool: Pool, tenant: str, *, limit: int = 100, before: int | None = None) -> list[AuditRow]:
    """Newest first; ``before`` is the id of the last row of the page before."""
    async with pool.transaction(tenant) as connection:
        rows = await connection.fetch(query("desk/audit_log"), tenant, before, min(limit, ROWS_MAX))
    return [AuditRow(**{**row, "details": orjson.loads(row["details"])}) for row in rows]


async def add_audit(
    connection: Any, tenant: str, actor: str, *, action: str, subject: str, details: Mapping[str, Any]
) -> None:
    """In the transaction of what is told. Nobody can change or delete it."""
    await connection.execute(
        query("desk/add_audit"), tenant, actor, action, subject, orjson.dumps(dict(details)).decode()
    )


async def locked_ticket(connection: Any, tenant: str, ticket_id: str) -> Mapping[str, Any]:
    """Until the end of the transaction. Raises PermanentError("no_ticket")."""
    row: Mapping[str, Any] | None = await connection.fetchrow(query("desk/lock_ticket"), tenant, ticket_id)
    if row is None:
        raise _no_ticket(ticket_id)
    return row


async def keep_decision(connection: Any, row: Mapping[str, Any], decided: Decided, event: ReviewDecided | None) -> None:
    """Of the locked ticket; the event goes to the bus once it can no longer be undone."""
    await connection.execute(
        query("desk/add_decision"), decided.id, row["tenant"], row["ticket_id"], row["routed_event_id"] or "",
        decided.decision, decided.actor, decided.reason, decided.reply, decided.words_changed, decided.material,
        event.rating if event else None, event.model_dump_json() if event else None, row["state"], decided.at,
    )  # fmt: skip


def review_of(
    row: Mapping[str, Any], decided: Decided, decision: Decision, *, edit: Edit | None = None, rating: int | None = None
) -> ReviewDecided:
    """What it says of the locked ticket's draft, which has signals."""
    return ReviewDecided(
        event_id=str(decided.id), root_id=row["root_id"], source=row["source"], tenant=row["tenant"],
        conversation=row["conversation_id"], accepted_at=row["accepted_at"], ticket_id=row["ticket_id"],
        draft_event_id=row["routed_event_id"], decision=decision, reviewer=decided.actor, decided_at=decided.at,
        reply=decided.reply, edit=edit, reason=decided.reason, rating=rating, category=row["category"],
        language=row["language"], priority=row["priority"], review_s=_review_s(row, decided),
        signals=Signals.model_validate_json(row["signals"]),
    )  # fmt: skip


async def _keep(connection: Any, row: Mapping[str, Any], decided: Decided, choice: Choice, edit: Edit | None) -> None:
    tenant, ticket_id = row["tenant"], row["ticket_id"]
    decision = REVIEWS.get(choice.action)  # None: it says nothing of the draft
    event = None
    if decision is not None and row["signals"] is not None:
        event = review_of(row, decided, decision, edit=edit)
    await keep_decision(connection, row, decided, event)
    if decided.reply:
        await connection.execute(
            query("desk/add_reply"), tenant, ticket_id, reply_id(str(decided.id)), decided.reply,
            decided.id, UNDO_S, decided.at,
        )  # fmt: skip
    elif choice.action is Action.TAKEN_OVER:
        await connection.execute(query("desk/stop_replies"), tenant, ticket_id, "taken over")
    reason = f"for a specialist: {choice.reason}" if choice.action is Action.SPECIALIST else None
    await connection.execute(query("desk/set_state"), tenant, ticket_id, AFTER[choice.action], reason)
    await add_audit(
        connection, tenant, decided.actor, action=decided.decision, subject=ticket_id,
        details={"decision_id": str(decided.id), "reason": decided.reason, "material": decided.material},
    )  # fmt: skip


def _review_s(row: Mapping[str, Any], decided: Decided) -> float | None:
    """None where nobody took the ticket before deciding."""
    if not row["is_leased"] or row["leased_at"] is None:
        return None
    seconds: float = (decided.at - row["leased_at"]).total_seconds()
    return seconds


def _plain_columns(row: Mapping[str, Any]) -> dict[str, Any]:
    """Those of TicketView, as it holds them."""
    names = TicketView.__dataclass_fields__.keys() & row.keys()
    columns = {name: tuple(row[name]) if isinstance(row[name], list) else row[name] for name in names}
    grounding = row["grounding"]
    return {
        **columns,
        "state": State(row["state"]),
        "passages": tuple(Passage.model_validate(each) for each in orjson.loads(row["passages"])),
        "grounding": None if grounding is None else Grounding.model_validate_json(grounding),
        "lease_user": row["leased_to"],
    }


def _queue_row(row: Mapping[str, Any]) -> QueueRow:
    return QueueRow(**{**row, "state": State(row["state"]), "stakes": tuple(row["stakes"])})


def _no_ticket(ticket_id: str) -> PermanentError:
    return PermanentError("no_ticket", f"there is no ticket {ticket_id!r}")
