"""What was said in a conversation (port: Threads), as far as it was mirrored from the bus."""

from __future__ import annotations

from datetime import datetime

import orjson

from app.store.database import Pool
from app.store.queries import query
from schemas.tickets import TURN_CHARS_MAX, TURNS_MAX, Thread

_NEWER = {"customer": "the customer wrote again", "agent": "a person replied"}


class Threads:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def thread(self, tenant: str, conversation: str, accepted_at: datetime) -> Thread:
        async with self._pool.transaction(tenant) as connection:
            row = await connection.fetchrow(
                query("thread"), tenant, conversation, accepted_at, TURN_CHARS_MAX, TURNS_MAX
            )
        assert row is not None, "it is one row of three values"
        return Thread(
            before=orjson.loads(row["before"] or "[]"),
            replies=row["replies"],
            newer=_NEWER.get(row["newer_author"], ""),
        )
