"""The pages that a sitemap names, fetched politely: robots.txt kept, a few at once, limits on time, size and number.

Only pages of the sitemap's own host are fetched, and redirects are followed within it. An index of sitemaps is
followed one level. A page that cannot be fetched is told and does not stop the rest.
"""

from __future__ import annotations

import asyncio
import hashlib
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urljoin, urlsplit
from xml.etree import ElementTree

import httpx2
from protego import Protego

from agents.contract import PermanentError, TransientError
from app.knowledge.article import ID_CHARS_MAX, Found, Skipped, Unreadable
from app.knowledge.documents import each_once
from app.knowledge.formats import html
from app.knowledge.formats.encoding import decoded

USER_AGENT = "deskstream"
PAGES_MAX = 2_000
AT_ONCE_MAX = 4
PAGE_BYTES_MAX = 5_000_000
ROBOTS_BYTES_MAX = 500_000  # what RFC 9309 asks of a crawler
SITEMAP_BYTES_MAX = 52_428_800  # the protocol's own limit
SITEMAPS_MAX = 100
PAGE_S_MAX = 30.0  # of one try
TRIES_MAX = 3
REDIRECTS_MAX = 5
WAIT_S_MAX = 30.0  # between tries, whatever Retry-After says; and of Crawl-delay

_BUSY = frozenset({429, 500, 502, 503, 504})
_HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Answer:
    url: str  # after redirects
    status: int
    headers: httpx2.Headers
    body: bytes


class _NotFetched(Exception):
    """With words for a person."""


async def fetch(
    url: str, *, pages_max: int = PAGES_MAX, on_page: Progress = lambda done, total: None, retry_wait_s: float = 1.0
) -> list[Found]:
    """Raises PermanentError or TransientError where the sitemap itself cannot be had."""
    timeout = httpx2.Timeout(PAGE_S_MAX, connect=10.0)
    limits = httpx2.Limits(max_connections=AT_ONCE_MAX, max_keepalive_connections=AT_ONCE_MAX)
    async with httpx2.AsyncClient(timeout=timeout, limits=limits, headers={"User-Agent": USER_AGENT}) as client:
        try:
            site = _Site(client, url, await _robots(client, url, retry_wait_s), retry_wait_s)
            pages, found = await _named_pages(site, url)
        except _NotFetched as error:
            raise TransientError(f"{url}: {error}") from error
        except ValueError as error:
            raise PermanentError("sitemap", f"{url}: {error}") from error
        if len(pages) > pages_max:
            found.append(
                Unreadable(url, f"names {len(pages):,} pages: the first {pages_max:,} were read; raise --pages-max")
            )
        found.extend(await _fetch_pages(site, pages[:pages_max], on_page))
    return list(each_once(found))


async def _robots(client: httpx2.AsyncClient, url: str, retry_wait_s: float) -> Protego:
    """A site without robots.txt allows all; one that cannot say so now allows nothing (RFC 9309)."""
    everything = _Site(client, url, Protego.parse(""), retry_wait_s)
    answer = await everything.get(urljoin(url, "/robots.txt"), bytes_max=ROBOTS_BYTES_MAX)
    if answer.status >= 500 or answer.status == 429:
        raise _NotFetched(f"robots.txt answers {answer.status}, so nothing may be fetched: try again later")
    return Protego.parse(answer.body.decode(errors="replace") if answer.status == 200 else "")


@dataclass(frozen=True)
class _Site:
    client: httpx2.AsyncClient
    url: str
    robots: Protego
    retry_wait_s: float
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def is_own(self, url: str) -> bool:
        try:
            mine, theirs = urlsplit(self.url), urlsplit(url)
            same = (mine.hostname, mine.port) == (theirs.hostname, theirs.port)
        except ValueError:  # no address at all
            return False
        return same and theirs.scheme in {"http", "https"}

    def allows(self, url: str) -> bool:
        return self.robots.can_fetch(url, USER_AGENT)

    async def get(self, url: str, *, bytes_max: int) -> _Answer:
        """The last answer of a few tries. Raises _NotFetched where there is none."""
        for tried in range(1, TRIES_MAX + 1):
            last = tried == TRIES_MAX
            try:
                async with self._in_turn(), asyncio.timeout(PAGE_S_MAX):
                    answer = await self._follow(url, bytes_max)
                if answer.status not in _BUSY or last:
                    return answer
                wait_s = _retry_after(answer.headers) or self.retry_wait_s * tried
            except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
                if last:
                    raise _NotFetched(f"cannot be fetched: {str(error) or type(error).__name__}") from error
                wait_s = self.retry_wait_s * tried
            await asyncio.sleep(min(wait_s, WAIT_S_MAX))
        raise AssertionError("the last try returns or raises")

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        """Where the site asks for a pause between requests, one after the other."""
        delay_s = self.robots.crawl_delay(USER_AGENT)
        if not delay_s:
            yield
            return
        async with self._turn:
            yield
            await asyncio.sleep(min(delay_s, WAIT_S_MAX))

    async def _follow(self, url: str, bytes_max: int) -> _Answer:
        for _ in range(REDIRECTS_MAX + 1):
            async with self.client.stream("GET", url) as response:
                target = response.headers.get("location") if response.is_redirect else None
                if target is None:
                    return _Answer(url, response.status_code, response.headers, await _body(response, bytes_max))
            url = urljoin(url, target)
            if not self.is_own(url):
                raise _NotFetched(f"redirects to another host: {url}")
            if not self.allows(url):
                raise _NotFetched(f"redirects to {url}, which robots.txt forbids")
        raise _NotFetched(f"redirects more than {REDIRECTS_MAX} times")


