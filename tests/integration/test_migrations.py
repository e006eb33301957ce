"""A database that was used before is brought to the newest revision: what stands in it is kept, and works."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from app.knowledge.search import Knowledge
from app.ports import CallKey, Intent, Place, Stored
from app.store.claims import Claims
from app.store.database import connect, migrate, revision
from app.store.journal import Journal
from app.store.policies import Policies
from app.store.rows import call_key, digest_key
from tests import servers
from tests.embedders import DIMENSIONS, WordEmbedder

KEY = CallKey("acme", "classify", "e1", 0, 0, 0)
PLACE = Place("tickets.raw", 1, 7)
TEXTS = {"sync": "Sign in to synchronize bookmarks", "crash": "Remove extensions after a crash"}
ID = UUID(int=1)


@pytest.fixture(params=["0001", "0002", "0003"])
async def used(request: pytest.FixtureRequest, postgres_url: str) -> AsyncIterator[str]:
    """A database of that revision with rows, brought to the newest one."""
    async with servers.fresh_database(postgres_url) as url:
        await migrate(url, request.param)
        assert await revision(url) == request.param
        connection = await asyncpg.connect(url)
        try:
            await _fill(connection)
        finally:
            await connection.close()
        await migrate(url)
        yield url


async def _fill(connection: asyncpg.Connection[Any]) -> None:
    await connection.execute(
        "insert into tenant (tenant, name, mode, graduated, calibrated)"
        " values ('acme', 'Acme', 'auto', '{how_to}', true)"
    )
    await _add_article(connection, "sync", 1, "Bookmarks were elsewhere once", current=False)
    for document_id, text in TEXTS.items():
        await _add_article(connection, document_id, 2, text, current=True)
    await connection.execute("select index_embeddings($1)", DIMENSIONS)
    await connection.execute("insert into knowledge_size values ('acme', 2)")
    await connection.execute(
        "insert into word select 'acme', word, count(*) from chunk, unnest(tsvector_to_array(tsv)) word"
        " where current group by word"
    )
    await connection.execute(
        "insert into call (call_key, tenant, stage, event_id, replay, question, attempt, state, call_id, worker_id,"
        " deadline, answer) values ($1, 'acme', 'classify', 'e1', 0, 0, 0, 'done', $2, $2, now(), 'paid')",
        call_key(KEY), ID,
    )  # fmt: skip
    await connection.execute(
        "insert into call_attempt (call_id, call_key, tenant, stage, event_id, replay, question, attempt, root_id,"
        " operation, provider, model, prompt_version, digest, worker_id, outcome, input_tokens, cost_usd, cost_usd_max)"
        " values ($2, $1, 'acme', 'classify', 'e1', 0, 0, 0, 'e1', 'chat', 'p', 'm', '1', 'd', $2, 'ok', 70, 0.5, 1)",
        call_key(KEY), ID,
    )  # fmt: skip
    await connection.execute(
        "insert into claim values ($1, 'acme', 'tickets.raw', 1, 7, 'd', now())",
        digest_key("classify", "acme", "/s", "e1", 0),
    )


async def _add_article(
    connection: asyncpg.Connection[Any], document_id: str, version: int, text: str, *, current: bool
) -> None:
    vector = str(WordEmbedder().vector(text).tolist())
    await connection.execute(
        "insert into document values ('acme', $1, $2, $1, 'en', 'public', null, 'd', 'kb', now(),"
        " case when $3 then null else now() end)",
        document_id, version, current,
    )  # fmt: skip
    await connection.execute(
        "insert into chunk values ('acme', $1, $2, 0, '', $3, to_tsvector('simple', $3), $4::text::vector, $5, 'words',"
        " 'public', $6)",
        document_id, version, text, vector, DIMENSIONS, current,
    )  # fmt: skip


@pytest.mark.parametrize("exact_chunks_max", [50_000, 0])  # all compared; by the index
async def test_articles_of_before_are_found_by_meaning(used: str, exact_chunks_max: int) -> None:
    pool = await connect(used, connections_max=2)
    knowledge = Knowledge(pool, model="words", exact_chunks_max=exact_chunks_max)
    vector = WordEmbedder().vector("synchronize bookmarks")
    found = await knowledge.search(tenant="acme", query="zzz", vector=vector, language="en", limit=5)
    await pool.close()
    assert (found[0].document_id, found[0].version, found[0].text) == ("sync", 2, TEXTS["sync"])
    assert found[0].similarity is not None


async def test_articles_of_before_are_found_by_their_words(used: str) -> None:
    pool = await connect(used, connections_max=2)
    knowledge = Knowledge(pool, model="another")  # whose vectors are not there
    vector = WordEmbedder("another").vector("zzz")
    found = await knowledge.search(tenant="acme", query="bookmarks", vector=vector, language="en", limit=5)
    await pool.close()
    assert [(one.document_id, one.version) for one in found] == [("sync", 2)]


async def test_an_answer_of_before_is_not_paid_again(used: str) -> None:
    pool = await connect(used, role="deskstream_runtime", connections_max=4)
    journal = Journal(pool)
    await journal.start()
    intent = Intent(KEY, "e1", "chat", "p", "m", "1", "d", Decimal(1), 10.0)
    found = await journal.begin(intent)
    await journal.close()
    await pool.close()
    assert isinstance(found, Stored)
    assert (found.answer, found.row.usage.input_tokens, found.row.cost_usd) == (b"paid", 70, Decimal("0.5"))


async def test_an_event_of_before_is_recognised(used: str) -> None:
    pool = await connect(used, role="deskstream_runtime", connections_max=2)
    claims = Claims(pool)
    outcome = await claims.claim(
        stage="classify", tenant="acme", source="/s", event_id="e1", replay=0, digest="d", place=PLACE
    )
    await claims.close()
    await pool.close()
    assert outcome == "same"


async def test_a_tenant_that_was_only_marked_as_calibrated_sends_nothing(used: str) -> None:
    """The mark says nothing of what the confidence is worth: it is calibrated anew, from reviews."""
    pool = await connect(used, connections_max=2)
    policy = await Policies(pool).policy("acme")
    await pool.close()
    assert policy.calibration is None and not policy.mask_personal_data
