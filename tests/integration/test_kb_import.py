"""``deskstream kb import`` against a real database and an embeddings server that bills like a provider's."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

import pytest

from app.store.database import migrate
from tests.integration.test_cli import Done, deskstream

TOKENS_A_TEXT = 1_000_000


class Embeddings(BaseHTTPRequestHandler):
    model = "text-embedding-3-large"

    def do_GET(self) -> None:
        self._answer({"data": [{"id": self.model}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        vector = [1.0] + [0.0] * (asked["dimensions"] - 1)
        rows = [{"object": "embedding", "index": at, "embedding": vector} for at, _ in enumerate(asked["input"])]
        tokens = TOKENS_A_TEXT * len(rows)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        self._answer({"object": "list", "model": asked["model"], "data": rows, "usage": usage})

    def _answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Offline(Embeddings):
    model = "offline-embeddings"


@pytest.fixture(params=[Embeddings])
def embeddings_url(request: pytest.FixtureRequest) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), request.param)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
async def migrated_url(database_url: str) -> str:
    await migrate(database_url)
    return database_url


class Kb:
    """Imports ``folder`` for a tenant of its own."""

    def __init__(self, folder: Path, database_url: str, embeddings_url: str) -> None:
        self.folder = folder
        self._cwd = folder.parent
        self._tenant = f"t{uuid4().hex[:8]}"
        self._environment = {
            "DATABASE_URL": database_url, "EMBEDDINGS_BASE_URL": embeddings_url, "EMBEDDINGS_API_KEY": "k",
        }  # fmt: skip

    async def import_(self, *options: str, source: str | None = None) -> Done:
        return await self.run("import", source or str(self.folder), *options)

    async def sync(self, collection: str = "default", *, source: str | None = None) -> Done:
        return await self.run("sync", source or str(self.folder), "--collection", collection)

    async def run(self, command: str, *arguments: str, **environment: str) -> Done:
        return await deskstream(
            "kb", command, *arguments, "--tenant", self._tenant, cwd=self._cwd, **{**self._environment, **environment}
        )


@pytest.fixture
def kb(tmp_path: Path, migrated_url: str, embeddings_url: str) -> Kb:
    (tmp_path / "kb").mkdir()
    return Kb(tmp_path / "kb", migrated_url, embeddings_url)


async def test_the_price_is_told_before_by_estimate_and_after_by_usage(kb: Kb) -> None:
    (kb.folder / "a.html").write_text("<title>A</title><p>Press A to begin.")
    done = await kb.import_()
    assert done.code == 0, done.all
    before = "1 articles to embed: 1 passages, about 8 tokens, under $0.0001 at text-embedding-3-large's list price."
    assert before in done.err, done.all
    assert "Embedded 1,000,000 tokens: $0.1300 at text-embedding-3-large's list price." in done.out, done.all
    again = await kb.import_()
    assert "to embed" not in again.all and "Embedded" not in again.all, again.all


@pytest.mark.parametrize("embeddings_url", [Offline], indirect=True)
async def test_the_embedded_model_costs_nothing(kb: Kb) -> None:
    (kb.folder / "a.txt").write_text("Press A to begin.")
    done = await kb.import_()
    assert done.err.count("nothing to pay") + done.out.count("nothing to pay") == 2, done.all


async def test_drafts_are_counted_and_no_failure_unreadable_files_are(kb: Kb) -> None:
    article = {"id": 1, "title": "A", "body": "<p>a</p>", "locale": "en", "draft": False, "user_segment_id": None}
    articles = [article, {**article, "id": 2, "draft": True}]
    (kb.folder / "articles.json").write_text(json.dumps({"articles": articles}))
    done = await kb.import_()
    assert (done.code, "1 skipped as their authors want it" in done.out) == (0, True), done.all
    (kb.folder / "scan.pdf").write_bytes(b"%PDF-1.7\n")
    done = await kb.import_()
    assert done.code == 1
    assert "scan.pdf: cannot be read as PDF" in done.err, done.all


async def test_sync_withdraws_nothing_while_something_cannot_be_read(kb: Kb) -> None:
    """An article that is unreadable today was not taken away by its author."""
    for name in ("a.txt", "b.txt"):
        (kb.folder / name).write_text(f"Text of {name}.")
    await kb.import_()
    (kb.folder / "a.txt").write_bytes(b"\xff")
    (kb.folder / "b.txt").unlink()
    (kb.folder / "c.txt").write_text("New.")
    done = await kb.sync()
    assert (done.code, "1 articles added" in done.out, " 0 withdrawn" in done.out) == (1, True, True), done.all
    assert "Nothing was withdrawn" in done.err
    (kb.folder / "a.txt").unlink()
    assert " 2 withdrawn" in (await kb.sync()).out


async def test_a_sitemap_that_is_not_there_is_named(kb: Kb) -> None:
    done = await kb.import_(source="http://127.0.0.1:9/sitemap.xml")
    assert (done.code, "http://127.0.0.1:9/sitemap.xml: cannot be fetched" in done.err) == (3, True), done.all


async def test_sync_prints_what_changed(kb: Kb) -> None:
    for name in ("a", "b"):
        (kb.folder / f"{name}.md").write_text(f"# {name}\nText of {name}.")
    await kb.sync()
    (kb.folder / "a.md").write_text("# a\nAnother text.")
    (kb.folder / "b.md").unlink()
    (kb.folder / "c.md").write_text("# c\nNew.")
    done = await kb.sync()
    assert done.out.splitlines()[:3] == ["updated   a", "added     c", "withdrawn b"], done.all


async def test_collections_stand_side_by_side_and_take_nothing_from_each_other(kb: Kb) -> None:
    """An id of two collections would else come and go with each sync."""
    (kb.folder / "a.md").write_text("# a\nText of a.")
    await kb.sync("first")
    (kb.folder / "b.md").write_text("# b\nText of b.")
    done = await kb.sync("second")
    assert done.code == 1
    assert "a: is an article of the collection 'first', and stays it" in done.err
    assert "1 articles added, 0 updated, 0 unchanged, 0 withdrawn" in done.out


async def test_an_empty_source_withdraws_nothing(kb: Kb) -> None:
    (kb.folder / "a.md").write_text("# a\nText of a.")
    await kb.sync()
    (kb.folder / "a.md").unlink()
    done = await kb.sync()
    assert (done.code, "no article was found" in done.err) == (3, True), done.all


async def test_another_model_is_told_when_all_is_embedded_with_it(kb: Kb) -> None:
    (kb.folder / "a.md").write_text("# a\nText of a.")
    await kb.import_()
    done = await kb.run("import", str(kb.folder), EMBEDDINGS_DIMENSIONS="64")
    assert (done.code, "1 passages embedded anew" in done.out, "search by it from now on" in done.out) == (
        0, True, True,
    ), done.all  # fmt: skip


async def test_an_article_is_shown_and_searched_as_it_was(kb: Kb) -> None:
    (kb.folder / "a.md").write_text("# Start\nPress A to begin.")
    await kb.import_()
    (kb.folder / "a.md").write_text("# Start\nPress B to begin.")
    await kb.import_()
    newest, first = await kb.run("show", "a"), await kb.run("show", "a", "--version", "1")
    assert "a, version 2 of 2: Start" in newest.out and "Press B" in newest.out, newest.all
    assert "a, version 1 of 2: Start" in first.out and "Press A" in first.out, first.all
    before = await kb.run("show", "a", "--as-of", "2001-01-01")
    assert (before.code, "has no a as of 2001-01-01" in before.err) == (2, True), before.all
    now, then = await kb.run("search", "begin"), await kb.run("search", "begin", "--as-of", "2001-01-01")
    assert "a, version 2 (public, similarity 1.000): Start" in now.out, now.all
    assert then.out == "Nothing was found.\n", then.all
