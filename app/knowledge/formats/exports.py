"""JSON files: articles in our own fields, or what help centres' APIs answer, told apart by their shape.

Read in the vendors' documentation in November 2026:

- Zendesk Help Center API (v2), List Articles: ``{"articles": [...]}``; ``draft``; ``user_segment_id`` (or, on
  Enterprise plans, ``user_segment_ids``) says who may read it, null is everyone.
- Intercom REST API 2.16, list of articles and of internal articles: ``{"type": "list", "data": [{"type": "article" or
  "internal_article", ...}]}``; ``state`` is draft or published; ``translated_content`` has each language's own text
  and state. It does not say which audience an article is for, except where ``content_segment_ids`` (a preview) is
  there: such articles are taken as internal.
- Freshdesk API v2, a folder's solution articles: ``[{"folder_id", "description", "status", ...}]``; status 1 is a
  draft, 2 published. Who may read it is said by its folder (``visibility`` 1: all), or by ``folder_visibility`` in the
  answers of the search: the answer of ``/solutions/categories/ID/folders`` is wanted beside it as ``folders.json``.

Drafts are skipped, and whatever not everyone may read is internal; where a file does not say who may, so is that.
A list of answers, as scripts that follow pages write them, is read answer by answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import orjson

from app.knowledge.article import Found, Skipped, Unreadable, document, named_alike
from app.knowledge.formats import html

FOLDERS_FILE = "folders.json"

Fields: TypeAlias = Mapping[str, Any]

_FRESHDESK_PUBLISHED = 2
_FRESHDESK_EVERYONE = 1
_UNKNOWN = (
    "is none of the JSON that is read: a list of articles (document_id, title, text), or an answer of Zendesk's, "
    "Intercom's or Freshdesk's API for articles"
)


def read(file: Path, document_id: str) -> Iterator[Found]:
    try:
        content = orjson.loads(file.read_bytes())
    except orjson.JSONDecodeError as error:
        yield Unreadable(str(file), f"is not JSON: {error}; a .jsonl file has an article a line")
        return
    # A list of answers; a list of articles is one answer.
    parts = content if isinstance(content, list) and content and all(map(_is_answer, content)) else [content]
    for part in parts:
        yield from _read_answer(file, part)
    if _goes_on(parts[-1]) and not any(other != file for other in _answers_beside(file)):
        yield Unreadable(str(file), "is one page of several: save the following ones beside it")


def _is_answer(part: object) -> bool:
    if isinstance(part, dict):
        return isinstance(part.get("articles"), list) or part.get("type") == "list"
    return isinstance(part, list)


def _goes_on(answer: object) -> bool:
    """Whether its API had more to give: Zendesk's by number of page or cursor, and Intercom's."""
    if not isinstance(answer, dict):
        return False
    meta, pages = answer.get("meta"), answer.get("pages")
    more = isinstance(meta, dict) and bool(meta.get("has_more"))
    return bool(answer.get("next_page")) or more or (isinstance(pages, dict) and bool(pages.get("next")))


def _answers_beside(file: Path) -> Iterator[Path]:
    return (other for other in file.parent.glob("*.json") if other.name != FOLDERS_FILE)


def _read_answer(file: Path, answer: Any) -> Iterator[Found]:
    place = str(file)
    if isinstance(answer, dict) and _are_articles(answer.get("articles"), "title", "body"):
        for article in answer["articles"]:
            yield _zendesk(f"{place}, article {article.get('id')}", article)
    elif isinstance(answer, dict) and answer.get("type") == "list" and _are_articles(answer.get("data"), "title"):
        for article in answer["data"]:
            yield from _intercom(f"{place}, article {article.get('id')}", article)
    elif _are_articles(answer, "folder_id", "description", "status"):
        yield from _freshdesk(file, answer)
    elif _are_articles(answer, "visibility", "name") and not _are_articles(answer, "title"):
        return  # Freshdesk's folders: read with their articles
    elif isinstance(answer, list) and answer:
        for number, fields in enumerate(answer, start=1):
            yield document(f"{place}, article {number}", named_alike(fields) if isinstance(fields, dict) else fields)
    else:
        yield Unreadable(place, _UNKNOWN)


def _are_articles(value: object, *names: str) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, dict) and each.keys() >= set(names) for each in value)
    )


def _zendesk(place: str, article: Fields) -> Found:
    if article.get("draft"):
        return Skipped(place, "is a draft")
    if "user_segment_id" not in article and "user_segment_ids" not in article:
        return Unreadable(place, "has no user_segment_id, so that nobody knows who may read it: export it by the API")
    locale = article.get("locale")
    fields = {
        "document_id": f"zendesk-{article.get('id')}-{locale or 'und'}",  # translations of an article have one id
        "title": article["title"],
        "url": article.get("html_url"),
        "locale": locale,
    }
    everyone = article.get("user_segment_id") is None and not article.get("user_segment_ids")
    return _document(place, fields, article["body"], everyone=everyone)


def _intercom(place: str, article: Fields) -> Iterator[Found]:
    internal = article.get("type") == "internal_article"
    everyone = not internal and not article.get("content_segment_ids")
    translations = article.get("translated_content")
    versions: dict[Any, Fields] = {
        locale: content
        for locale, content in (translations.items() if isinstance(translations, dict) else ())
        if isinstance(content, dict) and content.get("title")
    } or {article.get("default_locale") or article.get("locale"): article}
    for locale, content in versions.items():
        here = f"{place} ({locale})" if locale else place
        if not internal and content.get("state") != "published":
            yield Skipped(here, "is a draft")
            continue
        fields = {
            "document_id": f"intercom-{article.get('id')}-{locale or 'und'}",
            "title": content["title"],
            "summary": content.get("description") or "",
            "url": content.get("url"),
            "locale": locale,
        }
        yield _document(here, fields, content.get("body"), everyone=everyone)


def _freshdesk(file: Path, articles: Sequence[Fields]) -> Iterator[Found]:
    visibility = _visibility(file.with_name(FOLDERS_FILE))
    unknown = 0
    for article in articles:
        place = f"{file}, article {article.get('id')}"
        if article["status"] != _FRESHDESK_PUBLISHED:
            yield Skipped(place, "is a draft")
            continue
        seen_by = article.get("folder_visibility", visibility.get(article["folder_id"]))
        unknown += seen_by is None
        fields = {
            "document_id": f"freshdesk-{article.get('id')}",
            "title": article.get("title"),
            "locale": _freshdesk_locale(article),
        }
        yield _document(place, fields, article["description"], everyone=seen_by == _FRESHDESK_EVERYONE)
    if unknown:
        yield Unreadable(
            str(file),
            f"does not say who may read {unknown} of its articles, so they are internal: put the answer of "
            f"/api/v2/solutions/categories/ID/folders beside it as {FOLDERS_FILE}",
        )


def _visibility(folders: Path) -> dict[Any, Any]:
    try:
        rows = orjson.loads(folders.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}
    return {
        row["id"]: row["visibility"] for row in rows if isinstance(row, dict) and {"id", "visibility"} <= row.keys()
    }


def _freshdesk_locale(article: Fields) -> str | None:
    for level in article.get("hierarchy") or ():
        language = level.get("data", {}).get("language") if isinstance(level, dict) else None
        if isinstance(language, str):
            return language
    return None


def _document(place: str, fields: Fields, body: object, *, everyone: bool) -> Found:
    try:
        text = html.as_text(body) if isinstance(body, str) else ""
    except ValueError as error:
        return Unreadable(place, str(error))
    if not text:
        return Unreadable(place, "has no text")
    return document(place, {**fields, "text": text, "audience": "public" if everyone else "internal"})
