"""What stands around the quoted passages of a reply, in the customer's language."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import orjson

from app.offline.sentences import sentences

_FILE = Path(__file__).with_name("frames.json")
FALLBACK = "en"
# Codes that name a language written alike.
_ALIASES = {"no": "nb", "nn": "nb", "iw": "he", "in": "id", "tl": "fil", "zh-Hant": "zh-TW", "zh-HK": "zh-TW"}


@dataclass(frozen=True)
class Frame:
    greeting: str
    intro: str
    according: str  # with {title} and {id}
    closing: str
    colleague: str  # where nothing was found
    open_quote: str
    close_quote: str

    def attribution(self, title: str, document_id: str) -> str:
        return self.according.replace("{title}", title).replace("{id}", document_id)


@cache
def frames() -> dict[str, Frame]:
    return {language: Frame(**texts) for language, texts in orjson.loads(_FILE.read_bytes()).items()}


def frame_for(language: str | None) -> Frame:
    """By the exact code, its alias, or its base language; English for a language without a frame."""
    known = frames()
    code = language or FALLBACK
    for candidate in (code, _ALIASES.get(code), code.rsplit("-", 1)[0], code.split("-")[0]):
        if candidate:
            found = known.get(_ALIASES.get(candidate, candidate)) or known.get(candidate)
            if found:
                return found
    return known[FALLBACK]


@cache
def frame_sentences() -> frozenset[str]:
    """Every sentence of every frame but the attributions."""
    found: set[str] = set()
    for frame in frames().values():
        texts = asdict(frame)
        for name in ("greeting", "intro", "closing", "colleague"):
            found.update(sentences(texts[name]))
    return frozenset(found)


@cache
def attribution_pattern() -> re.Pattern[str]:
    """A line that is an attribution in some language; the two groups that matched are the title and the document id."""
    lines = [
        re.escape(frame.according)
        .replace(re.escape("{title}"), "(.{0,500}?)")
        .replace(re.escape("{id}"), r"([^\[\]]+)")
        for frame in frames().values()
    ]
    return re.compile("|".join(f"(?:{line})" for line in dict.fromkeys(lines)))
