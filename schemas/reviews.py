"""reviews.decided: what people, and later customers, made of a draft."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Self

from pydantic import AwareDatetime, Field, model_validator

from schemas.event import Event, EventId, Value
from schemas.tickets import Category, Confidence, Language, Priority


class Decision(StrEnum):
    APPROVED = "approved"
    EDITED = "edited"
    REJECTED = "rejected"
    REOPENED = "reopened"  # after it was sent
    RATED = "rated"  # by the customer


class Signals(Value):
    """What was known of a draft when it was decided on; a raw confidence can be worked out of it again."""

    similarity: Annotated[float, Field(ge=-1, le=1)] | None = Field(
        default=None, description="cosine of the first passage; None where it was not found by meaning"
    )
    margin: Confidence = Field(default=0.0, description="lead of the first passage over the second, as a share")
    agreement: Confidence = Field(default=0.0, description="1: all signs of the search put that passage first")
    classification: Confidence
    draft: Confidence
    citations: int = Field(default=0, ge=0)
    unanswered: int = Field(default=0, ge=0)
    unfounded: int = Field(default=0, ge=0)
    supported: Confidence | None = Field(default=None, description="share of claims; None where none was checked")


class Edit(Value):
    """From the draft to the reply as it was sent."""

    words_changed: Confidence = Field(description="share of words")
    material: bool = Field(description="more than wording: what is said changed")


class ReviewDecided(Event):
    """One decision on one draft. Of several on the same draft the last one holds."""

    TOPIC: ClassVar[str] = "reviews.decided"
    ticket_id: str = Field(min_length=1, max_length=200)
    draft_event_id: EventId = Field(description="of the TicketDrafted, or of its TicketRouted")
    decision: Decision
    reviewer: str = Field(min_length=1, max_length=200, description="who, or what, decided: a customer's id on 'rated'")
    decided_at: AwareDatetime
    reply: str = Field(default="", max_length=50_000, description="as sent; empty where nothing was")
    edit: Edit | None = None
    reason: str = Field(default="", max_length=2_000)
    rating: Annotated[int, Field(ge=1, le=5)] | None = None
    category: Category
    language: Language
    priority: Priority | None = Field(default=None, description="None: nobody said; it then counts for no graduation")
    review_s: Annotated[float, Field(ge=0)] | None = Field(
        default=None, description="from when the reviewer took the ticket; None: that is not known"
    )
    signals: Signals

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        needs = {
            Decision.EDITED: ("edit", self.edit),
            Decision.REJECTED: ("reason", self.reason),
            Decision.RATED: ("rating", self.rating),
        }
        name, given = needs.get(self.decision, ("", True))
        if not given:
            raise ValueError(f"decision {self.decision} needs {name}")
        return self
