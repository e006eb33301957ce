"""The data that the figures are measured on, and its version."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from agents.contract import PermanentError
from agents.enrich import QUERY_CHARS_MAX
from agents.message import with_subject

ROWS_MAX = 200_000

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Data:
    folder: Path

    @cached_property
    def version(self) -> str:
        """Of all its files: the same digest, the same rows."""
        digest = sha256()
        for file in sorted(self.folder.rglob("*.jsonl*")):
            digest.update(f"{file.relative_to(self.folder).as_posix()}\n".encode())
            digest.update(sha256(file.read_bytes()).digest())
        return digest.hexdigest()[:12]

    def path(self, name: str) -> Path:
        """Raises PermanentError."""
        file = self.folder / name
        if not file.is_file():
            raise PermanentError(
                "no_data",
                f"{file} is not there: give the folder of the evaluation data with --data. Only a part of it? Then "
                "name what it is for with --part",
            )
        return file

    def lines(self, name: str) -> Iterator[bytes]:
        """Raises PermanentError, also for more than ROWS_MAX rows."""
        file = self.path(name)
        with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stream:
            for number, line in enumerate(stream):
                if number == ROWS_MAX:
                    raise PermanentError("too_many_rows", f"{file} has more than {ROWS_MAX:,} rows")
                if line.strip():
                    yield line

    def rows(self, name: str) -> list[Row]:
        return [orjson.loads(line) for line in self.lines(name)]


def message(row: Row) -> str:
    """Subject and text as the agents read them: a subject that the text repeats stands there once."""
    subject, text = row.get("subject") or "", row.get("text") or row.get("query") or ""
    return with_subject(subject, text)[:QUERY_CHARS_MAX]


def once(rows: Sequence[Row]) -> list[Row]:
    """Rows whose texts differ, the first of each."""
    return list({" ".join(str(row["text"]).casefold().split()): row for row in reversed(rows)}.values())[::-1]
