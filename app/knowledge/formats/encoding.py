"""Bytes as text: as their mark says, else as they declare, else UTF-8."""

from __future__ import annotations

import codecs

_MARKS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


def decoded(data: bytes, declared: str | None = None) -> str:
    """Raises ValueError with words for a person. A guess would put wrong letters into replies."""
    marked = next((name for mark, name in _MARKS if data.startswith(mark)), None)
    encoding = marked or declared or "utf-8"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(f"cannot be read as {encoding} text ({error.reason}): save it as UTF-8") from error
    except LookupError as error:
        raise ValueError(f"declares the encoding {encoding!r}, which is not known: save it as UTF-8") from error
