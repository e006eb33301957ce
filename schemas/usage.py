"""llm.usage: what each paid call used and cost."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar

from pydantic import Field

from schemas.event import Event, Value


class Usage(Value):
    """Tokens of one call, each counted once: ``input_tokens`` leaves cached and cache-write tokens out."""

    input_tokens: int = Field(default=0, ge=0)
    cached_tokens: int = Field(default=0, ge=0)
    cache_write_tokens: int = Field(default=0, ge=0)
    output_tokens: int = Field(default=0, ge=0)

    def __add__(self, other: Usage) -> Usage:
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in Usage.model_fields})


class UsageRecorded(Event):
    """One attempt of one call. ``event_id`` derives from ``call_id``."""

    TOPIC: ClassVar[str] = "llm.usage"
    call_id: str
    stage: str
    operation: str = Field(description="chat or embeddings")
    model: str
    provider: str
    usage: Usage
    cost_usd: Decimal = Field(ge=0, description="US dollars at list price")
    price_known: bool = True
    outcome: str = Field(description="ok, malformed, unconfirmed (upper bound: the answer was lost)")
    latency_s: float = Field(ge=0)
