"""Plain text. A short first line with an empty one after it is the title, else the file's name is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from app.knowledge.article import Found, Unreadable, document
from app.knowledge.formats.encoding import decoded

_TITLE_LINE_CHARS_MAX = 120


def read(file: Path, document_id: str) -> Iterator[Found]:
    text = decoded(file.read_bytes()).strip()
    if not text:
        yield Unreadable(str(file), "is empty")
        return
    first, _, rest = text.partition("\n")
    title = file.stem
    # A title alone is no article: then it is its text.
    if len(first) <= _TITLE_LINE_CHARS_MAX and rest.strip() and not rest.partition("\n")[0].strip():
        title, text = first.strip(), rest
    yield document(str(file), {"document_id": document_id, "title": title, "text": text})
