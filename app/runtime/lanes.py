"""Which waiting record runs next: in order within a lane, urgent first, fair between tenants, within the limits.

Pure: no clock, no I/O. Tenants take turns; a record counts one, whatever its call will cost. Every operation is
amortised constant time, however many records wait.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

from app.runtime.record import Admission, Record

_OBJECTS_BYTES = 1_000  # what a waiting record costs beside its value, roughly


@dataclass(slots=True, eq=False)
class Lane:
    partition: Hashable
    key: Hashable
    waiting: deque[Waiting] = field(default_factory=deque)
    busy: bool = False
    urgent_waiting: int = 0
    queued: bool | None = None  # in which ring it stands: urgent, ordinary, or in none


@dataclass(slots=True, eq=False)
class Waiting:
    """A record between its poll and its result. ``partition`` is whoever commits it. Times by the monotonic clock."""

    record: Record
    partition: Any
    admission: Admission
    lane: Lane | None = None
    size_bytes: int = 0
    began: float = math.inf
    deadline: float = math.inf
    overdue: bool = False
    attempts: int = 0


class _Ring:
    """Tenants in turn, each with its ready lanes in order of arrival."""

    def __init__(self) -> None:
        self.turns: deque[str] = deque()
        self.ready: dict[str, deque[Lane]] = {}

    def push(self, tenant: str, lane: Lane) -> None:
        if tenant not in self.ready:
            self.ready[tenant] = deque()
            self.turns.append(tenant)
        self.ready[tenant].append(lane)

    def pop(self) -> tuple[str, Lane]:
        tenant = self.turns.popleft()
        lanes = self.ready[tenant]
        lane = lanes.popleft()
        if lanes:
            self.turns.append(tenant)
        else:
            del self.ready[tenant]
        return tenant, lane

    def __bool__(self) -> bool:
        return bool(self.turns)


class Lanes:
    def __init__(self, *, in_flight_max: int, partition_in_flight_max: int, tenant_in_flight_max: int) -> None:
        self._in_flight_max = in_flight_max
        self._partition_max = partition_in_flight_max
        self._tenant_max = tenant_in_flight_max
        self._lanes: dict[tuple[Hashable, Hashable], Lane] = {}
        self._rings = {True: _Ring(), False: _Ring()}
        self._parked: dict[Hashable, deque[Lane]] = {}  # ready lanes whose partition or tenant is at its limit
        self._of_tenant: Counter[str] = Counter()  # in flight
        self._of_partition: Counter[Hashable] = Counter()
        self.in_flight = 0
        self.waiting = 0
        self.waiting_bytes = 0

    def add(self, item: Waiting) -> None:
        place = (item.partition, item.admission.lane)
        lane = self._lanes.get(place)
        if lane is None:
            lane = self._lanes[place] = Lane(*place)
        item.lane = lane
        item.size_bytes = len(item.record.value or b"") + _OBJECTS_BYTES
        lane.waiting.append(item)
        lane.urgent_waiting += item.admission.urgent
        self.waiting += 1
        self.waiting_bytes += item.size_bytes
        # An urgent record pulls what stands before it in its lane along.
        if not lane.busy and (lane.queued is None or (item.admission.urgent and lane.queued is False)):
            self._queue(lane)

    def next(self) -> Waiting | None:
        """Take the next record to run; None when nothing may run now."""
        if self.in_flight >= self._in_flight_max:
            return None
        for urgent in (True, False):
            ring = self._rings[urgent]
            while ring:
                tenant, lane = ring.pop()
                if lane.queued is not urgent or lane.busy or not lane.waiting:
                    continue  # it moved to the urgent ring, or its partition was dropped
                if full := self._full(tenant, lane):
                    self._park(full, lane)
                    continue
                return self._start(lane)
        return None

    def release(self, item: Waiting) -> None:
        """The result of ``item`` is queued for commit, or was given up: its lane goes on."""
        lane = item.lane
        assert lane is not None and lane.busy
        self.in_flight -= 1
        tenant = item.admission.tenant
        _decrement(self._of_tenant, tenant)
        _decrement(self._of_partition, lane.partition)
        if self._parked:
            self._unpark(("tenant", tenant))
            self._unpark(("partition", lane.partition))
        lane.busy = False
        if lane.waiting:
            self._queue(lane)
        elif self._lanes.get((lane.partition, lane.key)) is lane:
            del self._lanes[lane.partition, lane.key]

    def drop(self, partition: Hashable) -> int:
        """Forget the waiting records of a partition that was taken away; gives their number."""
        dropped = 0
        for place in [place for place in self._lanes if place[0] is partition]:
            lane = self._lanes.pop(place)
            dropped += len(lane.waiting)
            self.waiting_bytes -= sum(item.size_bytes for item in lane.waiting)
            lane.waiting.clear()
            lane.queued = None
        self.waiting -= dropped
        self._parked.pop(("partition", partition), None)
        return dropped

    def _queue(self, lane: Lane) -> None:
        lane.queued = lane.urgent_waiting > 0
        self._rings[lane.queued].push(lane.waiting[0].admission.tenant, lane)

    def _full(self, tenant: str, lane: Lane) -> Hashable | None:
        if self._of_tenant[tenant] >= self._tenant_max:
            return ("tenant", tenant)
        if self._of_partition[lane.partition] >= self._partition_max:
            return ("partition", lane.partition)
        return None

    def _park(self, full: Hashable, lane: Lane) -> None:
        self._parked.setdefault(full, deque()).append(lane)
        # It may have been let out for its partition's free place and stopped at its tenant's limit: the place is
        # the next one's, else lanes parked there would wait for a release that never comes.
        partition = ("partition", lane.partition)
        if full != partition and self._of_partition[lane.partition] < self._partition_max:
            self._unpark(partition)

    def _unpark(self, name: Hashable) -> None:
        parked = self._parked.get(name)
        while parked:
            lane = parked.popleft()
            if lane.waiting and not lane.busy:
                self._queue(lane)
                break
        if parked is not None and not parked:
            del self._parked[name]

    def _start(self, lane: Lane) -> Waiting:
        item = lane.waiting.popleft()
        lane.busy, lane.queued = True, None
        lane.urgent_waiting -= item.admission.urgent
        self.waiting -= 1
        self.waiting_bytes -= item.size_bytes
        self.in_flight += 1
        self._of_tenant[item.admission.tenant] += 1
        self._of_partition[lane.partition] += 1
        return item


def _decrement(counter: Counter[Any], name: Hashable) -> None:
    """None are kept for what is at zero: tenants come and go."""
    if counter[name] > 1:
        counter[name] -= 1
    else:
        del counter[name]
