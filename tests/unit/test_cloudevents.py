"""Events as CloudEvents records, and what is wrong with those that are not."""

from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from agents.contract import PermanentError
from app.kafka.cloudevents import VALUE_BYTES_MAX, from_record, replay_number, to_output
from schemas.tickets import TicketReceived
from tests.events import received


@dataclass
class Rec:
    value: bytes | None
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    key: bytes | None = None
    topic: str = "tickets.raw"
    partition: int = 0
    offset: int = 0
    timestamp: int = 0


def written() -> Rec:
    output = to_output(received())
    return Rec(output.value, list(output.headers), output.key)


def reason(record: Any) -> str:
    with pytest.raises(PermanentError) as refused:
        from_record(record, TicketReceived)
    return refused.value.reason


def test_what_is_written_is_read_back() -> None:
    assert from_record(written(), TicketReceived) == received()


def test_the_required_attributes_are_in_the_headers() -> None:
    names = {name for name, _ in written().headers}
    assert {"ce_id", "ce_source", "ce_type", "ce_specversion", "content-type"} <= names


def test_structured_mode_is_read() -> None:
    data = received().model_dump(mode="json")
    envelope = {"specversion": "1.0", "id": "e1", "source": "/test", "type": "deskstream.tickets.raw.v1", "data": data}
    record = Rec(orjson.dumps(envelope), [("Content-Type", b"application/CloudEvents+json; charset=utf-8")])
    assert from_record(record, TicketReceived) == received()


def test_attributes_fill_what_the_data_leave_out() -> None:
    data = received().model_dump(mode="json")
    for name in ("event_id", "root_id", "source", "tenant", "conversation", "accepted_at"):
        del data[name]
    headers = [("CE_ID", b"e1"), ("ce_source", b"/test"), ("ce_tenant", b"acme"), ("ce_subject", b"c1"),
               ("ce_time", b"2026-11-24T12:00:00Z")]  # fmt: skip
    assert from_record(Rec(orjson.dumps(data), headers), TicketReceived) == received()


def test_an_unknown_field_of_a_newer_minor_schema_is_passed_over() -> None:
    data = {**received().model_dump(mode="json"), "mood": "sunny"}
    assert from_record(Rec(orjson.dumps(data)), TicketReceived) == received()


def test_not_json() -> None:
    assert reason(Rec(b"{nope")) == "not_json"


def test_null_value() -> None:
    assert reason(Rec(None)) == "not_json"


def test_json_that_is_no_object() -> None:
    assert reason(Rec(b"[1]")) == "not_the_schema"


def test_a_missing_field() -> None:
    assert reason(Rec(b'{"tenant": "acme"}')) == "not_the_schema"


def test_too_large() -> None:
    assert reason(Rec(b'"' + b"x" * VALUE_BYTES_MAX + b'"')) == "too_large"


def test_a_newer_schema() -> None:
    record = written()
    record.headers = [("ce_type", b"deskstream.tickets.raw.v2")]
    assert reason(record) == "newer_schema"


def test_an_event_of_another_topic() -> None:
    record = written()
    record.headers = [("ce_type", b"deskstream.tickets.routed.v1")]
    assert reason(record) == "wrong_type"


def test_a_tenant_with_a_separator_is_refused() -> None:
    data = {**received().model_dump(mode="json"), "tenant": "a/b"}
    assert reason(Rec(orjson.dumps(data))) == "not_the_schema"


def test_the_replay_number_travels_in_a_header() -> None:
    assert replay_number(to_output(received(), replay=3).headers) == 3
