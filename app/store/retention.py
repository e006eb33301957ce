"""Deletes what the journal and the claims no longer need. The ledger is kept.

An answer must stay for as long as its event can come again: the topics' retention, and time to replay a dead letter.
Every process of a stage looks about once an hour; whoever finds another at it leaves it the rest.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import structlog

from agents.contract import TransientError
from app.store.database import Pool
from app.store.queries import query

DAYS_KEPT = 30
ROWS_AT_A_TIME = 2_000  # some ten milliseconds of locks
ROWS_MAX = 500_000  # of each table, in one go: half a minute of one connection
EVERY_S = 3_600.0
# A process may not live for an hour: the first look comes soon, though not while it starts.
FIRST_S_MAX = 300.0

_TABLES = ("expire_calls", "expire_claims", "expire_workers")

_log = structlog.get_logger()


async def expire(
    pool: Pool, *, days_kept: int = DAYS_KEPT, rows_at_a_time: int = ROWS_AT_A_TIME, rows_max: int = ROWS_MAX
) -> int:
    """Delete calls, claims and dead workers older than ``days_kept``, at most ``rows_max`` of each; how many rows.

    Nothing where another does it now. The pool must be the runtime's.
    """
    deleted = 0
    for name in _TABLES:
        of_table = 0
        while of_table < rows_max:
            rows = await _batch(pool, name, days_kept, rows_at_a_time)
            if rows is None:
                return deleted
            if not rows:
                break
            of_table += rows
            deleted += rows
    return deleted


@asynccontextmanager
async def expiring(
    pool: Pool, *, days_kept: int, every_s: float = EVERY_S, first_s_max: float = FIRST_S_MAX
) -> AsyncIterator[None]:
    """Expire again and again until the block ends."""
    task = asyncio.create_task(_expire_forever(pool, days_kept, every_s, first_s_max))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _expire_forever(pool: Pool, days_kept: int, every_s: float, first_s_max: float) -> None:
    pause_s = random.uniform(0, first_s_max)  # noqa: S311  # jitter
    while True:
        await asyncio.sleep(pause_s)
        try:
            if deleted := await expire(pool, days_kept=days_kept):
                _log.info("expired", rows=deleted, days_kept=days_kept)
        except TransientError as error:
            _log.warning("expiry_put_off", error=str(error))
        except Exception:  # noqa: BLE001 - a bug here is said at once, and must not keep tickets from being answered
            _log.exception("expiry_failed")
        pause_s = every_s * random.uniform(0.5, 1.5)  # noqa: S311  # jitter


async def _batch(pool: Pool, name: str, days_kept: int, rows: int) -> int | None:
    """How many rows were deleted; None where another process is at it."""
    async with pool.transaction() as connection:
        if not await connection.fetchval(query("lock_expiry")):
            return None
        return len(await connection.fetch(query(name), days_kept, rows))
