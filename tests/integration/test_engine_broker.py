"""The engine while its broker goes away and comes back."""

from __future__ import annotations

import asyncio
import random

import pytest
from aiokafka import AIOKafkaProducer

from app.embedded.kafka import EmbeddedKafka
from app.runtime.record import Limits, Output, Record
from tests.integration.test_engine import assert_once_in_order, rows
from tests.topics import Bench, Seen, running, until


@pytest.fixture
async def bench(own_kafka: EmbeddedKafka, prefix: str) -> Bench:
    await own_kafka.start()
    return await Bench(own_kafka.address, prefix).create()


@pytest.mark.parametrize("how", ["restart", "kill"])
async def test_a_broker_that_goes_away_in_the_middle_loses_and_repeats_nothing(
    bench: Bench, own_kafka: EmbeddedKafka, how: str
) -> None:
    sent = rows(2_000, keys=100)
    await bench.fill(sent)
    handled = 0

    async def handler(record: Record) -> list[Output]:
        nonlocal handled
        await asyncio.sleep(random.random() * 0.05)
        handled += 1
        return list(bench.copy(record))

    async with running(bench.worker(handler, limits=Limits(in_flight_max=40), observer=Seen())):
        await until(lambda: handled > 500)
        if how == "kill":
            await own_kafka.kill()
            await own_kafka.start()
        else:
            await own_kafka.restart()
        got = await bench.read(bench.target, at_least=2_000)
    assert_once_in_order(sent, got)


async def test_a_worker_waits_for_a_broker_that_is_not_there_yet(bench: Bench, own_kafka: EmbeddedKafka) -> None:
    await bench.fill([(b"k", b"1")])
    await own_kafka.stop()
    said: list[str] = []

    async def handler(record: Record) -> list[Output]:
        return list(bench.copy(record))

    worker = bench.worker(handler, on_wait=said.append)
    async with running(worker):
        await until(lambda: bool(said))
        await own_kafka.start()
        assert len(await bench.read(bench.target, at_least=1)) == 1
    assert f"waiting for Kafka at {own_kafka.address}" in said[0]


class NoNodeAtFirst(AIOKafkaProducer):  # type: ignore[misc] # aiokafka has no types
    """Each partition's first one knows no node, as of a broker that is just starting."""

    without_node = 4

    async def start(self) -> None:
        if NoNodeAtFirst.without_node:
            NoNodeAtFirst.without_node -= 1
            self.client.get_random_node = lambda: None
        await super().start()


async def test_a_broker_that_names_no_node_yet_is_asked_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """aiokafka says so by an AssertionError, which would end the worker as a bug."""
    monkeypatch.setattr("app.runtime.partition.AIOKafkaProducer", NoNodeAtFirst)
    await bench.fill([(b"k", b"1")])
    seen = Seen()

    async def handler(record: Record) -> list[Output]:
        return list(bench.copy(record))

    async with running(bench.worker(handler, observer=seen)):
        assert len(await bench.read(bench.target, at_least=1)) == 1
    assert sum("Did we not perform bootstrap" in detail for _, _, detail in seen.events) == 4
