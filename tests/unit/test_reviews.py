"""Reviews as events."""

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.reviews import ReviewDecided
from tests.events import NOON


def review(**fields: Any) -> ReviewDecided:
    return ReviewDecided.model_validate(
        {
            "event_id": "r1",
            "root_id": "e1",
            "source": "/test",
            "tenant": "acme",
            "conversation": "c1",
            "accepted_at": NOON,
            "ticket_id": "t1",
            "draft_event_id": "d1",
            "decision": "approved",
            "reviewer": "kim",
            "decided_at": NOON,
            "category": "how_to",
            "language": "en",
            "signals": {"similarity": 0.9, "classification": 0.9, "draft": 0.8, "citations": 1},
            **fields,
        }
    )


@pytest.mark.parametrize(("decision", "needed"), [("edited", "edit"), ("rejected", "reason"), ("rated", "rating")])
def test_a_decision_without_what_it_is_about_is_refused(decision: str, needed: str) -> None:
    with pytest.raises(ValidationError, match=f"{decision} needs {needed}"):
        review(decision=decision)


def test_a_review_shares_the_key_of_its_ticket() -> None:
    assert review().key == b"acme/c1"
