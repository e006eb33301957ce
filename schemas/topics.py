"""The catalogue of topics: name to event class, in pipeline order."""

from __future__ import annotations

from schemas.event import Event
from schemas.replies import ReplySent
from schemas.reviews import ReviewDecided
from schemas.tickets import TicketClassified, TicketDrafted, TicketEnriched, TicketReceived, TicketRouted
from schemas.usage import UsageRecorded

EVENT_CLASSES: dict[str, type[Event]] = {
    cls.TOPIC: cls
    for cls in (
        TicketReceived, TicketClassified, TicketEnriched, TicketDrafted, TicketRouted, ReviewDecided, ReplySent,
        UsageRecorded,
    )
}  # fmt: skip

# Original bytes with origin, reason and attempts in headers: it has no event class, since what could not be
# read must go there too.
DEAD_LETTER_TOPIC = "tickets.dead"

TOPICS: tuple[str, ...] = (*EVENT_CLASSES, DEAD_LETTER_TOPIC)
