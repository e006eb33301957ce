"""The auditor finds each kind of damage; the schedule is a function of its seed."""

from __future__ import annotations

from typing import Any

from app.verify.audit import DEAD, DOOR, STAGES, USAGE, Damage, Request, Seen, count
from app.verify.schedule import Fault, schedule


def seen(ticket: str, offset: int, *, key: bytes = b"k", **event: Any) -> Seen:
    return Seen(0, offset, key, ticket, event)


def whole(tickets: int = 3) -> dict[str, list[Seen]]:
    records = [seen(f"t{n}", n) for n in range(tickets)]
    return {DOOR: records, **{topic: list(records) for topic in STAGES}, DEAD: [], USAGE: []}


def request(call_id: str = "c1", digest: str = "d", began: float = 10.0, ended: float = 11.0, **fields: Any) -> Request:
    return Request(call_id, digest, began, ended, **{"paid": True, "tokens": 5, **fields})


def counted(topics: dict[str, list[Seen]], *requests: Request, strikes: tuple[float, ...] = ()) -> Damage:
    return count(topics, requests, strikes, write_delay_s=0.5)


def test_undamaged_topics_are_whole() -> None:
    assert counted(whole()).is_whole


def test_a_ticket_that_ended_nowhere_is_lost() -> None:
    topics = whole()
    del topics[STAGES[-1]][1]
    assert counted(topics).lost == ("t1",)


def test_a_dead_letter_is_an_end() -> None:
    topics = whole()
    topics[DEAD].append(topics[STAGES[-1]].pop(1))
    assert counted(topics).is_whole


def test_a_ticket_twice_in_a_later_topic_is_repeated() -> None:
    topics = whole()
    topics[STAGES[0]].append(seen("t1", 9))
    assert len(counted(topics).repeated) == 1


def test_a_ticket_twice_at_the_door_is_no_damage() -> None:
    topics = whole()
    topics[DOOR].append(seen("t1", 9))
    assert counted(topics).is_whole


def test_a_ticket_both_routed_and_dead_is_repeated() -> None:
    topics = whole()
    topics[DEAD].append(seen("t1", 0))
    assert counted(topics).repeated == ("t1: routed and dead",)


def test_a_conversation_out_of_order_is_found() -> None:
    topics = whole()
    topics[STAGES[2]] = [seen("t1", 0), seen("t0", 1), seen("t2", 2)]
    assert len(counted(topics).out_of_order) == 1


def test_different_conversations_have_no_order() -> None:
    topics = whole(0)
    topics[DOOR] = [seen("a", 0, key=b"x"), seen("b", 1, key=b"y")]
    for topic in STAGES:
        topics[topic] = [seen("b", 0, key=b"y"), seen("a", 1, key=b"x")]
    assert counted(topics).is_whole


def test_a_ticket_that_never_came_in_is_found() -> None:
    topics = whole()
    topics[STAGES[0]].append(seen("ghost", 9))
    assert not counted(topics).is_whole


def test_the_same_question_paid_twice_is_counted_against_the_bound() -> None:
    twice = (request("c1"), request("c2", began=20, ended=21))
    assert not counted(whole(), *twice).is_whole
    assert counted(whole(), *twice, strikes=(10.5,)).is_whole


def test_an_answer_just_before_a_strike_counts_into_the_bound() -> None:
    assert counted(whole(), request(ended=11.0), strikes=(11.4,)).calls_bound == 1
    assert counted(whole(), request(ended=11.0), strikes=(11.6,)).calls_bound == 0


def test_a_refused_request_is_not_paid() -> None:
    assert counted(whole(), request("c1", paid=False), request("c2")).calls_repeated == 0


def test_tokens_that_differ_from_the_providers_are_found() -> None:
    topics = whole()
    topics[USAGE] = [seen("t0", 0, call_id="c1", outcome="ok", usage={"input_tokens": 4})]
    assert not counted(topics, request("c1")).is_whole


def test_a_call_on_the_bus_that_was_never_paid_is_found() -> None:
    topics = whole()
    topics[USAGE] = [seen("t0", 0, call_id="c9", outcome="ok", usage={"input_tokens": 5})]
    assert not counted(topics, request("c1")).is_whole


def test_the_same_seed_gives_the_same_schedule() -> None:
    assert schedule(7, 300) == schedule(7, 300) != schedule(8, 300)


def test_the_short_form_meets_each_fault_and_at_least_six_kills() -> None:
    strikes = schedule(1, 100)
    assert {strike.fault for strike in strikes} == set(Fault)
    assert sum(strike.fault in {Fault.KILL_WORKER, Fault.KILL_BROKER} for strike in strikes) >= 6
