"""Signs of form, not of meaning, that a text was made to steer a model: hidden characters, our own tags and fields.

They only ever lead to a person. What a text asks for is the model's to understand: nothing here reads words. That a
reply repeats the instructions it was written by is found here too, by comparison with them.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from importlib import resources
from importlib.resources.abc import Traversable

from agents.evidence import REMEMBERED_MAX, words
from agents.figures import Table

# As much as the largest agent shows of a message, and some more.
CHARS_MAX = 20_000

_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007e]{1,8}\U000e007f")  # flags of parts of countries are made so
_TAG_CHARS = re.compile("[\U000e0000-\U000e007f]")
_OVERRIDE = re.compile("[\u202d\u202e]")
_DIRECTION = re.compile("[\u202a-\u202c\u2066-\u2069]")
_RIGHT_TO_LEFT = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]")
# Joiners have their place in Arabic and Indic scripts and in emoji; between these letters they only hide words.
_SPLIT_WORD = re.compile(
    "[A-Za-z\u00c0-\u024f\u0370-\u052f][\u200b-\u200d\u2060-\u2064\ufeff\u180e\u034f]+[A-Za-z\u00c0-\u024f\u0370-\u052f]"
)
_INVISIBLE_RUN = re.compile("[\u200b\u200c\u200d\u2060-\u2064\ufeff\u180e]{4,}")
_SELECTOR_RUN = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,}")
_COSTUME = re.compile("[\U0001d400-\U0001d7ff]")
_COSTUME_MAX = 8
_LATIN_AND_CYRILLIC = re.compile(r"(?=[^\W\d_]*[a-z])(?=[^\W\d_]*[\u0400-\u04ff])[^\W\d_]{3,}", re.IGNORECASE)
_CYRILLIC = re.compile("[\u0400-\u04ff]")
_TWO_SCRIPTS_MAX = 1  # a name such as "Wi-Fiя" happens

_OPEN = "[<‹〈⟨《«˂ᐸ❮]"
_OUR_TAG = re.compile(
    rf"{_OPEN}\s*[/\\∕⁄]?\s*(?:customer[\s_-]*message|knowledge[\s_-]*base)\b|{_OPEN}[/\\∕⁄]?\s?reply\s?[>›〉⟩》»˃ᐳ❯]",
    re.IGNORECASE,
)
_CHAT_MARK = re.compile(r"<\|\w{2,30}\|>|\[/?INST\]|<</?SYS>>|<\s*/?\s*(?:system|assistant)\s*>", re.IGNORECASE)
_OUR_FIELD = re.compile(
    r"[\"'“”](category|priority|sentiment|stakes|wants_human|confidence|citations|unanswered|supported|claims|route"
    r"|document_id|reply)[\"'“”]\s*:",
    re.IGNORECASE,
)
_OUR_FIELDS_MAX = 1
# Cyrillic and Greek letters that look like Latin ones, as far as the names of our tags need them.
_LOOKALIKES = str.maketrans(
    {"а": "a", "е": "e", "і": "i", "о": "o", "р": "p", "с": "c", "у": "y", "ѕ": "s", "м": "m", "к": "k", "т": "t"}
    | {"ԁ": "d", "ɡ": "g", "ο": "o", "ε": "e", "α": "a", "ρ": "p", "υ": "u", "ι": "i", "ⅼ": "l", "ո": "n", "ｌ": "l"}
)


@lru_cache(REMEMBERED_MAX)
def signs(text: str) -> tuple[str, ...]:
    """Every sign in a message or an article, in words for the person who gets the ticket. Cut texts to CHARS_MAX."""
    return tuple(dict.fromkeys(_signs(text)))


def _signs(text: str) -> Iterator[str]:
    shown = _FLAG.sub("", text)
    if _TAG_CHARS.search(shown) or _SELECTOR_RUN.search(shown) or _INVISIBLE_RUN.search(shown):
        yield "invisible characters"
    if _SPLIT_WORD.search(shown):
        yield "words split by invisible characters"
    if _OVERRIDE.search(shown) or (_DIRECTION.search(shown) and not _RIGHT_TO_LEFT.search(shown)):
        yield "characters that turn the direction of writing"
    if len(_COSTUME.findall(shown)) > _COSTUME_MAX or (
        _CYRILLIC.search(shown) and len(_LATIN_AND_CYRILLIC.findall(shown)) > _TWO_SCRIPTS_MAX
    ):
        yield "letters that stand for others"
    read = _readable(shown)
    if _OUR_TAG.search(read) or _CHAT_MARK.search(read):
        yield "marks that separate the parts of a prompt"
    if len({field.casefold() for field in _OUR_FIELD.findall(read)}) > _OUR_FIELDS_MAX:
        yield "an answer in the form of ours"


_VISIBLE = Table(lambda char: "" if unicodedata.category(char) == "Cf" else char)


def _readable(text: str) -> str:
    """As a model might read it: invisible characters gone, wide letters narrow, escapes undone."""
    visible = unicodedata.normalize("NFKC", text).translate(_VISIBLE)
    unescaped = re.sub(r"\\u00(3[ce]|2f)", lambda m: chr(int(m[1], 16)), visible, flags=re.IGNORECASE)
    return html.unescape(unescaped).replace('\\"', '"').translate(_LOOKALIKES)


# --- what only the model was told

_SENTENCE_END = re.compile(r"[.!?:;。！？\n]+")
_WORDS_MIN = 7
# What stands there are the phrases that a reply is meant to have.
_LEFT_OUT = "locale"


def repeats_instructions(reply: str) -> bool:
    """Whether a whole sentence of our prompts or guidelines stands in the reply, whatever its case and punctuation."""
    said = words(reply)
    return any(sentence in said for sentence in _SENTENCES)


def _instructions() -> frozenset[str]:
    texts = _markdown(resources.files("agents.prompts"))
    sentences = {words(piece) for text in texts for piece in _SENTENCE_END.split(text)}
    return frozenset(sentence for sentence in sentences if len(sentence.split()) >= _WORDS_MIN)


def _markdown(folder: Traversable) -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name != _LEFT_OUT:
            yield from _markdown(entry)
        elif entry.name.endswith(".md"):
            yield entry.read_text("utf-8")


_SENTENCES = _instructions()  # package data, read once: as constant as the code
