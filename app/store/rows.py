"""Between rows of call_attempt and LedgerRow."""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Mapping
from typing import Any

# Where they are keys of dictionaries, its hash is what counts: the standard library's is computed in Python.
from asyncpg.pgproto.pgproto import UUID

from app.ports import CallKey, LedgerRow
from schemas.usage import Usage

_random = random.Random()  # noqa: S311 - seeded by the system; to be unique, not to be secret


def ledger_row(attempt: Mapping[str, Any]) -> LedgerRow:
    return LedgerRow(
        call_id=str(attempt["call_id"]),
        key=CallKey(
            tenant=attempt["tenant"], stage=attempt["stage"], event_id=attempt["event_id"],
            replay=attempt["replay"], question=attempt["question"], attempt=attempt["attempt"],
        ),
        root_id=attempt["root_id"],
        operation=attempt["operation"],
        provider=attempt["provider"],
        model=attempt["model"],
        usage=Usage(
            input_tokens=attempt["input_tokens"], cached_tokens=attempt["cached_tokens"],
            cache_write_tokens=attempt["cache_write_tokens"], output_tokens=attempt["output_tokens"],
        ),
        cost_usd=attempt["cost_usd"],
        price_known=attempt["price_known"],
        outcome=attempt["outcome"],
        latency_s=attempt["latency_s"],
    )  # fmt: skip


def digest_key(*parts: str | int) -> UUID:
    """128 bits of SHA-256 over ``parts``. PostgreSQL's text holds no NUL, so the joints are unambiguous."""
    return UUID(hashlib.sha256("\0".join(map(str, parts)).encode()).digest()[:16])


def call_key(key: CallKey) -> UUID:
    return digest_key(key.tenant, key.stage, key.event_id, key.replay, key.question, key.attempt)


def new_call_id() -> UUID:
    """UUIDv7: calls made together lie together in the index."""
    value = (time.time_ns() // 1_000_000) << 80 | _random.getrandbits(80)
    return UUID((value & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62).to_bytes(16, "big"))
