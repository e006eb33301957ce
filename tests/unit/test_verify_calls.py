"""The count of calls: what was paid again, what a fault explains, and where the books disagree."""

from __future__ import annotations

from typing import Any

import pytest

from app.verify.calls import WRITE_DELAY_S, Calls, Faults, Moment, Outage, Request, Row, count_calls
from app.verify.striker import DRAIN_S, given_up

KILL = Moment(100.0, "draft", "kill_worker")


def request(call_id: str = "c1", began: float = 10.0, ended: float = 11.0, **fields: Any) -> Request:
    return Request(call_id, **{"digest": "d", "stage": "draft", "tokens": (7, 3), **fields}, began=began, ended=ended)


def row(call_id: str = "c1", outcome: str = "ok", tokens: tuple[int, int] = (7, 3)) -> Row:
    return Row(call_id, outcome, tokens)


def counted(*requests: Request, moments: tuple[Moment, ...] = (), outages: tuple[Outage, ...] = ()) -> Calls:
    return count_calls(requests, Faults(moments, outages), None, ())


def accounted(requests: list[Request], ledger: list[Row], bus: list[Row]) -> tuple[str, ...]:
    return count_calls(requests, Faults(), ledger, bus).unaccounted


def test_each_question_paid_once_is_no_repeat() -> None:
    assert counted(request("c1", digest="a"), request("c2", digest="b")).repeated == 0


def test_a_question_paid_twice_is_a_repeat_that_nothing_explains() -> None:
    calls = counted(request("c1"), request("c2", began=20, ended=21))
    assert (calls.repeated, calls.bound, len(calls.unexplained)) == (1, 0, 1)


def test_a_question_under_way_at_a_kill_may_be_paid_again() -> None:
    calls = counted(request("c1", 99, 101), request("c2", 112, 113), moments=(KILL,))
    assert (calls.repeated, calls.bound, calls.unexplained) == (1, 1, ())
    assert calls.bound_by_fault == {"kill_worker": 1}


@pytest.mark.parametrize(("outcome", "unexplained"), [("unconfirmed", 0), ("ok", 1)])
def test_an_answer_stored_late_is_lost_only_if_the_ledger_never_got_it(outcome: str, unexplained: int) -> None:
    again = [request("c1", 95, 97), request("c2", 112, 113)]
    calls = count_calls(again, Faults((KILL,)), [row("c1", outcome), row("c2")], [row("c2")])
    assert len(calls.unexplained) == unexplained


def test_a_question_that_a_kill_explains_once_is_not_paid_three_times() -> None:
    calls = counted(request("c1", 99, 101), request("c2", 112, 113), request("c3", 114, 115), moments=(KILL,))
    assert len(calls.unexplained) == 1


def test_another_questions_kill_explains_nothing() -> None:
    """The sum alone would pass here: one repeat, and one call that might have been lost."""
    other = request("c3", 99, 101, digest="other")
    calls = counted(request("c1", 10, 11), request("c2", 20, 21), other, moments=(KILL,))
    assert calls.repeated <= calls.bound
    assert len(calls.unexplained) == 1


def test_a_kill_in_another_stage_explains_nothing() -> None:
    calls = counted(request("c1", 99, 101), request("c2", 112, 113), moments=(Moment(100, "route", "kill_worker"),))
    assert len(calls.unexplained) == 1


@pytest.mark.parametrize(("ended", "bound"), [(100 - WRITE_DELAY_S + 0.1, 1), (100 - WRITE_DELAY_S - 0.1, 0)])
def test_an_answer_just_before_a_kill_may_not_have_been_stored(ended: float, bound: int) -> None:
    assert counted(request("c1", 90, ended), moments=(KILL,)).bound == bound


def test_an_answer_while_the_database_was_away_may_not_have_been_stored() -> None:
    outage = Outage(90, 100.5)
    assert counted(request("c1", 88, 91), moments=(KILL,), outages=(outage,)).bound == 1
    assert counted(request("c1", 88, 91), moments=(KILL,)).bound == 0


def test_a_database_restart_alone_explains_nothing() -> None:
    calls = counted(request("c1", 9, 11), request("c2", 20, 21), outages=(Outage(10, 12),))
    assert len(calls.unexplained) == 1


@pytest.mark.parametrize(("drained_s", "unexplained"), [(DRAIN_S + 1, 0), (DRAIN_S - 1, 1)])
def test_what_a_worker_that_leaves_gives_up_may_be_paid_again(drained_s: float, unexplained: int) -> None:
    """Who was gone before its time was over has waited for all of its answers."""
    moments = given_up("draft", told_at=100, gone_at=100 + drained_s)
    ends_at = 100 + DRAIN_S
    calls = counted(request("c1", ends_at - 1, ends_at + 1), request("c2", ends_at + 9, ends_at + 10), moments=moments)
    assert len(calls.unexplained) == unexplained


def test_a_refused_request_is_not_paid() -> None:
    calls = counted(request("c1", paid=False), request("c2"))
    assert (calls.paid, calls.repeated) == (1, 0)


def test_a_malformed_chat_answer_is_no_reason_to_ask_the_same_again() -> None:
    """It is stored, and repaired by another question."""
    assert counted(request("c1", spoilt=True), request("c2")).repeated == 1


def test_a_malformed_embedding_is_asked_for_again() -> None:
    assert counted(request("c1", stage="enrich", spoilt=True), request("c2", stage="enrich")).repeated == 0


def test_calls_of_one_question_at_once_are_counted() -> None:
    assert counted(request("c1", 10, 12), request("c2", 11, 13)).at_once == 1
    assert counted(request("c1", 10, 12), request("c2", 12.5, 13)).at_once == 0


def test_books_that_agree() -> None:
    assert accounted([request()], [row()], [row()]) == ()


def test_a_paid_call_that_the_ledger_has_as_unconfirmed_agrees() -> None:
    assert accounted([request()], [row(outcome="unconfirmed", tokens=(0, 0))], []) == ()


@pytest.mark.parametrize(
    ("ledger", "bus"),
    [
        ([], []),  # paid, and in no ledger
        ([row(outcome="refused")], []),  # paid, and booked as free
        ([row(tokens=(7, 4))], []),  # other tokens than the provider's
        ([row(), row("c2")], []),  # booked, never paid
        ([row()], [row(tokens=(6, 3))]),  # other tokens on the bus
        ([row()], [row(), row("c2", outcome="unconfirmed")]),  # on the bus only
    ],
)
def test_books_that_disagree(ledger: list[Row], bus: list[Row]) -> None:
    assert len(accounted([request()], ledger, bus)) == 1


def test_a_confirmed_call_that_the_bus_has_not_is_counted() -> None:
    calls = count_calls([request()], Faults(), [row()], [row(outcome="unconfirmed")])
    assert (calls.off_bus, calls.unaccounted) == (1, ())
