"""Every metric of the app, by name, in one place; the catalogue in the docs is generated from here.

Labels are bounded: stage, topic, partition, model, outcome. Never a tenant's or a ticket's id.
"""

from __future__ import annotations

import logging
from decimal import Decimal
from http.server import ThreadingHTTPServer
from typing import cast

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from app.ports import LedgerRow

REGISTRY = CollectorRegistry()

_log = structlog.get_logger()
_DOUBTFUL = frozenset({"fenced", "in_doubt", "offsets_gone"})
_FREQUENT = frozenset({"paused", "resumed"})

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)

POLLED = Counter("deskstream_records_polled", "Records polled", ["stage"], registry=REGISTRY)
HANDLED = Counter(
    "deskstream_records_handled", "Handler runs by outcome; a dead letter by its reason", ["stage", "outcome"],
    registry=REGISTRY,
)  # fmt: skip
HANDLE_SECONDS = Histogram(
    "deskstream_handle_duration_seconds", "One handler run, calls included", ["stage"], buckets=_SECONDS,
    registry=REGISTRY,
)  # fmt: skip
WAIT_SECONDS = Histogram(
    "deskstream_wait_duration_seconds", "From a record's timestamp to its handler's start", ["stage"],
    buckets=_SECONDS, registry=REGISTRY,
)  # fmt: skip
COMMITTED = Counter("deskstream_records_committed", "Input records committed", ["stage"], registry=REGISTRY)
DEAD_LETTERED = Counter("deskstream_records_dead_lettered", "Input records dead-lettered", ["stage"], registry=REGISTRY)
COMMIT_SECONDS = Histogram(
    "deskstream_commit_duration_seconds", "One transaction", ["stage"], buckets=_SECONDS, registry=REGISTRY
)
LAG = Gauge("deskstream_lag_records", "Records in the topic not yet polled", ["stage", "partition"], registry=REGISTRY)
SPAN = Gauge(
    "deskstream_span_offsets", "Offsets between the lowest unfinished and the highest polled", ["stage", "partition"],
    registry=REGISTRY,
)  # fmt: skip
IN_FLIGHT = Gauge("deskstream_in_flight_records", "Handlers running", ["stage"], registry=REGISTRY)
WAITING = Gauge("deskstream_waiting_records", "Records polled and waiting for their turn", ["stage"], registry=REGISTRY)
PARTITION_EVENTS = Counter(
    "deskstream_partition_events", "assigned, revoked, paused, resumed, fenced, in_doubt, recovered, offsets_gone",
    ["stage", "event"], registry=REGISTRY,
)  # fmt: skip
CALLS = Counter("deskstream_calls", "Paid calls", ["stage", "operation", "model", "outcome"], registry=REGISTRY)
CALL_SECONDS = Histogram(
    "deskstream_call_duration_seconds", "One paid call", ["stage", "operation", "model"], buckets=_SECONDS,
    registry=REGISTRY,
)  # fmt: skip
TOKENS = Counter("deskstream_tokens", "Tokens, each counted once", ["stage", "model", "type"], registry=REGISTRY)
COST = Counter("deskstream_cost_usd", "US dollars at list price", ["stage", "model"], registry=REGISTRY)
REPEATED = Counter(
    "deskstream_calls_repeated", "Calls made again because the answer was lost", ["stage"], registry=REGISTRY
)

PROJECTION_LAG = Gauge(
    "deskstream_projection_lag_records", "Records in the topic that the desk's tables do not have yet",
    ["topic", "partition"], registry=REGISTRY,
)  # fmt: skip
AUDITED = Counter("deskstream_audited", "What the auditor has checked: record, reply", ["kind"], registry=REGISTRY)
PROMISES_BROKEN = Counter(
    "deskstream_promises_broken", "Of these, what must not be: sending is halted for the tenant", ["kind"],
    registry=REGISTRY,
)  # fmt: skip
REPLIES = Counter(
    "deskstream_replies", "Attempts to send: sent, found (it had landed), later, stale, unknown, failed", ["outcome"],
    registry=REGISTRY,
)  # fmt: skip
REPLY_WINDOW_SECONDS = Histogram(
    "deskstream_reply_window_seconds",
    "From the look for newer messages to the help desk's answer: what comes in between is answered late",
    buckets=_SECONDS, registry=REGISTRY,
)  # fmt: skip


def serve(host: str, port: int) -> int:
    """Serve ``/metrics`` from a thread; gives the port."""
    server, _ = start_http_server(port, addr=host, registry=REGISTRY)
    return cast(ThreadingHTTPServer, server).server_port


def count_call(row: LedgerRow) -> None:
    """A call was answered, refused or lost."""
    stage = row.key.stage
    CALLS.labels(stage, row.operation, row.model, row.outcome).inc()
    CALL_SECONDS.labels(stage, row.operation, row.model).observe(row.latency_s)
    usage = row.usage
    for kind, tokens in (
        ("input", usage.input_tokens),
        ("cached", usage.cached_tokens),
        ("cache_write", usage.cache_write_tokens),
        ("output", usage.output_tokens),
    ):
        if tokens:
            TOKENS.labels(stage, row.model, kind).inc(tokens)
    if row.cost_usd > Decimal(0):
        COST.labels(stage, row.model).inc(float(row.cost_usd))


class StageMetrics:
    """The engine's observer for one stage."""

    def __init__(self, stage: str) -> None:
        self._stage = stage
        # What is counted for every record: a look-up by labels costs more than the counting.
        self._wait_seconds = WAIT_SECONDS.labels(stage)
        self._handle_seconds = HANDLE_SECONDS.labels(stage)
        self._handled_ok = HANDLED.labels(stage, "ok")

    def polled(self, topic: str, partition: int, records: int) -> None:
        POLLED.labels(self._stage).inc(records)

    def started(self, waited_s: float) -> None:
        self._wait_seconds.observe(waited_s)

    def handled(self, outcome: str, duration_s: float, attempts: int) -> None:
        (self._handled_ok if outcome == "ok" else HANDLED.labels(self._stage, outcome)).inc()
        self._handle_seconds.observe(duration_s)

    def bug(self, topic: str, partition: int, offset: int, error: BaseException) -> None:
        _log.error("handler_bug", stage=self._stage, topic=topic, partition=partition, offset=offset, exc_info=error)

    def committed(self, topic: str, partition: int, *, records: int, dead: int, duration_s: float) -> None:
        COMMITTED.labels(self._stage).inc(records)
        DEAD_LETTERED.labels(self._stage).inc(dead)
        COMMIT_SECONDS.labels(self._stage).observe(duration_s)

    def lag(self, topic: str, partition: int, *, records: int, span: int) -> None:
        LAG.labels(self._stage, str(partition)).set(records)
        SPAN.labels(self._stage, str(partition)).set(span)

    def load(self, *, in_flight: int, waiting: int) -> None:
        IN_FLIGHT.labels(self._stage).set(in_flight)
        WAITING.labels(self._stage).set(waiting)

    def partition_event(self, event: str, topic: str, partition: int, detail: str = "") -> None:
        PARTITION_EVENTS.labels(self._stage, event).inc()
        level = logging.WARNING if event in _DOUBTFUL else logging.DEBUG if event in _FREQUENT else logging.INFO
        _log.log(level, f"partition_{event}", stage=self._stage, topic=topic, partition=partition, detail=detail)
