"""Articles are read from every format; what holds none is named with what to do, and does not stop the rest."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agents.contract import PermanentError
from app.knowledge.chunk import chunks
from app.knowledge.documents import Document, Found, Skipped, Unreadable, read
from tests.pdf import pdf


def file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def document(path: Path) -> Document:
    [found] = read(path)
    assert isinstance(found, Document), found
    return found


def problem(path: Path) -> str:
    [found] = read(path)
    assert isinstance(found, Unreadable)
    assert not isinstance(found, Skipped)
    assert str(path) in found.place
    return found.reason


# -- folders


def test_a_folder_gives_every_format_under_its_path_as_id(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    file(tmp_path, "a/one.md", "# One\n\nx")
    file(tmp_path, "a/one.html", "<title>One</title><p>x")
    file(tmp_path, "two.txt", "x")
    file(tmp_path, "three.csv", "id,title,text\n3,Three,x\n")
    file(tmp_path, ".hidden.md", "# no")
    file(tmp_path, "picture.png", b"\x89PNG")
    pdf(tmp_path / "four.pdf", "x")
    ids = [one.document_id for one in read(tmp_path) if isinstance(one, Document)]
    assert ids == ["a/one.html", "a/one", "four.pdf", "3", "two.txt"]


def test_the_second_article_of_an_id_is_told_and_the_first_is_kept(tmp_path: Path) -> None:
    kept, told = read(
        file(tmp_path, "kb.jsonl", '{"id":"a","title":"A","text":"1"}\n{"id":"a","title":"A","text":"2"}')
    )
    assert isinstance(kept, Document)
    assert kept.text == "1"
    assert told == Unreadable("a", "is the id of two articles: the first was taken")


def test_a_format_that_is_not_read_names_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"is none of \.md, .*\.pdf"):
        list(read(file(tmp_path, "a.docx", "x")))


def test_text_that_is_no_utf8_is_not_guessed_at(tmp_path: Path) -> None:
    assert "save it as UTF-8" in problem(file(tmp_path, "a.txt", "Größe".encode("latin-1")))


def test_text_with_a_mark_of_utf16_is_read(tmp_path: Path) -> None:
    assert document(file(tmp_path, "a.txt", "Größe".encode("utf-16"))).text == "Größe"


def test_a_short_first_line_of_plain_text_is_its_title(tmp_path: Path) -> None:
    found = document(file(tmp_path, "a.txt", "How to pay\n\nBy card.\n"))
    assert (found.title, found.text) == ("How to pay", "By card.")
    assert document(file(tmp_path, "b.txt", "One line\nand another.")).title == "b"


# -- HTML

PAGE = """<!doctype html><html lang="de"><head><title>Konto – Hilfe</title>
<link rel="canonical" href="https://h.test/konto"><style>p{}</style></head>
<body><nav>Start</nav><main><h1>Konto</h1><p>Gehe zu <a href="/e">Einstellungen</a>.</p>
<h2>Vorher</h2><ul><li>Sichern</li><li>Abo<ol><li>eins</li></ol></li></ul><script>x()</script>
<h2>Code</h2><pre># kein Titel
  ls</pre><table><tr><th>Plan<th>Preis<tr><td><p>Pro</p><td>5 €</table>
