"""Reads a PDF in a process of its own: a hostile file can keep its parser busy for ever, or fill the memory.

python -m app.knowledge.formats.pdf_process CHARS_MAX CPU_S MEMORY_BYTES < file > what was read, as JSON
"""

from __future__ import annotations

import json
import logging
import resource
import sys
from io import BytesIO
from typing import Any

from pypdf import PageObject, PdfReader
from pypdf.errors import DependencyError, LimitReachedError

PICTURES_MAX = 100
PROBLEM_CHARS_MAX = 200


def main() -> None:
    chars_max, cpu_s, memory_bytes = map(int, sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))  # at the first it ends with SIGXCPU
    if sys.platform == "linux":  # macOS refuses it
        resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # what matters of its complaints comes up as an error
    json.dump(extracted(sys.stdin.buffer.read(), chars_max), sys.stdout)


def extracted(data: bytes, chars_max: int) -> dict[str, Any]:
    """The pages' texts until there are more than ``chars_max`` characters, or a ``problem``: encrypted, memory, or
    the parser's own words.
    """
    try:
        with PdfReader(BytesIO(data)) as reader:
            if reader.is_encrypted and not reader.decrypt(""):
                return {"problem": "encrypted"}
            return _extracted(reader, chars_max)
    except DependencyError:  # a cipher that needs another package
        return {"problem": "encrypted"}
    except (MemoryError, LimitReachedError):
        return {"problem": "memory"}
    except Exception as error:  # noqa: BLE001 - damaged files break its parser in ways that it does not declare
        return {"problem": f"{type(error).__name__}: {error}"[:PROBLEM_CHARS_MAX]}


def _extracted(reader: PdfReader, chars_max: int) -> dict[str, Any]:
    texts: list[str] = []
    pictures: list[int] = []
    for page in reader.pages:
        text = page.extract_text().strip()[: chars_max + 1]
        texts.append(text)
        chars_max -= len(text)
        if chars_max < 0:
            break
        if not text and len(pictures) < PICTURES_MAX and _has_image(page):
            pictures.append(len(texts))
    title = (reader.metadata and reader.metadata.title) or ""
    locale = reader.root_object.get("/Lang", "")
    return {"texts": texts, "pictures": pictures, "title": str(title)[:1_000], "locale": str(locale)[:35]}


def _has_image(page: PageObject) -> bool:
    resources = page.get("/Resources")
    objects = resources.get_object().get("/XObject") if resources is not None else None
    return objects is not None and any(
        each.get_object().get("/Subtype") == "/Image" for each in objects.get_object().values()
    )


if __name__ == "__main__":
    main()
