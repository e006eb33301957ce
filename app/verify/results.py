"""What runs of the proof found, kept over runs: kills add up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from app.verify.harness import Report

_SUMMED = ("records", "kills", "lost", "repeated", "out_of_order", "calls", "calls_repeated", "calls_bound")
RUNS_KEPT_MAX = 1_000
FINDINGS_SHOWN_MAX = 20


def read(file: Path) -> dict[str, Any]:
    """The runs so far and their totals. Raises OSError, ValueError for a file of another shape."""
    known = orjson.loads(file.read_bytes()) if file.exists() else {"runs": [], "totals": {}}
    if not isinstance(known, dict) or not known.keys() >= {"runs", "totals"}:
        raise ValueError(f"{file} holds something else than runs of the proof: name another file")
    return known


def add(file: Path, report: Report) -> dict[str, Any]:
    """Add a run to ``file`` and give its totals. A run without a safeguard proves nothing and is not added.

    Raises as ``read`` does.
    """
    known = read(file)
    totals: dict[str, Any] = known["totals"]
    if report.options.safeguards_off:
        return totals
    run = report.as_json()
    totals = {name: totals.get(name, 0) + run[name] for name in _SUMMED}
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_suffix(".new")
    content = {"totals": totals, "runs": [*known["runs"], run][-RUNS_KEPT_MAX:]}
    draft.write_bytes(orjson.dumps(content, option=orjson.OPT_INDENT_2) + b"\n")
    draft.replace(file)
    return totals


def sentences(report: Report) -> list[str]:
    """The report for people."""
    damage, calls = report.damage, report.damage.calls
    causes = ", ".join(f"{number} at {fault}" for fault, number in calls.bound_by_fault.items())
    lines = [
        f"{damage.tickets} tickets, {report.kills} kills in {report.seconds:.0f} s: {len(damage.lost)} lost, "
        f"{len(damage.repeated)} repeated, {len(damage.out_of_order)} out of order.",
        f"{calls.paid} calls paid, {calls.repeated} of them again; at most {calls.bound} could have been"
        f" ({causes or 'no fault could have lost an answer'}), {len(calls.unexplained)} are not explained by a fault.",
        f"{calls.unconfirmed} calls are unconfirmed in the ledger, {calls.off_bus} confirmed ones not yet on the bus;"
        f" {len(calls.unaccounted)} differ between provider, ledger and bus.",
    ]
    if damage.dead:
        lines.append("Dead-lettered: " + ", ".join(f"{count} {reason}" for reason, count in damage.dead.items()) + ".")
    if report.crashed:
        lines.append(f"Workers that ended by themselves and were replaced: {', '.join(report.crashed)}.")
    lines += damage.findings[:FINDINGS_SHOWN_MAX]
    if not damage.is_whole:
        lines.append(f"DAMAGE: {len(damage.findings)} findings.")
    if report.kept_at:
        lines.append(f"Logs, topics, tables and findings are kept in {report.kept_at}.")
    return lines
