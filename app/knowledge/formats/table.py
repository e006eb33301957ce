"""Tables: CSV with commas, semicolons or tabs, the names of the fields in the first line.

The names are those of JSON Lines and their aliases. A row without an id is named by its url, else by its title.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.knowledge.article import ALIASES, DOCUMENT_CHARS_MAX, Found, Unreadable, document, named_alike
from app.knowledge.formats import html
from app.knowledge.formats.encoding import decoded

_DELIMITERS = (",", ";", "\t")
_NEEDED = ("title", "text")


def read(file: Path, document_id: str) -> Iterator[Found]:
    # The module's one limit, for the whole process: its default is shorter than an article may be.
    csv.field_size_limit(DOCUMENT_CHARS_MAX)
    text = decoded(file.read_bytes())
    first_line = text.partition("\n")[0]
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=first_line.count))
    try:
        columns = next(rows, [])
        missing = [name for name in _NEEDED if name not in named_alike(dict.fromkeys(columns))]
        if missing:
            yield Unreadable(str(file), _missing(missing, columns))
            return
        for row in rows:
            if any(cell.strip() for cell in row):
                yield _row(f"{file}:{rows.line_num}", columns, row, document_id)
    except csv.Error as error:
        yield Unreadable(f"{file}:{rows.line_num}", f"is not CSV: {error}; what follows it was not read")


def _row(place: str, columns: list[str], row: list[str], document_id: str) -> Found:
    if len(row) > len(columns):
        return Unreadable(
            place, f"has {len(row)} cells under {len(columns)} columns: put text with delimiters in quotes"
        )
    # An empty cell is a field that is not given.
    cells = {column: cell for column, cell in zip(columns, row, strict=False) if cell.strip()}
    fields: dict[str, Any] = {"text": "", **named_alike(cells)}
    if html.is_html(fields["text"]):
        fields["text"] = html.as_text(fields["text"])
    if "audience" in fields:
        fields["audience"] = fields["audience"].strip().lower()
    name = fields.get("url") or fields.get("title", "")
    return document(place, {"document_id": f"{document_id}#{_digest(name)}", **fields})


def _missing(missing: list[str], columns: list[str]) -> str:
    wanted = " and ".join(f"{name!r} (or {', '.join(ALIASES[name][1:])})" for name in missing)
    return f"has no column {wanted}; its first line names {', '.join(columns) or 'nothing'}"


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:12]
