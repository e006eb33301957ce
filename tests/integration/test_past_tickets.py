"""Past tickets and the articles that answered them count in a search: of the tenant, and of articles that are there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from app.knowledge import solved
from app.knowledge.documents import Document
from app.knowledge.importing import import_documents
from app.knowledge.search import Knowledge
from app.knowledge.solved import PastTicket, learn_tickets
from app.store.database import Pool
from app.store.policies import create_tenant
from schemas.policy import TenantPolicy
from tests.embedders import WordEmbedder

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def pool(app_pool: Pool) -> Pool:
    return app_pool


@pytest.fixture
async def tenant(pool: Pool) -> str:
    return await new_tenant(pool)


async def new_tenant(pool: Pool) -> str:
    """With twenty articles about screens, which a question about screens finds, and one about a licence."""
    name = f"t{uuid4().hex[:12]}"
    await create_tenant(pool, TenantPolicy(tenant=name))
    screens = [article(f"screen{n}", f"The screen flickers, case {n}.") for n in range(20)]
    await import_documents(pool, WordEmbedder(), [*screens, article("licence", "Renew it yearly.")], tenant=name)
    return name


def article(name: str, text: str, **fields: Any) -> Document:
    return Document.model_validate({"document_id": name, "title": name.title(), "text": text, "locale": "en", **fields})


def tickets(count: int, document_id: str = "licence", text: str = "my screen flickers") -> list[PastTicket]:
    return [
        PastTicket(
            ticket_id=f"{document_id}-{n}",
            created_at=BEGAN + timedelta(hours=n),
            text=f"{text} {n}",
            document_ids=(document_id,),
        )
        for n in range(count)
    ]


async def learn(pool: Pool, tenant: str, past: Sequence[PastTicket], *, masks: bool = False) -> WordEmbedder:
    embedder = WordEmbedder()
    await learn_tickets(pool, embedder, iter(past), tenant=tenant, masks=masks)
    return embedder


async def found(pool: Pool, tenant: str, text: str = "my screen flickers") -> list[str]:
    knowledge = Knowledge(pool, model="words")
    vector = WordEmbedder().vector(text)
    passages = await knowledge.search(tenant=tenant, query=text, vector=vector, language="en", limit=5)
    return [passage.document_id for passage in passages]


async def rows(pool: Pool, tenant: str) -> int:
    async with pool.transaction(tenant) as connection:
        count: int = await connection.fetchval("select count(*) from solved")
        return count


async def test_an_article_that_answered_such_tickets_is_found_where_its_own_words_do_not_say_so(
    pool: Pool, tenant: str
) -> None:
    assert "licence" not in await found(pool, tenant)
    await learn(pool, tenant, tickets(60))
    assert (await found(pool, tenant))[0] == "licence"


async def test_another_tenants_past_tickets_do_not_count(pool: Pool, tenant: str) -> None:
    await learn(pool, await new_tenant(pool), tickets(60))
    assert "licence" not in await found(pool, tenant)


async def test_a_withdrawn_article_is_not_found_by_past_tickets(pool: Pool, tenant: str) -> None:
    await learn(pool, tenant, tickets(60))
    await import_documents(pool, WordEmbedder(), [article("new", "something")], tenant=tenant, sync=True)
    assert await found(pool, tenant) == ["new"]


async def test_an_internal_article_is_not_found_by_past_tickets(pool: Pool, tenant: str) -> None:
    secret = article("secret", "Refund limits.", audience="internal")
    await import_documents(pool, WordEmbedder(), [secret], tenant=tenant)
    await learn(pool, tenant, tickets(60, "secret"))
    assert "secret" not in await found(pool, tenant)


async def test_an_article_that_does_not_exist_is_not_found(pool: Pool, tenant: str) -> None:
    await learn(pool, tenant, tickets(60, "gone"))
    assert "gone" not in await found(pool, tenant)


async def test_a_ticket_learnt_again_counts_once(pool: Pool, tenant: str) -> None:
    for _ in range(2):
        await learn(pool, tenant, tickets(3))
    assert await rows(pool, tenant) == 3


async def test_only_the_newest_are_kept(pool: Pool, tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(solved, "SOLVED_MAX", 10)
    await learn(pool, tenant, tickets(8, "screen1"))
    later = [ticket.model_copy(update={"created_at": BEGAN + timedelta(days=9)}) for ticket in tickets(7)]
    await learn(pool, tenant, later)
    async with pool.transaction(tenant) as connection:
        counted = await connection.fetch("select document_id, tickets from solved_document order by tickets")
    assert [tuple(row) for row in counted] == [("screen1", 3.0), ("licence", 7.0)]


async def test_of_too_many_only_the_newest_are_embedded(
    pool: Pool, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(solved, "SOLVED_MAX", 2)
    assert len((await learn(pool, tenant, tickets(5))).embedded) == 2


async def test_personal_data_are_masked_before_they_are_embedded(pool: Pool, tenant: str) -> None:
    embedder = await learn(pool, tenant, tickets(1, text="write to ann@example.com"), masks=True)
    assert "ann@example.com" not in embedder.embedded[0]
