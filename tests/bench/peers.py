"""Python peers, each as a process of its own.

``python -m tests.bench.peers faust|quix NAME BOOTSTRAP IN_FLIGHT CALL_MS SIGMA``
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from typing import Any


def seconds(call_ms: float, sigma: float) -> float:
    return call_ms / 1_000 * (random.lognormvariate(-sigma * sigma / 2, sigma) if sigma else 1.0)


def run_faust(name: str, bootstrap: str, in_flight: int, call_ms: float, sigma: float) -> None:
    """exactly_once; ``in_flight`` copies of the agent's stream."""
    import faust

    app = faust.App(
        f"faust-{name}", broker=f"kafka://{bootstrap}", processing_guarantee="exactly_once", value_serializer="raw",
        key_serializer="raw", datadir=tempfile.mkdtemp(), web_enabled=False, topic_disable_leader=True,
        stream_wait_empty=False, topic_partitions=4,
    )  # fmt: skip
    source: Any = app.topic(f"{name}.in", value_serializer="raw", key_serializer="raw")
    target: Any = app.topic(f"{name}.out", value_serializer="raw", key_serializer="raw")

    @app.agent(source, concurrency=in_flight)
    async def handle(stream: Any) -> Any:
        async for key, value in stream.items():
            await asyncio.sleep(seconds(call_ms, sigma))
            await target.send(key=key, value=value)

    faust.Worker(app, loglevel="ERROR").execute_from_commandline()


def run_quix(name: str, bootstrap: str, in_flight: int, call_ms: float, sigma: float) -> None:
    """exactly-once; one call at a time for each process, whatever ``in_flight`` says."""
    from quixstreams import Application

    app = Application(
        broker_address=bootstrap, consumer_group=f"quix-{name}", processing_guarantee="exactly-once",
        auto_offset_reset="earliest", commit_interval=0.1, loglevel="ERROR", state_dir=tempfile.mkdtemp(),
    )  # fmt: skip
    source = app.topic(f"{name}.in", value_deserializer="bytes", key_deserializer="bytes")
    target = app.topic(f"{name}.out", value_serializer="bytes", key_serializer="bytes")

    def call(value: Any) -> Any:
        time.sleep(seconds(call_ms, sigma))
        return value

    app.dataframe(source).apply(call).to_topic(target)
    app.run()


if __name__ == "__main__":
    _system, _name, _bootstrap, _in_flight, _call_ms, _sigma = sys.argv[1:]
    {"faust": run_faust, "quix": run_quix}[_system](_name, _bootstrap, int(_in_flight), float(_call_ms), float(_sigma))
