"""What the engine tells of itself. Counted once for every stage; the engine knows no metrics library."""

from __future__ import annotations

from typing import Protocol


class Observer(Protocol):
    def polled(self, topic: str, partition: int, records: int) -> None: ...

    def started(self, waited_s: float) -> None:
        """A handler starts; ``waited_s`` since the record's timestamp."""

    def handled(self, outcome: str, duration_s: float, attempts: int) -> None:
        """``outcome``: ok, retry, away, bug, or the reason of a dead letter."""

    def bug(self, topic: str, partition: int, offset: int, error: BaseException) -> None:
        """A handler run ended with an exception that is no word of the engine's."""

    def committed(self, topic: str, partition: int, *, records: int, dead: int, duration_s: float) -> None: ...

    def lag(self, topic: str, partition: int, *, records: int, span: int) -> None: ...

    def load(self, *, in_flight: int, waiting: int) -> None: ...

    def partition_event(self, event: str, topic: str, partition: int, detail: str = "") -> None:
        """``event``: assigned, revoked, paused, resumed, fenced, in_doubt, recovered, offsets_gone."""


class Silent:
    """Observes nothing."""

    def polled(self, topic: str, partition: int, records: int) -> None: ...
    def started(self, waited_s: float) -> None: ...
    def handled(self, outcome: str, duration_s: float, attempts: int) -> None: ...
    def bug(self, topic: str, partition: int, offset: int, error: BaseException) -> None: ...
    def committed(self, topic: str, partition: int, *, records: int, dead: int, duration_s: float) -> None: ...
    def lag(self, topic: str, partition: int, *, records: int, span: int) -> None: ...
    def load(self, *, in_flight: int, waiting: int) -> None: ...
    def partition_event(self, event: str, topic: str, partition: int, detail: str = "") -> None: ...
