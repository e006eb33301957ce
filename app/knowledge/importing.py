"""Brings a tenant's articles into the knowledge base: only what changed is cut and embedded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from pgvector import Vector as PgVector

from agents.contract import PermanentError
from app.knowledge.chunk import CHUNKER_VERSION, Chunk, chunks, tokens_estimate
from app.knowledge.documents import Document
from app.knowledge.named import Named
from app.knowledge.words import configuration, spaced
from app.ports import Embedder, Vector
from app.store.database import Pool
from app.store.queries import query
from schemas.usage import Usage

# Chunks of one request for vectors: some seconds of the embedded model, a fraction of providers' limits.
TEXTS_MAX = 32
DOCUMENTS_MAX = 500_000
# The old model's vectors, after the switch to another: time to restart the stages that still search with it.
OLD_MODEL_KEPT = timedelta(days=1)
# Words are counted for the weights of a search; while a long import runs, this often, so that it can be searched.
WORDS_RENEWED_S = 20.0
CHUNKS_READ = 500  # at a time, where all of a tenant's are read

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Change:
    kind: Literal["added", "updated", "withdrawn"]
    document_id: str


@dataclass
class Imported:
    changes: list[Change] = field(default_factory=list)
    elsewhere: dict[str, str] = field(default_factory=dict)  # left out: document id to the collection that has it
    unchanged: int = 0
    chunks: int = 0
    reembedded: int = 0  # chunks of unchanged documents, with a model that is new to the tenant
    switched: bool = False  # searches with that model use its vectors from now on
    usage: Usage = field(default_factory=Usage)

    @property
    def added(self) -> int:
        return self._count("added")

    @property
    def updated(self) -> int:
        return self._count("updated")

    @property
    def withdrawn(self) -> int:
        return self._count("withdrawn")

    def _count(self, kind: str) -> int:
        return sum(change.kind == kind for change in self.changes)


@dataclass(frozen=True)
class Plan:
    """What an import is about to embed. The tokens are an estimate, rather too many than too few."""

    documents: int  # new and changed ones, and those that another model embedded
    chunks: int
    tokens: int


@dataclass(frozen=True)
class _Cut:
    document: Document
    digest: bytes
    chunks: tuple[Chunk, ...]

    @property
    def chars(self) -> int:
        return sum(len(chunk.text) for chunk in self.chunks)

    @property
    def texts(self) -> list[str]:
        return [_passage(self.document.title, chunk.heading, chunk.text) for chunk in self.chunks]


@dataclass(frozen=True)
class _Left:
    """A chunk that only another model has embedded."""

    document_id: str
    version: int
    chunk: int
    text: str


async def import_documents(
    pool: Pool, embedder: Embedder, documents: Iterable[Document], *, tenant: str, collection: str = "default",
    sync: bool = False, progress: Progress = lambda done, total: None, on_plan: Callable[[Plan], None] | None = None,
) -> Imported:  # fmt: skip
    """Each document is kept as soon as it is embedded: an import that was broken off goes on where it was.

    With a model that is new to the tenant, all its documents are embedded, beside the old model's vectors; searches
    use the new ones only once none is missing. A document that another collection has is left out. ``sync`` withdraws
    the documents of ``collection`` that are not among ``documents``; raises PermanentError("nothing_to_sync") where
    that would be all. ``progress`` gets characters done and in all, ``on_plan`` what there is to embed before any is.
    """
    by_id = {document.document_id: document for document in documents}
    if len(by_id) > DOCUMENTS_MAX:
        raise PermanentError("too_many_documents", f"{len(by_id):,} documents: at most {DOCUMENTS_MAX:,} at once")
    run = _Import(pool, embedder, tenant, collection)
    here = await run.begin()
    if sync and not by_id and any(row["collection"] == collection for row in here.values()):
        raise PermanentError(
            "nothing_to_sync",
            f"no article was found: the collection {collection!r} stays as it is; is the source right?",
        )
    changed = []
    for id_, document in by_id.items():
        digest = document.digest(CHUNKER_VERSION, collection)
        if id_ in here and here[id_]["collection"] != collection:
            run.done.elsewhere[id_] = here[id_]["collection"]
        elif id_ in here and here[id_]["digest"] == digest:
            run.done.unchanged += 1
        else:
            changed.append(_Cut(document, digest, chunks(document.body)))
    vanished = [id_ for id_, row in here.items() if row["collection"] == collection and id_ not in by_id]
    withdrawn = vanished if sync else []
    left = await run.unembedded([*withdrawn, *(cut.document.document_id for cut in changed)])
    if on_plan is not None:
        on_plan(_plan(changed, left))
    await run.embed_all(changed, left, progress)
    await run.withdraw(withdrawn)
    await run.switch()
    # Also where nothing changed: an import that was broken off may have left them old.
    await run.renew_words()
    await run.count_named()
    return run.done


@dataclass(frozen=True)
class _Import:
    pool: Pool
    embedder: Embedder
    tenant: str
    collection: str
    done: Imported = field(default_factory=Imported)

    async def begin(self) -> dict[str, Any]:
        """The tenant's documents by their ids: digest and collection."""
        used = (self.tenant, self.embedder.model, self.embedder.dimensions)
        async with self.pool.transaction(self.tenant) as connection:
            await connection.execute(query("lock_imports"), self.tenant)
            await connection.execute(query("index_embeddings"), self.embedder.dimensions)
            await connection.execute(query("drop_old_embeddings"), *used, OLD_MODEL_KEPT)
            await connection.execute(query("begin_embedding"), *used)
            rows = await connection.fetch(query("document_digests"), self.tenant)
        return {row["document_id"]: row for row in rows}

    async def unembedded(self, but_of: Sequence[str]) -> list[_Left]:
        async with self.pool.transaction(self.tenant) as connection:
            rows = await connection.fetch(
                query("unembedded"), self.tenant, self.embedder.model, self.embedder.dimensions, but_of
            )
        return [
            _Left(row["document_id"], row["version"], row["chunk"], _passage(row["title"], row["heading"], row["text"]))
            for row in rows
        ]

    async def embed_all(self, changed: Sequence[_Cut], left: Sequence[_Left], progress: Progress) -> None:
        chars_total = sum(cut.chars for cut in changed) + sum(len(each.text) for each in left)
        chars_done = 0
        progress(0, chars_total)
        renewed_at = time.monotonic()
        for batch in _batches(changed):
            vectors = await self._embed([text for cut in batch for text in cut.texts])
            for cut in batch:
                own, vectors = vectors[: len(cut.chunks)], vectors[len(cut.chunks) :]
                await self._add(cut, own)
            chars_done += sum(cut.chars for cut in batch)
            progress(chars_done, chars_total)
            if time.monotonic() - renewed_at > WORDS_RENEWED_S:
                await self.renew_words()
                renewed_at = time.monotonic()
        for start in range(0, len(left), TEXTS_MAX):
            part = left[start : start + TEXTS_MAX]
            await self._add_beside(part, await self._embed([each.text for each in part]))
            chars_done += sum(len(each.text) for each in part)
            progress(chars_done, chars_total)

    async def switch(self) -> None:
        """Unless something is missing, such as what another import brought in meanwhile: then the next one switches."""
        async with self.pool.transaction(self.tenant) as connection:
            await connection.execute(query("lock_imports"), self.tenant)
            used = (self.tenant, self.embedder.model, self.embedder.dimensions)
            self.done.switched = await connection.fetchval(query("switch_embedding"), *used) is not None

    async def withdraw(self, document_ids: Sequence[str]) -> None:
        async with self.pool.transaction(self.tenant) as connection:
            await connection.execute(query("withdraw_documents"), self.tenant, document_ids)
        self.done.changes.extend(Change("withdrawn", id_) for id_ in document_ids)

    async def renew_words(self) -> None:
        async with self.pool.transaction(self.tenant) as connection:
            await connection.execute(query("lock_imports"), self.tenant)
            await connection.execute(query("renew_words"), self.tenant)

    async def count_named(self) -> None:
        """All articles are read again, some seconds for 10,000: a new title may stand in any of them."""
        async with self.pool.transaction(self.tenant) as connection:
            await connection.execute(query("lock_imports"), self.tenant)
            if not self.done.changes and not await connection.fetchval(query("named_uncounted"), self.tenant):
                return
            named = Named(dict(await connection.fetch(query("public_titles"), self.tenant)))
            async for row in connection.cursor(query("public_chunks"), self.tenant, prefetch=CHUNKS_READ):
                named.read(row["document_id"], row["text"])
            counted = named.counts()
            await connection.execute(query("set_named"), self.tenant, list(counted), list(counted.values()))

    async def _embed(self, texts: Sequence[str]) -> list[Vector]:
        vectors: list[Vector] = []
        for start in range(0, len(texts), TEXTS_MAX):
            part = texts[start : start + TEXTS_MAX]
            found, usage = await self.embedder.embed(part, kind="passage")
            expected = (len(part), self.embedder.dimensions)
            if found.shape != expected:
                raise PermanentError(
                    "wrong_dimensions",
                    f"{self.embedder.model} gave vectors of shape {found.shape}, not {expected}: "
                    f"set EMBEDDINGS_DIMENSIONS to what it gives",
                )
            vectors.extend(found)
            self.done.usage += usage
        return vectors

    async def _add(self, cut: _Cut, vectors: Sequence[Vector]) -> None:
        """One document in one transaction: its new version, and the old one withdrawn."""
        document = cut.document
        async with self.pool.transaction(self.tenant) as connection:
            await connection.execute(query("lock_imports"), self.tenant)
            old = await connection.fetchrow(query("document_digest"), self.tenant, document.document_id)
            if old is not None and old["digest"] == cut.digest:
                self.done.unchanged += 1  # another import did it at the same time
                return
            await connection.execute(query("withdraw_documents"), self.tenant, [document.document_id])
            version = await connection.fetchval(
                query("add_document"), self.tenant, document.document_id, document.title, document.locale,
                document.audience, document.url, cut.digest, self.collection,
            )  # fmt: skip
            await connection.execute(
                query("add_chunks"), self.tenant, document.document_id, version,
                [chunk.heading for chunk in cut.chunks], [chunk.text for chunk in cut.chunks],
                [spaced(f"{document.title} {chunk.heading}") for chunk in cut.chunks],
                [spaced(chunk.text) for chunk in cut.chunks],
                configuration(document.locale), [PgVector(vector) for vector in vectors], self.embedder.model,
                document.audience,
            )  # fmt: skip
        self.done.chunks += len(cut.chunks)
        self.done.changes.append(Change("added" if old is None else "updated", document.document_id))

    async def _add_beside(self, left: Sequence[_Left], vectors: Sequence[Vector]) -> None:
        async with self.pool.transaction(self.tenant) as connection:
            await connection.execute(query("lock_imports"), self.tenant)
            await connection.execute(
                query("add_embeddings"), self.tenant, [each.document_id for each in left],
                [each.version for each in left], [each.chunk for each in left],
                [PgVector(vector) for vector in vectors], self.embedder.model,
            )  # fmt: skip
        self.done.reembedded += len(left)


def _plan(changed: Sequence[_Cut], left: Sequence[_Left]) -> Plan:
    texts = [text for cut in changed for text in cut.texts] + [each.text for each in left]
    documents = len(changed) + len({each.document_id for each in left})
    return Plan(documents, len(texts), sum(tokens_estimate(text) for text in texts))


def _batches(cuts: Iterable[_Cut]) -> Iterator[list[_Cut]]:
    """Documents that fill a request together; a long one alone, in several requests."""
    batch: list[_Cut] = []
    for cut in cuts:
        if batch and sum(len(each.chunks) for each in batch) + len(cut.chunks) > TEXTS_MAX:
            yield batch
            batch = []
        batch.append(cut)
    if batch:
        yield batch


def _passage(title: str, heading: str, text: str) -> str:
    """What is embedded: a chunk often does not say itself what it is about."""
    return "\n".join(part for part in (title, heading, text) if part)
