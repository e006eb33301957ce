"""Reviews on ``reviews.decided``: past ones from a file, and all of a tenant's for whoever learns from them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from agents.contract import PermanentError
from app.ingest import BadLine, Ingested, bad_line, json_object, put_lines, within_limit
from app.kafka.reading import each_event
from schemas.event import derived_id
from schemas.reviews import ReviewDecided

REVIEWS_MAX = 200_000  # held in memory at once
_NEEDED = ("ticket_id", "root_id", "draft_event_id")


def review_decided(line: bytes, *, tenant: str, source: str) -> ReviewDecided:
    """The event of one line. Without an ``event_id`` it derives from source, draft and content. Raises BadLine."""
    row = json_object(line)
    if row.get("tenant", tenant) != tenant:
        raise BadLine(f"tenant: {row['tenant']!r} is not {tenant!r}")
    if missing := [name for name in _NEEDED if not row.get(name)]:
        raise BadLine(f"{missing[0]}: is missing")
    content = hashlib.sha256(line.strip()).hexdigest()
    known = {
        "event_id": derived_id(f"{source}\n{row['draft_event_id']}", content),
        "conversation": row["ticket_id"],
        "accepted_at": row.get("decided_at"),
    }
    try:
        event = ReviewDecided.model_validate({**known, **row, "tenant": tenant, "source": source})
    except ValidationError as error:
        raise bad_line(error) from error
    within_limit(event)
    return event


async def import_reviews(
    path: Path,
    *,
    client: Mapping[str, Any],
    tenant: str,
    source: str,
    on_bad_line: Callable[[int, str], None],
) -> Ingested:
    """Put every good line on the topic, unless it is there already. Raises OSError, KafkaError, PermanentError."""
    there = {event.event_id for event in await read_reviews(client, tenant)}
    read = partial(review_decided, tenant=tenant, source=source)
    return await put_lines(path, read, client=client, limit=None, on_bad_line=on_bad_line, there=there)


async def read_reviews(
    client: Mapping[str, Any], tenant: str, *, since: datetime | None = None
) -> tuple[ReviewDecided, ...]:
    """Each event once. Raises KafkaError, TimeoutError, PermanentError("too_many")."""
    found: dict[str, ReviewDecided] = {}

    def take(event: ReviewDecided) -> None:
        found.setdefault(event.event_id, event)
        if len(found) > REVIEWS_MAX:
            raise PermanentError("too_many", f"more than {REVIEWS_MAX:,} reviews of {tenant}: narrow them with --since")

    await each_event(client, ReviewDecided, take, tenant=tenant, since=since)
    return tuple(found.values())
