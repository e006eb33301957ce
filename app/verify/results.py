"""What runs of the proof found, kept over runs: kills add up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from app.verify.harness import Report

_SUMMED = ("records", "kills", "lost", "repeated", "out_of_order", "calls", "calls_repeated", "calls_bound")
RUNS_KEPT_MAX = 1_000


def add(file: Path, report: Report) -> dict[str, Any]:
    """Add a run to ``file`` and give its totals. Raises OSError, ValueError for a file of another shape."""
    known = orjson.loads(file.read_bytes()) if file.exists() else {"runs": []}
    runs = [*known["runs"], report.as_json()][-RUNS_KEPT_MAX:]
    totals = {name: sum(run[name] for run in runs) for name in _SUMMED}
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".new")
    draft.write_bytes(orjson.dumps({"totals": totals, "runs": runs}, option=orjson.OPT_INDENT_2) + b"\n")
    draft.replace(file)
    return totals


def sentences(report: Report) -> list[str]:
    """The report for people."""
    damage = report.damage
    lines = [
        f"{damage.tickets} tickets, {report.kills} kills in {report.seconds:.0f} s: {len(damage.lost)} lost, "
        f"{len(damage.repeated)} repeated, {len(damage.out_of_order)} out of order.",
        f"{damage.calls} calls paid, {damage.calls_repeated} of them more than once; "
        f"at most {damage.calls_bound} could have been.",
    ]
    if damage.dead:
        lines.append("Dead-lettered: " + ", ".join(f"{count} {reason}" for reason, count in damage.dead.items()) + ".")
    for kind in (damage.lost, damage.repeated, damage.out_of_order, damage.calls_unaccounted):
        lines += list(kind[:5])
    if report.kept_at:
        lines.append(f"DAMAGE. Logs, topics and tables are kept in {report.kept_at}.")
    return lines
