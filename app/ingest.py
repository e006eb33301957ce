"""Tickets from a file into ``tickets.raw``: JSON Lines, plain or gzipped.

A row has ``ticket_id`` and ``text`` (or ``body``); ``body_format`` (``text`` or ``html``), ``subject, conversation,
locale, channel, created_at`` and ``attachments`` (see ``app/attachments.py``; paths are relative to the file) are
optional. A line given twice is one event: its id derives from the source, the ticket and the content.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer
from pydantic import ValidationError

from app.attachments import BadAttachment, attachments
from app.kafka.cloudevents import VALUE_BYTES_MAX, encode, to_output
from schemas.event import Event, derived_id
from schemas.tickets import BodyFormat, Ticket, TicketReceived

_UNACKNOWLEDGED_MAX = 2_000


class BadLine(Exception):
    """What is wrong with one line, in words for whoever wrote the file."""


@dataclass
class Ingested:
    event_ids: set[str] = field(default_factory=set)
    lines: int = 0
    repeats: int = 0
    bad: int = 0


def read_rows(path: Path, limit: int | None) -> Iterator[tuple[int, bytes]]:
    """(line number, line) of the first ``limit`` non-empty lines. Raises OSError."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        given = 0
        for number, line in enumerate(file, start=1):
            if limit is not None and given >= limit:
                return
            if line.strip():
                given += 1
                yield number, line


def ticket_received(line: bytes, *, tenant: str, source: str, folder: Path | None = None) -> TicketReceived:
    """The event of one line; files that it names lie within ``folder``. Raises BadLine."""
    row = json_object(line)
    try:
        ticket = Ticket.model_validate(
            {
                "ticket_id": row.get("ticket_id", row.get("id")),
                "subject": row.get("subject") or "",
                "body": row.get("text", row.get("body")),
                "body_format": row.get("body_format") or BodyFormat.TEXT,
                "attachments": attachments(row["attachments"], folder) if row.get("attachments") is not None else (),
                "locale": row.get("locale"),
                "channel": row.get("channel") or "file",
                "created_at": _time(row.get("created_at")),
            }
        )
        event = TicketReceived.model_validate(
            {
                "event_id": derived_id(f"{source}\n{ticket.ticket_id}", _digest(line, ticket)),
                "source": source,
                "tenant": tenant,
                "conversation": row.get("conversation") or ticket.ticket_id,
                "accepted_at": datetime.now(UTC),
                "ticket": ticket,
            }
        )
    except ValidationError as error:
        raise bad_line(error) from error
    except BadAttachment as error:
        raise BadLine(f"attachments: {error}") from error
    within_limit(event)
    return event


async def ingest(
    path: Path,
    *,
    client: Mapping[str, Any],
    tenant: str,
    source: str,
    limit: int | None,
    on_bad_line: Callable[[int, str], None],
    on_accepted: Callable[[TicketReceived], None] = lambda event: None,
) -> Ingested:
    """Put every good line on the bus; bad ones are reported and passed over. Raises OSError, KafkaError."""

    def read(line: bytes) -> TicketReceived:
        event = ticket_received(line, tenant=tenant, source=source, folder=path.parent)
        on_accepted(event)
        return event

    return await put_lines(path, read, client=client, limit=limit, on_bad_line=on_bad_line)


async def put_lines(
    path: Path,
    read: Callable[[bytes], Event],
    *,
    client: Mapping[str, Any],
    limit: int | None,
    on_bad_line: Callable[[int, str], None],
    there: Collection[str] | None = None,
) -> Ingested:
    """Put the event of every line on the bus. ``read`` raises BadLine.

    ``there``: ids that are on the topic already; neither they nor a line's repeat are then put again. None: repeats
    are put, since the first stage drops them.
    """
    done = Ingested()
    producer = AIOKafkaProducer(**client, enable_idempotence=True, acks="all", linger_ms=5)
    await producer.start()
    try:
        sent = []
        for number, line in read_rows(path, limit):
            done.lines += 1
            try:
                event = read(line)
            except BadLine as error:
                done.bad += 1
                on_bad_line(number, str(error))
                continue
            repeated = event.event_id in done.event_ids or (there is not None and event.event_id in there)
            done.repeats += repeated
            done.event_ids.add(event.event_id)
            if repeated and there is not None:
                continue
            output = to_output(event)
            sent.append(
                await producer.send(output.topic, value=output.value, key=output.key, headers=list(output.headers))
            )
            if len(sent) >= _UNACKNOWLEDGED_MAX:
                for future in sent:
                    await future
                sent.clear()
        for future in sent:
            await future
    finally:
        await producer.stop()
    return done


def json_object(line: bytes) -> dict[str, Any]:
    """Raises BadLine."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadLine(f"not JSON: {error}") from error
    if not isinstance(row, dict):
        raise BadLine(f"a JSON {type(row).__name__}, not an object")
    return row


def bad_line(error: ValidationError) -> BadLine:
    problem = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, problem["loc"]))
    return BadLine(f"{place}: {problem['msg']}" if place else problem["msg"])


def within_limit(event: Event) -> None:
    """Raises BadLine."""
    if (size := len(encode(event))) > VALUE_BYTES_MAX:
        raise BadLine(f"the event has {size} bytes; the limit is {VALUE_BYTES_MAX}")


def _digest(line: bytes, ticket: Ticket) -> str:
    """Of the content: with files beside the line, also of what was read of them."""
    digest = hashlib.sha256(line.strip())
    if ticket.attachments:
        digest.update(orjson.dumps([each.model_dump(mode="json") for each in ticket.attachments]))
    return digest.hexdigest()


def _time(text: object) -> datetime | None:
    """ISO 8601, also with a blank before the zone; without a zone it is UTC. Raises BadLine."""
    if text is None or text == "":
        return None
    try:
        moment = datetime.fromisoformat(str(text).replace(" -", "-").replace(" +", "+"))
    except ValueError as error:
        raise BadLine(f"created_at: {text!r} is not an ISO 8601 time") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
