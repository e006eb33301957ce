"""Counts what became of every ticket. Shares no code with the runtime and the stages.

``tickets.raw`` is the truth: its order is the order of the door. Everything after it is checked against it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.verify.calls import Calls

DOOR = "tickets.raw"
STAGES = ("tickets.classified", "tickets.enriched", "tickets.drafted", "tickets.routed")
DEAD = "tickets.dead"
USAGE = "llm.usage"
TOPICS = (DOOR, *STAGES, DEAD, USAGE)


@dataclass(frozen=True)
class Seen:
    """One committed record. ``ticket`` is the event id that it had at the door."""

    partition: int
    offset: int
    key: bytes | None
    ticket: str
    event: Mapping[str, Any] = field(default_factory=dict, compare=False)


Door = Mapping[str, Seen]


@dataclass(frozen=True)
class Damage:
    """What is counted. Each finding begins with its ticket's id."""

    tickets: int
    lost: tuple[str, ...]
    repeated: tuple[str, ...]
    out_of_order: tuple[str, ...]
    dead: Mapping[str, int]  # reason to tickets
    calls: Calls = field(default_factory=Calls)

    @property
    def findings(self) -> tuple[str, ...]:
        return (
            *self.lost, *self.repeated, *self.out_of_order, *self.calls.unexplained, *self.calls.unaccounted,
        )  # fmt: skip

    @property
    def is_whole(self) -> bool:
        return not self.findings and self.calls.repeated <= self.calls.bound


def count(topics: Mapping[str, Sequence[Seen]], calls: Calls, *, accepted: Collection[str] = ()) -> Damage:
    """``accepted``: tickets whose arrival the broker acknowledged to the door."""
    door = _door(topics[DOOR])
    later = {topic: topics[topic] for topic in STAGES}
    routed = {seen.ticket for seen in topics[STAGES[-1]]}
    dead = {seen.ticket: str(seen.event.get("reason", "")) for seen in topics[DEAD] if seen.ticket in door}
    return Damage(
        tickets=len(door),
        lost=tuple(_lost(door, routed | dead.keys(), accepted)),
        repeated=tuple(_repeated(later, topics[DEAD], routed)),
        out_of_order=tuple(_out_of_order(door, later)),
        dead=Counter(dead.values()),
        calls=calls,
    )


def _door(seen: Sequence[Seen]) -> Door:
    """Each ticket as it first came in: a help desk may deliver it again."""
    door: dict[str, Seen] = {}
    for record in sorted(seen, key=lambda record: (record.partition, record.offset)):
        door.setdefault(record.ticket, record)
    return door


def _lost(door: Door, ended: Collection[str], accepted: Collection[str]) -> Iterable[str]:
    yield from (f"{ticket}: accepted, never in {DOOR}" for ticket in sorted(set(accepted) - door.keys()))
    yield from (f"{ticket}: neither routed nor dead-lettered" for ticket in sorted(door.keys() - set(ended)))


def _repeated(later: Mapping[str, Sequence[Seen]], dead: Sequence[Seen], routed: set[str]) -> Iterable[str]:
    for topic, seen in {**later, DEAD: dead}.items():
        for ticket, times in Counter(record.ticket for record in seen).items():
            if times > 1:
                yield f"{ticket}: {times} times in {topic}"
    yield from (f"{ticket}: routed and dead-lettered" for ticket in sorted({one.ticket for one in dead} & routed))


def _out_of_order(door: Door, later: Mapping[str, Sequence[Seen]]) -> Iterable[str]:
    for topic, seen in later.items():
        last: dict[tuple[int, bytes | None], int] = defaultdict(lambda: -1)
        for record in sorted(seen, key=lambda record: (record.partition, record.offset)):
            came = door.get(record.ticket)
            if came is None:
                yield f"{record.ticket}: in {topic}, never at the door"
                continue
            if (came.key, came.partition) != (record.key, record.partition):
                yield f"{record.ticket}: in {topic} under another key or partition than at the door"
            conversation = (came.partition, came.key)
            if came.offset < last[conversation]:
                yield f"{record.ticket}: in {topic} after a later ticket of its conversation"
            last[conversation] = max(last[conversation], came.offset)
