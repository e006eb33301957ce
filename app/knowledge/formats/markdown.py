"""Markdown. Front matter is lines of ``name: value``; without it the first heading is the title."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.knowledge.article import Found, document, named_alike
from app.knowledge.formats.encoding import decoded

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_TITLE = re.compile(r"\A\s*#\s+(.+?)\s*#*\s*(?:\n|\Z)")


def read(file: Path, document_id: str) -> Iterator[Found]:
    yield document(str(file), _fields(file, document_id))


def _fields(file: Path, document_id: str) -> dict[str, Any]:
    text = decoded(file.read_bytes()).replace("\r\n", "\n")
    fields: dict[str, Any] = {}
    if front := _FRONT_MATTER.match(text):
        text = text[front.end() :]
        for line in front[1].splitlines():
            name, colon, value = line.partition(":")
            if colon and not line.startswith(("#", " ", "\t", "-")):
                fields[name.strip()] = value.strip().strip("\"'")
    if "title" not in fields and (heading := _TITLE.match(text)):
        fields["title"] = heading[1]
        text = text[heading.end() :]
    return {"document_id": document_id, "title": file.stem, **named_alike(fields), "text": text}
