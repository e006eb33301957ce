"""``deskstream kb``: the tenant's articles."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import shared
from app.cli.shared import AsJson, err, out

if TYPE_CHECKING:
    from app.config import Settings
    from app.knowledge.documents import Unreadable
    from app.knowledge.history import Version
    from app.knowledge.importing import Imported, Plan
    from app.models.prices import EmbeddingPrice

app = typer.Typer(no_args_is_help=True, help="The tenant's knowledge base.")

_SAID_EVERY_S = 5.0
_TOLD_MAX = 50
_CHANGES_TOLD_MAX = 50
_EXCERPT_CHARS = 200
_SKIPPED_TOLD_MAX = 5


Source = Annotated[
    str,
    typer.Argument(
        help="A file or a folder: Markdown, HTML, PDF, text, CSV, JSON Lines, JSON of Zendesk, Intercom or "
        "Freshdesk; or the http(s) address of a sitemap."
    ),
]
Tenant = Annotated[str, typer.Option("--tenant", "-t", help="Whose: lower-case letters, digits, - and _.")]
PagesMax = Annotated[int, typer.Option(min=1, max=50_000, help="Of a sitemap, at most so many.")]
_COLLECTION_CHARS_MAX = 100


@app.command("import")
def import_(
    source: Source,
    tenant: Tenant,
    collection: Annotated[str, typer.Option(help="The articles of one source, to `sync` by themselves.")] = "default",
    pages_max: PagesMax = 2_000,
) -> None:
    """Add and update articles; only what is new or changed is embedded, and nothing is withdrawn."""
    _bring_in(source, tenant, collection, pages_max, sync=False)


@app.command()
def sync(
    source: Source,
    tenant: Tenant,
    collection: Annotated[
        str,
        typer.Option(help="What becomes as SOURCE is now; other collections stay. A name is made by its first use."),
    ],
    pages_max: PagesMax = 2_000,
) -> None:
    """Make a collection as SOURCE is now: new and changed articles come in, vanished ones are withdrawn.

    What cannot be read keeps its old version; while there is such a thing, nothing is withdrawn.
    """
    _bring_in(source, tenant, collection, pages_max, sync=True)


AsOf = Annotated[datetime | None, typer.Option(help="As the articles were then (UTC).")]


@app.command()
def show(
    document_id: Annotated[str, typer.Argument(metavar="DOC", help="The article's id.")],
    tenant: Tenant,
    as_of: AsOf = None,
    version: Annotated[int | None, typer.Option(min=1)] = None,
    as_json: AsJson = False,
) -> None:
    """An article: its newest version, the one that was valid at a time, or one by its number."""
    from app.knowledge.history import document_version
    from app.wiring import tenant_pool

    if as_of and version:
        shared.fail("--as-of and --version: give one of them", shared.USAGE)
    settings = shared.resolved(("database_url",))

    async def read() -> Version | None:
        async with tenant_pool(settings) as pool:
            return await document_version(pool, tenant, document_id, version=version, as_of=_utc(as_of))

    found = shared.run(read())
    if found is None:
        which = f"version {version} of " if version else ""
        shared.fail(f"{tenant} has no {which}{document_id}" + (f" as of {as_of}" if as_of else ""), shared.USAGE)
    if as_json:
        shared.print_json(found.as_json())
        return
    until = f"withdrawn {_said(found.withdrawn_at)}" if found.withdrawn_at else "valid now"
    for line in (
        f"{found.document_id}, version {found.version} of {found.versions}: {found.title}",
        f"{found.audience}, collection {found.collection}, {found.locale or 'no locale'}, {found.url or 'no address'}",
        f"since {_said(found.imported_at)}, {until}",
        *(f"\n{passage['heading']}\n{passage['text']}".rstrip() for passage in found.passages),
    ):
        out.print(line, markup=False, soft_wrap=True)


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="As a customer would ask.")],
    tenant: Tenant,
    as_of: Annotated[
        datetime | None, typer.Option(help="Among the public articles' versions that were valid then (UTC).")
    ] = None,
    language: Annotated[str | None, typer.Option(help="Of the query, such as de: finds inflected words.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=20)] = 5,
    as_json: AsJson = False,
) -> None:
    """The passages that a draft would be given."""
    from app.wiring import search_knowledge

    settings = shared.resolved(("database_url", "embeddings_base_url"))
    found = shared.run(search_knowledge(settings, tenant, query, language=language, limit=limit, as_of=_utc(as_of)))
    if as_json:
        shared.print_json([passage.model_dump(mode="json") for passage in found])
        return
    for passage in found:
        similarity = "words only" if passage.similarity is None else f"similarity {passage.similarity:.3f}"
        out.print(
            f"{passage.document_id}, version {passage.version} ({passage.audience}, {similarity}): {passage.title}\n"
            f"    {' '.join(passage.text.split())[:_EXCERPT_CHARS]}",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    if not found:
        out.print("Nothing was found.")


@app.command("cited-by")
def cited_by(
    document_id: Annotated[str, typer.Argument(metavar="DOC", help="The article's id.")],
    tenant: Tenant,
    version: Annotated[int | None, typer.Option(min=1, help="Only where this version was cited.")] = None,
    as_json: AsJson = False,
) -> None:
    """The tickets whose reply cited an article, to look at again when it was wrong.

    Read from tickets.routed, from its beginning to its end: what the topic no longer keeps is not listed.
    """
    from app.cited import cited_by as citing
    from app.kafka.connection import client_options

    settings = shared.resolved(("kafka_bootstrap",))
    found, unreadable = shared.run(
        citing(client_options(settings), tenant, document_id, version=version, on_read=_Reading())
    )
    if as_json:
        shared.print_json([each.as_json() for each in found])
    else:
        for each in found:
            out.print(
                f"{each.accepted_at}  {each.ticket_id}  version {each.version}  {each.route}",
                markup=False, soft_wrap=True,
            )  # fmt: skip
        out.print(f"{len(found)} tickets.")
    if unreadable:
        err.print(f"{unreadable} records of {tenant} could not be read.", style="yellow")
        raise typer.Exit(1)


def _utc(given: datetime | None) -> datetime | None:
    return given and given.replace(tzinfo=UTC)


def _said(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


@app.command()
def learn(
    file: Annotated[Path, typer.Argument(help="JSON Lines: ticket_id, created_at, subject, text, document_ids.")],
    tenant: Annotated[str, typer.Option("--tenant", "-t", help="Whose: lower-case letters, digits, - and _.")],
) -> None:
    """Learn from past tickets which articles answered what: searches then count them in."""
    from app.wiring import learn_tickets

    shared.existing(file, "FILE")
    settings = shared.resolved(("database_url", "embeddings_base_url"))
    learnt, usage = shared.run(learn_tickets(settings, file, tenant, on_progress=_Lines("Tickets")))
    out.print(f"{learnt:,} past tickets learnt; {usage.input_tokens:,} tokens embedded.")


def _bring_in(source: str, tenant: str, collection: str, pages_max: int, *, sync: bool) -> None:
    from app.knowledge.documents import Skipped

    if not 0 < len(collection) <= _COLLECTION_CHARS_MAX:
        shared.fail(f"--collection: 1 to {_COLLECTION_CHARS_MAX} characters", shared.USAGE)
    is_address = source.startswith(("http://", "https://"))
    if not is_address:
        shared.existing(Path(source), "SOURCE")
    settings = shared.resolved(("database_url", "embeddings_base_url"))
    done = shared.run(
        _import(settings, source, tenant, collection, sync=sync, pages_max=pages_max if is_address else None)
    )
    skipped = [one for one in done.told if isinstance(one, Skipped)]
    unreadable = [one for one in done.told if not isinstance(one, Skipped)]
    _tell([f"{one.place}: {one.reason}" for one in skipped], _SKIPPED_TOLD_MAX, "dim")
    _tell([f"{one.place}: {one.reason}" for one in unreadable], _TOLD_MAX, "yellow")
    imported = done.imported
    elsewhere = imported.elsewhere.items()
    _tell([f"{id_}: is an article of the collection {other!r}, and stays it" for id_, other in elsewhere],
          _TOLD_MAX, "yellow")  # fmt: skip
    _print_changes(imported, len(skipped))
    if tokens := imported.usage.input_tokens:
        out.print(f"Embedded {tokens:,} tokens: {done.price.said(tokens)}.", markup=False, soft_wrap=True)
    if imported.switched:
        out.print(
            f"All passages are embedded with {settings.embeddings_model}: stages that are set to it search by it from "
            "now on. Restart the others within a day; so long the former vectors are kept.",
            markup=False, soft_wrap=True,
        )  # fmt: skip
    if sync and not done.is_whole:
        err.print("Nothing was withdrawn, since not everything could be read.", style="yellow")
    if unreadable or imported.elsewhere:
        raise typer.Exit(1)


@dataclass(frozen=True)
class _Done:
    imported: Imported
    price: EmbeddingPrice
    told: list[Unreadable]
    is_whole: bool  # nothing was unreadable


async def _import(
    settings: Settings, source: str, tenant: str, collection: str, *, sync: bool, pages_max: int | None
) -> _Done:
    """``pages_max``: of a sitemap; None for a path."""
    from app.knowledge.documents import Skipped, Unreadable, read
    from app.knowledge.sitemap import fetch
    from app.progress import KnowledgeBar
    from app.wiring import create_tenant, import_knowledge

    if pages_max is None:
        found = list(read(Path(source)))
    else:
        found = await fetch(source, pages_max=pages_max, on_page=_Lines("Pages"))
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
            collection=collection, sync=sync and is_whole,
        )  # fmt: skip
    return _Done(imported, prices[0], told, is_whole)


def _print_changes(imported: Imported, skipped: int) -> None:
    for change in imported.changes[:_CHANGES_TOLD_MAX]:
        out.print(f"{change.kind:9} {change.document_id}", markup=False, soft_wrap=True)
    if len(imported.changes) > _CHANGES_TOLD_MAX:
        out.print(f"... and {len(imported.changes) - _CHANGES_TOLD_MAX:,} more")
    out.print(
        f"{imported.added} articles added, {imported.updated} updated, {imported.unchanged} unchanged, "
        f"{imported.withdrawn} withdrawn; {imported.chunks} passages."
        + (f" {imported.reembedded} passages embedded anew." if imported.reembedded else "")
        + (f" {skipped} skipped as their authors want it." if skipped else ""),
        soft_wrap=True,
    )


def _print_plan(plan: Plan, price: EmbeddingPrice) -> None:
    if plan.documents:
        err.print(
            f"{plan.documents:,} articles to embed: {plan.chunks:,} passages, about {plan.tokens:,} tokens, "
            f"{price.said(plan.tokens)}.",
            markup=False, soft_wrap=True,
        )  # fmt: skip


class _Reading:
    """A line now and then."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, read: int) -> None:
        if time.monotonic() - self._said > _SAID_EVERY_S:
            self._said = time.monotonic()
            err.print(f"{read:,} tickets read", style="dim")


class _Lines:
    """A line now and then."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._said = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        if not done or done == total or time.monotonic() - self._said > _SAID_EVERY_S:
            self._said = time.monotonic()
            err.print(f"{self._what}: {done:,} of {total:,}", style="dim")


def _tell(lines: Sequence[str], told_max: int, style: str) -> None:
    for line in lines[:told_max]:
        err.print(line, markup=False, style=style, soft_wrap=True)
    if len(lines) > told_max:
        err.print(f"... and {len(lines) - told_max:,} more", style=style)


@app.command("eval")
def evaluate(
    file: Annotated[Path, typer.Argument(help="JSON Lines: text, gold_doc_ids (a list of article ids), locale.")],
    tenant: Tenant,
    as_json: AsJson = False,
) -> None:
    """How good the tenant's search is on judged questions: hit@1, hit@5, MRR, nDCG@10 by locale, beside BM25."""
    from app.cli.evaluate import measure_knowledge, print_measured

    shared.existing(file, "FILE")
    settings = shared.resolved(("database_url", "llm_base_url", "embeddings_base_url"))
    found = shared.run(measure_knowledge(settings, file, tenant))
    if as_json:
        shared.print_json([one.as_json() for one in found])
    else:
        print_measured(found)
