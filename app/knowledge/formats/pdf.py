"""PDF: the text of each page under a heading that names the page, so that a citation can.

What has no text to read (a scan, a file with a password, one that takes too long) is told by its name, with what to do.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app.knowledge.article import DOCUMENT_CHARS_MAX, Found, Unreadable, document

# Of the processor's time. A thousand pages of text take some 30 s, the start of Python 0.3.
READ_CPU_S = 120
BEGINNING_CPU_S = 5
# Until it is killed all the same: as on a machine that has a third of a processor for it.
_WALL_TIMES = 3
MEMORY_BYTES = 1_000_000_000

_PROBLEMS = {
    "encrypted": "is encrypted: save a copy without password",
    "memory": "unpacks to more than a reader may hold: print it to PDF anew",
    "time": "takes too long to read: print it to PDF anew",
}
_SCANNED = "has no text on any page ({pages}; scanned?): put it through OCR, for example ocrmypdf"
_PICTURES_TOLD_MAX = 20
# What programs write where no person gave a title.
_NO_TITLE = re.compile(
    r"^(untitled|microsoft (word|powerpoint|excel) - .*|.*\.(docx?|pptx?|xlsx?|odt|indd|pdf))$", re.I
)
# "manage-" and "ment" under it; a compound like "well-known" loses its hyphen there, which costs less.
_CUT_WORD = re.compile(r"(?<=[^\W\d_])-\n(?=[a-zß-ÿ])")


def read(file: Path, document_id: str) -> Iterator[Found]:
    """Raises OSError, ValueError."""
    found = _extracted(file.read_bytes(), DOCUMENT_CHARS_MAX, READ_CPU_S)
    pages = [_clean(text) for text in found["texts"]]
    if not any(pages):
        raise ValueError(_SCANNED.format(pages=len(pages)))
    title = _clean(found["title"])
    fields = {
        "document_id": document_id,
        "title": file.stem if not title or _NO_TITLE.match(title) else title,
        "text": _joined(pages),
        "locale": _clean(found["locale"]),
    }
    yield document(str(file), fields)
    if pictures := found["pictures"]:
        numbers = ", ".join(map(str, pictures[:_PICTURES_TOLD_MAX])) + ", ..." * (len(pictures) > _PICTURES_TOLD_MAX)
        yield Unreadable(str(file), f"has only pictures on page {numbers}: the rest of it was read; OCR would add them")


def beginning(data: bytes, chars_max: int) -> str:
    """The text of the first pages, as far as ``chars_max``. Raises ValueError with the reason where there is none."""
    pages = [_clean(text) for text in _extracted(data, chars_max, BEGINNING_CPU_S)["texts"]]
    text = "\n\n".join(page for page in pages if page)
    if not text:
        raise ValueError(_SCANNED.format(pages=len(pages)))
    return text[:chars_max]


def _extracted(data: bytes, chars_max: int, cpu_s: int) -> dict[str, Any]:
    """As ``pdf_process`` gives it. Raises ValueError."""
    limits = map(str, (chars_max, cpu_s, MEMORY_BYTES))
    try:
        done = subprocess.run(  # noqa: S603 - nothing of the file is among the arguments
            (sys.executable, "-P", "-m", "app.knowledge.formats.pdf_process", *limits),
            input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=cpu_s * _WALL_TIMES, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise ValueError(_PROBLEMS["time"]) from error
    if done.returncode == -signal.SIGXCPU:
        raise ValueError(_PROBLEMS["time"])
    found = {"problem": f"status {done.returncode}"} if done.returncode else json.loads(done.stdout)
    if problem := found.get("problem"):
        raise ValueError(_PROBLEMS.get(problem, f"cannot be read as PDF ({problem}): print it to PDF anew"))
    return dict(found)


def _joined(pages: list[str]) -> str:
    if len(pages) == 1:
        return pages[0]
    return "\n\n".join(f"## Page {number}\n\n{text}" for number, text in enumerate(pages, start=1) if text)


def _clean(text: str) -> str:
    """Words that a line's end cuts are joined; without what PostgreSQL and UTF-8 do not hold."""
    return _CUT_WORD.sub("", text.replace("\0", "").encode("utf-8", "ignore").decode()).strip()
