"""What is sent outside of the engine's transactions."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

from app.kafka.late import LateSender
from app.runtime.record import Output
from tests.topics import Bench


async def test_what_is_sent_late_is_on_the_bus_in_its_partition(kafka_bootstrap: str, prefix: str) -> None:
    bench = await Bench(kafka_bootstrap, prefix).create()
    async with aclosing(_Closed(LateSender(bench.client))) as late:
        outputs = [Output(bench.target, b"k", b"%d" % n, [("ce_id", b"x")]) for n in range(3)]
        # Two at once while it connects.
        await asyncio.gather(late.send(outputs[:1], 2), late.send(outputs[1:], 2))
    got = await bench.read(bench.target, at_least=3)
    assert sorted(record.value for record in got) == [b"0", b"1", b"2"]
    assert {(record.partition, record.key, tuple(record.headers)) for record in got} == {(2, b"k", (("ce_id", b"x"),))}


async def test_a_broker_that_is_away_fails_nobody() -> None:
    async with aclosing(_Closed(LateSender({"bootstrap_servers": "127.0.0.1:1"}))) as late:
        await late.send([Output("t", None, b"")], 0)


class _Closed:
    """``aclosing`` wants a method of its own name."""

    def __init__(self, sender: LateSender) -> None:
        self.send = sender
        self.aclose = sender.close
