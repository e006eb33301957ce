"""Past tickets as help desks export them."""

from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from agents.contract import PermanentError
from app.knowledge.solved import PastTicket, read_tickets

ROW = {"ticket_id": "7", "created_at": "2026-01-02T03:04:05Z", "subject": "Sync", "text": "Help", "document_ids": ["a"]}


def ticket(**fields: object) -> PastTicket:
    return PastTicket.model_validate({**ROW, **fields})


def test_a_time_with_a_space_before_its_zone_is_read() -> None:
    assert ticket(created_at="2019-07-31 19:27:36 -0800").created_at == datetime(2019, 8, 1, 3, 27, 36, tzinfo=UTC)


def test_a_time_without_a_zone_is_utc() -> None:
    assert ticket(created_at="2026-01-02 03:04:05").created_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_subject_that_the_text_repeats_is_asked_once() -> None:
    assert (ticket().question, ticket(text="Sync is slow").question) == ("Sync\nHelp", "Sync is slow")


def test_other_names_of_the_fields_are_known(tmp_path: Path) -> None:
    row = {"id": 7, "created_at": ROW["created_at"], "body": "Help", "gold_doc_ids": ["a"]}
    file = tmp_path / "tickets.jsonl"
    file.write_bytes(orjson.dumps(row))
    [read] = read_tickets(file)
    assert (read.ticket_id, read.text, read.document_ids) == ("7", "Help", ("a",))


def test_a_ticket_without_articles_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "tickets.jsonl"
    file.write_bytes(orjson.dumps({**ROW, "document_ids": []}))
    assert list(read_tickets(file)) == []


def test_a_line_that_is_no_ticket_is_named(tmp_path: Path) -> None:
    file = tmp_path / "tickets.jsonl"
    file.write_bytes(orjson.dumps(ROW) + b'\n{"document_ids": ["a"]}\n')
    with pytest.raises(PermanentError, match=r"tickets\.jsonl:2"):
        list(read_tickets(file))