async def _body(response: httpx2.Response, bytes_max: int) -> bytes:
    parts, size = [], 0
    async for part in response.aiter_bytes():
        size += len(part)
        if size > bytes_max:
            raise _NotFetched(f"is larger than {bytes_max:,} bytes")
        parts.append(part)
    return b"".join(parts)


def _retry_after(headers: httpx2.Headers) -> float | None:
    value = headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else None


async def _named_pages(site: _Site, url: str) -> tuple[list[str], list[Found]]:
    """Addresses in the order of the sitemaps, each once; and what is to be told."""
    kind, named = await _sitemap(site, url)
    if kind == "urlset":
        return _own(site, url, named)
    pages: list[str] = []
    told: list[Found] = []
    if len(named) > SITEMAPS_MAX:
        told.append(Unreadable(url, f"names {len(named):,} sitemaps: the first {SITEMAPS_MAX} were read"))
    sitemaps, others = _own(site, url, named[:SITEMAPS_MAX])
    told.extend(others)
    for each in sitemaps:
        try:
            kind, found = await _sitemap(site, each)
        except (_NotFetched, ValueError) as error:
            told.append(Unreadable(each, str(error)))
            continue
        if kind != "urlset":
            told.append(Unreadable(each, "is an index within an index: import it by its own address"))
            continue
        own, others = _own(site, each, found)
        pages.extend(own)
        told.extend(others)
    return list(dict.fromkeys(pages)), told


def _own(site: _Site, place: str, urls: list[str]) -> tuple[list[str], list[Found]]:
    own = list(dict.fromkeys(url for url in urls if site.is_own(url)))
    foreign = [url for url in urls if not site.is_own(url)]
    if not foreign:
        return own, []
    return own, [Unreadable(place, f"names {len(foreign):,} addresses of other hosts, such as {foreign[0]}: left out")]


async def _sitemap(site: _Site, url: str) -> tuple[str, list[str]]:
    """(urlset or sitemapindex, the addresses in it). Raises _NotFetched, ValueError."""
    answer = await site.get(url, bytes_max=SITEMAP_BYTES_MAX)
    if answer.status != 200:
        raise ValueError(f"answers {answer.status}: is it the address of the sitemap?")
    body = _unpacked(answer.body) if answer.body.startswith(b"\x1f\x8b") else answer.body
    text = decoded(body)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise ValueError("is no sitemap: give the address of its XML")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - entities, which could blow it up, were refused above
    except ElementTree.ParseError as error:
        raise ValueError(f"is not XML: {error}") from error
    kind = root.tag.rpartition("}")[2]
    if kind not in {"urlset", "sitemapindex"}:
        raise ValueError(f"is no sitemap but <{kind}>")
    # Only the addresses themselves: extensions have a <loc> too, for pictures.
    found = [each.text.strip() for entry in root for each in entry if _is_loc(each.tag, root.tag) and each.text]
    return kind, found


def _is_loc(tag: str, root: str) -> bool:
    return tag == f"{root.rpartition('}')[0]}{'}' if '}' in root else ''}loc"


def _unpacked(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    try:
        body = unpacker.decompress(data, SITEMAP_BYTES_MAX)
    except zlib.error as error:
        raise ValueError(f"is damaged gzip: {error}") from error
    if unpacker.unconsumed_tail:
        raise ValueError(f"is larger than {SITEMAP_BYTES_MAX:,} bytes")
    return body


async def _fetch_pages(site: _Site, urls: list[str], on_page: Progress) -> list[Found]:
    found: dict[str, Found] = {}
    waiting = iter(urls)
    on_page(0, len(urls))

    async def work() -> None:
        for url in waiting:
            found[url] = await _page(site, url)
            on_page(len(found), len(urls))

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE_MAX):
            group.create_task(work())
    return [found[url] for url in urls]


async def _page(site: _Site, url: str) -> Found:
    if not site.allows(url):
        return Skipped(url, "is forbidden by robots.txt")
    try:
        return _article(url, await site.get(url, bytes_max=PAGE_BYTES_MAX))
    except (_NotFetched, ValueError) as error:
        return Unreadable(url, str(error))


def _article(url: str, answer: _Answer) -> Found:
    """Raises ValueError where its HTML cannot be read."""
    kind, _, parameters = answer.headers.get("content-type", "text/html").partition(";")
    if answer.status != 200:
        return Unreadable(url, f"answers {answer.status}")
    if kind.strip().lower() not in _HTML_TYPES:
        return Unreadable(url, f"is {kind.strip()}, not HTML")
    if "noindex" in answer.headers.get("x-robots-tag", "").lower():
        return Skipped(url, "asks not to be indexed (X-Robots-Tag noindex)")
    fields = {"document_id": document_id(answer.url), "title": answer.url}
    return html.found(url, answer.body, fields, charset=_charset(parameters), url=answer.url)


def _charset(parameters: str) -> str | None:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip("\"'") or None
    return None


def document_id(url: str) -> str:
    """Host, path and query; the end of a long one as a digest."""
    parts = urlsplit(url)
    name = f"{parts.netloc}{parts.path.rstrip('/')}{'?' if parts.query else ''}{parts.query}"
    if len(name) <= ID_CHARS_MAX:
        return name
    return f"{name[: ID_CHARS_MAX - 17]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
