"""Cuts an article along its headings into chunks that an embedding model can read whole."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# Part of a document's digest: raise it when the same article would be cut differently.
CHUNKER_VERSION = 1

CHARS_MAX = 1_200
TOKENS_MAX = 500  # embedding models of the E5 family read 512, and the prefix takes some
SECTION_CHARS_MIN = 400  # a shorter section shares its chunk with the next
OVERLAP_CHARS_MAX = 150
HEADING_CHARS_MAX = 200

_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$")
_FENCE = re.compile(r"^\s*(```|~~~)")
# "- 1.2 Where it is" or "- [Where it is](#where)": an entry of a table of contents, in any language.
_ENTRY = re.compile(r"^\s*[-*]\s+(\d+(\.\d+)*\.?\s+\S|\[[^\]]*\]\(#[^)]*\)\s*$)")
_BOILERPLATE_HEADINGS = frozenset({"table of contents", "contents", "on this page", "related articles",
                                   "related content"})  # fmt: skip
_SENTENCE_END = re.compile(r"(?<=[.!?。！？؟।])\s+|(?<=[。！？])|\n")
# Scripts whose letters are about a token each: Thai to Myanmar, kana, Han, Hangul.
_WIDE = "\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff"
_TOKEN = re.compile(rf"[{_WIDE}]|[^\W\d_{_WIDE}]+|\d+|[^\w\s]|_")
_LETTERS_A_TOKEN = 4  # fewer than most words have, so that the estimate errs on the long side


@dataclass(frozen=True)
class Chunk:
    heading: str  # path of headings, " > " between them
    text: str


@dataclass(frozen=True)
class _Section:
    path: tuple[str, ...]
    body: str


def chunks(text: str) -> tuple[Chunk, ...]:
    """The article's chunks in order. One that is cut within a section begins with the end of the one before."""
    return tuple(_packed(section for section in _sections(text) if not _is_boilerplate(section)))


def tokens_estimate(text: str) -> int:
    """About how many tokens a subword tokenizer makes of ``text``; rather too many than too few."""
    return sum(1 + (len(match) - 1) // _LETTERS_A_TOKEN for match in _TOKEN.findall(text))


def _sections(text: str) -> Iterator[_Section]:
    path: list[tuple[int, str]] = []
    lines: list[str] = []
    fenced = False
    for line in text.splitlines():
        if _FENCE.match(line):
            fenced = not fenced
        heading = None if fenced else _HEADING.match(line)
        if heading is None:
            lines.append(line)
            continue
        yield _Section(tuple(name for _, name in path), "\n".join(lines).strip())
        level = len(heading[1])
        path = [(depth, name) for depth, name in path if depth < level] + [(level, heading[2])]
        lines = []
    yield _Section(tuple(name for _, name in path), "\n".join(lines).strip())


def _is_boilerplate(section: _Section) -> bool:
    lines = [line for line in section.body.splitlines() if line.strip()]
    if not lines:
        return True
    named = bool(section.path) and section.path[-1].casefold() in _BOILERPLATE_HEADINGS
    return named or (len(lines) >= 3 and all(_ENTRY.match(line) for line in lines))


def _fits(text: str) -> bool:
    return len(text) <= CHARS_MAX and tokens_estimate(text) <= TOKENS_MAX


def _packed(sections: Iterable[_Section]) -> Iterator[Chunk]:
    path: tuple[str, ...] = ()
    gathered = ""
    for section in sections:
        headed = f"{section.path[-1]}\n{section.body}" if section.path else section.body
        together = f"{gathered}\n\n{headed}" if gathered else section.body
        if gathered and (len(gathered) >= SECTION_CHARS_MIN or not _fits(together)):
            yield _chunk(path, gathered)
            gathered, together = "", section.body
        if not gathered:
            path = section.path
        *whole, gathered = _cut(together)
        for piece in whole:
            yield _chunk(path, piece)
    if gathered:
        yield _chunk(path, gathered)


def _chunk(path: tuple[str, ...], text: str) -> Chunk:
    return Chunk(" > ".join(path)[-HEADING_CHARS_MAX:], text)


def _cut(text: str) -> list[str]:
    """``text`` in pieces that fit, at least one."""
    if _fits(text):
        return [text]
    pieces: list[str] = []
    gathered = ""
    for unit in _units(text):
        if gathered.strip() and not _fits(gathered + unit):
            pieces.append(gathered.strip())
            overlap = _tail(gathered)
            gathered = overlap if _fits(overlap + unit) else ""
        gathered += unit
    pieces.append(gathered.strip())
    return pieces


def _units(text: str) -> Iterator[str]:
    """Sentences and lines with the space after them, the overlong ones in parts."""
    start = 0
    for end in [*(match.end() for match in _SENTENCE_END.finditer(text)), len(text)]:
        unit = text[start:end]
        start = end
        while not _fits(unit):
            part = _head(unit)
            yield part
            unit = unit[len(part) :]
        if unit:
            yield unit


def _head(unit: str) -> str:
    """The longest part of ``unit`` from its start, found by halving, that fits and does not cut a word if it can."""
    length = min(len(unit), CHARS_MAX)
    while length > 1 and not _fits(unit[:length]):
        length //= 2
    space = unit.rfind(" ", length // 2, length)
    return unit[: space + 1 if space > 0 else length]


def _tail(text: str) -> str:
    """The last whole sentences of ``text``, at most OVERLAP_CHARS_MAX."""
    start = len(text)
    for cut in reversed([0, *(match.end() for match in _SENTENCE_END.finditer(text))]):
        if len(text) - cut > OVERLAP_CHARS_MAX:
            break
        start = cut
    return text[start:]
