"""What a person sees while a run goes on: a table that moves on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from agents.pipeline import PIPELINE
from app.summary import SUMMARY_FILE, Summary
from app.tracker import Progress

_LINE_EVERY_S = 5.0
_TABLE_EVERY_S = 0.25


class KnowledgeBar:
    """Characters embedded of those to embed; nothing shows when there is nothing to do."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Bar(
            TextColumn("Embedding articles"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(), console=console, transient=True,
        )  # fmt: skip
        self._task: TaskID | None = None
        self._said = time.monotonic()

    def update(self, done_chars: int, total_chars: int) -> None:
        if not total_chars:
            return
        if not self._console.is_terminal:
            if time.monotonic() - self._said > _LINE_EVERY_S or done_chars >= total_chars:
                self._said = time.monotonic()
                self._console.print(f"Embedding articles: {100 * done_chars // total_chars} %")
            return
        if self._task is None:
            self._task = self._bar.add_task("", total=total_chars)
            self._bar.start()
        self._bar.update(self._task, completed=done_chars, total=total_chars)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()


class LiveProgress:
    def __init__(self, console: Console, logs: Path) -> None:
        self._console = console
        self._logs = logs
        self._shown = 0.0
        self._live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def update(self, progress: Progress, *, tickets: int) -> None:
        now = time.monotonic()
        if now - self._shown < (_TABLE_EVERY_S if self._live else _LINE_EVERY_S):
            return
        self._shown = now
        if self._live:
            self._live.update(_progress_table(progress, tickets), refresh=True)
        else:
            at_stages = ", ".join(f"{progress.count(a.produces.TOPIC)} {a.produces.TOPIC[8:]}" for a in PIPELINE)
            self._console.print(
                f"{tickets} tickets: {at_stages}, {len(progress.dead)} dead; "
                f"{len(progress.calls)} model calls, ${progress.cost_usd:.4f}; lag {tickets - len(progress.ended)}"
            )

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        else:
            self._console.print(f"Tickets go in; each stage logs to {self._logs}.")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live:
            self._live.stop()


def _progress_table(progress: Progress, tickets: int) -> Table:
    table = Table(title=f"{len(progress.ended)} of {tickets} tickets", title_justify="left")
    for name in ("stage", "done", "lag", "topic"):
        table.add_column(name, justify="right" if name in {"done", "lag"} else "left")
    for agent in PIPELINE:
        done, came = progress.count(agent.produces.TOPIC), progress.count(agent.consumes.TOPIC)
        table.add_row(agent.name, str(done), str(max(0, came - done)), agent.produces.TOPIC)
    table.caption = f"{len(progress.calls)} model calls, ${progress.cost_usd:.4f}; {len(progress.dead)} dead-lettered"
    return table


def print_summary(console: Console, summary: Summary, state_dir: Path) -> None:
    numbers = summary.as_json()
    table = Table(title=f"Run {summary.run_id}", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    for label, value in (
        ("tickets", numbers["tickets"]),
        ("sent", numbers["sent"]),
        ("sent to review", numbers["review"]),
        ("escalated", numbers["escalated"]),
        ("superseded", numbers["superseded"]),
        ("dead-lettered", numbers["dead"]),
        ("model calls", numbers["model_calls"]),
        ("cost", f"${summary.progress.cost_usd:.4f}"),
        ("cost per ticket", f"${summary.progress.cost_usd / max(1, summary.tickets):.5f}"),
        ("seconds", f"{summary.seconds:.0f}"),
    ):
        table.add_row(label, str(value))
    console.print(table)
    _print_details(console, summary, state_dir)


def _print_details(console: Console, summary: Summary, state_dir: Path) -> None:
    times = Table(title="Seconds per stage", title_justify="left")
    for name in ("stage", "p50", "p95"):
        times.add_column(name, justify="left" if name == "stage" else "right")
    for stage in summary.stage_times:
        times.add_row(stage.stage, f"{stage.p50_s:.2f}", f"{stage.p95_s:.2f}")
    console.print(times)
    if any(model.startswith("offline-") for model in summary.progress.calls.values()):
        console.print(
            "The offline model answered: it is no language model. Costs are what the calls would cost at the list "
            "prices of the models they were addressed to."
        )
    for reason, count in summary.progress.reasons.most_common(5):
        console.print(f"  {count} × {reason}", markup=False)
    for problem in summary.problems:
        console.print(f"PROBLEM: {problem}", style="bold red", markup=False)
    console.print(f"Numbers: {state_dir / SUMMARY_FILE}. Logs: {state_dir / 'logs'}. Topics and tables: README.md.")
