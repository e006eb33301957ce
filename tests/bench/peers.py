"""Python peers, each as a process of its own.

``python -m tests.bench.peers faust|quix SOURCE TARGET BOOTSTRAP IN_FLIGHT CALL_MS SIGMA``
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from typing import Any

TRANSACTION_TIMEOUT_MS = 10_000


def seconds(call_ms: float, sigma: float) -> float:
    return call_ms / 1_000 * (random.lognormvariate(-sigma * sigma / 2, sigma) if sigma else 1.0)


def run_faust(source: str, target: str, bootstrap: str, in_flight: int, call_ms: float, sigma: float) -> None:
    """exactly_once; ``in_flight`` copies of the agent, which share the stream."""
    import faust

    app = faust.App(
        f"faust-{target}", broker=f"kafka://{bootstrap}", processing_guarantee="exactly_once", web_enabled=False,
        value_serializer="raw", key_serializer="raw", datadir=tempfile.mkdtemp(), topic_disable_leader=True,
        topic_partitions=4, broker_commit_interval=0.1, stream_buffer_maxsize=max(4_096, 2 * in_flight),
        consumer_auto_offset_reset="earliest", stream_wait_empty=False,
    )  # fmt: skip
    incoming: Any = app.topic(source, value_serializer="raw", key_serializer="raw")
    outgoing: Any = app.topic(target, value_serializer="raw", key_serializer="raw")

    @app.agent(incoming, concurrency=in_flight)
    async def handle(stream: Any) -> Any:
        async for event in stream.events():
            await asyncio.sleep(seconds(call_ms, sigma))
            await outgoing.send(key=event.key, value=event.value)

    # Without a subscription to its output topic Faust writes outside the transaction, and says nothing.
    @app.agent(outgoing)
    async def subscribe(stream: Any) -> Any:
        async for _ in stream.events():
            pass

    sys.argv = ["bench", "worker"]
    faust.Worker(app, loglevel="WARNING").execute_from_commandline()


def run_quix(source: str, target: str, bootstrap: str, in_flight: int, call_ms: float, sigma: float) -> None:
    """exactly-once; one call at a time for each process, whatever ``in_flight`` says."""
    from quixstreams import Application

    app = Application(
        broker_address=bootstrap, consumer_group=f"quix-{target}", processing_guarantee="exactly-once",
        auto_offset_reset="earliest", commit_interval=1.0, loglevel="WARNING", state_dir=tempfile.mkdtemp(),
        producer_extra_config={"transaction.timeout.ms": TRANSACTION_TIMEOUT_MS},
    )  # fmt: skip
    incoming = app.topic(source, value_deserializer="bytes", key_deserializer="bytes")
    outgoing = app.topic(target, value_serializer="bytes", key_serializer="bytes")

    def call(value: Any) -> Any:
        time.sleep(seconds(call_ms, sigma))
        return value

    app.dataframe(incoming).apply(call).to_topic(outgoing)
    app.run()


if __name__ == "__main__":
    _system, _source, _target, _bootstrap, _in_flight, _call_ms, _sigma = sys.argv[1:]
    _run = {"faust": run_faust, "quix": run_quix}[_system]
    _run(_source, _target, _bootstrap, int(_in_flight), float(_call_ms), float(_sigma))
