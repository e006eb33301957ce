"""An event that arrives again at another offset is recognised."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from app.ports import ClaimOutcome, Place
from app.store.claims import Claims
from app.store.database import connect, migrate

PLACE = Place("topic", 1, 7)


@pytest.fixture
async def claims(database_url: str) -> AsyncIterator[Claims]:
    await migrate(database_url)
    pool = await connect(database_url, role="deskstream_runtime", connections_max=3)
    claims = Claims(pool)
    yield claims
    await claims.close()
    await pool.close()


async def claim(claims: Claims, event_id: str, **changes: Any) -> ClaimOutcome:
    fields = {"stage": "classify", "tenant": "acme", "source": "desk", "replay": 0, "digest": "d", "place": PLACE}
    return await claims.claim(event_id=event_id, **{**fields, **changes})


async def test_an_event_is_new_once_and_then_the_same(claims: Claims) -> None:
    event = uuid4().hex
    assert [await claim(claims, event) for _ in range(3)] == ["new", "same", "same"]


@pytest.mark.parametrize("place", [Place("other", 1, 7), Place("topic", 2, 7), Place("topic", 1, 8)])
async def test_the_same_content_elsewhere_is_a_repeat(claims: Claims, place: Place) -> None:
    event = uuid4().hex
    await claim(claims, event)
    assert await claim(claims, event, place=place) == "repeat"


async def test_other_content_elsewhere_is_a_conflict(claims: Claims) -> None:
    event = uuid4().hex
    await claim(claims, event)
    assert await claim(claims, event, place=Place("topic", 1, 8), digest="e") == "conflict"


@pytest.mark.parametrize("changed", [{"stage": "x"}, {"tenant": "x"}, {"source": "x"}, {"replay": 1}])
async def test_another_stage_tenant_source_or_replay_is_another_event(claims: Claims, changed: dict[str, Any]) -> None:
    event = uuid4().hex
    await claim(claims, event)
    assert await claim(claims, event, place=Place("topic", 1, 8), **changed) == "new"


async def test_of_many_places_at_once_one_is_new(claims: Claims) -> None:
    event = uuid4().hex
    outcomes = await asyncio.gather(*(claim(claims, event, place=Place("topic", 0, offset)) for offset in range(50)))
    assert sorted(outcomes) == ["new"] + ["repeat"] * 49
