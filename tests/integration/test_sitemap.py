"""A sitemap's pages are fetched from a real HTTP server: only those allowed, a few at once, within limits."""

from __future__ import annotations

import gzip
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agents.contract import PermanentError, TransientError
from app.knowledge.documents import Document, Found, Skipped, Unreadable
from app.knowledge.sitemap import AT_ONCE_MAX, PAGE_BYTES_MAX, document_id, fetch

Reply = tuple[int, dict[str, str], bytes]


@dataclass
class Site:
    """Answers by path; what it has no answer for is 404."""

    pages: dict[str, Reply | Callable[[], Reply]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    address: str = ""

    def page(self, path: str, text: str = "", *, status: int = 200, **headers: str) -> None:
        named = {"content-type": "text/html; charset=utf-8"} | {n.replace("_", "-"): v for n, v in headers.items()}
        self.pages[path] = (status, named, text.encode())

    def sitemap(self, *paths: str, at: str = "/sitemap.xml", kind: str = "urlset", item: str = "url") -> str:
        locations = "".join(
            f"<{item}><loc>{path if '//' in path else self.address + path}</loc></{item}>" for path in paths
        )
        text = f'<{kind} xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">{locations}</{kind}>'
        self.pages[at] = (200, {"content-type": "application/xml"}, text.encode())
        return self.address + at


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked[self.path] += 1
            answer = made.pages.get(self.path, (404, {}, b""))
            status, headers, body = answer() if callable(answer) else answer
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


async def fetched(url: str, pages_max: int = 100) -> list[Found]:
    return await fetch(url, pages_max=pages_max, retry_wait_s=0.01)


async def test_pages_become_articles_with_address_and_language(site: Site) -> None:
    site.page("/a", "<html lang=de><title>A</title><main><h1>Konto</h1><p>x</main>")
    [found] = await fetched(site.sitemap("/a"))
    host = site.address.removeprefix("http://")
    assert found == Document(document_id=f"{host}/a", title="Konto", text="x", locale="de", url=f"{site.address}/a")


async def test_an_index_is_followed_one_level(site: Site) -> None:
    for name in "ab":
        site.page(f"/{name}", f"<p>{name}")
        site.sitemap(f"/{name}", at=f"/{name}.xml")
    site.sitemap("/b.xml", at="/deeper.xml", kind="sitemapindex", item="sitemap")
    index = site.sitemap("/a.xml", "/b.xml", "/deeper.xml", kind="sitemapindex", item="sitemap")
    *told, first, second = await fetched(index)
    assert [one.text for one in (first, second) if isinstance(one, Document)] == ["a", "b"]
    assert [one.reason for one in told if isinstance(one, Unreadable)] == [
        "is an index within an index: import it by its own address"
    ]


async def test_a_packed_sitemap_is_read(site: Site) -> None:
    site.page("/a", "<p>a")
    url = site.sitemap("/a", at="/sitemap.xml.gz")
    site.pages["/sitemap.xml.gz"] = (200, {}, gzip.compress(site.pages["/sitemap.xml.gz"][2]))  # type: ignore[index]
    assert len(await fetched(url)) == 1


async def test_what_robots_txt_forbids_is_never_asked_for(site: Site) -> None:
    """With a wildcard, and an exception that is longer than the rule."""
    site.page("/robots.txt", "User-agent: *\nDisallow: /private\nDisallow: /*?print\nAllow: /private/faq\n")
    for path in ("/private/a", "/b?print=1", "/private/faq", "/c"):
        site.page(path, "<p>x")
    found = await fetched(site.sitemap("/private/a", "/b?print=1", "/private/faq", "/c"))
    assert [type(one) for one in found] == [Skipped, Skipped, Document, Document]
    assert not site.asked["/private/a"] + site.asked["/b?print=1"]


async def test_nothing_is_fetched_while_robots_txt_cannot_be_had(site: Site) -> None:
    site.page("/robots.txt", status=503)
    site.page("/a", "<p>a")
    with pytest.raises(TransientError, match=r"robots\.txt answers 503"):
        await fetched(site.sitemap("/a"))
    assert not site.asked["/a"]


async def test_other_hosts_are_left_out_and_told(site: Site) -> None:
    other = site.address.replace("127.0.0.1", "localhost")
    site.page("/a", "<p>a")
    told, found = await fetched(site.sitemap("/a", f"{other}/b"))
    assert isinstance(found, Document)
    assert isinstance(told, Unreadable)
    assert "1 addresses of other hosts" in told.reason
    assert not site.asked["/b"]


async def test_a_redirect_is_followed_within_the_host_only(site: Site) -> None:
    site.page("/old", status=301, location="/new")
    site.page("/new", "<p>new")
    site.page("/away", status=302, location=site.address.replace("127.0.0.1", "localhost") + "/secret")
    site.page("/loop", status=302, location="/loop")
    new, away, loop = await fetched(site.sitemap("/old", "/away", "/loop"))
    assert isinstance(new, Document)
    assert new.url == f"{site.address}/new"
    assert [one.reason.partition(":")[0] for one in (away, loop) if isinstance(one, Unreadable)] == [
        "redirects to another host", "redirects more than 5 times",
    ]  # fmt: skip
    assert not site.asked["/secret"]


async def test_a_busy_page_is_asked_again_and_a_lost_one_told(site: Site) -> None:
    site.page("/gone", status=404)
    site.page("/broken", status=500)
    replies: Iterator[Reply] = iter([(503, {"retry-after": "0"}, b""), (200, {"content-type": "text/html"}, b"<p>x")])
    site.pages["/busy"] = lambda: next(replies)
    busy, gone, broken = await fetched(site.sitemap("/busy", "/gone", "/broken"))
    assert isinstance(busy, Document)
    assert [one.reason for one in (gone, broken) if isinstance(one, Unreadable)] == ["answers 404", "answers 500"]
    assert (site.asked["/gone"], site.asked["/broken"]) == (1, 3)


async def test_a_page_that_is_too_large_or_no_html_is_told(site: Site) -> None:
    site.page("/large", "x" * (PAGE_BYTES_MAX + 1))
    site.page("/picture", "x", content_type="image/png")
    found = await fetched(site.sitemap("/large", "/picture"))
    assert [one.reason for one in found if isinstance(one, Unreadable)] == [
        "is larger than 5,000,000 bytes", "is image/png, not HTML",
    ]  # fmt: skip


async def test_a_header_that_asks_not_to_be_indexed_is_kept(site: Site) -> None:
    site.page("/a", "<p>a", x_robots_tag="noindex")
    [found] = await fetched(site.sitemap("/a"))
    assert isinstance(found, Skipped)


async def test_no_more_pages_are_asked_for_than_wanted(site: Site) -> None:
    for number in range(5):
        site.page(f"/{number}", "<p>x")
    told, *found = await fetched(site.sitemap(*(f"/{number}" for number in range(5))), pages_max=2)
    assert len(found) == 2
    assert isinstance(told, Unreadable)
    assert "the first 2 were read" in told.reason
    assert not site.asked["/2"]


async def test_a_few_pages_are_fetched_at_once(site: Site) -> None:
    """As many as the limit, which all must be there for one to be answered; never more."""
    together = threading.Barrier(AT_ONCE_MAX)
    here, most, counting = 0, 0, threading.Lock()

    def reply() -> Reply:
        nonlocal here, most
        with counting:
            here += 1
            most = max(most, here)
        together.wait(timeout=10)
        with counting:
            here -= 1
        return 200, {"content-type": "text/html"}, b"<p>x"

    paths = [f"/{number}" for number in range(3 * AT_ONCE_MAX)]
    site.pages.update(dict.fromkeys(paths, reply))
    assert len(await fetched(site.sitemap(*paths))) == len(paths)
    assert most == AT_ONCE_MAX


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html><body>", "is not XML"),
        (b"<!DOCTYPE html><html></html>", "give the address of its XML"),
        (b'<!DOCTYPE a [<!ENTITY a "aa">]><urlset>&a;</urlset>', "give the address of its XML"),
        (b"<rss></rss>", "is no sitemap but <rss>"),
    ],
)
async def test_what_is_no_sitemap_is_refused(site: Site, body: bytes, words: str) -> None:
    site.pages["/sitemap.xml"] = (200, {}, body)
    with pytest.raises(PermanentError, match=words):
        await fetched(f"{site.address}/sitemap.xml")


async def test_a_host_that_is_not_there_is_named(site: Site) -> None:
    with pytest.raises(TransientError, match=r"http://127\.0\.0\.1:9/sitemap\.xml: cannot be fetched"):
        await fetched("http://127.0.0.1:9/sitemap.xml")


def test_long_addresses_keep_apart_within_the_limit_of_an_id() -> None:
    ids = {document_id(f"https://h.test/{'x' * 300}{number}") for number in range(3)}
    assert len(ids) == 3
    assert max(map(len, ids)) == 200
