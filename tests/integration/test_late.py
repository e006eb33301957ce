"""What is sent outside of the engine's transactions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.errors import OutOfOrderSequenceNumber

from app.kafka.late import LateSender
from app.runtime.record import Output
from tests.topics import Bench


@asynccontextmanager
async def sender(client: dict[str, Any]) -> AsyncIterator[LateSender]:
    late = LateSender(client)
    yield late
    await late.close()


async def test_what_is_sent_late_is_on_the_bus_in_its_partition(kafka_bootstrap: str, prefix: str) -> None:
    bench = await Bench(kafka_bootstrap, prefix).create()
    async with sender(bench.client) as late:
        outputs = [Output(bench.target, b"k", b"%d" % n, [("ce_id", b"x")]) for n in range(3)]
        # Two at once while it connects.
        await asyncio.gather(late(outputs[:1], 2), late(outputs[1:], 2))
    got = await bench.read(bench.target, at_least=3)
    assert sorted(record.value for record in got) == [b"0", b"1", b"2"]
    assert {(record.partition, record.key, tuple(record.headers)) for record in got} == {(2, b"k", (("ce_id", b"x"),))}


async def test_after_an_error_that_ends_a_producer_the_next_is_sent(kafka_bootstrap: str, prefix: str) -> None:
    """As the broker's word that the numbers of an idempotent producer have a gap."""
    bench = await Bench(kafka_bootstrap, prefix).create()
    async with sender(bench.client) as late:
        await late([Output(bench.target, b"k", b"0")], 2)
        assert late._producer is not None
        late._producer._message_accumulator.fail_all(OutOfOrderSequenceNumber())
        await late([Output(bench.target, b"k", b"lost")], 2)
        await late([Output(bench.target, b"k", b"1")], 2)
    assert [record.value for record in await bench.read(bench.target, at_least=2)] == [b"0", b"1"]


async def test_a_broker_that_is_away_fails_nobody() -> None:
    async with sender({"bootstrap_servers": "127.0.0.1:1"}) as late:
        await late([Output("t", None, b"")], 0)
