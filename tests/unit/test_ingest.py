"""Lines of a ticket file."""

import gzip
import time
from base64 import b64encode
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from app.ingest import BadLine, read_rows, ticket_received
from schemas.tickets import Attachment
from tests.pdf import pdf


def event(line: bytes):  # type: ignore[no-untyped-def]
    return ticket_received(line, tenant="acme", source="/ingest/x")


def test_a_line_given_twice_is_one_event() -> None:
    line = b'{"ticket_id": "1", "text": "hi"}'
    assert event(line).event_id == event(line + b"\n").event_id


def test_another_text_of_the_same_ticket_is_another_event_of_one_conversation() -> None:
    first, second = event(b'{"ticket_id": "1", "text": "hi"}'), event(b'{"ticket_id": "1", "text": "hello?"}')
    assert first.event_id != second.event_id and first.key == second.key


def test_a_time_with_a_blank_before_its_zone_is_read() -> None:
    created = event(b'{"ticket_id": "1", "text": "hi", "created_at": "2019-07-31 19:27:36 -0800"}').ticket.created_at
    assert created is not None and created.utcoffset() == timedelta(hours=-8)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"nope", "not JSON"),
        (b"[]", "not an object"),
        (b'{"text": "hi"}', "ticket_id"),
        (b'{"ticket_id": "1"}', "body"),
        (b'{"ticket_id": "1", "text": "hi", "created_at": "yesterday"}', "created_at"),
        (b'{"ticket_id": "1", "text": "' + b"x" * 300_000 + b'"}', "body"),
        (b'{"ticket_id": "1", "text": "hi", "body_format": "rtf"}', "body_format"),
        (b'{"ticket_id": "1", "text": "hi", "attachments": {}}', "attachments: a JSON dict"),
        (b'{"ticket_id": "1", "text": "hi", "attachments": [{"text": "x"}]}', "attachments: name"),
    ],
)
def test_a_bad_line_says_what_is_wrong(line: bytes, words: str) -> None:
    with pytest.raises(BadLine, match=words):
        event(line)


def test_a_gzipped_file_is_read_and_blank_lines_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "tickets.jsonl.gz"
    file.write_bytes(gzip.compress(b"a\n\nb\nc\n"))
    assert list(read_rows(file, 2)) == [(1, b"a\n"), (3, b"b\n")]


def with_file(folder: Path | None = None, **row: object) -> Attachment:
    line = orjson.dumps({"ticket_id": "1", "text": "hi", "attachments": [row]})
    (found,) = ticket_received(line, tenant="acme", source="/ingest/x", folder=folder).ticket.attachments
    return found


def base64(data: bytes) -> str:
    return b64encode(data).decode()


def test_html_is_passed_on_as_such() -> None:
    assert event(b'{"ticket_id": "1", "text": "<p>hi", "body_format": "html"}').ticket.body_format == "html"


def test_a_text_file_is_listed_with_its_text() -> None:
    found = with_file(name="log.txt", content=base64("Fehler: ä".encode()))
    assert (found.name, found.media_type, found.size_bytes, found.text) == ("log.txt", "text/plain", 10, "Fehler: ä")


def test_a_file_next_to_the_tickets_is_read(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "page.html").write_text("<script>x</script><p>Order <b>12</b></p>")
    found = with_file(tmp_path, path="files/page.html")
    assert (found.name, found.text, found.unreadable) == ("page.html", "Order 12", "")


def test_a_page_that_hides_text_is_listed_and_not_read() -> None:
    found = with_file(name="a.html", content=base64(b'<p>Hi</p><p style="font-size:0">Send it</p>'))
    assert (found.text, found.unreadable) == ("", "has text that it hides from a reader")


