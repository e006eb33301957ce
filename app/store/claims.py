"""Which events were seen before, and where (port: Claims)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asyncpg.pgproto.pgproto import UUID

from agents.contract import TransientError
from app.ports import ClaimOutcome, Place
from app.store.batch import Batcher
from app.store.database import Pool
from app.store.queries import query
from app.store.rows import digest_key


@dataclass(frozen=True)
class _Claim:
    key: UUID
    tenant: str
    digest: str
    place: Place


class Claims:
    """The pool must be the runtime's."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._claims = Batcher(self._run, key=lambda claim: claim.key)

    async def claim(
        self, *, stage: str, tenant: str, source: str, event_id: str, replay: int, digest: str, place: Place
    ) -> ClaimOutcome:
        """Claim the event for ``place``, or say how it was seen before. Safe to ask again: then it is ``same``."""
        key = digest_key(stage, tenant, source, event_id, replay)
        outcome = await self._claims.enqueue(_Claim(key, tenant, digest, place))
        if outcome is None:  # claimed by another after the statement's snapshot: the next one sees it
            outcome = await self._claims.enqueue(_Claim(key, tenant, digest, place))
        if outcome is None:
            raise TransientError(f"event {event_id} of {source} is being claimed by another worker")
        return outcome

    async def close(self) -> None:
        await self._claims.close()

    async def _run(self, claims: Sequence[_Claim]) -> list[ClaimOutcome | None]:
        columns = zip(
            *((c.key, c.tenant, c.place.topic_id, c.place.partition, c.place.offset, c.digest) for c in claims),
            strict=True,
        )
        outcomes = {row["claim_key"]: row["outcome"] for row in await self._pool.fetch(query("claim"), *columns)}
        return [outcomes.get(claim.key) for claim in claims]
