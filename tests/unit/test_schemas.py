"""The events' schemas: snapshots, and what may change."""

from importlib.metadata import packages_distributions
from typing import Any

import orjson
import pytest

from app.catalogue import SNAPSHOTS, files
from schemas.event import Event
from schemas.topics import EVENT_CLASSES
from tests.events import drafted, enriched, received


@pytest.mark.parametrize("path", list(files()), ids=lambda path: path.name)
def test_generated_files_are_up_to_date(path: Any) -> None:
    assert path.read_bytes() == files()[path], "run `make docs`"


@pytest.mark.parametrize("event_class", list(EVENT_CLASSES.values()), ids=lambda c: c.__name__)
def test_an_event_of_this_major_version_may_only_gain_optional_fields(event_class: type[Event]) -> None:
    """Against the snapshot of version 1: no field of it is gone, and a reader needs none that it lacks."""
    first = orjson.loads((SNAPSHOTS / f"{event_class.TOPIC}.v1.json").read_bytes())
    now = event_class.model_json_schema(mode="validation")
    if event_class.VERSION == 1:
        assert set(first["properties"]) <= set(now["properties"])
        assert set(now.get("required", ())) <= set(first["properties"])


def test_the_key_is_tenant_and_conversation() -> None:
    assert received(conversation="a/b").key == b"acme/a/b"


def test_following_keeps_the_root_and_derives_the_id() -> None:
    first, second = drafted(), drafted()
    assert (first.root_id, first.event_id) == ("e1", second.event_id)
    assert first.event_id != enriched().event_id


@pytest.mark.parametrize("name", ["app", "agents", "schemas"])
def test_no_other_distribution_owns_our_package_names(name: str) -> None:
    assert set(packages_distributions().get(name, ["deskstream"])) == {"deskstream"}
