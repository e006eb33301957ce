"""Which waiting record runs next."""

import random
from dataclasses import dataclass, field
from typing import Any

from app.runtime.lanes import Lanes, Waiting
from app.runtime.record import Admission


@dataclass
class Rec:
    offset: int
    topic: str = "t"
    partition: int = 0
    timestamp: int = 0
    key: bytes | None = None
    value: bytes | None = b"x"
    headers: list[tuple[str, bytes]] = field(default_factory=list)


def waiting(offset: int, lane: Any, *, tenant: str = "", urgent: bool = False, partition: Any = "p") -> Waiting:
    return Waiting(Rec(offset), partition, Admission(lane, tenant, urgent))


def lanes(**limits: int) -> Lanes:
    return Lanes(**{"in_flight_max": 100, "partition_in_flight_max": 100, "tenant_in_flight_max": 100, **limits})


def running(scheduler: Lanes) -> list[Waiting]:
    out = []
    while (item := scheduler.next()) is not None:
        out.append(item)
    return out


def offsets(items: list[Waiting]) -> list[int]:
    return [item.record.offset for item in items]


def test_one_record_of_a_lane_runs_at_a_time_and_in_order() -> None:
    scheduler = lanes()
    for offset in range(3):
        scheduler.add(waiting(offset, "a"))
    first = running(scheduler)
    assert offsets(first) == [0]
    scheduler.release(first[0])
    assert offsets(running(scheduler)) == [1]


def test_different_lanes_run_side_by_side() -> None:
    scheduler = lanes()
    for offset in range(3):
        scheduler.add(waiting(offset, offset))
    assert offsets(running(scheduler)) == [0, 1, 2]


def test_the_worker_limit_holds() -> None:
    scheduler = lanes(in_flight_max=2)
    for offset in range(3):
        scheduler.add(waiting(offset, offset))
    first = running(scheduler)
    assert len(first) == 2
    scheduler.release(first[0])
    assert offsets(running(scheduler)) == [2]


def test_urgent_runs_before_what_waited_longer() -> None:
    scheduler = lanes(in_flight_max=1)
    for offset in range(3):
        scheduler.add(waiting(offset, offset))
    scheduler.add(waiting(3, 3, urgent=True))
    assert offsets(running(scheduler)) == [3]


def test_an_urgent_record_pulls_its_lane_forward_in_order() -> None:
    scheduler = lanes(in_flight_max=1)
    scheduler.add(waiting(0, "other"))
    scheduler.add(waiting(1, "lane"))
    scheduler.add(waiting(2, "lane", urgent=True))
    first = running(scheduler)
    assert offsets(first) == [1]
    scheduler.release(first[0])
    assert offsets(running(scheduler)) == [2]


def test_tenants_take_turns_however_much_one_has_waiting() -> None:
    scheduler = lanes(in_flight_max=1)
    for offset in range(5_000):
        scheduler.add(waiting(offset, offset, tenant="big"))
    scheduler.add(waiting(9_999, "single", tenant="small"))
    order = []
    for _ in range(3):
        item = running(scheduler)[0]
        order.append(item.admission.tenant)
        scheduler.release(item)
    assert "small" in order[:2]


def test_the_tenant_limit_leaves_room_for_others() -> None:
    scheduler = lanes(tenant_in_flight_max=1)
    for offset in range(3):
        scheduler.add(waiting(offset, offset, tenant="a"))
    scheduler.add(waiting(3, 3, tenant="b"))
    assert sorted(offsets(running(scheduler))) == [0, 3]


def test_a_place_freed_in_a_partition_is_not_lost_on_a_tenant_at_its_limit() -> None:
    scheduler = lanes(partition_in_flight_max=1, tenant_in_flight_max=1)
    scheduler.add(waiting(0, 0, tenant="a", partition="p"))
    scheduler.add(waiting(1, 1, tenant="b", partition="q"))
    first = running(scheduler)
    scheduler.add(waiting(2, 2, tenant="b", partition="p"))
    scheduler.add(waiting(3, 3, tenant="c", partition="p"))
    assert running(scheduler) == []
    scheduler.release(first[0])
    assert offsets(running(scheduler)) == [3]


def test_dropped_partition_leaves_no_waiting_records() -> None:
    scheduler = lanes(in_flight_max=1)
    for offset in range(4):
        scheduler.add(waiting(offset, offset % 2, partition="p"))
    scheduler.add(waiting(9, 9, partition="q"))
    first = running(scheduler)
    scheduler.drop("p")
    scheduler.release(first[0])
    assert offsets(running(scheduler)) == [9]
    assert scheduler.waiting == 0 and scheduler.waiting_bytes == 0


def test_everything_runs_once_under_any_limits() -> None:
    """Random arrivals, limits and finishing orders: each record runs once, in order in its lane, within limits."""
    for seed in range(60):
        rng = random.Random(seed)
        limits = {
            name: rng.randint(1, 6) for name in ("in_flight_max", "partition_in_flight_max", "tenant_in_flight_max")
        }
        scheduler = Lanes(**limits)
        ran: list[Waiting] = []
        flying: list[Waiting] = []
        todo = [
            waiting(n, (t := f"t{rng.randint(0, 3)}", rng.randint(0, 5)), tenant=t, urgent=rng.random() < 0.2,
                    partition=f"p{rng.randint(0, 2)}")
            for n in range(200)
        ]  # fmt: skip
        while todo or flying or scheduler.waiting:
            for _ in range(rng.randint(0, 9)):
                if todo:
                    scheduler.add(todo.pop(0))
            started = running(scheduler)
            ran += started
            flying += started
            assert len(flying) <= limits["in_flight_max"]
            for tenant in {item.admission.tenant for item in flying}:
                assert sum(item.admission.tenant == tenant for item in flying) <= limits["tenant_in_flight_max"]
            assert flying or not scheduler.waiting, "records wait though nothing runs"
            if flying:
                scheduler.release(flying.pop(rng.randrange(len(flying))))
        assert sorted(offsets(ran)) == list(range(200))
        for place in {(item.partition, item.admission.lane) for item in ran}:
            own = [i.record.offset for i in ran if (i.partition, i.admission.lane) == place]
            assert own == sorted(own)
