"""A row of an evaluation set: what people made of a draft."""

from datetime import timedelta
from typing import Any

import pytest

from app.desk.evaluation_set import row
from app.models.masking import Mask
from schemas.reviews import Edit
from schemas.tickets import Route, Ticket, TicketRouted
from tests.events import NOON, drafted
from tests.unit.test_reviews import review

EVENT = TicketRouted.following(
    drafted(ticket=Ticket(ticket_id="t1", body="Write to ann@example.com, please.")),
    grounding=None, route=Route.REVIEW, reasons=("x",),
)  # fmt: skip
APPROVED = review(reply="Press it.")


@pytest.mark.parametrize(
    ("opinions", "good"),
    [
        ([APPROVED], True),
        ([review(decision="edited", edit=Edit(words_changed=0.1, material=False))], True),
        ([review(decision="edited", edit=Edit(words_changed=0.1, material=True))], False),
        ([review(decision="rejected", reason="wrong")], False),
        ([APPROVED, review(decision="reopened")], False),
        ([APPROVED, review(decision="rated", rating=2)], False),
        ([APPROVED, review(decision="rated", rating=5)], True),
        ([review(decision="rejected", reason="x", decided_at=NOON + timedelta(1)), APPROVED], False),
    ],
)
def test_good_is_what_went_out_as_it_was_and_nobody_complained_of(opinions: list[Any], good: bool) -> None:
    assert row(EVENT, opinions, None)["good"] is good


def test_personal_data_are_masked() -> None:
    assert row(EVENT, [APPROVED], Mask())["text"] == "Write to [EMAIL_1], please."
    assert row(EVENT, [APPROVED], None)["text"] == EVENT.ticket.body


def test_the_reply_is_what_people_sent_beside_what_was_drafted() -> None:
    found = row(EVENT, [APPROVED], None)
    assert (found["draft"], found["reply"]) == (EVENT.draft.body, "Press it.")
