"""The files of a ticket at the door: listed by name and type, with the beginning of their text where there is one.

What cannot be read is listed with the reason: a file never costs a ticket. Agents only ever see text.
"""

from __future__ import annotations

import binascii
import mimetypes
from base64 import b64decode
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from agents.hidden import hides_text
from agents.message import as_text
from app.knowledge.formats import pdf
from app.knowledge.formats.encoding import decoded
from schemas.tickets import Attachment

LISTED_MAX = 20
BYTES_MAX = 10_000_000
TEXT_CHARS_MAX = 4_000
# Of all files of a ticket together: each stage passes them on.
TEXTS_CHARS_MAX = 20_000
NAME_CHARS_MAX = 200
REASON_CHARS_MAX = 200

_TEXT_TYPES = frozenset({"application/json", "application/xml", "application/x-yaml", "message/rfc822"})


class BadAttachment(Exception):
    """The row is not of the form that is described: the message says what is wrong with it."""


def attachments(rows: object, folder: Path | None) -> tuple[Attachment, ...]:
    """``rows``: objects with ``name`` or ``path``, and optionally ``media_type, size_bytes, alt`` and one of ``text``,
    ``content`` (base64) and ``path`` (a file within ``folder``). Raises BadAttachment.
    """
    if not isinstance(rows, list):
        raise BadAttachment(f"a JSON {type(rows).__name__}, not an array")
    listed, left = [], TEXTS_CHARS_MAX
    shown = rows if len(rows) <= LISTED_MAX else rows[: LISTED_MAX - 1]
    for row in shown:
        if not isinstance(row, dict):
            raise BadAttachment(f"holds a JSON {type(row).__name__}, not an object")
        found = _attachment(row, folder, min(TEXT_CHARS_MAX, left))
        left -= len(found.text)
        listed.append(found)
    if len(shown) < len(rows):
        listed.append(Attachment(name=f"{len(rows) - len(shown)} more files", unreadable=f"{LISTED_MAX} are listed"))
    return tuple(listed)


def _attachment(row: Mapping[str, Any], folder: Path | None, chars_max: int) -> Attachment:
    name = str(row.get("name") or PurePosixPath(str(row.get("path") or "")).name)
    media_type = str(row.get("media_type") or mimetypes.guess_type(name)[0] or "application/octet-stream").lower()
    data, text, reason = None, str(row.get("text") or ""), ""
    try:
        data = _bytes(row, folder)
        if data is not None and not text:
            text = _text(data, media_type, chars_max)
    except (ValueError, OSError) as error:
        reason = error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)
    try:
        return Attachment(
            name=name[:NAME_CHARS_MAX],
            media_type=media_type,
            size_bytes=row.get("size_bytes") if data is None else len(data),
            text=(text or str(row.get("alt") or "")).replace("\0", "").strip()[:chars_max],
            unreadable=reason[:REASON_CHARS_MAX],
        )
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        raise BadAttachment(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error


def _bytes(row: Mapping[str, Any], folder: Path | None) -> bytes | None:
    """Raises ValueError, OSError."""
    if row.get("content") is not None:
        return _limited(_from_base64(str(row["content"])))
    if not row.get("path"):
        return None
    if folder is None:
        raise ValueError("has a path, and there is no folder to look in")
    path = (folder / str(row["path"])).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError("lies outside the folder of the file of tickets")
    with path.open("rb") as file:
        return _limited(file.read(BYTES_MAX + 1))


def _from_base64(content: str) -> bytes:
    try:
        return b64decode("".join(content.split()), validate=True)
    except binascii.Error as error:
        raise ValueError("is not base64") from error


def _limited(data: bytes) -> bytes:
    if len(data) > BYTES_MAX:
        raise ValueError(f"has more than {BYTES_MAX:,} bytes")
    return data


def _text(data: bytes, media_type: str, chars_max: int) -> str:
    """Empty where files of this type have none. Raises ValueError with the reason where one should be there."""
    plain_type = media_type.partition(";")[0].strip()
    if plain_type == "application/pdf":
        return pdf.beginning(data, chars_max) if chars_max else ""
    text = decoded(data) if plain_type.startswith("text/") or plain_type in _TEXT_TYPES else ""
    if plain_type == "text/html":
        if hides_text(text):
            raise ValueError("has text that it hides from a reader")
        return as_text(text)
    return text
