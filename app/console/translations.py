"""The interface's words, by language: ``messages/<locale>.toml``. What customers and articles say is not translated."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path

LOCALES = {"en": "English", "de": "Deutsch", "fr": "Français", "ja": "日本語", "ko": "한국어", "zh": "中文"}
FALLBACK = "en"
_FOLDER = Path(__file__).parent / "messages"
_RANGES_MAX = 20

Translate = Callable[..., str]


@cache
def messages(locale: str) -> dict[str, str]:
    """Names with their section, ``queue.empty``, to texts."""
    read = tomllib.loads((_FOLDER / f"{locale}.toml").read_text(encoding="utf-8"))
    return {f"{section}.{name}": text for section, texts in read.items() for name, text in texts.items()}


@cache
def translator(locale: str) -> Translate:
    """Raises KeyError for a name that no file has: a page with a hole in it is a bug."""
    texts, fallback = messages(locale), messages(FALLBACK)

    def translate(name: str, **values: object) -> str:
        return (texts.get(name) or fallback[name]).format(**values)

    return translate


def preferred(accept_language: str) -> str:
    """The first of the browser's languages that there is; quality values as given, order within one quality kept."""
    wanted: list[tuple[float, str]] = []
    for item in accept_language.split(",")[:_RANGES_MAX]:
        tag, _, parameters = item.strip().partition(";")
        try:
            quality = float(parameters.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        wanted.append((-quality, tag.split("-")[0].lower()))
    for _, language in sorted(wanted, key=lambda each: each[0]):
        if language in LOCALES:
            return language
    return FALLBACK
