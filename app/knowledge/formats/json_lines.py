"""JSON Lines: an article a line, with our names of the fields or their aliases (``app/knowledge/article.py``)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson

from app.knowledge.article import Found, Unreadable, document, named_alike


def read(file: Path, document_id: str) -> Iterator[Found]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            place = f"{file}:{number}"
            try:
                fields = orjson.loads(line)
            except orjson.JSONDecodeError as error:
                yield Unreadable(place, f"is not JSON: {error}")
                continue
            yield document(place, named_alike(fields) if isinstance(fields, dict) else fields)
