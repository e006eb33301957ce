"""The knowledge base: what was imported is found, by its tenant only, and only what changed is embedded."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

from agents.contract import PermanentError, TransientError
from app.knowledge.documents import Document
from app.knowledge.history import document_version
from app.knowledge.importing import import_documents
from app.knowledge.search import Knowledge
from app.store.database import Pool
from app.store.policies import create_tenant
from schemas.policy import TenantPolicy
from schemas.tickets import Passage
from tests.embedders import WordEmbedder


@pytest.fixture
def pool(app_pool: Pool) -> Pool:
    return app_pool


@pytest.fixture
async def tenant(pool: Pool) -> str:
    return await new_tenant(pool)


async def new_tenant(pool: Pool) -> str:
    name = f"t{uuid4().hex[:12]}"
    await create_tenant(pool, TenantPolicy(tenant=name))
    return name


def article(name: str, text: str, **fields: Any) -> Document:
    return Document.model_validate({"document_id": name, "title": name.title(), "text": text, "locale": "en", **fields})


ARTICLES = [
    article("sync", "Open the settings and sign in to synchronize bookmarks between your phone and computer."),
    article("crash", "When the browser crashes at startup, try the troubleshoot mode and remove extensions."),
    article("sound", "If a video plays without any audio, unmute the tab and check the volume mixer."),
]


async def search(
    pool: Pool, tenant: str, text: str, language: str | None = "en", embedder: WordEmbedder | None = None,
    **options: Any,
) -> tuple[Passage, ...]:  # fmt: skip
    embedder = embedder or WordEmbedder()
    knowledge = Knowledge(pool, model=embedder.model, **options)
    return await knowledge.search(tenant=tenant, query=text, vector=embedder.vector(text), language=language, limit=5)


async def ids(pool: Pool, tenant: str, text: str, language: str | None = "en", **options: Any) -> list[str]:
    return [passage.document_id for passage in await search(pool, tenant, text, language, **options)]


async def test_what_was_imported_is_found_with_its_place_and_similarity(pool: Pool, tenant: str) -> None:
    await import_documents(pool, WordEmbedder(), ARTICLES, tenant=tenant)
    best, *_ = await search(pool, tenant, "my bookmarks do not synchronize with the phone")
    assert (best.document_id, best.version, best.chunk, best.title) == ("sync", 1, 0, "Sync")
    assert best.similarity is not None
    assert 0 < best.similarity <= 1


async def test_an_inflected_word_is_found_in_its_language(pool: Pool, tenant: str) -> None:
    """No other sign than the word's stem: the vectors are of another model."""
    await import_documents(pool, WordEmbedder("other"), ARTICLES, tenant=tenant)
    assert await ids(pool, tenant, "crashing") == ["crash"]
    assert await ids(pool, tenant, "crashing", "de") == []


async def test_what_only_words_found_has_no_similarity(pool: Pool, tenant: str) -> None:
    await import_documents(pool, WordEmbedder("other"), ARTICLES, tenant=tenant)
    [only] = await search(pool, tenant, "mixer")
    assert only.similarity is None


async def test_text_without_spaces_is_found_by_its_words(pool: Pool, tenant: str) -> None:
    documents = [
        article("ja", "ブックマークを同期する方法", locale="ja"),
        article("ja2", "音声が出ない場合", locale="ja"),
    ]
    await import_documents(pool, WordEmbedder("other"), documents, tenant=tenant)
    assert await ids(pool, tenant, "同期できません", "ja") == ["ja"]


@pytest.mark.parametrize("text", ["", "'", "\\", "it's \\'quoted\\' & | ! <-> :*", "\0nul", "the of and"])
async def test_any_text_can_be_searched_for(pool: Pool, tenant: str, text: str) -> None:
    await import_documents(
        pool, WordEmbedder(), [*ARTICLES, article("odd", "it's a \\back\\slash & more")], tenant=tenant
    )
    await ids(pool, tenant, text)


async def test_an_empty_base_finds_nothing(pool: Pool, tenant: str) -> None:
    assert await ids(pool, tenant, "sync") == []


