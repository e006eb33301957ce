"""``deskstream verify``: the proof."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli import shared
from app.cli.shared import AsJson, err, out
from app.verify.schedule import DENSE_APART_S, WORKERS_MAX, Fault

SAFEGUARDS = ("fencing", "map", "journal", "claims")


def verify(
    minutes: Annotated[float, typer.Option(min=0.5, max=1_000, help="How long faults strike.")] = 1.7,
    seed: Annotated[
        int, typer.Option(help="The same seed, --apart-s and --fault give the same schedule of faults.")
    ] = 1,
    tickets: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="How many come in, spread over the time of the faults.")
    ] = 600,
    conversations: Annotated[
        int, typer.Option(min=1, max=100_000, help="Into how many conversations they fall, over three tenants.")
    ] = 150,
    workers: Annotated[
        int,
        typer.Option(min=1, max=WORKERS_MAX, help="Of each stage; a fault may add some, to 4."),
    ] = 2,
    latency_s: Annotated[
        float, typer.Option(min=0.01, max=60, help="Of a model's answer, log-normal, on average.")
    ] = 1.0,
    apart_s: Annotated[
        float, typer.Option(min=1, max=600, help="From one fault to the next, on average; a half to one and a half.")
    ] = DENSE_APART_S,
    fault: Annotated[
        list[Fault] | None, typer.Option(help="Only faults of this kind; may be given again. Without it, all kinds.")
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(help=f"A safeguard to leave out: {', '.join(SAFEGUARDS)}; may be given again. Must do damage."),
    ] = None,
    keep: Annotated[bool, typer.Option(help="Keep logs, topics and tables though nothing is wrong.")] = False,
    results: Annotated[Path | None, typer.Option(help="JSON to add this run to; kills add up.")] = None,
    as_json: AsJson = False,
) -> None:
    """The proof: real stages on servers of their own, kills and freezes, then an independent count."""
    from app.verify.harness import Options
    from app.verify.harness import verify as prove
    from app.verify.results import add, read, sentences

    if unknown := sorted(set(without or ()) - set(SAFEGUARDS)):
        shared.fail(f"there is no safeguard {unknown[0]!r}: it is one of {', '.join(SAFEGUARDS)}", shared.USAGE)
    if results:
        try:
            read(results)  # before the run, which may be long
        except (OSError, ValueError) as error:
            shared.fail(f"--results {results}: {error}", shared.USAGE)
    options = Options(
        tickets=tickets,
        duration_s=minutes * 60,
        seed=seed,
        apart_s=apart_s,
        conversations=conversations,
        per_stage=workers,
        latency_s=latency_s,
        faults=frozenset(fault or Fault),
        safeguards_off=frozenset(without or ()),
        libs=shared.settings().state_dir / "kafka" / "libs",
        keep=keep,
    )
    report = shared.run(prove(options, lambda text: err.print(text, markup=False)))
    if results:
        add(results, report)
    if as_json:
        shared.print_json(report.as_json())
    else:
        for line in sentences(report):
            out.print(line, markup=False, soft_wrap=True)
    if not report.damage.is_whole:
        raise typer.Exit(1)
