"""Finds the passages that answer a question, by meaning, by words and by past tickets (port: Knowledge)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.knowledge.ranking import Candidate, best
from app.knowledge.words import configuration, spaced
from app.ports import Vector
from app.store.database import Pool
from app.store.queries import query as sql
from schemas.tickets import Passage

CHUNKS_MAX = 100  # the nearest; fewer would hide what a document's second and third best chunks say
DOCUMENTS_MAX = 50  # by their words, and by how often they answered
PAIRS_MAX = 2_000  # of a query's word and a chunk that has it: some 7 ms; 4,000 find 0.3 % more of the articles
NEIGHBOURS_MAX = 30  # past tickets
# Up to here all chunks of the tenant are compared, which is exact, at about 0.3 ms for 1,000; above, HNSW. A filtered
# walk through an index that all tenants share would look at the others' chunks for most of its time, and miss some of a
# small tenant's.
EXACT_CHUNKS_MAX = 50_000
QUERY_CHARS_MAX = 8_000
# As of a time: reciprocal rank fusion, its constant as in its paper.
CANDIDATES = 50  # of each kind
RANK_CONSTANT = 60


class Knowledge:
    """``model`` embeds the queries; until all passages are embedded with it too, they are found by their words only."""

    def __init__(self, pool: Pool, *, model: str, exact_chunks_max: int = EXACT_CHUNKS_MAX) -> None:
        self._pool = pool
        self._model = model
        self._exact_chunks_max = exact_chunks_max

    async def search(
        self, *, tenant: str, query: str, vector: Vector, language: str | None, limit: int
    ) -> tuple[Passage, ...]:
        """The best passages, best first; ``language`` is the query's. See ``with_internal``."""
        async with self._pool.transaction(tenant) as connection:
            [base] = await connection.fetch(sql("knowledge_size"), tenant, self._model, len(vector))
            asked = (tenant, vector, len(vector), self._model if base["is_embedded"] else None)
            exact = not base["is_embedded"] or base["chunks"] <= self._exact_chunks_max
            if not exact:
                await connection.execute(sql("hnsw_settings"))
            candidates = await connection.fetch(
                _candidates_sql(len(vector), exact=exact), *asked, CHUNKS_MAX,
                spaced(query[:QUERY_CHARS_MAX].replace("\0", " ")), configuration(language), DOCUMENTS_MAX, PAIRS_MAX,
                NEIGHBOURS_MAX, DOCUMENTS_MAX,
            )  # fmt: skip
            chosen = best((Candidate(**row) for row in candidates), limit)
            columns: list[list[Any]] = [
                [getattr(choice, name) for choice in chosen] for name in ("document_id", "version", "chunk", "score")
            ]
            rows = await connection.fetch(sql("passages"), *asked, *columns)
            nearest = await connection.fetch(sql("nearest_internal"), *asked)
        public, internal = ([Passage.model_validate(dict(row)) for row in found] for found in (rows, nearest))
        return with_internal(public, internal, limit=limit)

    async def search_as_of(
        self, *, tenant: str, query: str, vector: Vector, language: str | None, limit: int, as_of: datetime
    ) -> tuple[Passage, ...]:
        """The best public passages of the versions valid then. Every one is compared: exact, and slow on a large base.

        Versions that were withdrawn before ``model`` came in are found by their words only.
        """
        async with self._pool.transaction(tenant) as connection:
            rows = await connection.fetch(
                sql("search_as_of"), tenant, vector, len(vector), self._model, CANDIDATES,
                spaced(query[:QUERY_CHARS_MAX].replace("\0", " ")), configuration(language), RANK_CONSTANT, limit,
                as_of,
            )  # fmt: skip
        return tuple(Passage.model_validate(dict(row)) for row in rows)


def with_internal(public: Sequence[Passage], internal: Sequence[Passage], *, limit: int) -> tuple[Passage, ...]:
    """``public``, and in the last place the internal passage that is nearer to the question than all of them.

    At most one, so that a draft has at least four passages to cite, and the best four public ones are always those
    that a base without internal articles gives.
    """
    nearest = max(map(_similarity, public), default=-1.0)
    nearer = [passage for passage in internal if _similarity(passage) > nearest][:1]
    return (*public[: limit - len(nearer)], *nearer)


def _similarity(passage: Passage) -> float:
    return -1.0 if passage.similarity is None else passage.similarity


def _candidates_sql(dimensions: int, *, exact: bool) -> str:
    nearest = sql("nearest_exact" if exact else "nearest_indexed").replace("{dimensions}", str(dimensions))
    return sql("candidates").replace("{nearest}", nearest)
