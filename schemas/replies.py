"""replies.sent: what customers got, for whoever counts or follows it."""

from __future__ import annotations

from typing import ClassVar

from pydantic import AwareDatetime, Field

from schemas.event import Event, EventId


class ReplySent(Event):
    """A reply that is known to have landed; ``event_id`` is its id with the help desk. What it says stands in the draft
    or decision that it follows from."""

    TOPIC: ClassVar[str] = "replies.sent"
    ticket_id: str = Field(min_length=1, max_length=200)
    decision_event_id: EventId | None = Field(
        default=None, description="of the ReviewDecided that it follows from; None: sent by itself, as it was routed"
    )
    channel: str = Field(max_length=200)
    remote_id: str = Field(default="", max_length=1_000, description="the help desk's own id of it, where it gave one")
    sent_at: AwareDatetime