<footer>Hilfreich?</footer></main></body></html>"""


def test_html_becomes_text_with_headings_lists_tables_and_code(tmp_path: Path) -> None:
    assert document(file(tmp_path, "a.html", PAGE)) == Document(
        document_id="a.html", title="Konto", locale="de", url="https://h.test/konto",
        text="Gehe zu Einstellungen.\n\n## Vorher\n\n- Sichern\n- Abo\n  1. eins\n\n## Code\n\n"
             "```\n# kein Titel\n  ls\n```\n\nPlan | Preis\nPro | 5 €",
    )  # fmt: skip


def test_html_is_cut_along_its_headings(tmp_path: Path) -> None:
    sections = "".join(f"<h2>Part {n}</h2><p>{'word ' * 150}</p>" for n in range(3))
    found = document(file(tmp_path, "a.html", f"<main>{sections}</main>"))
    assert [chunk.heading for chunk in chunks(found.text)] == ["Part 0", "Part 1", "Part 2"]


def test_a_title_stands_in_for_a_missing_heading(tmp_path: Path) -> None:
    assert document(file(tmp_path, "a.html", "<title>T &amp; U</title><p>x")).title == "T & U"
    assert document(file(tmp_path, "b.html", "<p>x")).title == "b"


def test_buttons_in_a_heading_are_no_part_of_the_title(tmp_path: Path) -> None:
    page = "<title>x</title><main><h1>Pay <em>later</em><button>Copy link</button></h1><p>x</main>"
    assert document(file(tmp_path, "a.html", page)).title == "Pay later"


def test_a_hash_in_a_paragraph_does_not_become_a_heading(tmp_path: Path) -> None:
    found = document(file(tmp_path, "a.html", "<p># 1 in the world</p>"))
    assert [chunk.heading for chunk in chunks(found.text)] == [""]


def test_a_mail_address_behind_a_link_is_kept(tmp_path: Path) -> None:
    assert document(file(tmp_path, "a.html", '<p><a href="mailto:h@x.test?subject=a">Write</a>')).text == (
        "Write (h@x.test)"
    )


def test_the_page_around_an_article_is_dropped_where_nothing_marks_it(tmp_path: Path) -> None:
    page = "<body><header>Shop</header><aside>News</aside><p>Answer</p><footer>©</footer></body>"
    assert document(file(tmp_path, "a.html", page)).text == "Answer"


def test_a_page_that_asks_not_to_be_indexed_is_skipped(tmp_path: Path) -> None:
    [found] = read(file(tmp_path, "a.html", '<meta name="ROBOTS" content="NoIndex, follow"><p>x'))
    assert isinstance(found, Skipped)


def test_a_page_without_text_is_told(tmp_path: Path) -> None:
    assert "script in the browser" in problem(file(tmp_path, "a.html", "<div id=app></div><script>go()</script>"))


def test_a_declared_encoding_is_read(tmp_path: Path) -> None:
    page = '<meta charset="shift_jis"><p>設定'.encode("shift_jis")
    assert document(file(tmp_path, "a.html", page)).text == "設定"


def test_a_page_that_would_take_minutes_to_parse_is_refused(tmp_path: Path) -> None:
    assert "nests more than 2,000 elements" in problem(file(tmp_path, "a.html", "<div>" * 200_000 + "x"))


def test_text_that_no_reader_can_see_is_no_part_of_an_article(tmp_path: Path) -> None:
    html = """<main><p>Press <b style="font-size:0">nothing</b>it.</p><div style="background:#fff">
        <p style="color:#fff">Never</p><p>Wait.</p></div><p style="display:none">Folded.</p></main>"""
    assert document(file(tmp_path, "a.html", html)).text == "Press it.\n\nWait.\n\nFolded."


def test_white_text_whose_background_a_style_sheet_sets_is_kept(tmp_path: Path) -> None:
    html = '<main><div class="dark"><p style="color:#fff">Press it.</p></div></main>'
    assert document(file(tmp_path, "a.html", html)).text == "Press it."


def test_paragraphs_without_ends_are_no_depth(tmp_path: Path) -> None:
    assert document(file(tmp_path, "a.html", "<p>x" * 5_000)).text.count("x") == 5_000


# -- PDF


def test_a_pdf_has_its_title_and_a_heading_for_each_page(tmp_path: Path) -> None:
    found = document(pdf(tmp_path / "a.pdf", "Press the button", "Wait", title="The manual"))
    assert (found.title, found.document_id) == ("The manual", "a.pdf")
    assert found.text == "## Page 1\n\nPress the button\n\n## Page 2\n\nWait"


def test_a_word_that_a_line_of_a_pdf_cuts_is_whole(tmp_path: Path) -> None:
    lines = "Use the manage-) Tj 0 -14 Td (ment page, section A-) Tj 0 -14 Td (12"
    assert document(pdf(tmp_path / "a.pdf", lines)).text.split("\n") == ["Use the management page, section A-", "12"]


def test_a_pdf_titled_by_its_program_is_named_by_its_file(tmp_path: Path) -> None:
    assert document(pdf(tmp_path / "returns.pdf", "x", title="Microsoft Word - v2.docx")).title == "returns"


def test_a_scanned_pdf_says_what_to_do(tmp_path: Path) -> None:
    assert "no text on any page (2; scanned?): put it through OCR" in problem(pdf(tmp_path / "a.pdf", "", ""))


def test_an_encrypted_pdf_says_what_to_do(tmp_path: Path) -> None:
    assert "save a copy without password" in problem(pdf(tmp_path / "a.pdf", "x", password="secret"))


def test_a_damaged_pdf_is_told(tmp_path: Path) -> None:
    assert "cannot be read as PDF" in problem(file(tmp_path, "a.pdf", b"%PDF-1.7\nbroken"))


def test_a_pdf_that_needs_too_much_memory_is_refused_by_its_own_process(tmp_path: Path) -> None:
    data = pdf(tmp_path / "a.pdf", "x" * 60_000_000, packed=True).read_bytes()
    process = (sys.executable, "-m", "app.knowledge.formats.pdf_process", "1000", "60", "150000000")
    done = subprocess.run(process, input=data, capture_output=True, check=True)
    assert json.loads(done.stdout) == {"problem": "memory"}


def test_a_pdf_with_more_text_than_an_article_may_have_is_told(tmp_path: Path) -> None:
    assert "at most 1000000 characters" in problem(pdf(tmp_path / "a.pdf", *["x" * 300_000] * 5))


# -- tables


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_a_table_has_the_names_of_json_or_their_aliases(delimiter: str, tmp_path: Path) -> None:
    rows = [
        ["ID", "Question", "Body", "Language", "Visibility"],
        ["7", "Pay?", '"By card,\nor; cash"', "en", "Internal"],
    ]
    found = document(file(tmp_path, "a.csv", "\n".join(delimiter.join(row) for row in rows)))
    assert found == Document(document_id="7", title="Pay?", text="By card,\nor; cash", locale="en", audience="internal")


def test_a_missing_column_is_named_with_its_aliases(tmp_path: Path) -> None:
    told = problem(file(tmp_path, "a.csv", "title,note\nA,b\n"))
    assert told == "has no column 'text' (or body, content, answer); its first line names title, note"


def test_a_row_without_an_id_keeps_its_id_where_rows_move(tmp_path: Path) -> None:
    one = document(file(tmp_path, "a.csv", "title,text\nPay?,Card\n"))
    assert one in list(read(file(tmp_path, "a.csv", "title,text\nNew,x\nPay?,Card\n")))


def test_a_cell_of_html_becomes_text(tmp_path: Path) -> None:
    assert document(file(tmp_path, "a.csv", 'title,body\nA,"<h2>B</h2><p>c</p>"\n')).text == "## B\n\nc"


def test_an_unknown_audience_is_not_taken_as_public(tmp_path: Path) -> None:
    assert problem(file(tmp_path, "a.csv", "title,text,audience\nA,b,partners\n")).startswith("audience: ")


def test_a_row_with_too_many_cells_is_told_by_its_line(tmp_path: Path) -> None:
    good, bad = read(file(tmp_path, "a.csv", "title,text\nA,b\nC,d,e\n"))
    assert isinstance(good, Document)
    assert isinstance(bad, Unreadable)
    assert bad.place.endswith("a.csv:3")


def test_json_lines_take_the_same_aliases(tmp_path: Path) -> None:
    found = document(file(tmp_path, "a.jsonl", '{"id":"a","subject":"S","content":"c","visibility":"internal"}'))
    assert (found.title, found.text, found.audience) == ("S", "c", "internal")


# -- exports


def exported(folder: Path, content: Any) -> list[Found]:
    return list(read(file(folder, "articles.json", json.dumps(content))))


ZENDESK = {
    "id": 35467, "title": "Refunds", "body": "<h2>How</h2><p>Ask us.</p>", "locale": "en-us", "draft": False,
    "section_id": 1, "html_url": "https://z.test/hc/en-us/articles/35467", "user_segment_id": None,
}  # fmt: skip


def test_zendesk_articles_are_read_restricted_ones_as_internal_and_drafts_skipped(tmp_path: Path) -> None:
    articles = [
        ZENDESK,
        {**ZENDESK, "locale": "de"},
        {**ZENDESK, "id": 2, "user_segment_id": 12},
        {**ZENDESK, "id": 3, "user_segment_ids": [1]},
        {**ZENDESK, "id": 4, "draft": True},
    ]
    first, german, restricted, several, draft = exported(tmp_path, {"count": 5, "articles": articles})
    assert first == Document(
        document_id="zendesk-35467-en-us", title="Refunds", text="## How\n\nAsk us.", locale="en-us",
        url="https://z.test/hc/en-us/articles/35467",
    )  # fmt: skip
    assert isinstance(german, Document)
    assert german.document_id == "zendesk-35467-de"
    assert [one.audience for one in (restricted, several) if isinstance(one, Document)] == ["internal", "internal"]
    assert isinstance(draft, Skipped)


def test_a_zendesk_article_that_does_not_say_who_may_read_it_is_told(tmp_path: Path) -> None:
    article = {name: value for name, value in ZENDESK.items() if name != "user_segment_id"}
    [told] = exported(tmp_path, {"articles": [article]})
    assert isinstance(told, Unreadable)
    assert "who may read it" in told.reason


def test_a_list_of_answers_is_read_whole(tmp_path: Path) -> None:
    found = exported(tmp_path, [{"articles": [ZENDESK]}, {"articles": [{**ZENDESK, "id": 2}]}])
    assert len(found) == 2


@pytest.mark.parametrize("more", [{"next_page": "https://z.test/2"}, {"meta": {"has_more": True}}])
def test_the_first_page_alone_is_told_since_the_rest_would_seem_withdrawn(more: Any, tmp_path: Path) -> None:
    _, told = exported(tmp_path, {"articles": [ZENDESK], **more})
    assert told == Unreadable(
        str(tmp_path / "articles.json"), "is one page of several: save the following ones beside it"
    )
    file(tmp_path, "second.json", json.dumps({"articles": [{**ZENDESK, "id": 2}], "next_page": None}))
    assert [type(one) for one in read(tmp_path)] == [Document, Document]


INTERCOM = {
    "type": "article", "id": "6871119", "title": "Default", "description": "D", "body": "<p>b</p>",
    "state": "published", "url": "http://i.test/en/3", "default_locale": "en",
}  # fmt: skip


def test_intercom_articles_are_read_in_each_language_that_is_published(tmp_path: Path) -> None:
    content = {"type": "article_content", "title": "Défaut", "body": "<p>c</p>", "state": "published", "url": None}
    translated = {"type": "article_translated_content", "fr": content, "de": {**content, "state": "draft"}, "es": None}
    article = {**INTERCOM, "translated_content": {**translated, "en": {**INTERCOM, "type": "article_content"}}}
    french, german, english = exported(tmp_path, {"type": "list", "pages": {}, "total_count": 1, "data": [article]})
    assert french == Document(document_id="intercom-6871119-fr", title="Défaut", text="c", locale="fr")
    assert isinstance(german, Skipped)
    assert english == Document(
        document_id="intercom-6871119-en", title="Default", summary="D", text="b", locale="en", url="http://i.test/en/3"
    )


def test_internal_articles_of_intercom_are_internal(tmp_path: Path) -> None:
    internal = {"type": "internal_article", "id": "1", "title": "T", "body": "<p>b</p>", "locale": "en"}
    [found] = exported(tmp_path, {"type": "list", "data": [internal]})
    assert isinstance(found, Document)
    assert found.audience == "internal"


FRESHDESK = {
    "id": 1, "type": 1, "category_id": 3, "folder_id": 4, "title": "article", "status": 2,
    "description": "this is <b>HTML</b>", "description_text": "this is HTML",
    "hierarchy": [{"level": 0, "type": "category", "data": {"id": 3, "name": "c", "language": "en"}}],
}  # fmt: skip


def test_freshdesk_articles_are_as_visible_as_their_folder(tmp_path: Path) -> None:
    file(tmp_path, "folders.json", json.dumps([{"id": 4, "name": "a", "visibility": 1},
                                               {"id": 5, "name": "b", "visibility": 2}]))  # fmt: skip
    articles = [FRESHDESK, {**FRESHDESK, "id": 2, "folder_id": 5}, {**FRESHDESK, "id": 3, "status": 1}]
    public, internal, draft = exported(tmp_path, articles)
    assert public == Document(document_id="freshdesk-1", title="article", text="this is HTML", locale="en")
    assert isinstance(internal, Document)
    assert internal.audience == "internal"
    assert isinstance(draft, Skipped)


def test_freshdesk_articles_of_an_unknown_folder_are_internal_and_it_is_told(tmp_path: Path) -> None:
    found, told = exported(tmp_path, [FRESHDESK])
    assert isinstance(found, Document)
    assert found.audience == "internal"
    assert isinstance(told, Unreadable)
    assert "folders.json" in told.reason


def test_a_json_list_of_our_own_fields_is_read(tmp_path: Path) -> None:
    [found] = exported(tmp_path, [{"id": "a", "title": "A", "body": "b"}])
    assert found == Document(document_id="a", title="A", text="b")


def test_other_json_is_told(tmp_path: Path) -> None:
    [told] = exported(tmp_path, {"settings": True})
    assert isinstance(told, Unreadable)
    assert "is none of the JSON that is read" in told.reason
