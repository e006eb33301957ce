"""The count finds each kind of damage to tickets; the schedule and the door are functions of their seed."""

from __future__ import annotations

import ast
import inspect
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from app.verify import audit, calls, sources
from app.verify.audit import DEAD, DOOR, STAGES, USAGE, Damage, Seen, count
from app.verify.calls import Calls
from app.verify.door import bursts
from app.verify.harness import Options, Report
from app.verify.results import add
from app.verify.schedule import DENSE_APART_S, REST_S, STAGE_NAMES, STOPS_ITS_STAGE, Fault, schedule


def seen(ticket: str, offset: int, *, key: bytes = b"k", partition: int = 0, **event: Any) -> Seen:
    return Seen(partition, offset, key, ticket, event)


def whole(tickets: int = 3) -> dict[str, list[Seen]]:
    records = [seen(f"t{n}", n) for n in range(tickets)]
    return {DOOR: records, **{topic: list(records) for topic in STAGES}, DEAD: [], USAGE: []}


def counted(topics: dict[str, list[Seen]], *accepted: str) -> Damage:
    return count(topics, Calls(), accepted=accepted)


def test_undamaged_topics_are_whole() -> None:
    assert counted(whole(), "t0", "t1").is_whole


def test_a_ticket_that_ended_nowhere_is_lost() -> None:
    topics = whole()
    del topics[STAGES[-1]][1]
    assert counted(topics).lost == ("t1: neither routed nor dead-lettered",)


def test_a_ticket_that_was_accepted_and_is_not_in_the_first_topic_is_lost() -> None:
    assert counted(whole(), "t9").lost == ("t9: accepted, never in tickets.raw",)


def test_a_dead_letter_is_an_end_and_is_counted_by_its_reason() -> None:
    topics = whole()
    del topics[STAGES[-1]][1]
    topics[DEAD].append(seen("t1", 0, reason="time_in_flight"))
    damage = counted(topics)
    assert damage.is_whole
    assert damage.dead == {"time_in_flight": 1}


@pytest.mark.parametrize("topic", [*STAGES, DEAD])
def test_a_ticket_twice_in_a_later_topic_is_repeated(topic: str) -> None:
    topics = whole()
    topics[topic] += [seen("t1", 8), seen("t1", 9)]
    assert any(finding.startswith("t1:") for finding in counted(topics).repeated)


def test_a_ticket_twice_at_the_door_is_no_damage() -> None:
    topics = whole()
    topics[DOOR].append(seen("t1", 9))
    assert counted(topics).is_whole


def test_a_ticket_both_routed_and_dead_is_repeated() -> None:
    topics = whole()
    topics[DEAD].append(seen("t1", 0))
    assert counted(topics).repeated == ("t1: routed and dead-lettered",)


def test_a_conversation_out_of_order_is_found() -> None:
    topics = whole()
    topics[STAGES[2]] = [seen("t1", 0), seen("t0", 1), seen("t2", 2)]
    assert counted(topics).out_of_order == ("t0: in tickets.drafted after a later ticket of its conversation",)


def test_order_is_that_of_the_first_delivery() -> None:
    topics = whole()
    topics[DOOR].append(seen("t0", 9))
    assert counted(topics).is_whole


def test_different_conversations_have_no_order() -> None:
    topics = whole(0)
    topics[DOOR] = [seen("a", 0, key=b"x"), seen("b", 1, key=b"y")]
    for topic in STAGES:
        topics[topic] = [seen("b", 0, key=b"y"), seen("a", 1, key=b"x")]
    assert counted(topics).is_whole


def test_a_record_in_another_partition_than_at_the_door_is_found() -> None:
    topics = whole()
    topics[STAGES[1]][1] = seen("t1", 0, partition=3)
    assert not counted(topics).is_whole


def test_a_ticket_that_never_came_in_is_found() -> None:
    topics = whole()
    topics[STAGES[0]].append(seen("ghost", 9))
    assert not counted(topics).is_whole


