"""What the report counts, said on the events."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.desk.recount import Facts, counted
from app.desk.report import Report
from schemas.replies import ReplySent
from schemas.reviews import Decision
from schemas.tickets import Grounding, Route, Ticket, TicketRouted
from schemas.usage import Usage, UsageRecorded
from tests.events import NOON, drafted
from tests.unit.test_reviews import review

DAY = timedelta(days=1)
NEEDED = {Decision.RATED: {"rating": 5}, Decision.REJECTED: {"reason": "wrong"}}


def at(hours: float) -> datetime:
    return NOON + timedelta(hours=hours)


class Events:
    """Of ticket t1 unless another is named, in hours from noon."""

    def __init__(self) -> None:
        self.facts = Facts()

    def routed(self, name: str, route: Route, hours: float, *, ticket: str = "t1", lands: bool = True) -> None:
        event = TicketRouted.following(
            drafted(), event_id=name, root_id=f"root-{name}", accepted_at=at(hours), route=route, reasons=("x",),
            grounding=Grounding(), ticket=Ticket(ticket_id=ticket, body="?"),
        )  # fmt: skip
        self.facts.routed(event, at(hours))
        if route is Route.SEND and lands:
            self.sent(name, hours, ticket=ticket)

    def sent(self, name: str, hours: float, *, ticket: str = "t1", decision: str | None = None) -> None:
        event = ReplySent.following(
            drafted(), event_id=f"reply-{name}", root_id=f"root-{name}", ticket_id=ticket, channel="email",
            sent_at=at(hours), decision_event_id=decision,
        )  # fmt: skip
        self.facts.replied(event, at(hours))

    def reviewed(self, decision: Decision, hours: float, **fields: Any) -> None:
        known = {"event_id": f"{decision}-{hours}", "decided_at": at(hours), **NEEDED.get(decision, {})}
        self.facts.reviewed(review(decision=decision, **{**known, **fields}), at(hours))

    def used(self, call_id: str, name: str, cost_usd: str) -> None:
        event = UsageRecorded.following(
            drafted(), event_id=call_id, root_id=f"root-{name}", call_id=call_id, stage="draft", operation="chat",
            model="m", provider="p", usage=Usage(), cost_usd=Decimal(cost_usd), outcome="ok", latency_s=1,
        )  # fmt: skip
        self.facts.used(event, NOON)

    def count(self, *, now: datetime = NOON + 30 * DAY) -> Report:
        return counted(self.facts, NOON - DAY, NOON + DAY, now=now)

    @property
    def ends(self) -> tuple[int, int, int]:
        report = self.count()
        return report.tickets, report.resolved, report.retracted


@pytest.fixture
def events() -> Events:
    return Events()


def test_what_was_sent_by_itself_and_did_not_come_back_is_resolved(events: Events) -> None:
    events.routed("e1", Route.SEND, 0)
    assert events.ends == (1, 1, 0)


@pytest.mark.parametrize("route", [Route.REVIEW, Route.ESCALATE, Route.SUPERSEDED])
def test_what_was_not_sent_is_not(events: Events, route: Route) -> None:
    events.routed("e1", route, 0)
    assert events.ends == (1, 0, 0)


def test_what_was_to_be_sent_and_did_not_land_is_not(events: Events) -> None:
    """Held back by a halt, or refused by the help desk."""
    events.routed("e1", Route.SEND, 0, lands=False)
    assert events.ends == (1, 0, 0)


def test_what_a_person_sent_instead_is_not(events: Events) -> None:
    events.routed("e1", Route.SEND, 0, lands=False)
    events.sent("e1", 1, decision="d1")
    assert events.ends == (1, 0, 0)


def test_a_message_that_was_superseded_before_does_no_harm(events: Events) -> None:
    events.routed("e1", Route.SUPERSEDED, 0)
    events.routed("e2", Route.SEND, 1)
    assert events.ends == (1, 1, 0)


def test_reopened_within_seven_days_it_is_retracted(events: Events) -> None:
    events.routed("e1", Route.SEND, 0)
    events.reviewed(Decision.REOPENED, 7 * 24)
    assert events.ends == (1, 0, 1)


def test_reopened_later_it_stays(events: Events) -> None:
    events.routed("e1", Route.SEND, 0)
    events.reviewed(Decision.REOPENED, 7 * 24 + 1)
    assert events.ends == (1, 1, 0)


def test_a_customer_who_writes_again_within_seven_days_retracts_it(events: Events) -> None:
    events.routed("e1", Route.SEND, 0)
    events.routed("e2", Route.SEND, 20)
    assert events.ends == (1, 0, 1)


def test_what_a_person_had_before_is_neither(events: Events) -> None:
    events.routed("e1", Route.REVIEW, 0)
    events.routed("e2", Route.SEND, 1)
    assert events.ends == (1, 0, 0)


def test_what_a_person_decided_on_is_neither(events: Events) -> None:
    events.routed("e1", Route.SEND, 0)
    events.reviewed(Decision.APPROVED, 1)
    assert events.ends == (1, 0, 0)


def test_what_could_still_come_back_is_told(events: Events) -> None:
    events.routed("e1", Route.SEND, 0)
    assert events.count(now=NOON + 2 * DAY).unsettled == 1
    assert events.count(now=NOON + 8 * DAY).unsettled == 0


def test_a_ticket_belongs_to_the_time_of_its_first_message(events: Events) -> None:
    events.routed("early", Route.REVIEW, -48)
    events.routed("e2", Route.SEND, 1)
    assert events.count().tickets == 0


def test_the_same_events_again_change_nothing(events: Events) -> None:
    for _ in range(2):
        events.routed("e1", Route.SEND, 0)
        events.reviewed(Decision.RATED, 1)
        events.used("c1", "e1", "0.5")
    found = events.count()
    assert (found.tickets, found.ratings, found.cost_usd) == (1, 1, Decimal("0.5"))


def test_the_cost_of_a_resolution_has_that_of_all_tickets_in_it(events: Events) -> None:
    events.routed("e1", Route.SEND, 0)
    events.routed("e2", Route.REVIEW, 0, ticket="t2")
    events.used("c1", "e1", "0.01")
    events.used("c2", "e2", "0.03")
    events.used("c3", "of another time", "9")
    found = events.count()
    assert (found.cost_usd_per_ticket, found.cost_usd_per_resolution) == (Decimal("0.02"), Decimal("0.04"))


def test_of_a_call_that_is_told_again_the_last_telling_holds(events: Events) -> None:
    events.routed("e1", Route.SEND, 0)
    events.used("c1", "e1", "0.09")
    events.used("c1", "e1", "0.01")
    assert events.count().cost_usd == Decimal("0.01")


def test_reviews_whose_time_is_not_known_say_nothing_of_time(events: Events) -> None:
    for hours, seconds in ((1, 20.0), (2, 70.0), (3, 90.0), (4, None)):
        events.reviewed(Decision.APPROVED, hours, review_s=seconds)
    found = events.count()
    assert (found.reviews, found.reviews_timed, found.reviews_under_a_minute) == (4, 3, 1)
    assert found.review_s_median == 70.0


def test_satisfied_are_four_and_five_of_five(events: Events) -> None:
    for hours, rating in enumerate((1, 3, 4, 5)):
        events.reviewed(Decision.RATED, hours, rating=rating, draft_event_id=f"d{hours}")
    assert events.count().csat == 0.5


def test_of_several_ratings_of_a_reply_the_last_holds(events: Events) -> None:
    for hours, rating in ((2, 5), (1, 1), (0, 1)):
        events.reviewed(Decision.RATED, hours, rating=rating)
    assert (events.count().ratings, events.count().rating_sum) == (1, 5)


def test_nothing_is_no_share_of_nothing(events: Events) -> None:
    found = events.count()
    assert (found.resolved_share, found.csat, found.cost_usd_per_resolution, found.review_s_median) == (None,) * 4
