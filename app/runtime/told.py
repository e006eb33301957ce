"""The last commit of a partition, as its outputs tell it.

A broker that is killed between the markers of one transaction can show the outputs and forget the offset (ADR 6). So
the last output of each topic in a transaction says in a header what the transaction commits, and a new owner reads the
ends of its output partitions beside the group's offset. Commits are numbered within a line; a line begins where the
group has no offset of ours, so that an operator's reset is never taken for a loss.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.runtime.record import Record, Stage

HEADER = "deskstream-commit"
# Offsets before the end in which a commit is looked for, one after the other: other writers' records and aborted ones
# can stand behind it. Beyond the last it is not looked for.
_WINDOWS = (16, 512, 8_192)
_POLL_MS = 50
_FETCH_BYTES_MAX = 256 * 1024


@dataclass(frozen=True)
class Commit:
    """``encoded_map`` is that of a CompletionMap."""

    line: str
    number: int
    offset: int
    encoded_map: str

    @classmethod
    def first(cls, offset: int, encoded_map: str = "") -> Self:
        """Of a new line."""
        return cls(uuid.uuid4().hex[:8], 0, offset, encoded_map)

    def following(self, offset: int, encoded_map: str) -> Commit:
        return Commit(self.line, self.number + 1, offset, encoded_map)

    @property
    def metadata(self) -> str:
        """At most 32 characters more than the map."""
        return f"{self.line}.{self.number} {self.encoded_map}"

    @classmethod
    def of_metadata(cls, offset: int, metadata: str) -> Self | None:
        """None: not committed by this engine."""
        mark, _, encoded_map = metadata.partition(" ")
        line, _, number = mark.partition(".")
        return cls(line, int(number), offset, encoded_map) if line and number.isdigit() else None

    def is_after(self, other: Commit) -> bool:
        return self.line == other.line and self.number > other.number


def header(stage: Stage, commit: Commit) -> tuple[str, bytes]:
    told = {"group": stage.group, "topic": stage.topic, "offset": commit.offset, "metadata": commit.metadata}
    return HEADER, json.dumps(told).encode()


def told_by(record: Record, stage: Stage) -> Commit | None:
    """None where the record tells nothing, or of another group or topic."""
    for name, content in record.headers:
        if name == HEADER:
            told = json.loads(content)
            if (told["group"], told["topic"]) == (stage.group, stage.topic):
                return Commit.of_metadata(told["offset"], told["metadata"])
    return None


async def last_told(client: Mapping[str, Any], stage: Stage, partition: int) -> list[Commit]:
    """The last commit that each output topic tells of. Raises KafkaError."""
    consumer = AIOKafkaConsumer(
        **client,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=_POLL_MS,
        max_partition_fetch_bytes=_FETCH_BYTES_MAX,
    )
    await consumer.start()
    try:
        topics: Iterable[str] = (*stage.outputs, stage.dead_letter_topic)
        found = [await _last_of(consumer, TopicPartition(topic, partition), stage) for topic in topics]
    finally:
        await consumer.stop()
    return [commit for commit in found if commit is not None]


async def _last_of(consumer: AIOKafkaConsumer, place: TopicPartition, stage: Stage) -> Commit | None:
    consumer.assign([place])
    start = await consumer.position(place)  # also awaits the first reset, which would win over a seek
    end = (await consumer.end_offsets([place]))[place]
    for window in _WINDOWS:
        begin = max(start, end - window)
        consumer.seek(place, begin)
        found = None
        while await consumer.position(place) < end:
            for record in (await consumer.getmany(timeout_ms=_POLL_MS)).get(place, ()):
                found = told_by(record, stage) or found
        if found is not None or begin == start:
            return found
    return None
