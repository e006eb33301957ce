"""Where the tickets of one source are: read from the topics themselves, committed records only.

An independent reader: it uses no state of the stages, so that a ticket which a stage lost shows as missing here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer

from app.kafka.cloudevents import header
from app.kafka.topics import topic_partitions
from schemas.tickets import TicketReceived, TicketRouted
from schemas.topics import DEAD_LETTER_TOPIC, EVENT_CLASSES
from schemas.usage import UsageRecorded

_POLL_MS = 200
_TICKET_TOPICS = tuple(name for name in EVENT_CLASSES if name.startswith("tickets."))


@dataclass
class Progress:
    """Counts by root event id, so that a repeated record would show as ``repeated``, not as another ticket."""

    at_ms: dict[str, dict[str, int]] = field(default_factory=lambda: {name: {} for name in _TICKET_TOPICS})
    routes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    dead: dict[str, str] = field(default_factory=dict)  # root id (or place) to reason
    repeated: int = 0
    # By call id; the newest row wins, since a call first told as unconfirmed may turn out to have been answered.
    calls: dict[str, str] = field(default_factory=dict)  # to model
    costs_usd: dict[str, Decimal] = field(default_factory=dict)
    invalid_citations: int = 0

    @property
    def cost_usd(self) -> Decimal:
        return sum(self.costs_usd.values(), Decimal(0))

    def count(self, topic: str) -> int:
        return len(self.at_ms[topic])

    @property
    def ended(self) -> set[str]:
        """Root ids that are routed or dead-lettered."""
        return self.at_ms[TicketRouted.TOPIC].keys() | self.dead.keys()

    def stage_seconds(self, consumes: str, produces: str) -> list[float]:
        """For each ticket, from its record in one topic to its record in the next."""
        began = self.at_ms[consumes]
        return [(at - began[root]) / 1_000 for root, at in self.at_ms[produces].items() if root in began]


class Tracker:
    def __init__(self, *, client: Mapping[str, Any], source: str) -> None:
        self._client = client
        self._source = source
        self.progress = Progress()

    async def run(self, done: Callable[[Progress], bool], on_progress: Callable[[Progress], None]) -> None:
        """From the present end of each topic until ``done``; call ``start`` before the first ticket goes in."""
        while not done(self.progress):
            polled = await self._consumer.getmany(timeout_ms=_POLL_MS)
            for records in polled.values():
                for record in records:
                    if header(record.headers, "ce_source") == self._source:
                        self._count(record)
            on_progress(self.progress)

    async def start(self) -> None:
        self._consumer = AIOKafkaConsumer(
            **self._client, isolation_level="read_committed", enable_auto_commit=False, auto_offset_reset="earliest"
        )
        await self._consumer.start()
        topics = (*_TICKET_TOPICS, UsageRecorded.TOPIC, DEAD_LETTER_TOPIC)
        found = await asyncio.gather(*(topic_partitions(self._consumer, topic) for topic in topics))
        sources = [source for partitions in found for source in partitions]
        self._consumer.assign(sources)
        ends = await self._consumer.end_offsets(sources)
        for source, end in ends.items():
            self._consumer.seek(source, end)

    async def stop(self) -> None:
        await self._consumer.stop()

    def _count(self, record: Any) -> None:
        if record.topic == DEAD_LETTER_TOPIC:
            self._count_dead(record)
            return
        event = _event(record.value)
        if event is None:
            return  # what nobody can read is counted by its dead letter
        if record.topic == UsageRecorded.TOPIC:
            self._count_call(event)
            return
        seen = self.progress.at_ms[record.topic]
        root = _root(event, record)
        # A root id twice in a topic: a repeat at the door is dropped by the first stage, anywhere else it is damage.
        if root in seen:
            self.progress.repeated += record.topic != TicketReceived.TOPIC
            return
        seen[root] = record.timestamp
        if record.topic == TicketRouted.TOPIC:
            self._count_route(event)

    def _count_route(self, event: dict[str, Any]) -> None:
        self.progress.routes[event["route"]] += 1
        self.progress.reasons.update(event["reasons"])
        known = {passage["document_id"] for passage in event["passages"]}
        self.progress.invalid_citations += any(cited not in known for cited in event["draft"]["citations"])

    def _count_dead(self, record: Any) -> None:
        event = _event(record.value) or {}
        root = _root(event, record)
        self.progress.dead[root] = header(record.headers, "dlq-reason") or "unknown"

    def _count_call(self, event: dict[str, Any]) -> None:
        self.progress.calls[event["call_id"]] = event["model"]
        self.progress.costs_usd[event["call_id"]] = Decimal(event["cost_usd"])


def _event(value: bytes | None) -> dict[str, Any] | None:
    try:
        event = orjson.loads(value or b"")
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) else None


def _root(event: dict[str, Any], record: Any) -> str:
    """Whose ticket it is; by its place where the event does not say."""
    return str(event.get("root_id") or event.get("event_id") or f"{record.partition}/{record.offset}")
