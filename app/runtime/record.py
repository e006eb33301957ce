"""What the engine is given and gives, and how a handler says that it failed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

Headers = Sequence[tuple[str, bytes]]


class Record(Protocol):
    """A record as the consumer gives it."""

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...  # ms since 1970
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Headers: ...


# Values, though not frozen: some are made for every record, and freezing triples what that costs.


@dataclass(slots=True)
class Output:
    """A record to write, to the partition number of the record that it follows from."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


class Admission(NamedTuple):
    """What decides when a record runs: told from key and headers, before anything is parsed."""

    lane: Hashable  # records of one lane run one after another, in order
    tenant: str = ""
    urgent: bool = False


Handler = Callable[[Record], Awaitable[Sequence[Output]]]
Admit = Callable[[Record], Admission]


def admit_by_key(record: Record) -> Admission:
    """Order by key. Records without a key have no order: each is a lane of its own."""
    return Admission(lane=record.offset if record.key is None else record.key)


class Retry(Exception):
    """May pass: the record is handled again after a backoff, or after ``retry_after_s`` if that is longer."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Away(Retry):
    """A whole server is away: the record waits for it, and its time in flight stands still meanwhile."""


class Reject(Exception):
    """Will not pass: the record goes to the dead-letter topic. ``outputs`` are committed with it."""

    def __init__(self, reason: str, message: str, *, outputs: Sequence[Output] = ()) -> None:
        super().__init__(message)
        self.reason = reason
        self.outputs = tuple(outputs)


@dataclass(slots=True)
class Result:
    """What is committed together for one input offset."""

    record: Record
    outputs: Sequence[Output]
    dead: bool = False


@dataclass(frozen=True)
class Limits:
    """Every bound of a worker, in one place."""

    in_flight_max: int = 1_000  # handlers of this worker
    partition_in_flight_max: int = 20_000
    tenant_in_flight_max: int = 20_000
    # Offsets between the lowest unfinished and the highest taken. What the map can say within the broker's 4,096
    # characters of metadata is checked at each commit; this bounds the map's own size (25 KB).
    span_max: int = 200_000
    buffer_bytes_max: int = 32 * 1024 * 1024  # waiting records of this worker, their objects included
    commit_records_max: int = 2_000  # input records in one transaction
    uncommitted_max: int = 10_000  # results of a partition that wait for a transaction; then no more is polled
    commit_interval_s_min: float = 0.020
    time_in_flight_s_max: float = 120.0  # of one record, attempts and backoff included
    bug_attempts_max: int = 3
    backoff_s_min: float = 0.2
    backoff_s_max: float = 30.0
    output_bytes_max: int = 4 * 1024 * 1024  # of one output record
    revoke_s_max: float = 0.5
    drain_s_max: float = 20.0
    session_timeout_s: float = 10.0
    # In a rebalance each member stops when it hears of it, and then waits for the one that hears of it last.
    heartbeat_interval_s: float = 0.3
    transaction_timeout_s: float = 10.0


@dataclass(frozen=True)
class Safeguards:
    """All on, but for the negative controls of the proof: with one off, its counter must find damage."""

    fencing: bool = True
    completion_map: bool = True


@dataclass(frozen=True)
class Stage:
    """One consumer group on one topic."""

    topic: str
    group: str
    handler: Handler
    dead_letter_topic: str
    admit: Admit = admit_by_key
    # Asked when the engine gives a record up (too often, too long, a bug): outputs committed with its dead letter.
    last_words: Handler | None = None
    # Where a new owner looks for the last commit, beside the dead-letter topic. A topic is enough if each result has
    # an output there or a dead letter; on topics that others write much to, looking takes longer.
    outputs: Sequence[str] = ()
    limits: Limits = field(default_factory=Limits)
    safeguards: Safeguards = field(default_factory=Safeguards)
