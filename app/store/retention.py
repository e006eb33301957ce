"""Deletes what the journal and the claims no longer need. The ledger is kept.

An answer must stay for as long as its event can come again: the topics' retention, and time to replay a dead letter.
"""

from __future__ import annotations

from app.store.database import Pool
from app.store.queries import query

KEPT_DAYS = 30
ROWS_AT_A_TIME = 2_000  # some ten milliseconds of locks


async def expire(pool: Pool, *, kept_days: int = KEPT_DAYS) -> int:
    """Delete calls, claims and dead workers older than ``kept_days``; how many rows. The pool must be the runtime's."""
    deleted = 0
    for name in ("expire_calls", "expire_claims", "expire_workers"):
        while rows := await pool.fetch(query(name), kept_days, ROWS_AT_A_TIME):
            deleted += len(rows)
    return deleted
