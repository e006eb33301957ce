"""``deskstream eval``: the measured figures of quality and cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from app.cli import shared
from app.cli.shared import AsJson, err, out

if TYPE_CHECKING:
    from app.config import Settings
    from app.evaluation.data import Data
    from app.evaluation.figures import Figure
    from app.evaluation.retrieval import Measured

_DATA = Path("../shared/data")
_RESULTS = Path("infra/docs/generated/eval.json")
_SAID_EVERY_S = 10.0


app = typer.Typer(invoke_without_command=True)


@app.callback()
def evaluate(
    context: typer.Context,
    data: Annotated[Path, typer.Option(help="The folder of the evaluation data.")] = _DATA,
    part: Annotated[
        list[str] | None,
        typer.Option(help="classification, language, retrieval, citations, calibration or cost; may be given again."),
    ] = None,
    results: Annotated[Path, typer.Option(help="JSON that the figures go into; the page stands beside it.")] = _RESULTS,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many tickets of each part, evenly apart; labels are not cut.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure quality and cost on real data; figures of parts that are not measured now stay as they were."""
    if context.invoked_subcommand:
        return
    from app.evaluation.data import Data
    from app.evaluation.figures import flat
    from app.evaluation.parts import PARTS

    wanted = tuple(part or PARTS)
    if unknown := [name for name in wanted if name not in PARTS]:
        shared.fail(f"--part: there is no {', '.join(unknown)}: it is one of {', '.join(PARTS)}", shared.USAGE)
    if not data.is_dir():
        shared.fail(f"{data} is not there: name the folder of the evaluation data with --data", shared.USAGE)
    found = shared.run(_evaluate(shared.settings(), Data(data), wanted, results, limit))
    if as_json:
        shared.print_json(found)
    else:
        _print(flat(found))
        out.print(f"Figures: {results}. Page: {results.with_suffix('.html')}.", markup=False, soft_wrap=True)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="JSON Lines, written anew: a row for each reviewed draft.")],
    tenant: Annotated[str, typer.Option("--tenant", "-t", help="Whose: lower-case letters, digits, - and _.")],
    mask: Annotated[bool, typer.Option("--mask/--no-mask", help="Personal data, as far as they have a form.")] = True,
) -> None:
    """An evaluation set from reviews: ticket, draft, and what people made of it."""
    import orjson

    from app.desk import evaluation_set
    from app.kafka.connection import client_options

    settings = shared.resolved(("kafka_bootstrap",))
    with file.open("wb") as stream:
        work = evaluation_set.export(
            client_options(settings), tenant, lambda row: stream.write(orjson.dumps(row) + b"\n"), masks=mask
        )
        taken, gone = shared.run(work)
    out.print(f"{taken:,} reviewed drafts in {file}.", markup=False, soft_wrap=True)
    if gone:
        err.print(f"{gone:,} more were reviewed, but their tickets are not on the bus any more.", soft_wrap=True)


async def _evaluate(
    settings: Settings, data: Data, wanted: Sequence[str], results: Path, limit: int | None
) -> dict[str, Any]:
    from app.embedded import servers
    from app.evaluation.parts import Evaluation
    from app.store.database import migrate

    # No bus is needed: what a setting names is not started.
    wants = settings.model_copy(update={"kafka_bootstrap": settings.kafka_bootstrap or "unused:9092"})
    started = await servers.up(wants, say=lambda text: err.print(text, style="dim"))
    try:
        resolved = servers.resolve(wants)
        await migrate(resolved.database_url or "")
        found: dict[str, Any] = {}
        async for figures in Evaluation(resolved, data, _Progress(), limit).run(wanted):
            found = _keep(results, figures, data.version)
    finally:
        if started.started:
            await servers.down(wants, only=started.started)
    return found


def _keep(results: Path, figures: Sequence[Figure], data_version: str) -> dict[str, Any]:
    """Each part as soon as it is measured: one that is broken off loses only itself."""
    import json

    from app.evaluation.figures import merged
    from app.evaluation.page import html

    before = json.loads(results.read_text()) if results.exists() else {}
    found = merged(before, figures, date=datetime.now(UTC).isoformat(timespec="seconds"), data=data_version)
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", "utf-8")
    results.with_suffix(".html").write_text(html(found), "utf-8")
    return found


def _print(figures: dict[str, dict[str, Any]]) -> None:
    from rich.table import Table

    from app.evaluation.page import is_reached, shown, target

    table = Table(title="Measured figures", title_justify="left", box=None)
    for name in ("figure", "value", "target", "rows", "date", "model"):
        justify: Literal["left", "right"] = "right" if name in {"value", "rows"} else "left"
        table.add_column(name, justify=justify, no_wrap=name != "model", overflow="fold")
    for name, figure in figures.items():
        style = {True: "green", False: "red", None: ""}[is_reached(figure)]
        table.add_row(
            name, f"[{style}]{shown(name, figure['value'])}[/]" if style else shown(name, figure["value"]),
            target(figure), f"{figure['rows']:,}", figure["date"][:10], figure["model"],
        )  # fmt: skip
    table.caption = f"Data: {', '.join(sorted({figure['data'] for figure in figures.values()}))}"
    out.print(table)


class _Progress:
    """A line now and then, and one for each step."""

    def __init__(self) -> None:
        self._step = ""
        self._said = 0.0

    def __call__(self, step: str, done: int, of: int) -> None:
        now = time.monotonic()
        if step == self._step and done != of and now - self._said < _SAID_EVERY_S:
            return
        if step == self._step and done == of and now - self._said < 1.0:
            return
        self._step, self._said = step, now
        err.print(f"{step}: {done:,} of {of:,}" if of else step, style="dim", markup=False)


async def measure_knowledge(settings: Settings, file: Path, tenant: str) -> list[Measured]:
    """For ``kb eval``: ``tenant``'s search on the judged questions of ``file``."""
    from app.evaluation.data import Data
    from app.evaluation.parts import answering, measure_search
    from app.evaluation.retrieval import judged

    questions = judged(Data(file.parent).rows(file.name))
    progress = _Progress()
    async with answering(settings) as answerer:
        return await measure_search(
            settings, answerer, tenant, questions, lambda done, of: progress("judged questions", done, of)
        )


def print_measured(found: Sequence[Measured]) -> None:
    from rich.table import Table

    from app.knowledge.measures import MEASURES

    table = Table(title="Search beside BM25, mean and 95 % confidence", title_justify="left")
    table.add_column("locale")
    table.add_column("rows", justify="right")
    table.add_column("by")
    for name in MEASURES:
        table.add_column(name)
    for one in found:
        table.add_row(one.locale, f"{one.rows:,}", "search", *(str(one.search[name]) for name in MEASURES))
        table.add_row("", "", "BM25", *(str(one.bm25[name]) for name in MEASURES))
    out.print(table)