@pytest.mark.parametrize("path", ["../secret.txt", "/etc/hostname", "link.txt"])
def test_no_file_outside_the_folder_is_read(tmp_path: Path, path: str) -> None:
    inside = tmp_path / "tickets"
    inside.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    (inside / "link.txt").symlink_to(tmp_path / "secret.txt")
    found = with_file(inside, path=path)
    assert (found.text, found.size_bytes) == ("", None) and "outside" in found.unreadable


def test_the_text_of_a_pdf_is_read(tmp_path: Path) -> None:
    found = with_file(name="a.pdf", content=base64(pdf(tmp_path / "a.pdf", "Invoice 12", "Page two").read_bytes()))
    assert (found.media_type, found.text, found.unreadable) == ("application/pdf", "Invoice 12\n\nPage two", "")


def test_an_image_is_known_by_its_alternative_text_only() -> None:
    found = with_file(name="shot.png", content=base64(b"\x89PNG"), alt="a red error box")
    assert (found.media_type, found.text, found.size_bytes) == ("image/png", "a red error box", 4)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"name": "a.pdf", "content": base64(b"%PDF-1.4 broken")}, "cannot be read as PDF"),
        ({"name": "a.pdf", "content": base64(b"")}, "cannot be read as PDF"),
        ({"name": "a.txt", "content": "no base64!"}, "not base64"),
        ({"name": "a.txt", "content": base64(b"\xff\xfe\xfa")}, "cannot be read as utf-16"),
        ({"name": "a.txt", "content": base64(b"\xe4")}, "cannot be read as utf-8"),
        ({"path": "gone.txt"}, "No such file"),
    ],
)
def test_a_file_that_cannot_be_read_is_listed_with_the_reason(row: dict[str, str], reason: str, tmp_path: Path) -> None:
    found = with_file(tmp_path, **row)
    assert found.name and found.text == "" and reason in found.unreadable


def test_a_scan_and_a_file_with_a_password_are_listed_with_the_reason(tmp_path: Path) -> None:
    scan, locked = pdf(tmp_path / "scan.pdf", ""), pdf(tmp_path / "locked.pdf", "x", password="p")
    reasons = [with_file(tmp_path, path=file.name).unreadable for file in (scan, locked)]
    assert "scanned" in reasons[0] and "encrypted" in reasons[1]


def test_a_file_that_would_take_minutes_to_read_does_not(tmp_path: Path) -> None:
    file = pdf(tmp_path / "endless.pdf", *[") Tj " + "q Q " * 100_000 + "("] * 100, packed=True)
    assert file.stat().st_size < 200_000
    began = time.monotonic()
    found = with_file(tmp_path, path=file.name)
    assert (found.text, found.unreadable) == ("", "takes too long to read: print it to PDF anew")
    assert time.monotonic() - began < 30


def test_a_small_file_that_unpacks_to_a_large_one_is_not_read(tmp_path: Path) -> None:
    found = with_file(tmp_path, path=pdf(tmp_path / "bomb.pdf", "x" * 200_000_000, packed=True).name)
    assert found.text == "" and "unpacks to more than a reader may hold" in found.unreadable


def test_text_of_files_is_cut_and_so_is_their_number() -> None:
    rows = [{"name": f"{n}.txt", "text": "x" * 100_000} for n in range(30)]
    ticket = event(orjson.dumps({"ticket_id": "1", "text": "hi", "attachments": rows})).ticket
    texts = [each.text for each in ticket.attachments]
    assert len(texts) == 20 and ticket.attachments[-1].name == "11 more files"
    assert max(map(len, texts)) == 4_000 and sum(map(len, texts)) == 20_000


def test_another_content_of_a_named_file_makes_another_event(tmp_path: Path) -> None:
    line = b'{"ticket_id": "1", "text": "hi", "attachments": [{"path": "a.txt"}]}'
    ids = set()
    for content in ("one", "two", "two"):
        (tmp_path / "a.txt").write_text(content)
        ids.add(ticket_received(line, tenant="acme", source="/ingest/x", folder=tmp_path).event_id)
    assert len(ids) == 2
