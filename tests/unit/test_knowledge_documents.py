"""Articles are read from Markdown and JSON Lines; what holds none is named and does not stop the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.contract import PermanentError
from app.knowledge.documents import Document, Unreadable, read
from app.knowledge.words import configuration, spaced


def test_json_lines_are_read_with_either_name_of_the_id(tmp_path: Path) -> None:
    file = tmp_path / "kb.jsonl"
    file.write_text(
        '{"doc_id": "a", "title": "A", "text": "x", "products": []}\n\n{"document_id":"b","title":"B","text":""}'
    )
    assert [document.document_id for document in read(file) if isinstance(document, Document)] == ["a", "b"]


def test_a_bad_line_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    file = tmp_path / "kb.jsonl"
    file.write_text('{"doc_id": "a", "title": "A", "text": "x"}\nnot json\n{"doc_id": "c"}\n[1]\n')
    first, *bad = read(file)
    assert isinstance(first, Document)
    assert [each.place.rpartition(":")[2] for each in bad if isinstance(each, Unreadable)] == ["2", "3", "4"]
    assert isinstance(bad[1], Unreadable)
    assert bad[1].reason.startswith("title: ")


def test_markdown_has_front_matter(tmp_path: Path) -> None:
    file = tmp_path / "sync.md"
    file.write_text(
        '---\nid: s1\ntitle: "Sync: how"\nurl: https://x.test/a\nlocale: de\naudience: internal\n---\nBody.\n'
    )
    [document] = read(file)
    assert document == Document(
        document_id="s1", title="Sync: how", text="Body.", url="https://x.test/a", locale="de", audience="internal"
    )


def test_markdown_without_front_matter_takes_heading_and_path(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "sync.md").write_text("# Sync your phone\n\nBody.")
    [document] = read(tmp_path)
    assert isinstance(document, Document)
    assert (document.document_id, document.title, document.text) == ("a/sync", "Sync your phone", "Body.")


def test_a_file_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes(b"\xff\xfe\x00")
    [bad] = read(tmp_path)
    assert isinstance(bad, Unreadable)


def test_a_missing_path_says_so(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="does not exist"):
        list(read(tmp_path / "none"))


def test_the_digest_changes_with_every_field() -> None:
    fields = {"document_id": "a", "title": "T", "text": "x", "url": None, "locale": None, "audience": "public"}
    changes = [
        {"title": "U"},
        {"text": "y"},
        {"url": "u"},
        {"locale": "de"},
        {"audience": "internal"},
        {"summary": "s"},
    ]
    digests = {Document.model_validate({**fields, **change}).digest("model") for change in [{}, *changes]}
    assert len(digests) == 1 + len(changes)
    assert Document.model_validate(fields).digest("other") not in digests


@pytest.mark.parametrize(("locale", "expected"), [
    ("pt-BR", "portuguese"), ("en_US", "english"), ("de", "german"), ("ja", "simple"), (None, "simple"), ("", "simple"),
])  # fmt: skip
def test_a_locale_has_its_text_search_configuration(locale: str | None, expected: str) -> None:
    assert configuration(locale) == expected


def test_unspaced_scripts_are_cut_into_pairs() -> None:
    assert spaced("Firefox同期設定 ok").split() == ["Firefox", "同期", "期設", "設定", "ok"]


def test_a_single_letter_of_an_unspaced_script_stays() -> None:
    assert spaced("a 本 b").split() == ["a", "本", "b"]
