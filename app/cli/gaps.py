"""``deskstream kb gaps``: what the knowledge base lacks."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from app.cli import shared
from app.cli.shared import AsJson, err, out

if TYPE_CHECKING:
    from app.config import Settings
    from app.knowledge.gap_report import Gap, Read

PROPOSALS_MAX = 20  # each is a call of the drafting model


def gaps(
    tenant: Annotated[str, typer.Option("--tenant", "-t", help="Whose: lower-case letters, digits, - and _.")],
    since: Annotated[datetime | None, typer.Option(help="Only tickets routed since then (UTC).")] = None,
    size_min: Annotated[int, typer.Option(min=1, help="Only groups of at least so many tickets.")] = 3,
    similarity_min: Annotated[
        float | None,
        typer.Option(min=-1, max=1, help="Below it nothing was found. Default: the lowest tenth of these tickets."),
    ] = None,
    propose: Annotated[
        Path | None, typer.Option(help="Folder for proposed articles, as Markdown; they are never imported.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Groups of tickets that no article answers, or whose draft people rewrote, with the article nearest to them."""
    names = ("kafka_bootstrap", "database_url", "llm_base_url", "embeddings_base_url")
    settings = shared.resolved(names)
    read, found, files = shared.run(
        _gaps(settings, tenant, since and since.replace(tzinfo=UTC), size_min, similarity_min, propose)
    )
    if as_json:
        shared.print_json(
            {
                "tickets": read.tickets,
                "weak": read.weak_in_all,
                "compared": len(read.weak),
                "gaps": [gap.as_json() for gap in found],
                "proposals": [str(file) for file in files],
            }
        )
        return
    _print(read, found)
    for file in files:
        out.print(f"Proposed: {file}", markup=False, soft_wrap=True)


async def _gaps(
    settings: Settings, tenant: str, since: datetime | None, size_min: int, similarity_min: float | None,
    folder: Path | None,
) -> tuple[Read, list[Gap], list[Path]]:  # fmt: skip
    from app.kafka.connection import client_options
    from app.knowledge.gap_report import gaps as grouped
    from app.knowledge.gap_report import read
    from app.knowledge.proposals import drafted, write
    from app.wiring import gap_parts

    client = client_options(settings)
    found = await read(client, tenant, since=since, similarity_min=similarity_min)
    async with gap_parts(settings, tenant) as parts:
        err.print(
            f"{len(found.texts):,} tickets to embed, about {found.tokens:,} tokens: {parts.price.said(found.tokens)}.",
            markup=False, soft_wrap=True,
        )  # fmt: skip
        groups = await grouped(
            found, parts.embedder, parts.answerer.knowledge, tenant=tenant, size_min=size_min, masks=parts.masks
        )
        files = []
        for number, gap in enumerate(groups[:PROPOSALS_MAX] if folder else (), start=1):
            assert folder is not None
            article = await drafted(gap, parts.answerer, client, tenant=tenant) if parts.has_language_model else None
            files.append(write(folder, number, gap, article))
    return found, groups, files


def _print(read: Read, found: list[Gap]) -> None:
    more = f"; the newest {len(read.weak):,} are compared" if len(read.weak) < read.weak_in_all else ""
    out.print(f"{read.tickets:,} tickets, {read.weak_in_all:,} of them poorly answered{more}.")
    if read.unreadable:
        err.print(f"{read.unreadable:,} records could not be read.", style="yellow")
    if not found:
        out.print("No group is large enough.")
        return
    table = Table()
    for name in ("tickets", "words", "for instance", "nearest article"):
        table.add_column(name)
    from app.knowledge.gap_report import shortened

    for gap in found:
        table.add_row(
            str(len(gap.members)), ", ".join(gap.words), shortened(gap.members[0].text), gap.nearest_title or "none"
        )
    out.print(table)
