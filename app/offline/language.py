"""Which language a text is in. Short texts give little evidence, and the answer says how much.

Two opinions: py3langid counts letter sequences, good from a few words on; the classifier's language head reads
the embedding, which knows words, but only the languages of its training set.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

CHARS_READ = 1_000
LETTERS_ENOUGH = 20
CERTAIN = 0.9
HEAD_LIKELY = 0.6
FALLBACK = "en"
FALLBACK_PROBABILITY = 0.3
# Spoken forms that are answered in their written standard.
_STANDARD = {"ary": "ar", "arz": "ar", "yue": "zh", "wuu": "zh", "hbo": "he", "grc": "el"}
_NO_LANGUAGE = "zxx"  # numbers, addresses, logs


@dataclass(frozen=True)
class Opinion:
    value: str
    probability: float


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # noqa: PLC0415 - slow to import

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def letter_opinion(text: str) -> Opinion:
    # Lower case: texts all in capitals are else taken for other languages.
    language, probability = _identifier().classify(text[:CHARS_READ].lower())
    if language == _NO_LANGUAGE:
        return Opinion(FALLBACK, 0.0)
    return Opinion(_STANDARD.get(language, language), float(probability))


def decide(text: str, letters: Opinion, head: Opinion | None) -> Opinion:
    """The language and how probable it is; English at 0.3 where neither opinion is worth anything."""
    count = sum(char.isalpha() for char in text[:CHARS_READ])
    if count == 0:
        return Opinion(FALLBACK, FALLBACK_PROBABILITY)
    if head is not None and head.value == letters.value:
        return Opinion(letters.value, max(letters.probability, head.probability))
    # Scripts without spaces or with their own letters need fewer characters.
    enough = count >= LETTERS_ENOUGH or not any(char.isascii() for char in text[:CHARS_READ] if char.isalpha())
    if enough and letters.probability >= CERTAIN:
        return letters
    if head is not None and head.probability >= HEAD_LIKELY:
        return Opinion(head.value, head.probability * 0.9)
    if enough and letters.probability >= 0.5:
        return letters
    return Opinion(FALLBACK, FALLBACK_PROBABILITY)
