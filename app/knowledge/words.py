"""Prepares text for PostgreSQL's full-text search."""

from __future__ import annotations

import re

# Scripts written without spaces, which PostgreSQL would take for one long word: Thai, Lao, Myanmar, Khmer, kana, Han.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_RUN = re.compile(f"[{_UNSPACED}]+")
# Hangul has spaces, yet a word of it begins in the middle of another as often as not.
_RUN_OR_HANGUL = re.compile(f"[{_UNSPACED}\uac00-\ud7a3]+")

_CONFIGURATIONS = {
    "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "et": "estonian", "eu": "basque", "fi": "finnish", "fr": "french", "ga": "irish", "hi": "hindi", "hu": "hungarian",
    "hy": "armenian", "id": "indonesian", "it": "italian", "lt": "lithuanian", "nb": "norwegian", "ne": "nepali",
    "nl": "dutch", "nn": "norwegian", "no": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sr": "serbian", "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip


def configuration(language: str | None) -> str:
    """PostgreSQL's text search configuration for a language or locale ("pt-BR"); ``simple`` where it has none."""
    return _CONFIGURATIONS.get(re.split("[-_]", (language or "").lower())[0], "simple")


def spaced(text: str, *, hangul: bool = False) -> str:
    """``text`` with the runs of unspaced scripts, and of ``hangul`` too, cut into overlapping pairs of letters."""
    return (_RUN_OR_HANGUL if hangul else _RUN).sub(lambda run: f" {_pairs(run[0])} ", text)


def _pairs(run: str) -> str:
    return " ".join(run[at : at + 2] for at in range(max(len(run) - 1, 1)))
