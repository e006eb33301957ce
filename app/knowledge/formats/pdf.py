"""PDF: the text of each page under a heading that names the page, so that a citation can.

What has no text to read (a scan, a file with a password) is told by its name, with what to do.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from pypdf import PageObject, PdfReader
from pypdf.errors import DependencyError

from app.knowledge.article import Found, Unreadable, document

PAGES_MAX = 2_000
BEGINNING_PAGES_MAX = 20
# Of what draws these pages, unpacked: 8 s in the worst case. A page of text has some 10 kB.
BEGINNING_BYTES_MAX = 500_000

_ENCRYPTED = "is encrypted: save a copy without password and import that"
_SCANNED = (
    "has no text on any page ({pages}; scanned?): put it through OCR, for example ocrmypdf, and import the result"
)
# What programs write where no person gave a title.
_NO_TITLE = re.compile(
    r"^(untitled|microsoft (word|powerpoint|excel) - .*|.*\.(docx?|pptx?|xlsx?|odt|indd|pdf))$", re.I
)
# "manage-" and "ment" under it; a compound like "well-known" loses its hyphen there, which costs less.
_CUT_WORD = re.compile(r"(?<=[^\W\d_])-\n(?=[a-zß-ÿ])")

# Its complaints of damaged files come up as errors, or need nobody.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)


def read(file: Path, document_id: str) -> Iterator[Found]:
    try:
        yield from _read(file, document_id)
    except OSError:
        raise
    except DependencyError:  # a cipher that needs another package
        yield Unreadable(str(file), _ENCRYPTED)
    except Exception as error:  # noqa: BLE001 - damaged files break its parser in ways that it does not declare
        yield Unreadable(str(file), f"cannot be read as PDF ({type(error).__name__}: {error}): print it to PDF anew")


def _read(file: Path, document_id: str) -> Iterator[Found]:
    with PdfReader(file) as reader:
        if reader.is_encrypted and not reader.decrypt(""):
            yield Unreadable(str(file), _ENCRYPTED)
            return
        count = len(reader.pages)
        if count > PAGES_MAX:
            yield Unreadable(str(file), f"has {count:,} pages, more than {PAGES_MAX:,}: split it")
            return
        pages = [_clean(page.extract_text()) for page in reader.pages]
        if not any(pages):
            yield Unreadable(str(file), _SCANNED.format(pages=count))
            return
        fields = {"document_id": document_id, "title": _title(reader) or file.stem, "text": _joined(pages)}
        yield document(str(file), {**fields, "locale": _locale(reader)})
        scanned = [n for n, page in enumerate(reader.pages, start=1) if not pages[n - 1] and _has_image(page)]
    if scanned:
        numbers = ", ".join(map(str, scanned[:20])) + (", ..." if len(scanned) > 20 else "")
        yield Unreadable(str(file), f"has only pictures on page {numbers}: the rest of it was read; OCR would add them")


def beginning(data: bytes, chars_max: int) -> str:
    """The text of the first pages, as far as ``chars_max``. Raises ValueError with the reason where there is none."""
    text, left = "", BEGINNING_BYTES_MAX
    try:
        with PdfReader(BytesIO(data)) as reader:
            is_locked = reader.is_encrypted and not reader.decrypt("")
            for page in () if is_locked else reader.pages[:BEGINNING_PAGES_MAX]:
                contents = page.get_contents()
                left -= 0 if contents is None else len(contents.get_data())
                if left < 0:
                    break
                text = f"{text}\n\n{_clean(page.extract_text())}".strip()
                if len(text) >= chars_max:
                    break
    except DependencyError:
        is_locked = True
    except Exception as error:  # damaged files break its parser in ways that it does not declare
        raise ValueError(f"cannot be read as PDF ({type(error).__name__})") from error
    if not text:
        reason = "has too much on its first pages" if left < 0 else "has no text on its first pages: scanned?"
        raise ValueError("is encrypted" if is_locked else reason)
    return text[:chars_max]


def _joined(pages: list[str]) -> str:
    if len(pages) == 1:
        return pages[0]
    return "\n\n".join(f"## Page {number}\n\n{text}" for number, text in enumerate(pages, start=1) if text)


def _clean(text: str) -> str:
    """Words that a line's end cuts are joined; without what PostgreSQL and UTF-8 do not hold."""
    return _CUT_WORD.sub("", text.replace("\0", "").encode("utf-8", "ignore").decode()).strip()


def _title(reader: PdfReader) -> str:
    title = _clean((reader.metadata and reader.metadata.title) or "")
    return "" if _NO_TITLE.match(title) else title[:1_000]


def _locale(reader: PdfReader) -> str:
    return _clean(str(reader.root_object.get("/Lang", "")))[:35]


def _has_image(page: PageObject) -> bool:
    resources = page.get("/Resources")
    objects = resources.get_object().get("/XObject") if resources is not None else None
    return objects is not None and any(
        each.get_object().get("/Subtype") == "/Image" for each in objects.get_object().values()
    )
