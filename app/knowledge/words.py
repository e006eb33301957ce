"""Prepares text for PostgreSQL's full-text search."""

from __future__ import annotations

import re

# Scripts written without spaces, which PostgreSQL would take for one long word: Thai, Lao, Myanmar, Khmer, kana, Han.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")

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


def spaced(text: str) -> str:
    """``text`` with the runs of unspaced scripts cut into overlapping pairs of letters."""
    return _UNSPACED.sub(lambda run: f" {_pairs(run[0])} ", text)


def _pairs(run: str) -> str:
    return " ".join(run[at : at + 2] for at in range(max(len(run) - 1, 1)))
