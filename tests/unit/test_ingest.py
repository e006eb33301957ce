"""Lines of a ticket file."""

import gzip
from datetime import timedelta
from pathlib import Path

import pytest

from app.ingest import BadLine, read_rows, ticket_received


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
    ],
)
def test_a_bad_line_says_what_is_wrong(line: bytes, words: str) -> None:
    with pytest.raises(BadLine, match=words):
        event(line)


def test_a_gzipped_file_is_read_and_blank_lines_are_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "tickets.jsonl.gz"
    file.write_bytes(gzip.compress(b"a\n\nb\nc\n"))
    assert list(read_rows(file, 2)) == [(1, b"a\n"), (3, b"b\n")]
