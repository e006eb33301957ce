"""Counts what became of every ticket: a reader of its own, which shares no code with the runtime.

``tickets.raw`` is the truth: its order is the order of the door. Everything after it is checked against it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

DOOR = "tickets.raw"
STAGES = ("tickets.classified", "tickets.enriched", "tickets.drafted", "tickets.routed")
DEAD = "tickets.dead"
USAGE = "llm.usage"
_READ_S_MAX = 300.0
_OK = 200


@dataclass(frozen=True)
class Seen:
    """One committed record. ``ticket`` is the event id that it had at the door."""

    partition: int
    offset: int
    key: bytes | None
    ticket: str
    event: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class Request:
    """One request in the provider's own log."""

    call_id: str
    digest: str  # of the body: the same question has the same one
    began: float
    ended: float
    paid: bool
    tokens: int


@dataclass(frozen=True)
class Damage:
    """What is counted. All of the first four must be 0; repeated calls at most the bound."""

    tickets: int
    lost: tuple[str, ...]
    repeated: tuple[str, ...]
    out_of_order: tuple[str, ...]
    calls_unaccounted: tuple[str, ...]
    dead: Mapping[str, int]
    calls: int
    calls_repeated: int
    calls_bound: int

    @property
    def is_whole(self) -> bool:
        broken = self.lost or self.repeated or self.out_of_order or self.calls_unaccounted
        return not broken and self.calls_repeated <= self.calls_bound


def count(
    topics: Mapping[str, Sequence[Seen]], requests: Sequence[Request], strikes_at: Sequence[float], write_delay_s: float
) -> Damage:
    """``strikes_at``: moments at which an answer may have been lost (seconds since 1970)."""
    door = _first_at_door(topics[DOOR])
    later = {topic: topics[topic] for topic in STAGES}
    routed = {seen.ticket for seen in topics[STAGES[-1]]}
    dead = [seen for seen in topics[DEAD] if seen.ticket in door]
    ended = routed | {seen.ticket for seen in dead}
    return Damage(
        tickets=len(door),
        lost=tuple(sorted(door.keys() - ended)),
        repeated=tuple(_repeated(later, dead, routed)),
        out_of_order=tuple(_out_of_order(door, later)),
        calls_unaccounted=tuple(_unaccounted(topics[USAGE], requests)),
        dead=Counter(str(seen.event.get("reason", "")) for seen in dead),
        calls=sum(request.paid for request in requests),
        calls_repeated=_paid_again(requests),
        calls_bound=_bound(requests, strikes_at, write_delay_s),
    )


def _first_at_door(seen: Sequence[Seen]) -> dict[str, tuple[bytes | None, int, int]]:
    """Each ticket's key and first place: a webhook may deliver it twice."""
    door: dict[str, tuple[bytes | None, int, int]] = {}
    for record in sorted(seen, key=lambda record: (record.partition, record.offset)):
        door.setdefault(record.ticket, (record.key, record.partition, record.offset))
    return door


def _repeated(later: Mapping[str, Sequence[Seen]], dead: Sequence[Seen], routed: set[str]) -> Iterable[str]:
    for topic, seen in later.items():
        for ticket, times in Counter(record.ticket for record in seen).items():
            if times > 1:
                yield f"{ticket}: {times} times in {topic}"
    for ticket, times in Counter(record.ticket for record in dead).items():
        if times > 1:
            yield f"{ticket}: {times} times in {DEAD}"
        if ticket in routed:
            yield f"{ticket}: routed and dead"


def _out_of_order(
    door: Mapping[str, tuple[bytes | None, int, int]], later: Mapping[str, Sequence[Seen]]
) -> Iterable[str]:
    for topic, seen in later.items():
        last: dict[bytes | None, int] = defaultdict(lambda: -1)
        for record in sorted(seen, key=lambda record: (record.partition, record.offset)):
            if record.ticket not in door:
                yield f"{record.ticket}: in {topic}, never at the door"
                continue
            _, _, offset = door[record.ticket]
            if offset < last[record.key]:
                yield f"{record.ticket}: in {topic} after a later ticket of its conversation"
            last[record.key] = max(last[record.key], offset)


def _paid_again(requests: Sequence[Request]) -> int:
    paid = Counter(request.digest for request in requests if request.paid)
    return sum(times - 1 for times in paid.values())


def _bound(requests: Sequence[Request], strikes_at: Sequence[float], write_delay_s: float) -> int:
    """Requests under way at a strike, or answered so shortly before it that the answer may not have been stored."""
    return sum(
        1
        for request in requests
        if request.paid and any(request.began <= at <= request.ended + write_delay_s for at in strikes_at)
    )


def _unaccounted(usage: Sequence[Seen], requests: Sequence[Request]) -> Iterable[str]:
    """Confirmed calls agree with the provider to the token; calls that the bus does not know ended in no event."""
    paid = {request.call_id: request for request in requests if request.paid}
    latest: dict[str, Mapping[str, Any]] = {str(seen.event.get("call_id")): seen.event for seen in usage}
    for call_id, event in latest.items():
        if event.get("outcome") not in {"ok", "malformed"}:
            continue
        request = paid.get(call_id)
        tokens = sum(int(value) for value in event["usage"].values())
        if request is None:
            yield f"{call_id}: on the bus, never paid"
        elif request.tokens != tokens:
            yield f"{call_id}: {tokens} tokens on the bus, {request.tokens} at the provider"


async def read_topics(client: Mapping[str, Any]) -> dict[str, list[Seen]]:
    """Every committed record of every topic."""
    topics: dict[str, list[Seen]] = {topic: [] for topic in (DOOR, *STAGES, DEAD, USAGE)}
    consumer = AIOKafkaConsumer(**client, isolation_level="read_committed", enable_auto_commit=False)
    await consumer.start()
    try:
        sources = []
        for topic in topics:
            await consumer._client._wait_on_metadata(topic)
            sources += [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(sources)
        await consumer.seek_to_beginning(*sources)
        ends = await consumer.end_offsets(sources)
        quiet = 0
        async with asyncio.timeout(_READ_S_MAX):
            # Ends may be markers, which have no record: three empty polls behind the last one are the end.
            while quiet < 3 or not all([await consumer.position(s) >= end - 1 for s, end in ends.items()]):
                polled = await consumer.getmany(timeout_ms=300)
                quiet = 0 if polled else quiet + 1
                for source, records in polled.items():
                    topics[source.topic] += [_seen(record) for record in records]
    finally:
        await consumer.stop()
    return topics


def read_requests(log: Path) -> list[Request]:
    """The provider's log; a last line that was cut off is passed over."""
    requests = []
    for line in log.read_bytes().splitlines():
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        usage = row.get("usage") or {}
        requests.append(
            Request(
                call_id=row.get("idempotency_key") or "",
                digest=row.get("digest") or "",
                began=row["began"],
                ended=row["ts"],
                paid=row["status"] == _OK,
                tokens=int(usage.get("prompt_tokens", 0)) + int(usage.get("completion_tokens", 0)),
            )
        )
    return requests


def _seen(record: Any) -> Seen:
    headers = {name: text.decode(errors="replace") for name, text in record.headers}
    try:
        event = orjson.loads(record.value or b"{}")
    except orjson.JSONDecodeError:
        event = {}
    if record.topic == DEAD:
        event = {**event, "reason": headers.get("dlq-reason", "")}
    ticket = str(event.get("root_id") or event.get("event_id") or headers.get("ce_id", ""))
    return Seen(record.partition, record.offset, record.key, ticket, event)
