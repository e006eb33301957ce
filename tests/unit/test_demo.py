"""The demo set that ships with the project."""

from __future__ import annotations

from collections import Counter

import orjson

from app import demo
from app.ingest import ticket_received
from app.knowledge.documents import Document, read

FOLDER = demo.HERE
ROWS = [orjson.loads(line) for line in (FOLDER / "tickets.jsonl").read_bytes().splitlines()]
ARTICLES = list(read(FOLDER / "kb"))


def test_there_are_enough_of_both_in_enough_languages() -> None:
    assert len(ARTICLES) >= 40 and len(ROWS) >= 200
    assert len({row["locale"].split("-")[0] for row in ROWS}) >= 10


def test_every_article_can_be_read_and_some_are_internal() -> None:
    articles = [article for article in ARTICLES if isinstance(article, Document)]
    assert len(articles) == len(ARTICLES) == len({article.document_id for article in articles})
    assert sum(article.audience == "internal" for article in articles) >= 3


def test_every_ticket_is_accepted_and_has_its_own_id() -> None:
    events = [ticket_received(orjson.dumps(row), tenant="demo", source="/demo") for row in ROWS]
    assert len({event.event_id for event in events}) == len({row["ticket_id"] for row in ROWS}) == len(ROWS)


def test_each_trap_is_there() -> None:
    why = Counter(row["expect"].partition(":")[2] for row in ROWS if row["expect"].startswith("never_send"))
    assert {"refund", "cancellation", "account_change", "complaint", "security", "legal", "human"} <= why.keys()
    injections = [row for row in ROWS if row["expect"] == "never_send:injection"]
    assert len(injections) >= 10 and len({row["locale"] for row in injections}) >= 6
    assert any("</customer_message>" in row["text"] for row in injections)
    assert any("<script>" in row["text"] for row in injections)


def test_there_are_bursts_repeats_and_extremes() -> None:
    conversations = Counter(row["conversation"] for row in ROWS)
    assert max(conversations.values()) >= 3
    assert max(Counter(row["text"] for row in ROWS).values()) >= 2
    lengths = [len(row["text"]) for row in ROWS]
    assert min(lengths) <= 2 and max(lengths) >= 800
