"""What a worker does before it begins."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agents.contract import PermanentError
from app import wiring
from app.config import Settings

NO_TOPIC = PermanentError("no_topic", "there is no topic tickets.raw")


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[PermanentError | None]:
    """What each look at the topics finds wrong, the first one first; the other servers are there."""
    found: list[PermanentError | None] = []

    async def check_topics(client: Any) -> None:
        if (wrong := found.pop(0)) is not None:
            raise wrong

    async def is_there(where: Any) -> None: ...

    monkeypatch.setattr(wiring, "check_topics", check_topics)
    monkeypatch.setattr(wiring.database, "revision", is_there)
    monkeypatch.setattr(wiring, "_models_are_there", is_there)
    monkeypatch.setattr(wiring, "_LOOK_AGAIN_S", 0.001)
    return found


async def started() -> bool:
    return await wiring._servers_are_there(Settings(kafka_bootstrap="nowhere:9"), asyncio.Event())


async def test_a_broker_that_is_starting_and_knows_no_topics_yet_is_asked_again(
    looks: list[PermanentError | None],
) -> None:
    looks += [NO_TOPIC, NO_TOPIC, None]
    assert await started()
    assert looks == []


async def test_topics_that_stay_away_end_the_worker(
    looks: list[PermanentError | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wiring, "_TOPICS_KNOWN_S_MAX", 0.05)
    looks += [NO_TOPIC] * 1_000
    with pytest.raises(PermanentError, match="there is no topic"):
        async with asyncio.timeout(5):
            await started()


async def test_topics_that_are_wrong_are_not_waited_for(looks: list[PermanentError | None]) -> None:
    looks += [PermanentError("partitions_differ", "topics differ"), None]
    with pytest.raises(PermanentError, match="topics differ"):
        await started()
