"""``deskstream reviews``: what people made of drafts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.cli import shared
from app.cli.shared import err, out

app = typer.Typer(no_args_is_help=True, help="What people made of drafts.")


@app.callback()
def group() -> None:
    """A command of its own name, though it is the only one."""


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="JSON Lines, plain or .gz: the fields of a ReviewDecided.")],
    tenant: Annotated[str, typer.Option("--tenant", "-t", help="Whose: lower-case letters, digits, - and _.")],
    source: Annotated[str, typer.Option(help="Name of where they come from; it is part of an id that is not given.")]
    = "import",
) -> None:  # fmt: skip
    """Put past decisions on the bus, each once. A bad line is reported by its number and passed over."""
    from app.kafka.connection import client_options
    from app.reviews import import_reviews

    done = shared.run(
        import_reviews(
            shared.existing(file, "FILE"),
            client=client_options(shared.resolved(("kafka_bootstrap",))),
            tenant=tenant,
            source=f"/reviews/{source}",
            on_bad_line=lambda number, text: err.print(f"{file}, line {number}: {text}", markup=False, soft_wrap=True),
        )
    )
    out.print(f"{done.lines - done.bad - done.repeats} reviews in, {done.repeats} repeats, {done.bad} bad lines.")
    if done.bad:
        raise typer.Exit(1)
