"""Finds the passages that answer a question, by meaning and by words (port: Knowledge)."""

from __future__ import annotations

from collections.abc import Sequence

from app.knowledge.words import configuration, spaced
from app.ports import Vector
from app.store.database import Pool
from app.store.queries import query as sql
from schemas.tickets import Passage

CANDIDATES = 50  # of each kind
RANK_CONSTANT = 60  # of reciprocal rank fusion, as in its paper: flat enough that neither kind rules alone
# Five passages of five documents: hit@5 0.330 on real tickets, where two of one were allowed 0.297.
CHUNKS_OF_DOCUMENT_MAX = 1
# Up to here all chunks of the tenant are compared, which is exact; above, HNSW. A filtered walk through an index that
# all tenants share would look at the others' chunks for most of its time, and miss some of a small tenant's.
EXACT_CHUNKS_MAX = 10_000
QUERY_CHARS_MAX = 8_000


class Knowledge:
    """``model`` embeds the queries; until all passages are embedded with it too, they are found by their words only."""

    def __init__(
        self, pool: Pool, *, model: str, chunks_of_document_max: int = CHUNKS_OF_DOCUMENT_MAX,
        exact_chunks_max: int = EXACT_CHUNKS_MAX,
    ) -> None:  # fmt: skip
        self._pool = pool
        self._model = model
        self._chunks_of_document_max = chunks_of_document_max
        self._exact_chunks_max = exact_chunks_max

    async def search(
        self, *, tenant: str, query: str, vector: Vector, language: str | None, limit: int
    ) -> tuple[Passage, ...]:
        """The best passages, best first; ``language`` is the query's. See ``with_internal``."""
        async with self._pool.transaction(tenant) as connection:
            [base] = await connection.fetch(sql("knowledge_size"), tenant, self._model, len(vector))
            model = self._model if base["is_embedded"] else None
            exact = model is None or base["chunks"] <= self._exact_chunks_max
            if not exact:
                await connection.execute(sql("hnsw_settings"))
            rows = await connection.fetch(
                _search_sql(len(vector), exact=exact), tenant, vector, len(vector), model, CANDIDATES,
                spaced(query[:QUERY_CHARS_MAX].replace("\0", " ")), configuration(language), RANK_CONSTANT,
                self._chunks_of_document_max, limit,
            )  # fmt: skip
            nearest = await connection.fetch(sql("nearest_internal"), tenant, vector, len(vector), model, RANK_CONSTANT)
        public, internal = ([Passage.model_validate(dict(row)) for row in found] for found in (rows, nearest))
        return with_internal(public, internal, limit=limit)


def with_internal(public: Sequence[Passage], internal: Sequence[Passage], *, limit: int) -> tuple[Passage, ...]:
    """``public``, and in the last place the internal passage that is nearer to the question than all of them.

    At most one, so that a draft has at least four passages to cite, and the best four public ones are always those
    that a base without internal articles gives.
    """
    nearest = max((passage.similarity or -1.0 for passage in public), default=-1.0)
    nearer = [passage for passage in internal if (passage.similarity or -1.0) > nearest][:1]
    return (*public[: limit - len(nearer)], *nearer)


def _search_sql(dimensions: int, *, exact: bool) -> str:
    nearest = sql("nearest_exact" if exact else "nearest_indexed").replace("{dimensions}", str(dimensions))
    return sql("search").replace("{nearest}", nearest)