@pytest.mark.parametrize("exact_chunks_max", [10_000, 0])
async def test_another_tenants_articles_are_never_found(pool: Pool, tenant: str, exact_chunks_max: int) -> None:
    """By comparing all, and through the index that all tenants share."""
    other = await new_tenant(pool)
    await import_documents(pool, WordEmbedder(), ARTICLES, tenant=other)
    await import_documents(pool, WordEmbedder(), [article("mine", "bookmarks")], tenant=tenant)
    assert await ids(pool, tenant, "synchronize bookmarks", exact_chunks_max=exact_chunks_max) == ["mine"]


async def test_a_small_tenant_finds_its_own_through_the_shared_index(pool: Pool, tenant: str) -> None:
    other = await new_tenant(pool)
    crowd = [article(f"crowd{n}", f"synchronize bookmarks {n}") for n in range(300)]
    await import_documents(pool, WordEmbedder(), crowd, tenant=other)
    await import_documents(pool, WordEmbedder(), [article("mine", "audio settings")], tenant=tenant)
    assert await ids(pool, tenant, "synchronize bookmarks", exact_chunks_max=0) == ["mine"]


async def test_an_internal_article_nearer_than_the_public_ones_takes_the_last_of_five_places(
    pool: Pool, tenant: str
) -> None:
    crowd = [article(f"crowd{n}", f"bookmarks and other things {n}") for n in range(6)]
    secrets = [article(f"secret{n}", f"refund limits {n}", audience="internal") for n in range(2)]
    await import_documents(pool, WordEmbedder(), crowd, tenant=tenant)
    before = await ids(pool, tenant, "refund limits")
    await import_documents(pool, WordEmbedder(), secrets, tenant=tenant)
    found = await search(pool, tenant, "refund limits")
    assert [passage.document_id for passage in found[:4]] == before[:4]
    assert (len(found), found[4].document_id[:-1], found[4].audience) == (5, "secret", "internal")
    assert {passage.audience for passage in found[:4]} == {"public"}


async def test_an_internal_article_less_near_than_a_public_one_takes_no_place(pool: Pool, tenant: str) -> None:
    await import_documents(
        pool, WordEmbedder(), [*ARTICLES, article("secret", "refund limits", audience="internal")], tenant=tenant
    )
    assert "secret" not in await ids(pool, tenant, "synchronize bookmarks between phone and computer")


async def test_one_document_gives_one_passage(pool: Pool, tenant: str) -> None:
    long = "\n".join(f"## Part {n}\n" + "synchronize bookmarks again. " * 30 for n in range(6))
    await import_documents(pool, WordEmbedder(), [article("long", long), *ARTICLES], tenant=tenant)
    found = await ids(pool, tenant, "synchronize bookmarks")
    assert sorted(found) == ["crash", "long", "sound", "sync"]


async def test_only_what_changed_is_embedded(pool: Pool, tenant: str) -> None:
    await import_documents(pool, WordEmbedder(), ARTICLES, tenant=tenant)
    embedder = WordEmbedder()
    changed = article("sound", "Silence is cured by plugging the loudspeaker in.")
    done = await import_documents(pool, embedder, [*ARTICLES[:2], changed], tenant=tenant)
    assert (done.added, done.updated, done.unchanged) == (0, 1, 2)
    assert len(embedder.embedded) == 1


async def test_an_old_version_stays_but_is_not_found(pool: Pool, tenant: str) -> None:
    await import_documents(pool, WordEmbedder(), ARTICLES, tenant=tenant)
    await import_documents(pool, WordEmbedder(), [article("sound", "Plug the loudspeaker in.")], tenant=tenant)
    found = await search(pool, tenant, "unmute mixer loudspeaker")
    assert [passage.version for passage in found if passage.document_id == "sound"] == [2]
    async with pool.transaction(tenant) as connection:
        rows = await connection.fetch("select version, withdrawn_at is null as current from document"
                                      " where document_id = 'sound' order by version")  # fmt: skip
        old = await connection.fetchval("select text from chunk where document_id = 'sound' and version = 1")
    assert [tuple(row) for row in rows] == [(1, False), (2, True)]
    assert "unmute" in old


