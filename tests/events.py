"""Events for tests, with only what a test cares about said aloud."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from agents.confidence import FORMULA
from schemas.policy import Calibration, Curve, Graduated, Mode, TenantPolicy
from schemas.tickets import (
    Category,
    Draft,
    Passage,
    Priority,
    Sentiment,
    Thread,
    Ticket,
    TicketClassified,
    TicketDrafted,
    TicketEnriched,
    TicketReceived,
    Verdict,
)

ALONE = Thread()
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def received(**fields: Any) -> TicketReceived:
    ticket = fields.pop("ticket", None) or Ticket(ticket_id="t1", subject="Printing", body="How do I print?")
    return TicketReceived.model_validate(
        {
            "event_id": "e1",
            "source": "/test",
            "tenant": "acme",
            "conversation": "c1",
            "accepted_at": NOON,
            "ticket": ticket,
            **fields,
        }
    )


def verdict(**fields: Any) -> Verdict:
    return Verdict.model_validate(
        {
            "category": Category.HOW_TO,
            "priority": Priority.LOW,
            "sentiment": Sentiment.NEUTRAL,
            "language": "en",
            "confidence": 0.99,
            **fields,
        }
    )


def passage(document_id: str = "printing", **fields: Any) -> Passage:
    return Passage.model_validate(
        {
            "document_id": document_id,
            "version": 1,
            "chunk": 0,
            "title": "Printing",
            "text": "Press Ctrl+P.",
            "score": 0.03,
            "similarity": 0.9,
            **fields,
        }
    )


def classified(**fields: Any) -> TicketClassified:
    return TicketClassified.following(received(), verdict=fields.pop("verdict", verdict()), **fields)


def enriched(**fields: Any) -> TicketEnriched:
    return TicketEnriched.following(classified(), **{"passages": (passage(),), **fields})


def drafted(**fields: Any) -> TicketDrafted:
    draft = Draft(body="Press Ctrl+P [printing].", citations=("printing",), confidence=0.95, model="test")
    return TicketDrafted.following(enriched(), **{"draft": draft, **fields})


def calibration(confidence: float = 0.99, **fields: Any) -> Calibration:
    """One curve for everything: the same ``confidence`` at every raw score."""
    curve = Curve(reviews=100, raw_from=(0.0,), confidence=(confidence,))
    return Calibration.model_validate(
        {"version": 1, "formula": FORMULA, "reviewed_until": NOON, "curves": (curve,), **fields}
    )


def open_policy(**fields: Any) -> TenantPolicy:
    """A policy under which a low-priority how-to question may be sent."""
    known = {
        "tenant": "acme",
        "mode": Mode.AUTO,
        "graduated": (Graduated(category=Category.HOW_TO, locale="en"),),
        "calibration": calibration(),
    }
    return TenantPolicy.model_validate({**known, **fields})
