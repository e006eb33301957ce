"""The end of a run in numbers that add up: for people, and as ``summary.json`` for programs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson

from agents.contract import Agent
from app.tracker import Progress

SUMMARY_FILE = "summary.json"


@dataclass(frozen=True)
class StageTime:
    stage: str
    p50_s: float
    p95_s: float


@dataclass(frozen=True)
class Summary:
    """``ledger``: calls and cost as the ledger in PostgreSQL has them, beside the bus's own count."""

    run_id: str
    tickets: int
    progress: Progress
    seconds: float
    ledger_calls: int
    ledger_cost_usd: Decimal
    stage_times: tuple[StageTime, ...]

    @property
    def unaccounted(self) -> int:
        return self.tickets - len(self.progress.ended)

    @property
    def problems(self) -> tuple[str, ...]:
        """Numbers that don't add up, in words; empty when all is well."""
        progress = self.progress
        both = progress.at_ms["tickets.routed"].keys() & progress.dead.keys()
        checks = (
            (self.unaccounted > 0, f"{self.unaccounted} tickets are unaccounted for"),
            (progress.repeated > 0, f"{progress.repeated} events were repeated"),
            (bool(both), f"{len(both)} tickets are both routed and dead-lettered"),
            (progress.invalid_citations > 0, f"{progress.invalid_citations} replies cite what was not retrieved"),
            (
                self.ledger_calls != len(progress.calls),
                f"the ledger has {self.ledger_calls} calls, the bus {len(progress.calls)}",
            ),
            (
                self.ledger_cost_usd != progress.cost_usd,
                f"the ledger has ${self.ledger_cost_usd}, the bus ${progress.cost_usd}",
            ),
        )
        return tuple(text for applies, text in checks if applies)

    def as_json(self) -> dict[str, Any]:
        routes = self.progress.routes
        return {
            "run_id": self.run_id,
            "tickets": self.tickets,
            "routed": self.progress.count("tickets.routed"),
            "sent": routes["send"],
            "review": routes["review"],
            "escalated": routes["escalate"],
            "superseded": routes["superseded"],
            "dead": len(self.progress.dead),
            "dead_reasons": _counted(self.progress.dead.values()),
            "model_calls": len(self.progress.calls),
            "models": _counted(self.progress.calls.values()),
            "cost_usd": float(self.progress.cost_usd),
            "seconds": round(self.seconds, 1),
            "stage_seconds": {t.stage: {"p50": round(t.p50_s, 3), "p95": round(t.p95_s, 3)} for t in self.stage_times},
            "problems": list(self.problems),
        }

    def write(self, state_dir: Path) -> Path:
        """Raises OSError."""
        file = state_dir / SUMMARY_FILE
        draft = file.with_suffix(".new")
        draft.write_bytes(orjson.dumps(self.as_json(), option=orjson.OPT_INDENT_2) + b"\n")
        draft.replace(file)
        return file


def stage_times(progress: Progress, pipeline: tuple[Agent, ...]) -> tuple[StageTime, ...]:
    """Per stage, from a ticket's record in its topic to its record in the next: waiting, call and commit."""
    return tuple(
        StageTime(agent.name, statistics.median(seconds), _p95(seconds))
        for agent in pipeline
        if (seconds := progress.stage_seconds(agent.consumes.TOPIC, agent.produces.TOPIC))
    )


def _p95(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.95))]


def _counted(values: Any) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for value in values:
        counts[value] = counts.get(value, 0) + 1
    return counts
