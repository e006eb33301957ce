"""What an agent is: pure functions around questions. The runtime answers the questions.

``ask(event)`` gives the questions, ``decide(event, *answers)`` the event that follows. Where a question depends on
an answer (a draft to repair, a check that only matters if all else allows sending), ``follow_up(event, *answers)``
gives a second and last round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from schemas.event import Event
from schemas.tickets import Passage

R = TypeVar("R", bound=BaseModel)


@dataclass(frozen=True)
class ModelCall(Generic[R]):
    """One chat completion, its answer validated as ``reply``. ``prompt`` names a file of ``agents/prompts``."""

    prompt: str
    reply: type[R]
    variables: Mapping[str, Any]
    max_tokens: int
    timeout_s: float


@dataclass(frozen=True)
class Search:
    """The best passages of the tenant's knowledge base. Answer: a tuple of at most ``limit`` passages, best first; of
    at most ``limit_reranked`` where the tenant has them reranked.
    """

    query: str
    limit: int = 5
    language: str | None = None
    limit_reranked: int | None = None


@dataclass(frozen=True)
class PolicyLookup:
    """The tenant's policy now. Answer: TenantPolicy."""


@dataclass(frozen=True)
class ThreadLookup:
    """What was said around one message: before it, and after. Answer: Thread."""

    conversation: str
    accepted_at: datetime  # of the message


Question = ModelCall[Any] | Search | PolicyLookup | ThreadLookup
Answer = BaseModel | tuple[Passage, ...]


def no_follow_up(event: Any, *answers: Any) -> tuple[Question, ...]:
    return ()


@dataclass(frozen=True)
class Agent:
    """One stage of the pipeline."""

    name: str
    consumes: type[Event]
    produces: type[Event]
    ask: Callable[[Any], tuple[Question, ...]]
    decide: Callable[..., Event]
    follow_up: Callable[..., tuple[Question, ...]] = field(default=no_follow_up)


class TransientError(Exception):
    """May pass: retried with backoff. ``retry_after_s`` is what the other side asked for, if it did."""

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class PermanentError(Exception):
    """Will not pass: the record goes to the dead-letter topic with ``reason`` (a short stable word) and the text."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
