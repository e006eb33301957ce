"""Locales: a guideline file for each, found from any tag that names its language."""

from __future__ import annotations

import re
import unicodedata
from importlib import resources
from pathlib import Path

import pytest

from app.models.guidelines import built_in
from app.models.locales import GENERIC, candidates, normalised, resolve

FILES = sorted((Path(str(resources.files("agents.prompts"))) / "guidelines" / "locale").glob("*.md"))
KNOWN = frozenset(file.stem for file in FILES)
LANGUAGES = sorted(KNOWN - {GENERIC})

WORDS_MIN, WORDS_MAX = 60, 150
CHARS_MAX = 1_000
# Zero-width and direction marks: unseen by whoever edits a file, and read by the model.
INVISIBLE = frozenset(
    "\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff\u00a0\u202f"
)

# Every tag of the real tickets and utterances that this was made for.
TAGS = {
    "ar": "ar", "cs": "cs", "da-DK": "da", "de-DE": "de", "en-GB": "en", "en-US": "en", "es": "es", "fa": "fa",
    "fi": "fi", "fr-FR": "fr", "gsw-CH": "de-CH", "hu": "hu", "id-ID": "id", "it": "it", "it-IT": "it", "ja-JP": "ja",
    "kk-KZ": "kk", "ko-KR": "ko", "lt-LT": "lt", "nl": "nl", "nl-NL": "nl", "pl": "pl", "pt-BR": "pt-BR", "ru": "ru",
    "sl": "sl", "sr": "sr", "sr-RS": "sr", "sv": "sv", "th": "th", "tr": "tr", "tr-TR": "tr", "vi": "vi",
    "zh": "zh-Hans", "zh-CN": "zh-Hans",
}  # fmt: skip
OTHERS = {
    "zh-TW": "zh-Hant", "zh-HK": "zh-Hant", "zh-MO": "zh-Hant", "zh-SG": "zh-Hans", "zh-Hant-CN": "zh-Hant",
    "zh-Hans-TW": "zh-Hans", "zh-Hant-HK": "zh-Hant", "yue": "zh-Hant", "yue-Hans": "zh-Hans", "cmn-TW": "zh-Hant",
    "pt": "pt", "pt-PT": "pt", "pt-AO": "pt", "fr-CA": "fr-CA", "fr-BE": "fr", "de-CH": "de-CH", "de-AT": "de",
    "gsw": "de-CH", "no": "nb", "nn-NO": "nb", "iw": "he", "in": "id", "tl": "fil", "prs": "fa", "ary": "ar",
    "es-419": "es", "sr-Latn-RS": "sr", "uz-Cyrl": GENERIC, "xh": GENERIC, "": GENERIC, "unknown": GENERIC,
    "PT_br": "pt-BR", "zh_tw": "zh-Hant", "de-CH-1996": "de-CH", "en-US-u-ca-gregory": "en", "../en": GENERIC,
}  # fmt: skip


def test_at_least_thirty_languages_have_a_file() -> None:
    assert len({tag.split("-")[0] for tag in LANGUAGES}) >= 30


@pytest.mark.parametrize("tag", LANGUAGES)
def test_a_file_is_named_by_a_tag_that_resolves_to_it(tag: str) -> None:
    assert normalised(tag) == tag and resolve(tag, KNOWN) == tag


@pytest.mark.parametrize("tag", LANGUAGES)
def test_a_file_is_found_without_the_generic_one(tag: str) -> None:
    """Else a file could be there and never be read."""
    assert resolve(tag, KNOWN - {GENERIC}) == tag


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_is_a_title_and_points_within_the_limits(file: Path) -> None:
    text = file.read_text("utf-8")
    title, _, points = text.partition("\n\n")
    assert re.fullmatch(r"# [A-Z].+", title) and all(line.startswith("- ") for line in points.strip().split("\n"))
    assert WORDS_MIN <= len(text.split()) <= WORDS_MAX and len(text) <= CHARS_MAX


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_file_holds_nothing_invisible_but_the_joiners_of_its_script(file: Path) -> None:
    text = file.read_text("utf-8")
    assert not INVISIBLE & set(text) and text == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize("file", [file for file in FILES if file.stem != GENERIC], ids=lambda file: file.stem)
def test_a_language_says_how_it_greets_closes_quotes_and_writes_dates(file: Path) -> None:
    text = file.read_text("utf-8")
    for words in (r"greet with|begin with", r"close with|and end with", r"quotation marks", r"2026"):
        assert re.search(words, text, re.IGNORECASE), words


def test_no_two_files_are_the_same_and_no_title_is_used_twice() -> None:
    texts = [file.read_text("utf-8") for file in FILES]
    assert len(set(texts)) == len({text.split("\n")[0] for text in texts}) == len(FILES)
    assert len({text.split("\n", 1)[1] for text in texts}) == len(FILES)


@pytest.mark.parametrize(("tag", "file"), sorted(TAGS.items()))
def test_every_tag_of_the_real_data_has_a_language_of_its_own(tag: str, file: str) -> None:
    assert resolve(tag, KNOWN) == file != GENERIC


@pytest.mark.parametrize(("tag", "file"), sorted(OTHERS.items()))
def test_a_tag_finds_the_nearest_file(tag: str, file: str) -> None:
    assert resolve(tag, KNOWN) == file


def test_the_most_specific_is_tried_first_then_script_then_language_then_the_generic_one() -> None:
    assert candidates("zh-TW") == ("zh-Hant-TW", "zh-TW", "zh-Hant", "zh", GENERIC)
    assert candidates("en") == ("en", GENERIC)


def test_a_file_for_the_region_goes_before_one_for_the_script() -> None:
    assert resolve("zh-HK", {"zh-Hant", "zh-HK"}) == "zh-HK"


def test_nothing_fits_where_not_even_the_generic_one_is_known() -> None:
    assert resolve("fr", {"de"}) is None


def test_the_library_reads_exactly_these_files() -> None:
    assert built_in().locales.keys() == KNOWN
