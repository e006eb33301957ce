"""What is on the bus, read by another client: valid CloudEvents, valid against the snapshots."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from uuid import uuid4

import pytest
from jsonschema import Draft202012Validator

from app.catalogue import SNAPSHOTS
from app.config import Settings
from app.kafka.connection import client_options
from app.tracker import Tracker
from schemas.replies import ReplySent
from schemas.reviews import ReviewDecided
from schemas.topics import EVENT_CLASSES
from tests.integration.test_pipeline import TICKETS, put
from tests.integration.test_pipeline import settings as settings  # noqa: PLC0414 - the same fixture, here

REQUIRED = {"ce_id", "ce_source", "ce_specversion", "ce_type"}


# No stage writes reviews, or sends replies.
@pytest.mark.parametrize("topic", sorted(EVENT_CLASSES.keys() - {ReviewDecided.TOPIC, ReplySent.TOPIC}))
@pytest.mark.usefixtures("apt_tools")
async def test_a_topic_read_by_kcat_has_valid_cloudevents(topic: str, settings: Settings) -> None:
    source = f"/test/{uuid4().hex}"
    tracker = Tracker(client=client_options(settings), source=source)
    await tracker.start()
    await put(settings, TICKETS[:3], source)
    await tracker.run(lambda progress: len(progress.ended) == 3, lambda progress: None)
    await tracker.stop()
    records = [record for record in await kcat(settings, topic) if record["attributes"].get("ce_source") == source]
    assert len(records) >= 3
    schema = Draft202012Validator(json.loads((SNAPSHOTS / f"{topic}.v1.json").read_text()))
    for record in records:
        attributes = record["attributes"]
        assert attributes.keys() >= REQUIRED and attributes["ce_specversion"] == "1.0"
        assert attributes["content-type"] == "application/json"
        data = json.loads(record["payload"])
        schema.validate(data)
        assert attributes["ce_id"] == data["event_id"]
        assert record["key"] == f"{data['tenant']}/{data['conversation']}"


async def kcat(settings: Settings, topic: str) -> list[dict[str, object]]:
    process = await asyncio.create_subprocess_exec(
        "kcat", "-b", settings.kafka_bootstrap or "", "-C", "-t", topic, "-e", "-q", "-J",
        "-X", "isolation.level=read_committed", stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await process.communicate()
    assert process.returncode == 0
    records = [json.loads(line) for line in out.splitlines()]
    for record in records:
        names, values = record.get("headers", [])[::2], record.get("headers", [])[1::2]
        record["attributes"] = dict(zip(names, values, strict=True))
    return records


def test_the_snapshots_are_there() -> None:
    assert {path.name for path in Path(SNAPSHOTS).glob("*.json")} == {f"{topic}.v1.json" for topic in EVENT_CLASSES}
