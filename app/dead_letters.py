"""The dead-letter topic for people: list, look, put back, put aside.

A replay goes to the topic and partition that it came from, under the next replay number. That number derives from the
letter's own, so a replay that was broken off can be given again: the stage recognises what it has seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaProducer

from agents.contract import PermanentError
from app.kafka.cloudevents import REPLAY_HEADER, TENANT_HEADER, header, replay_number
from app.kafka.reading import each_record
from app.runtime.dead_letter import PREFIX
from app.store.database import Pool
from app.store.queries import query
from schemas.topics import DEAD_LETTER_TOPIC

LETTERS_MAX = 100_000  # held in memory at once
_BATCH = 1_000
# A tenant was not named, or could not be read.
_NOBODY = ""


@dataclass(frozen=True)
class DeadLetter:
    partition: int
    offset: int
    dead_at: datetime
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    handled: str | None  # replayed, dropped

    @property
    def place(self) -> str:
        """How a person names it."""
        return f"{self.partition}/{self.offset}"

    def field(self, name: str) -> str:
        return header(self.headers, PREFIX + name) or ""

    @property
    def reason(self) -> str:
        return self.field("reason") or "unknown"

    @property
    def tenant(self) -> str:
        return header(self.headers, TENANT_HEADER) or (self.key or b"").split(b"/", 1)[0].decode(errors="replace")

    @property
    def origin(self) -> str:
        return f"{self.field('origin-topic')} {self.field('origin-partition')}/{self.field('origin-offset')}"

    def as_json(self) -> dict[str, Any]:
        names = ("stage", "error-class", "error", "attempts")
        return {
            "place": self.place,
            "reason": self.reason,
            "tenant": self.tenant,
            "origin": self.origin,
            "dead_at": self.dead_at.isoformat(),
            "handled": self.handled,
            **{name.replace("-", "_"): self.field(name) for name in names},
        }


@dataclass(frozen=True)
class Wanted:
    """Which letters; None: any."""

    reason: str | None = None
    tenant: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    places: frozenset[str] = frozenset()
    handled_too: bool = False

    def matches(self, letter: DeadLetter) -> bool:
        return (
            (self.reason is None or letter.reason == self.reason)
            and (self.tenant is None or letter.tenant == self.tenant)
            and (self.since is None or letter.dead_at >= self.since)
            and (self.until is None or letter.dead_at < self.until)
            and (not self.places or letter.place in self.places)
            and (self.handled_too or letter.handled is None)
        )


async def read(client: Mapping[str, Any], pool: Pool, wanted: Wanted) -> list[DeadLetter]:
    """The letters, oldest first. Raises KafkaError, TransientError, PermanentError("too_many")."""
    handled = {
        (row["partition"], row["offset"]): row["action"] for row in await pool.fetch(query("dead_letters_handled"))
    }
    letters: list[DeadLetter] = []

    def keep(record: Any) -> None:
        letter = _letter(record, handled.get((record.partition, record.offset)))
        if wanted.matches(letter):
            letters.append(letter)
        if len(letters) > LETTERS_MAX:
            raise PermanentError("too_many", f"more than {LETTERS_MAX:,} dead letters: narrow them by reason or time")

    await each_record(client, DEAD_LETTER_TOPIC, keep)
    return sorted(letters, key=lambda letter: (letter.dead_at, letter.partition, letter.offset))


async def replay(client: Mapping[str, Any], pool: Pool, letters: Sequence[DeadLetter]) -> list[DeadLetter]:
    """Put them back where they came from; gives those that could not be, since their value was left out."""
    kept_back = [letter for letter in letters if letter.value is None or not letter.field("origin-topic")]
    going = [letter for letter in letters if letter not in kept_back]
    producer = AIOKafkaProducer(**client, enable_idempotence=True, acks="all", max_request_size=5 * 1024 * 1024)
    await producer.start()
    try:
        for start in range(0, len(going), _BATCH):
            batch = going[start : start + _BATCH]
            sent = [
                await producer.send(
                    letter.field("origin-topic"),
                    key=letter.key,
                    value=letter.value,
                    partition=int(letter.field("origin-partition")),
                    headers=replay_headers(letter),
                )
                for letter in batch
            ]
            for future in sent:
                await future
            # Afterwards: broken off in between, it is listed again, and a second replay is recognised as the same.
            await _mark(pool, batch, "replayed")
    finally:
        await producer.stop()
    return kept_back


async def drop(pool: Pool, letters: Sequence[DeadLetter]) -> None:
    """Put them aside: they stay in the topic, and are not listed any more."""
    for start in range(0, len(letters), _BATCH):
        await _mark(pool, letters[start : start + _BATCH], "dropped")


def replay_headers(letter: DeadLetter) -> list[tuple[str, bytes]]:
    """The record's own headers, under the next replay number."""
    own = [(name, text) for name, text in letter.headers if not name.startswith(PREFIX) and name != REPLAY_HEADER]
    return [*own, (REPLAY_HEADER, str(replay_number(letter.headers) + 1).encode())]


async def _mark(pool: Pool, letters: Sequence[DeadLetter], action: str) -> None:
    await pool.fetch(
        query("dead_letter_handle"),
        [letter.partition for letter in letters],
        [letter.offset for letter in letters],
        [letter.tenant or _NOBODY for letter in letters],
        [action] * len(letters),
    )


def _letter(record: Any, handled: str | None) -> DeadLetter:
    return DeadLetter(
        partition=record.partition,
        offset=record.offset,
        dead_at=datetime.fromtimestamp(record.timestamp / 1_000, UTC),
        key=record.key,
        value=record.value,
        headers=tuple(record.headers),
        handled=handled,
    )
