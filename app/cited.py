"""Which tickets' replies cited an article: the ones to look at again when it was wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from agents.contract import PermanentError
from app.kafka.reading import each_event
from schemas.tickets import TicketRouted

TICKETS_MAX = 100_000


@dataclass(frozen=True)
class Citing:
    """A ticket whose reply rests on the article, sent or put before a person."""

    ticket_id: str
    conversation: str
    event_id: str
    version: int
    route: str
    accepted_at: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


async def cited_by(
    client: Mapping[str, Any],
    tenant: str,
    document_id: str,
    *,
    version: int | None = None,
    on_read: Callable[[int], None] = lambda read: None,
) -> tuple[list[Citing], int]:
    """The tickets that tickets.routed still holds, in the order of their coming in, and how many could not be read.

    ``on_read`` gets how many of the tenant's were read so far. Raises KafkaError, TimeoutError and
    PermanentError("too_many").
    """
    found: dict[tuple[str, int], Citing] = {}
    read = 0

    def take(event: TicketRouted) -> None:
        nonlocal read
        read += 1
        on_read(read)
        for citing in citations(event, document_id):
            if version is None or citing.version == version:
                found[citing.event_id, citing.version] = citing
        if len(found) > TICKETS_MAX:
            raise PermanentError("too_many", f"more than {TICKETS_MAX:,} tickets cite {document_id}: name a version")

    unreadable = await each_event(client, TicketRouted, take, tenant=tenant)
    return sorted(found.values(), key=lambda citing: (citing.accepted_at, citing.event_id)), unreadable


def citations(event: TicketRouted, document_id: str) -> Iterator[Citing]:
    """A draft cites ids; which version of them it was given stands in the passages."""
    if document_id not in event.draft.citations:
        return
    for version in sorted({p.version for p in event.passages if p.document_id == document_id}):
        yield Citing(
            event.ticket.ticket_id, event.conversation, event.event_id, version, event.route,
            event.accepted_at.isoformat(),
        )  # fmt: skip