OLD, NEW = "old", "new"


def old() -> WordEmbedder:
    return WordEmbedder(OLD)


def new() -> WordEmbedder:
    return WordEmbedder(NEW, dimensions=32)


async def by_meaning(pool: Pool, tenant: str, embedder: WordEmbedder) -> list[str]:
    found = await search(pool, tenant, "synchronize bookmarks", embedder=embedder)
    return sorted(passage.document_id for passage in found if passage.similarity is not None)


async def test_another_model_embeds_all_anew_without_new_versions(pool: Pool, tenant: str) -> None:
    await import_documents(pool, old(), ARTICLES, tenant=tenant)
    embedder = new()
    done = await import_documents(pool, embedder, ARTICLES, tenant=tenant)
    assert (done.unchanged, done.reembedded, done.switched) == (3, 3, True)
    assert len(embedder.embedded) == 3
    async with pool.transaction(tenant) as connection:
        assert await connection.fetchval("select max(version) from document") == 1
    again = await import_documents(pool, embedder, ARTICLES, tenant=tenant)
    assert (again.reembedded, again.switched, len(embedder.embedded)) == (0, False, 3)


async def test_a_broken_off_change_of_model_goes_on_and_switches_at_its_end_only(pool: Pool, tenant: str) -> None:
    documents = [article(f"d{n}", f"synchronize bookmarks {n}") for n in range(40)]
    await import_documents(pool, old(), documents, tenant=tenant)
    failing = new()
    failing.fails_after = 32
    with pytest.raises(TransientError):
        await import_documents(pool, failing, documents, tenant=tenant)
    assert (len(await by_meaning(pool, tenant, old())), await by_meaning(pool, tenant, new())) == (5, [])
    done = await import_documents(pool, new(), documents, tenant=tenant)
    assert (done.reembedded, done.switched) == (8, True)
    assert (len(await by_meaning(pool, tenant, old())), len(await by_meaning(pool, tenant, new()))) == (5, 5)


async def test_a_change_of_model_takes_all_collections_and_what_changed(pool: Pool, tenant: str) -> None:
    """The other collection's source is not read: its text is in the database."""
    await import_documents(pool, old(), ARTICLES[:1], tenant=tenant, collection="a")
    await import_documents(pool, old(), ARTICLES[1:], tenant=tenant, collection="b")
    changed = article("sound", "Plug the loudspeaker in.")
    plans: list[Any] = []
    done = await import_documents(
        pool, new(), [ARTICLES[1], changed], tenant=tenant, collection="b", on_plan=plans.append
    )
    assert (done.updated, done.reembedded, done.switched) == (1, 2, True)
    assert (plans[0].documents, plans[0].chunks) == (3, 3)
    assert await by_meaning(pool, tenant, new()) == ["crash", "sound", "sync"]


async def test_what_was_withdrawn_is_found_with_no_model(pool: Pool, tenant: str) -> None:
    await import_documents(pool, old(), ARTICLES, tenant=tenant)
    await import_documents(pool, new(), ARTICLES, tenant=tenant)
    await import_documents(pool, new(), ARTICLES[:1], tenant=tenant, sync=True)
    assert await by_meaning(pool, tenant, old()) == await by_meaning(pool, tenant, new()) == ["sync"]


async def test_the_old_models_vectors_go_a_day_after_the_switch(pool: Pool, tenant: str) -> None:
    await import_documents(pool, old(), ARTICLES, tenant=tenant)
    await import_documents(pool, new(), ARTICLES, tenant=tenant)
    await import_documents(pool, new(), ARTICLES, tenant=tenant)
    assert await by_meaning(pool, tenant, old()) == ["crash", "sound", "sync"]
    async with pool.transaction(tenant) as connection:
        await connection.execute("update embedding_model set ready_at = ready_at - interval '25 hours',"
                                 " begun_at = begun_at - interval '25 hours'")  # fmt: skip
    await import_documents(pool, new(), ARTICLES, tenant=tenant)
    assert (await by_meaning(pool, tenant, old()), await by_meaning(pool, tenant, new())) == (
        [], ["crash", "sound", "sync"],
    )  # fmt: skip
    async with pool.transaction(tenant) as connection:
        assert await connection.fetchval("select count(*) from embedding") == len(ARTICLES)


