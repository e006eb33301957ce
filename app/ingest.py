"""Tickets from a file into ``tickets.raw``: JSON Lines, plain or gzipped.

A row has ``ticket_id`` and ``text`` (or ``body``); ``subject, conversation, locale, channel, created_at`` are
optional. A line given twice is one event: its id derives from the source, the ticket and the content.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaProducer
from pydantic import ValidationError

from app.kafka.cloudevents import VALUE_BYTES_MAX, encode, to_output
from schemas.event import derived_id
from schemas.tickets import Ticket, TicketReceived

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


def ticket_received(line: bytes, *, tenant: str, source: str) -> TicketReceived:
    """The event of one line. Raises BadLine."""
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise BadLine(f"not JSON: {error}") from error
    if not isinstance(row, dict):
        raise BadLine(f"a JSON {type(row).__name__}, not an object")
    try:
        ticket = Ticket.model_validate(
            {
                "ticket_id": row.get("ticket_id", row.get("id")),
                "subject": row.get("subject") or "",
                "body": row.get("text", row.get("body")),
                "locale": row.get("locale"),
                "channel": row.get("channel") or "file",
                "created_at": _time(row.get("created_at")),
            }
        )
        event = TicketReceived.model_validate(
            {
                "event_id": derived_id(f"{source}\n{ticket.ticket_id}", hashlib.sha256(line.strip()).hexdigest()),
                "source": source,
                "tenant": tenant,
                "conversation": row.get("conversation") or ticket.ticket_id,
                "accepted_at": datetime.now(UTC),
                "ticket": ticket,
            }
        )
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        raise BadLine(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error
    if (size := len(encode(event))) > VALUE_BYTES_MAX:
        raise BadLine(f"the ticket has {size} bytes; the limit is {VALUE_BYTES_MAX}")
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
    done = Ingested()
    producer = AIOKafkaProducer(**client, enable_idempotence=True, acks="all", linger_ms=5)
    await producer.start()
    try:
        sent = []
        for number, line in read_rows(path, limit):
            done.lines += 1
            try:
                event = ticket_received(line, tenant=tenant, source=source)
            except BadLine as error:
                done.bad += 1
                on_bad_line(number, str(error))
                continue
            if event.event_id in done.event_ids:
                done.repeats += 1
            done.event_ids.add(event.event_id)
            on_accepted(event)
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


def _time(text: object) -> datetime | None:
    """ISO 8601, also with a blank before the zone; without a zone it is UTC. Raises BadLine."""
    if text is None or text == "":
        return None
    try:
        moment = datetime.fromisoformat(str(text).replace(" -", "-").replace(" +", "+"))
    except ValueError as error:
        raise BadLine(f"created_at: {text!r} is not an ISO 8601 time") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
