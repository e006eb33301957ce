"""Reads articles: files of the formats in ``app/knowledge/formats``, or a folder of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from agents.contract import PermanentError
from app.knowledge.article import DOCUMENT_CHARS_MAX, Document, Found, Skipped, Unreadable

__all__ = ["DOCUMENT_CHARS_MAX", "FORMATS", "Document", "Found", "Skipped", "Unreadable", "each_once", "read"]

Reader: TypeAlias = Callable[[Path, str], Iterator[Found]]


@dataclass(frozen=True)
class Format:
    """``module`` is imported when the first such file is met: a PDF's parser takes its time."""

    module: str
    bytes_max: int  # of a file; all but JSON Lines are read whole

    def reader(self) -> Reader:
        from importlib import import_module  # noqa: PLC0415 - as above

        found: Reader = import_module(f"app.knowledge.formats.{self.module}").read
        return found


_MARKDOWN = Format("markdown", 20_000_000)
_HTML = Format("html", 20_000_000)
_JSON_LINES = Format("json_lines", 1_000_000_000)
FORMATS = {
    ".md": _MARKDOWN,
    ".markdown": _MARKDOWN,
    ".html": _HTML,
    ".htm": _HTML,
    ".pdf": Format("pdf", 100_000_000),
    ".txt": Format("text", 20_000_000),
    ".csv": Format("table", 200_000_000),
    ".jsonl": _JSON_LINES,
    ".ndjson": _JSON_LINES,
    ".json": Format("exports", 200_000_000),
}
_NAMED = ", ".join(FORMATS)
# Of `kb gaps`: it becomes an article by a person's hand, under another name.
PROPOSAL_SUFFIX = ".proposal.md"


def read(path: Path) -> Iterator[Found]:
    """The articles under ``path``, a file or a folder, in the order of their names. Hidden files are left alone."""
    if not path.exists():
        raise PermanentError("no_such_file", f"{path} does not exist: give a file ({_NAMED}), or a folder of them")
    if path.is_file() and path.suffix.lower() not in FORMATS:
        raise PermanentError("unknown_format", f"{path} is none of {_NAMED}")
    yield from each_once(_read_all(path))


def each_once(found: Iterable[Found]) -> Iterator[Found]:
    """Two articles of one id would hide each other: the first is taken, the others are told."""
    seen: set[str] = set()
    for one in found:
        if isinstance(one, Document):
            if one.document_id in seen:
                yield Unreadable(one.document_id, "is the id of two articles: the first was taken")
                continue
            seen.add(one.document_id)
        yield one


def _read_all(path: Path) -> Iterator[Found]:
    root = path if path.is_dir() else path.parent
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        relative = file.relative_to(root)
        hidden = path.is_dir() and any(part.startswith(".") for part in relative.parts)
        if file.is_file() and file.suffix.lower() in FORMATS and not hidden:
            yield from _read_file(file, relative)


def _read_file(file: Path, relative: Path) -> Iterator[Found]:
    if file.name.endswith(PROPOSAL_SUFFIX):
        yield Skipped(str(file), "is a proposal: write the article and save it under another name")
        return
    form = FORMATS[file.suffix.lower()]
    # Markdown had its ids before there were other formats, whose suffix keeps them apart.
    document_id = (relative.with_suffix("") if form is _MARKDOWN else relative).as_posix()
    try:
        if file.stat().st_size > form.bytes_max:
            yield Unreadable(str(file), f"is larger than {form.bytes_max:,} bytes: split it")
        else:
            yield from form.reader()(file, document_id)
    except OSError as error:
        yield Unreadable(str(file), f"cannot be read: {error.strerror or error}")
    except ValueError as error:
        yield Unreadable(str(file), str(error))