async def test_vanished_documents_are_withdrawn_with_sync_only(pool: Pool, tenant: str) -> None:
    await import_documents(pool, WordEmbedder(), ARTICLES, tenant=tenant)
    kept = await import_documents(pool, WordEmbedder(), ARTICLES[:1], tenant=tenant)
    assert (kept.withdrawn, "crash" in await ids(pool, tenant, "crashes")) == (0, True)
    synced = await import_documents(pool, WordEmbedder(), ARTICLES[:1], tenant=tenant, sync=True)
    assert (synced.withdrawn, await ids(pool, tenant, "crashes")) == (2, ["sync"])


async def test_sync_leaves_other_collections_alone(pool: Pool, tenant: str) -> None:
    await import_documents(pool, WordEmbedder(), ARTICLES[:1], tenant=tenant, collection="a")
    done = await import_documents(pool, WordEmbedder(), ARTICLES[1:], tenant=tenant, collection="b", sync=True)
    assert done.withdrawn == 0


async def test_an_import_that_broke_off_goes_on_where_it_was(pool: Pool, tenant: str) -> None:
    documents = [article(f"d{n}", f"text {n}") for n in range(100)]
    embedder = WordEmbedder()
    embedder.fails_after = 60
    with pytest.raises(TransientError):
        await import_documents(pool, embedder, documents, tenant=tenant)
    again = WordEmbedder()
    done = await import_documents(pool, again, documents, tenant=tenant)
    assert len(embedder.embedded) == done.unchanged >= 60
    assert len(again.embedded) == done.added == 100 - done.unchanged


async def test_two_imports_at_once_leave_one_version_of_each(pool: Pool, tenant: str) -> None:
    documents = [article(f"d{n}", f"text {n}") for n in range(50)]
    results = await asyncio.gather(
        *(import_documents(pool, WordEmbedder(), documents, tenant=tenant) for _ in range(2))
    )
    assert sum(done.added for done in results) == 50
    async with pool.transaction(tenant) as connection:
        assert await connection.fetchval("select max(version) from document") == 1


NAMING = [article(f"guide{n}", "Begin as in Find The Sound.") for n in range(3)]
ALIKE = [
    article("a", "Sound is missing", title="Repair The Sound"),
    article("b", "Sound is missing", title="Find The Sound"),
]


async def test_of_two_articles_that_fit_alike_the_one_that_others_name_is_first(pool: Pool, tenant: str) -> None:
    await import_documents(pool, WordEmbedder(), [*ALIKE, *NAMING], tenant=tenant)
    assert (await ids(pool, tenant, "sound is missing"))[:2] == ["b", "a"]


async def test_names_in_withdrawn_internal_and_others_articles_do_not_count(pool: Pool, tenant: str) -> None:
    other = await new_tenant(pool)
    await import_documents(pool, WordEmbedder(), NAMING, tenant=other)
    internal = [article(f"internal{n}", "Begin as in Find The Sound.", audience="internal") for n in range(3)]
    await import_documents(pool, WordEmbedder(), [*ALIKE, *NAMING], tenant=tenant, collection="all")
    await import_documents(pool, WordEmbedder(), [*ALIKE, *internal], tenant=tenant, collection="all", sync=True)
    assert (await ids(pool, tenant, "sound is missing"))[:2] == ["a", "b"]


async def test_a_new_version_is_counted_anew(pool: Pool, tenant: str) -> None:
    await import_documents(pool, WordEmbedder(), [*ALIKE, *NAMING], tenant=tenant)
    await import_documents(pool, WordEmbedder(), [article("b", "Sound is gone", title="Find The Sound")], tenant=tenant)
    assert await named(pool, tenant) == {"a": 0, "b": 3, **{one.document_id: 0 for one in NAMING}}


async def named(pool: Pool, tenant: str) -> dict[str, int | None]:
    async with pool.transaction(tenant) as connection:
        return dict(await connection.fetch("select document_id, named from document where withdrawn_at is null"))


