"""How a reply gets to a help desk. Every adapter passes ``tests/contract/test_adapters.py``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID


@dataclass(frozen=True)
class Outgoing:
    """``reply_id`` is the same however often it is tried: where a desk takes a key against repeats, it is that."""

    reply_id: UUID
    tenant: str
    ticket_id: str
    conversation_id: str
    channel: str
    body: str


class Refused(Exception):
    """It did not land and never will: the desk says no."""


class NotNow(Exception):
    """It did not land, that is certain; it may later. ``retry_after_s`` is what the desk asked for, if it did."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Unsure(Exception):
    """It may have landed; or nobody can say now whether it has."""


class Adapter(Protocol):
    """``settle_s``: what ``find`` does not show so long after its request was given up has not landed and never will.
    None: nothing can be read back, so what is unsure stays unknown until a person looks."""

    name: str
    settle_s: float | None

    async def send(self, reply: Outgoing) -> str:
        """Gives the desk's id of it. Raises Refused, NotNow, Unsure; whatever else it meets it makes one of them."""

    async def find(self, reply: Outgoing) -> str | None:
        """The desk's id of a reply that landed before. Raises Unsure."""

    async def close(self) -> None: ...
