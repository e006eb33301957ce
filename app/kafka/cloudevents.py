"""Events as CloudEvents 1.0 records: binary mode is written, binary and structured mode are read.

Binary mode: attributes in ``ce_*`` headers, the event as JSON in the value. Structured mode: one JSON envelope with
``content-type: application/cloudevents+json``. Source: CloudEvents Kafka protocol binding 1.0.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
from pydantic import ValidationError

from agents.contract import PermanentError
from app.runtime.record import Headers, Output, Record
from schemas.event import Event

E = TypeVar("E", bound=Event)

VALUE_BYTES_MAX = 1024 * 1024
REPLAY_HEADER = "deskstream-replay"
PRIORITY_HEADER = "deskstream-priority"
TENANT_HEADER = "ce_tenant"
_TYPE_PREFIX = "deskstream."
_STRUCTURED = "application/cloudevents"
_ERRORS_SHOWN_MAX = 3


def event_type(event_class: type[Event]) -> str:
    """``deskstream.tickets.raw.v1``: topic and major schema version."""
    return f"{_TYPE_PREFIX}{event_class.TOPIC}.v{event_class.VERSION}"


def to_output(event: Event, *, replay: int = 0, priority: str | None = None) -> Output:
    headers = [
        ("content-type", b"application/json"),
        ("ce_specversion", b"1.0"),
        ("ce_id", event.event_id.encode()),
        ("ce_type", event_type(type(event)).encode()),
        ("ce_source", event.source.encode()),
        ("ce_time", datetime.now(UTC).isoformat().encode()),
        ("ce_subject", event.conversation.encode()),
        (TENANT_HEADER, event.tenant.encode()),
    ]
    if priority is not None:
        headers.append((PRIORITY_HEADER, priority.encode()))
    if replay:
        headers.append((REPLAY_HEADER, str(replay).encode()))
    return Output(topic=event.TOPIC, key=event.key, value=encode(event), headers=headers)


def encode(event: Event, *, exclude: set[str] | None = None) -> bytes:
    """The event as JSON, byte for byte the same for the same event."""
    return orjson.dumps(event.model_dump(mode="json", exclude=exclude))


def from_record(record: Record, event_class: type[E]) -> E:
    """The event of a record. Raises PermanentError: too_large, not_json, wrong_type, newer_schema, not_the_schema."""
    value = record.value or b""
    if len(value) > VALUE_BYTES_MAX:
        raise PermanentError("too_large", f"the value has {len(value)} bytes; the limit is {VALUE_BYTES_MAX}")
    attributes = {name.lower(): content for name, content in record.headers}
    data = _json_object(value)
    if attributes.get("content-type", b"").decode(errors="replace").lower().startswith(_STRUCTURED):
        envelope, data = data, _structured_data(data)
        given = {name: str(text) for name, text in envelope.items() if isinstance(text, str)}
    else:
        given = {name[3:]: text.decode(errors="replace") for name, text in attributes.items() if name.startswith("ce_")}
    _check_type(given.get("type"), event_class)
    # Attributes fill what another producer left out of the data; they don't overrule it.
    for field, attribute in (("event_id", "id"), ("source", "source"), ("accepted_at", "time"), ("tenant", "tenant"),
                             ("conversation", "subject")):  # fmt: skip
        if field not in data and attribute in given:
            data[field] = given[attribute]
    try:
        return event_class.model_validate(data)
    except ValidationError as error:
        raise PermanentError("not_the_schema", _readable(error, event_class)) from error


def replay_number(headers: Headers) -> int:
    for name, content in headers:
        if name == REPLAY_HEADER and content.isdigit():
            return int(content)
    return 0


def header(headers: Headers, wanted: str) -> str | None:
    """The first header of that name, compared without regard to case."""
    for name, content in headers:
        if name.lower() == wanted:
            return content.decode(errors="replace")
    return None


def _json_object(value: bytes) -> dict[str, Any]:
    try:
        data = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        raise PermanentError("not_json", f"the value is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise PermanentError("not_the_schema", f"the value is a JSON {type(data).__name__}, not an object")
    return data


def _structured_data(envelope: dict[str, Any]) -> dict[str, Any]:
    data = envelope.get("data")
    if not isinstance(data, dict):
        raise PermanentError("not_the_schema", "the CloudEvents envelope has no JSON object in its 'data'")
    return dict(data)


def _check_type(given: str | None, event_class: type[Event]) -> None:
    """A record without a type is read as what its topic carries; the schema then decides."""
    if given is None or not given.startswith(_TYPE_PREFIX):
        return
    name, _, version = given.removeprefix(_TYPE_PREFIX).rpartition(".v")
    if name != event_class.TOPIC:
        raise PermanentError("wrong_type", f"ce_type is {given}; this topic carries {event_type(event_class)}")
    if not version.isdigit() or int(version) > event_class.VERSION:
        raise PermanentError("newer_schema", f"ce_type is {given}; this version reads up to v{event_class.VERSION}")


def _readable(error: ValidationError, event_class: type[Event]) -> str:
    problems = error.errors(include_url=False, include_input=False)
    shown = "; ".join(f"{'.'.join(map(str, p['loc'])) or 'event'}: {p['msg']}" for p in problems[:_ERRORS_SHOWN_MAX])
    more = len(problems) - _ERRORS_SHOWN_MAX
    return f"not a {event_class.__name__}: {shown}" + (f" (and {more} more)" if more > 0 else "")
