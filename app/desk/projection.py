"""What each record of the topics changes in the tables. All of it may come again, and then changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson

from agents.confidence import signals
from agents.contract import PermanentError
from agents.graduation import complains
from agents.message import as_text
from app.desk.decisions import as_sent, new_decision_id, reply_id
from app.desk.terms import terms
from app.kafka.cloudevents import TENANT_HEADER, from_record, header
from app.runtime.dead_letter import PREFIX
from app.store.queries import query
from schemas.event import derived_id
from schemas.reviews import ReviewDecided
from schemas.tickets import BodyFormat, Ticket, TicketReceived, TicketRouted
from schemas.topics import DEAD_LETTER_TOPIC
from schemas.usage import UsageRecorded

TEXT_CHARS_MAX = 50_000
REASON_CHARS_MAX = 200
DECISIONS_OF_A_DRAFT_MAX = 20  # undone and made again; a later one is taken for one from elsewhere


async def project(connection: Any, record: Any) -> None:
    """In the transaction that moves the offset on. What nobody can read has its dead letter, and changes nothing."""
    try:
        match record.topic:
            case TicketReceived.TOPIC:
                await _received(connection, from_record(record, TicketReceived), record.partition)
            case TicketRouted.TOPIC:
                await _routed(connection, from_record(record, TicketRouted), _written_at(record))
            case UsageRecorded.TOPIC:
                await _used(connection, from_record(record, UsageRecorded), _written_at(record))
            case ReviewDecided.TOPIC:
                await _reviewed(connection, from_record(record, ReviewDecided))
            case topic if topic == DEAD_LETTER_TOPIC:
                await _dead(connection, record)
    except PermanentError:
        return


async def _received(connection: Any, event: TicketReceived, partition: int) -> None:
    ticket, text, subject = event.ticket, _storable(_shown(event.ticket)), _storable(event.ticket.subject)
    await connection.execute(
        query("desk/message_received"), event.tenant, event.conversation, ticket.ticket_id, event.event_id,
        text, event.accepted_at, event.source, partition, ticket.channel, subject,
        terms(ticket.ticket_id, subject, text),
    )  # fmt: skip


async def _routed(connection: Any, event: TicketRouted, at: datetime) -> None:
    draft, verdict = event.draft, event.verdict
    stated = _json([passage.model_dump(mode="json") for passage in event.passages])
    grounding = None if event.grounding is None else _json(event.grounding.model_dump(mode="json"))
    calibrated = event.confidence.calibrated if event.confidence else None
    await connection.execute(
        query("desk/routing_counts"), event.tenant, event.event_id, event.root_id, event.ticket.ticket_id, event.route,
        event.accepted_at, at, event.conversation, verdict.category, verdict.language, complains(verdict),
    )  # fmt: skip
    sends: bool | None = await connection.fetchval(
        query("desk/ticket_routed"), event.tenant, event.ticket.ticket_id, event.conversation, event.root_id,
        event.event_id, at, event.route, _texts(event.reasons), verdict.language, verdict.category, verdict.priority,
        list(verdict.stakes), _storable(draft.body), draft.model, _texts(draft.citations), _texts(draft.unanswered),
        _texts(draft.unfounded), _texts(draft.internal), stated, grounding,
        signals(event, event.grounding).model_dump_json(), calibrated,
    )  # fmt: skip
    if sends:
        body = as_sent(_storable(draft.body), [passage.document_id for passage in event.passages])
        await connection.execute(
            query("desk/add_reply"), event.tenant, event.ticket.ticket_id, reply_id(event.event_id),
            body, None, 0.0, at,
        )  # fmt: skip


async def _used(connection: Any, event: UsageRecorded, at: datetime) -> None:
    await connection.execute(query("desk/call_told"), event.tenant, event.call_id, event.root_id, event.cost_usd, at)


async def _reviewed(connection: Any, event: ReviewDecided) -> None:
    edit, decision_id = event.edit, _decision_id(event.event_id)
    ours = any(
        decision_id == new_decision_id(event.draft_event_id, number) for number in range(DECISIONS_OF_A_DRAFT_MAX)
    )
    await connection.execute(
        query("desk/review_told"), event.tenant, decision_id, event.ticket_id, event.draft_event_id,
        event.decision, event.reviewer, _storable(event.reason), _storable(event.reply),
        edit.words_changed if edit else None, edit.material if edit else None, event.rating, event.decided_at, ours,
        reply_id(str(decision_id)),
    )  # fmt: skip
    await connection.execute(
        query("desk/review_counts"), event.tenant, event.event_id, event.ticket_id, event.draft_event_id,
        event.decision, edit.material if edit else None, event.rating, event.category, event.language, event.priority,
        event.review_s, event.decided_at,
    )  # fmt: skip


async def _dead(connection: Any, record: Any) -> None:
    try:
        event = orjson.loads(record.value or b"{}")
    except orjson.JSONDecodeError:
        return
    if not isinstance(event, dict):
        return
    tenant = header(record.headers, TENANT_HEADER) or event.get("tenant")
    root_id = event.get("root_id") or event.get("event_id") or header(record.headers, "ce_id")
    reason = (header(record.headers, f"{PREFIX}reason") or "unknown")[:REASON_CHARS_MAX]
    if isinstance(tenant, str) and isinstance(root_id, str):
        await connection.execute(query("desk/ticket_dead"), _storable(tenant), _storable(root_id), _storable(reason))


def _shown(ticket: Ticket) -> str:
    text = as_text(ticket.body) if ticket.body_format is BodyFormat.HTML else ticket.body
    return text[:TEXT_CHARS_MAX]


def _written_at(record: Any) -> datetime:
    return datetime.fromtimestamp(record.timestamp / 1_000, UTC)


def _decision_id(event_id: str) -> UUID:
    """Our own decisions have a UUID, so they are found again; others may have any name."""
    try:
        return UUID(event_id)
    except ValueError:
        return UUID(derived_id(event_id, "decision"))


def _storable(text: str) -> str:
    """PostgreSQL's text holds no NUL."""
    return text.replace("\0", "")


def _texts(texts: tuple[str, ...]) -> list[str]:
    return [_storable(text) for text in texts]


def _json(value: Any) -> str:
    return orjson.dumps(_without_nul(value)).decode()


def _without_nul(value: Any) -> Any:
    if isinstance(value, str):
        return _storable(value)
    if isinstance(value, list):
        return [_without_nul(each) for each in value]
    return {name: _without_nul(each) for name, each in value.items()} if isinstance(value, dict) else value
