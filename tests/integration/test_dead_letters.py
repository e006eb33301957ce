"""Dead letters put back once what was wrong is mended."""

from __future__ import annotations

from uuid import uuid4

import orjson

from app.config import Settings
from app.dead_letters import Wanted, drop, read, replay
from app.kafka.connection import client_options
from app.tracker import Tracker
from app.wiring import create_tenant, runtime_pool
from tests.integration.test_pipeline import put_raw
from tests.integration.test_pipeline import settings as settings  # noqa: PLC0414 - the same fixture, here


async def _dead_ticket(settings: Settings, tenant: str, source: str) -> Tracker:
    """A ticket of a tenant that does not exist, dead-lettered; and the tracker that saw it."""
    tracker = Tracker(client=client_options(settings), source=source)
    await tracker.start()
    event = {
        "event_id": uuid4().hex, "source": source, "tenant": tenant, "conversation": "c1",
        "accepted_at": "2026-11-24T12:00:00Z", "ticket": {"ticket_id": "t", "body": "How do I print?"},
    }  # fmt: skip
    headers = [("ce_source", source.encode()), ("ce_tenant", tenant.encode())]
    await put_raw(settings, orjson.dumps(event), headers, key=f"{tenant}/c1".encode())
    await tracker.run(lambda progress: len(progress.dead) == 1, lambda progress: None)
    return tracker


async def test_a_replayed_ticket_is_routed_once_however_often_it_is_replayed(settings: Settings) -> None:
    tenant, source = f"t{uuid4().hex[:8]}", f"/test/{uuid4().hex}"
    tracker = await _dead_ticket(settings, tenant, source)
    await create_tenant(settings, tenant)
    client = client_options(settings)
    async with runtime_pool(settings) as pool:
        letters = await read(client, pool, Wanted(tenant=tenant, reason="unknown_tenant"))
        assert len(letters) == 1
        assert await replay(client, pool, letters) == []
        await replay(client, pool, letters)  # broken off and given again
        assert await read(client, pool, Wanted(tenant=tenant)) == []
        assert [letter.handled for letter in await read(client, pool, Wanted(tenant=tenant, handled_too=True))] == [
            "replayed"
        ]
    await tracker.run(lambda progress: progress.count("tickets.routed") == 1, lambda progress: None)
    # A later ticket of the conversation comes through behind whatever a second replay would have made.
    later = f"/test/{uuid4().hex}"
    behind = Tracker(client=client, source=later)
    await behind.start()
    event = {
        "event_id": uuid4().hex, "source": later, "tenant": tenant, "conversation": "c1",
        "accepted_at": "2026-11-24T12:00:00Z", "ticket": {"ticket_id": "u", "body": "And in colour?"},
    }  # fmt: skip
    await put_raw(settings, orjson.dumps(event), [("ce_source", later.encode())], key=f"{tenant}/c1".encode())
    await behind.run(lambda progress: progress.count("tickets.routed") == 1, lambda progress: None)
    await behind.stop()
    await tracker.run(lambda progress: True, lambda progress: None)
    await tracker.stop()
    assert tracker.progress.repeated == 0


async def test_a_dropped_letter_is_not_listed_any_more(settings: Settings) -> None:
    tenant, source = f"t{uuid4().hex[:8]}", f"/test/{uuid4().hex}"
    tracker = await _dead_ticket(settings, tenant, source)
    await tracker.stop()
    client = client_options(settings)
    async with runtime_pool(settings) as pool:
        letters = await read(client, pool, Wanted(tenant=tenant))
        await drop(pool, letters)
        assert await read(client, pool, Wanted(tenant=tenant)) == []
