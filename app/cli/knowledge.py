"""``deskstream kb``: the tenant's articles."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import shared
from app.cli.shared import err, out

if TYPE_CHECKING:
    from app.config import Settings
    from app.knowledge.documents import Unreadable
    from app.knowledge.importing import Imported, Plan
    from app.models.prices import EmbeddingPrice

app = typer.Typer(no_args_is_help=True, help="The tenant's knowledge base.")

_SAID_EVERY_S = 5.0
_TOLD_MAX = 50
_SKIPPED_TOLD_MAX = 5


@app.command("import")
def import_(
    source: Annotated[
        str,
        typer.Argument(
            help="A file or a folder: Markdown, HTML, PDF, text, CSV, JSON Lines, JSON of Zendesk, Intercom or "
            "Freshdesk; or the http(s) address of a sitemap."
        ),
    ],
    tenant: Annotated[str, typer.Option("--tenant", "-t", help="Whose: lower-case letters, digits, - and _.")],
    sync: Annotated[bool, typer.Option(help="Also withdraw what is no longer there.")] = False,
    pages_max: Annotated[int, typer.Option(min=1, max=50_000, help="Of a sitemap, at most so many.")] = 2_000,
) -> None:
    """Import articles; only what is new or changed is embedded."""
    from app.knowledge.documents import Skipped

    is_address = source.startswith(("http://", "https://"))
    if not is_address:
        shared.existing(Path(source), "SOURCE")
    settings = shared.resolved(("database_url", "embeddings_base_url"))
    done = shared.run(_import(settings, source, tenant, sync=sync, pages_max=pages_max if is_address else None))
    skipped = [one for one in done.told if isinstance(one, Skipped)]
    unreadable = [one for one in done.told if not isinstance(one, Skipped)]
    _tell(skipped, _SKIPPED_TOLD_MAX, "dim")
    _tell(unreadable, _TOLD_MAX, "yellow")
    out.print(
        f"{done.imported.added} articles added, {done.imported.updated} updated, {done.imported.unchanged} unchanged, "
        f"{done.imported.withdrawn} withdrawn; {done.imported.chunks} passages."
        + (f" {len(skipped)} skipped as their authors want it." if skipped else "")
    )
    if tokens := done.imported.usage.input_tokens:
        out.print(f"Embedded {tokens:,} tokens: {done.price.said(tokens)}.", markup=False, soft_wrap=True)
    if sync and not done.is_whole:
        err.print("Nothing was withdrawn, since not everything could be read.", style="yellow")
    if unreadable:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Done:
    imported: Imported
    price: EmbeddingPrice
    told: list[Unreadable]
    is_whole: bool  # nothing was unreadable


async def _import(settings: Settings, source: str, tenant: str, *, sync: bool, pages_max: int | None) -> _Done:
    """``pages_max``: of a sitemap; None for a path."""
    from app.knowledge.documents import Skipped, Unreadable, read
    from app.knowledge.sitemap import fetch
    from app.progress import KnowledgeBar
    from app.wiring import create_tenant, import_knowledge

    if pages_max is None:
        found = list(read(Path(source)))
    else:
        found = await fetch(source, pages_max=pages_max, on_page=_Fetching())
    # What could not be read now may well be there: then its older version stays.
    is_whole = not any(isinstance(one, Unreadable) and not isinstance(one, Skipped) for one in found)
    await create_tenant(settings, tenant)
    told: list[Unreadable] = []
    prices: list[EmbeddingPrice] = []

    def on_plan(plan: Plan, price: EmbeddingPrice) -> None:
        prices.append(price)
        _print_plan(plan, price)

    with KnowledgeBar(err) as bar:
        imported = await import_knowledge(
            settings, found, tenant, on_progress=bar.update, on_unreadable=told.append, on_plan=on_plan,
            sync=sync and is_whole,
        )  # fmt: skip
    return _Done(imported, prices[0], told, is_whole)


def _print_plan(plan: Plan, price: EmbeddingPrice) -> None:
    if plan.documents:
        err.print(
            f"{plan.documents:,} articles to embed: {plan.chunks:,} passages, about {plan.tokens:,} tokens, "
            f"{price.said(plan.tokens)}.",
            markup=False, soft_wrap=True,
        )  # fmt: skip


class _Fetching:
    """A line now and then."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if not done or done == total or time.monotonic() - self._said > _SAID_EVERY_S:
            self._said = time.monotonic()
            err.print(f"Pages: {done:,} of {total:,}", style="dim")


def _tell(places: Sequence[Unreadable], told_max: int, style: str) -> None:
    for one in places[:told_max]:
        err.print(f"{one.place}: {one.reason}", markup=False, style=style, soft_wrap=True)
    if len(places) > told_max:
        err.print(f"... and {len(places) - told_max:,} more", style=style)
