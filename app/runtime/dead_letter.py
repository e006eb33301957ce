"""The dead letter of a record: its bytes as they came, and in the headers where from and why."""

from __future__ import annotations

from app.runtime import told
from app.runtime.record import Output, Record

PREFIX = "dlq-"
TEXT_CHARS_MAX = 1_000


def dead_letter(
    record: Record, *, topic: str, stage: str, reason: str, error: BaseException | None, attempts: int, bytes_max: int
) -> Output:
    """``topic`` is the dead-letter topic. A value over ``bytes_max`` is left out and stays where it came from: the
    origin headers find it."""
    fields = {
        "reason": reason,
        "stage": stage,
        "origin-topic": record.topic,
        "origin-partition": str(record.partition),
        "origin-offset": str(record.offset),
        "origin-timestamp": str(record.timestamp),
        "error-class": type(error).__name__ if error else "",
        "error": str(error)[:TEXT_CHARS_MAX] if error else "",
        "attempts": str(attempts),
    }
    value = record.value
    if value is not None and len(value) > bytes_max:
        fields["value-left-out-bytes"] = str(len(value))
        value = None
    kept = [(name, content) for name, content in record.headers if not name.startswith(PREFIX) and name != told.HEADER]
    headers = kept + [(PREFIX + name, text.encode()) for name, text in fields.items()]
    # A record needs a key or a value.
    key = b"" if record.key is None and value is None else record.key
    return Output(topic=topic, key=key, value=value, headers=headers)
