"""Reads articles: Markdown with front matter, JSON Lines, or a folder of both."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator

from agents.contract import PermanentError

DOCUMENT_CHARS_MAX = 1_000_000
FILE_BYTES_MAX = 1_000_000_000
SUFFIXES = (".md", ".jsonl")

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n---[ \t]*(?:\n|\Z)", re.DOTALL)
_TITLE = re.compile(r"\A\s*#\s+(.+?)\s*#*\s*(?:\n|\Z)")
# PostgreSQL's text holds no NUL.
Text = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$")]


class Document(BaseModel):
    """An article as its author keeps it."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)

    document_id: Text = Field(validation_alias=AliasChoices("document_id", "doc_id", "id"), min_length=1,
                              max_length=200)  # fmt: skip
    title: Text = Field(min_length=1, max_length=1_000)
    text: Text = Field(max_length=DOCUMENT_CHARS_MAX)
    summary: Text = Field(default="", max_length=10_000)
    url: Text | None = Field(default=None, max_length=2_000)
    locale: Text | None = Field(default=None, max_length=35)
    audience: Literal["public", "internal"] = "public"

    @field_validator("url", "locale", mode="after")
    @classmethod
    def _empty_is_none(cls, value: str | None) -> str | None:
        return value or None

    @property
    def body(self) -> str:
        """Summary and text: customers ask in a summary's words more often than in an article's."""
        return self.text if not self.summary or self.summary in self.text else f"{self.summary}\n\n{self.text}"

    def digest(self, *ways: object) -> bytes:
        """Changes when the article does, or the ways in which it is cut and embedded."""
        return hashlib.sha256(json.dumps([self.model_dump(), *ways], sort_keys=True).encode()).digest()


@dataclass(frozen=True)
class Unreadable:
    """A file or a line that holds no article."""

    place: str
    reason: str


def read(path: Path) -> Iterator[Document | Unreadable]:
    """The articles under ``path``, a file or a folder, in the order of their names."""
    if not path.exists():
        raise PermanentError("no_such_file", f"{path} does not exist: give a .md or .jsonl file, or a folder of them")
    if path.is_file() and path.suffix.lower() not in SUFFIXES:
        raise PermanentError("unknown_format", f"{path} is neither .md nor .jsonl")
    root = path if path.is_dir() else path.parent
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    for file in files:
        if file.is_file() and file.suffix.lower() in SUFFIXES:
            yield from _read_file(file, root)


def _read_file(file: Path, root: Path) -> Iterator[Document | Unreadable]:
    try:
        if file.stat().st_size > FILE_BYTES_MAX:
            yield Unreadable(str(file), f"is larger than {FILE_BYTES_MAX:,} bytes")
        elif file.suffix.lower() == ".jsonl":
            yield from _read_lines(file)
        else:
            yield _document(str(file), _markdown(file, root))
    except (OSError, UnicodeDecodeError) as error:
        yield Unreadable(str(file), f"cannot be read as UTF-8 text: {error}")


def _read_lines(file: Path) -> Iterator[Document | Unreadable]:
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
            yield _document(place, fields)


def _markdown(file: Path, root: Path) -> dict[str, Any]:
    """Front matter is lines of ``name: value``; without it the first heading is the title and the path the id."""
    text = file.read_text(encoding="utf-8-sig")
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
    if not {"document_id", "doc_id", "id"} & fields.keys():
        fields["document_id"] = file.relative_to(root).with_suffix("").as_posix()
    return {"title": file.stem, **fields, "text": text}


def _document(place: str, fields: object) -> Document | Unreadable:
    try:
        return Document.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"]) or "it"
        return Unreadable(place, f"{name}: {first['msg']}")