@pytest.mark.parametrize(
    "damaged", [Calls(unexplained=("c1: paid twice",)), Calls(unaccounted=("c1: missing",)), Calls(repeated=2, bound=1)]
)
def test_damage_to_calls_is_damage(damaged: Calls) -> None:
    assert not count(whole(), damaged).is_whole


@pytest.mark.parametrize("module", [audit, calls, sources])
def test_the_count_shares_no_code_with_what_it_counts(module: ModuleType) -> None:
    tree = ast.parse(inspect.getsource(module))
    imported = [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    imported += [name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names]
    ours = {name for name in imported if name.split(".")[0] in {"app", "agents", "schemas"}}
    assert all(name.startswith("app.verify.") for name in ours)


def test_the_same_seed_gives_the_same_schedule() -> None:
    assert schedule(7, 300) == schedule(7, 300) != schedule(8, 300)


def test_a_longer_schedule_begins_as_the_shorter_one() -> None:
    assert schedule(7, 300)[: len(schedule(7, 100))] == schedule(7, 100)


def test_the_short_form_meets_each_fault_and_at_least_six_kills() -> None:
    strikes = schedule(1, 80)
    assert {strike.fault for strike in strikes} == set(Fault)
    assert sum(strike.fault in {Fault.KILL_WORKER, Fault.KILL_BROKER} for strike in strikes) >= 6


def test_the_long_form_s_schedule_has_fifteen_kills_a_minute_or_more() -> None:
    """With two workers of a stage; more where some were added."""
    killed = {Fault.KILL_WORKER: 1, Fault.KILL_STAGE: 2, Fault.KILL_BROKER: 1}
    strikes = schedule(1, 1_200, apart_s=DENSE_APART_S)
    assert sum(killed.get(strike.fault, 0) for strike in strikes) >= 15 * 20


@pytest.mark.parametrize("seed", range(20))
def test_a_stage_is_left_alone_until_it_has_work_under_way_again(seed: int) -> None:
    """Unless all four were struck: then it is the turn of the one that had most time."""
    struck = [strike for strike in schedule(seed, 300, apart_s=DENSE_APART_S) if strike.fault in STOPS_ITS_STAGE]
    for at, strike in enumerate(struck):
        ago = {other.stage: strike.at_s - other.at_s for other in struck[:at]}
        if strike.stage in ago and ago[strike.stage] < REST_S:
            assert len(ago) == len(STAGE_NAMES)
            assert ago[strike.stage] == max(ago.values())


def test_a_schedule_has_only_the_faults_that_were_asked_for() -> None:
    assert {strike.fault for strike in schedule(1, 100, {Fault.FREEZE_WORKER})} == {Fault.FREEZE_WORKER}
    assert schedule(1, 100, ()) == ()


def test_every_stage_is_struck() -> None:
    assert {strike.stage for strike in schedule(1, 100)} == set(STAGE_NAMES)


def test_the_same_seed_gives_the_same_tickets() -> None:
    assert list(bursts(3, 200, 50)) == list(bursts(3, 200, 50)) != list(bursts(4, 200, 50))


def test_every_ticket_comes_in_and_some_come_twice() -> None:
    lines = [delivery.line for delivery in chain.from_iterable(bursts(3, 500, 50))]
    assert len(set(lines)) == 500 < len(lines)


def report(**options: Any) -> Report:
    return Report(Options(**options), count(whole(), Calls(paid=9)), kills=2)


def test_kills_add_up_over_runs(tmp_path: Path) -> None:
    file = tmp_path / "chaos.json"
    add(file, report(seed=1))
    assert add(file, report(seed=2))["kills"] == 4


def test_a_run_without_a_safeguard_is_not_added(tmp_path: Path) -> None:
    file = tmp_path / "chaos.json"
    add(file, report())
    assert add(file, report(safeguards_off=frozenset({"map"})))["kills"] == 2


def test_a_file_of_another_shape_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text("[]")
    with pytest.raises(ValueError, match="name another file"):
        add(file, report())
    assert file.read_text() == "[]"
