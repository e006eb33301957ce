"""What the parts of the app ask of each other. ``app/wiring.py`` says which concrete part answers.

Errors are those of ``agents.contract``: TransientError is retried, PermanentError dead-letters the record, anything
else is a bug (bounded attempts, then dead-lettered).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from agents.contract import Question, TransientError
from schemas.policy import TenantPolicy
from schemas.tickets import Passage, Thread
from schemas.usage import Usage

Vector = npt.NDArray[np.float32]
Outcome = Literal["ok", "malformed", "refused", "unconfirmed"]


class ProviderAway(TransientError):
    """A whole provider or server is away, or refuses our key: records wait for it without being used up."""


@dataclass(frozen=True)
class CallKey:
    """Names one paid call: its answer, once stored, is never paid for again.

    ``question`` counts the agent's questions on this event, ``attempt`` the repairs of a malformed answer, and second
    requests beside them. The prompt is no part of it, so that a prompt changed in flight does not pay again.
    """

    tenant: str
    stage: str
    event_id: str
    replay: int
    question: int
    attempt: int


@dataclass(frozen=True)
class Intent:
    """What is about to be paid for."""

    key: CallKey
    root_id: str
    operation: Literal["chat", "embeddings"]
    provider: str
    model: str
    prompt_version: str
    digest: str  # sha256 of the request body
    cost_usd_max: Decimal
    timeout_s: float  # the intent's deadline is now + timeout_s


@dataclass(frozen=True)
class LedgerRow:
    """One request to a provider."""

    call_id: str
    key: CallKey
    root_id: str
    operation: str
    provider: str
    model: str
    usage: Usage
    cost_usd: Decimal  # an upper bound where outcome is unconfirmed
    price_known: bool
    outcome: Outcome
    latency_s: float
    late: bool = False  # it was unconfirmed, as another worker had taken it over, and now its answer came after all


@dataclass(frozen=True)
class Run:
    """Make the call, under ``call_id``. ``lost``: earlier requests for this key whose answers were lost."""

    call_id: str
    lost: tuple[LedgerRow, ...] = ()


@dataclass(frozen=True)
class Stored:
    """The call was made and its answer kept. ``row.outcome`` is ok or malformed."""

    answer: bytes
    row: LedgerRow
    lost: tuple[LedgerRow, ...] = ()


class Journal(Protocol):
    """Intents and answers of paid calls."""

    async def begin(self, intent: Intent) -> Run | Stored:
        """Reserve the call, or give its stored answer; waits while another live worker makes the same call.

        A dead worker's intent, or one past its deadline, is taken over: its row becomes unconfirmed.
        """

    def may_send(self, call_id: str) -> bool:
        """Asked right before the request is sent. False: this worker was silent for so long, or the call waited for
        so long, that another may have taken it over; it must not be sent, and ``fail`` gives it back."""

    async def finish(
        self,
        call_id: str,
        *,
        answer: bytes,
        usage: Usage,
        cost_usd: Decimal,
        price_known: bool,
        outcome: Literal["ok", "malformed"],
        latency_s: float,
    ) -> LedgerRow:
        """Store the answer. The first stored answer of a key wins."""

    async def fail(self, call_id: str, *, error: str, charged: Literal["no", "unknown"]) -> None:
        """The call gave no answer. ``no``: the provider refused it; ``unknown``: it becomes unconfirmed."""


@dataclass(frozen=True)
class Place:
    """Where a record lies."""

    # The topic's name: aiokafka 0.14 cannot read the id that tells a topic from one made again under its name.
    topic_id: str
    partition: int
    offset: int


ClaimOutcome = Literal["new", "same", "repeat", "conflict"]


class Claims(Protocol):
    """Recognises an event that arrives again at another offset."""

    async def claim(
        self, *, stage: str, tenant: str, source: str, event_id: str, replay: int, digest: str, place: Place
    ) -> ClaimOutcome:
        """new: first seen; same: same place as before (a crash repeats it: go on); repeat: another place, same
        content (drop it); conflict: another place, other content (dead-letter it)."""


@dataclass(frozen=True)
class ChatRequest:
    model: str
    messages: Sequence[dict[str, Any]]
    max_tokens: int
    timeout_s: float
    response_format: dict[str, Any] | None
    call_id: str  # sent as Idempotency-Key


@dataclass(frozen=True)
class ChatResult:
    text: str
    usage: Usage
    model: str  # as the provider names it
    finish_reason: str
    latency_s: float


class ChatModel(Protocol):
    provider: str

    async def complete(self, request: ChatRequest) -> ChatResult: ...


class Embedder(Protocol):
    provider: str
    model: str
    dimensions: int

    async def embed(
        self, texts: Sequence[str], *, kind: Literal["query", "passage"], call_id: str | None = None
    ) -> tuple[Vector, Usage]:
        """Vectors of shape (len(texts), dimensions), float32, of unit length. ``call_id``: sent as Idempotency-Key."""


class Knowledge(Protocol):
    async def search(
        self, *, tenant: str, query: str, vector: Vector, language: str | None, limit: int
    ) -> tuple[Passage, ...]: ...


class Policies(Protocol):
    async def policy(self, tenant: str) -> TenantPolicy:
        """Raises PermanentError("unknown_tenant") for a tenant that does not exist."""


class Threads(Protocol):
    async def thread(self, tenant: str, conversation: str, accepted_at: datetime) -> Thread:
        """What is known of it: messages that no projector has read yet are not."""


@dataclass(frozen=True)
class CallContext:
    """On whose behalf a question is answered."""

    tenant: str
    stage: str
    event_id: str
    root_id: str
    replay: int
    question: int


@dataclass(frozen=True)
class Answered:
    value: Any
    ledger: tuple[LedgerRow, ...] = ()  # every request made for it, ever: goes to llm.usage with the output


class Answerer(Protocol):
    async def answer(self, question: Question, context: CallContext) -> Answered: ...