async def test_an_import_after_one_that_broke_off_counts_what_that_one_left(pool: Pool, tenant: str) -> None:
    embedder = WordEmbedder()
    embedder.fails_after = 1
    with pytest.raises(TransientError):
        await import_documents(pool, embedder, [*NAMING, article("long", "Word. " * 9_000), *ALIKE], tenant=tenant)
    assert None in (await named(pool, tenant)).values()
    await import_documents(pool, WordEmbedder(), [], tenant=tenant)
    assert None not in (await named(pool, tenant)).values()


async def test_progress_ends_at_the_total(pool: Pool, tenant: str) -> None:
    seen: list[tuple[int, int]] = []
    await import_documents(pool, WordEmbedder(), ARTICLES, tenant=tenant, progress=lambda *each: seen.append(each))
    total = sum(len(document.text) for document in ARTICLES)
    assert (seen[0], seen[-1]) == ((0, total), (total, total))


async def test_vectors_of_another_length_are_refused(pool: Pool, tenant: str) -> None:
    embedder = WordEmbedder()
    embedder.vector = WordEmbedder(dimensions=32).vector  # type: ignore[method-assign]
    with pytest.raises(PermanentError, match="EMBEDDINGS_DIMENSIONS"):
        await import_documents(pool, embedder, ARTICLES, tenant=tenant)


async def _between(pool: Pool) -> datetime:
    """A time after what was imported and before what will be."""
    [row] = await pool.fetch("select clock_timestamp() as now")
    at: datetime = row["now"]
    return at


async def test_a_search_as_of_a_time_answers_from_the_versions_valid_then(pool: Pool, tenant: str) -> None:
    empty = await _between(pool)
    await import_documents(pool, WordEmbedder(), ARTICLES, tenant=tenant, sync=True)
    first = await _between(pool)
    sound = article("sound", "Plug the loudspeaker in if a video has no audio.")
    await import_documents(pool, WordEmbedder(), [sound], tenant=tenant, sync=True)
    embedder = WordEmbedder()
    knowledge = Knowledge(pool, model=embedder.model)
    asked = "video without audio"

    async def found(as_of: datetime) -> list[tuple[str, int]]:
        passages = await knowledge.search_as_of(
            tenant=tenant, query=asked, vector=embedder.vector(asked), language="en", limit=5, as_of=as_of
        )
        assert all(passage.similarity is not None for passage in passages)
        return [(passage.document_id, passage.version) for passage in passages]

    assert await found(empty) == []
    assert (await found(first))[0] == ("sound", 1)
    assert {name for name, _ in await found(first)} == {"sound", "sync", "crash"}
    assert await found(await _between(pool)) == [("sound", 2)]


async def test_a_search_as_of_now_finds_what_a_search_finds(pool: Pool, tenant: str) -> None:
    await import_documents(pool, WordEmbedder(), ARTICLES, tenant=tenant)
    embedder = WordEmbedder()
    asked = "the browser crashes when a video plays"
    then = await Knowledge(pool, model=embedder.model).search_as_of(
        tenant=tenant, query=asked, vector=embedder.vector(asked), language="en", limit=5, as_of=await _between(pool)
    )
    assert [passage.document_id for passage in then] == await ids(pool, tenant, asked)


async def test_a_version_is_shown_by_its_number_or_a_time_and_else_the_newest(pool: Pool, tenant: str) -> None:
    await import_documents(pool, WordEmbedder(), ARTICLES, tenant=tenant)
    first = await _between(pool)
    await import_documents(pool, WordEmbedder(), [article("sound", "Plug it in.")], tenant=tenant, sync=True)
    await import_documents(pool, WordEmbedder(), ARTICLES[:1], tenant=tenant, sync=True)
    seen = [
        await document_version(pool, tenant, "sound", **which)
        for which in ({"version": 1}, {"as_of": first}, {}, {"as_of": await _between(pool)}, {"version": 3})
    ]
    assert [version and version.version for version in seen] == [1, 1, 2, None, None]
    newest = seen[2]
    assert newest is not None
    assert (newest.passages[0]["text"], newest.withdrawn_at is None, newest.versions) == ("Plug it in.", False, 2)
