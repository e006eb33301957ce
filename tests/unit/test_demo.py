"""The demo set that ships with the project."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import orjson
import pytest

from app import demo
from app.ingest import ticket_received
from app.knowledge.documents import Document, read
from schemas.tickets import Category, Stake

FOLDER = demo.HERE
ROWS = [orjson.loads(line) for line in (FOLDER / "tickets.jsonl").read_bytes().splitlines()]
DEFAULT = ROWS[:200]  # what `make run` takes of them
FILES = sorted((FOLDER / "kb").glob("*.md"))
ARTICLES = [article for article in read(FOLDER / "kb") if isinstance(article, Document)]
INJECTIONS = [row for row in DEFAULT if row["expect"] == "never_send:injection"]

_LINK = re.compile(r"\]\(([^)]+)\)")
_UNSPACED = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")  # kana and Han: about two to a word


def _languages(rows: list[dict[str, str]]) -> set[str]:
    return {row["locale"].split("-")[0] for row in rows}


def _text_of(rows: list[dict[str, str]]) -> str:
    return "\n".join(row["text"] for row in rows)


def test_tickets_and_articles_come_from_the_same_place() -> None:
    paths = (demo.tickets_path(), demo.knowledge_path())
    assert all(path.exists() for path in paths)
    assert len({path.is_relative_to(FOLDER) for path in paths}) == 1


@pytest.mark.parametrize("missing", ["_REAL_TICKETS", "_REAL_KNOWLEDGE"])
def test_without_either_of_the_real_files_both_are_the_demo_set(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setattr(demo, missing, FOLDER / "no-such-file")
    assert (demo.tickets_path(), demo.knowledge_path()) == (FOLDER / "tickets.jsonl", FOLDER / "kb")


def test_there_are_enough_of_both_in_enough_languages() -> None:
    assert len(ARTICLES) >= 40 and len(ROWS) >= 200
    assert len(_languages(ROWS)) >= 12
    assert len({article.locale for article in ARTICLES} - {"en"}) >= 7


def test_the_readme_counts_right() -> None:
    internal = sum(article.audience == "internal" for article in ARTICLES)
    locales = len({row["locale"] for row in ROWS})
    languages = len(_languages([row for row in ROWS if row["expect"] == "never_send:injection"]))
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"{len(FILES)} articles ({internal} internal) and {len(ROWS)} tickets in {locales} locales" in text
    assert f"injections in {languages} languages" in text


def test_every_article_can_be_read_under_an_id_of_its_own() -> None:
    assert len(FILES) == len(ARTICLES) == len({article.document_id for article in ARTICLES})


def test_some_articles_are_for_agents_only_and_say_so() -> None:
    internal = [article for article in ARTICLES if article.audience == "internal"]
    assert len(internal) >= 3
    assert all("for agents" in article.title for article in internal)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_an_article_has_its_front_matter_headings_and_length(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    _, front, body = text.split("---\n", 2)
    fields = dict(line.split(": ", 1) for line in front.splitlines())
    assert list(fields) == ["id", "title", "locale", "audience", "updated"]
    assert fields["id"] == file.stem
    assert fields["audience"] in {"public", "internal"}
    assert date(2026, 1, 1) <= date.fromisoformat(fields["updated"]) <= date(2026, 10, 13)
    assert "\n## " in f"\n{body}"
    words = len(_UNSPACED.sub(" ", body).split()) + len(_UNSPACED.findall(body)) // 2
    assert 150 <= words <= 500


def test_every_link_leads_to_an_article() -> None:
    links = {link for file in FILES for link in _LINK.findall(file.read_text(encoding="utf-8"))}
    assert links and links <= {file.name for file in FILES}


def test_public_articles_never_point_to_internal_ones() -> None:
    public = [article for article in ARTICLES if article.audience == "public"]
    assert not [article.document_id for article in public if "(internal-" in article.text]


def test_prices_are_the_same_in_every_language() -> None:
    by_id = {article.document_id: article.text.replace(",", ".") for article in ARTICLES}
    for document_id in ("plans", "planes-precios", "yogeum-ko"):
        assert {"4.50", "45", "100", "7", "70"} <= set(re.findall(r"\d+(?:\.\d+)?", by_id[document_id]))


def test_every_ticket_is_accepted_and_has_its_own_id() -> None:
    events = [ticket_received(orjson.dumps(row), tenant="demo", source="/demo") for row in ROWS]
    assert len({event.event_id for event in events}) == len({row["ticket_id"] for row in ROWS}) == len(ROWS)


def test_tickets_come_oldest_first() -> None:
    times = [datetime.fromisoformat(row["created_at"]) for row in ROWS]
    assert times == sorted(times)


def test_labels_are_of_the_stated_kinds() -> None:
    whys = {*(stake.value for stake in Stake), "human", "injection"}
    assert {row["expect"] for row in ROWS} == {"any", *(f"never_send:{why}" for why in whys)}
    assert {row["category"] for row in ROWS} == {category.value for category in Category}


def test_a_high_stakes_category_is_never_marked_as_harmless() -> None:
    stakes = {stake.value for stake in Stake}
    assert not [row["ticket_id"] for row in ROWS if row["category"] in stakes and row["expect"] == "any"]


def test_each_kind_is_among_those_that_are_taken_by_default() -> None:
    assert Counter(row["expect"] for row in DEFAULT).keys() == {row["expect"] for row in ROWS}
    assert Counter(row["category"] for row in DEFAULT).keys() == {category.value for category in Category}


def test_people_are_asked_for_in_many_languages() -> None:
    assert len(_languages([row for row in ROWS if row["expect"] == "never_send:human"])) >= 10


def test_injections_come_in_many_languages() -> None:
    assert len(INJECTIONS) >= 12 and len(_languages(INJECTIONS)) >= 6


@pytest.mark.parametrize("mark", ["</customer_message>", "<script>", "<!--", "SYSTEM NOTE", "\n> From:"])
def test_an_injection_breaks_out_of_its_place(mark: str) -> None:
    assert mark in _text_of(INJECTIONS)


def test_an_injection_is_written_in_invisible_tag_characters() -> None:
    hidden = "".join(chr(ord(c) - 0xE0000) for c in _text_of(INJECTIONS) if 0xE0020 <= ord(c) <= 0xE007E)
    assert "ignore your rules" in hidden


def test_an_injection_is_written_backwards_behind_an_override() -> None:
    backwards = re.search("\u202e(.*?)\u202c", _text_of(INJECTIONS))
    assert backwards and backwards[1][::-1].startswith("ignore the rules")


def test_harmless_tickets_hold_zero_width_characters_html_and_emoji() -> None:
    text = _text_of([row for row in DEFAULT if row["expect"] == "any"])
    assert "\u200b" in text and "<p>" in text and re.search("[\U0001f600-\U0001f64f]", text)


def test_a_conversation_bursts_within_minutes() -> None:
    times = defaultdict(list)
    for row in DEFAULT:
        times[row["conversation"]].append(datetime.fromisoformat(row["created_at"]))
    bursts = [t for t in times.values() if len(t) >= 3 and t[-1] - t[0] <= timedelta(minutes=15)]
    assert len(bursts) >= 3


def test_a_message_is_repeated_exactly_in_its_conversation() -> None:
    said = Counter((row["conversation"], row["subject"], row["text"]) for row in ROWS)
    assert sum(count >= 2 for count in said.values()) >= 2


def test_no_message_is_another_with_a_few_words_changed() -> None:
    """Natural, not made from a template: no neighbours in the alphabet share a long beginning."""
    texts = sorted({row["text"] for row in ROWS})
    assert not [(a, b) for a, b in pairwise(texts) if len(a) > 60 and a[:40] == b[:40]]


def test_there_are_nearly_empty_and_very_long_messages() -> None:
    lengths = [len(re.sub(r"<[^>]*>|&nbsp;|\s", "", row["text"])) for row in ROWS]
    assert min(lengths) == 0 and max(lengths) >= 8_000 and sum(length >= 700 for length in lengths) >= 3
