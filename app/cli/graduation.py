"""``deskstream graduation``: what may be sent without a person, and the figures that it rests on."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from app.cli import shared
from app.cli.shared import AsJson, out
from schemas.tickets import Category

if TYPE_CHECKING:
    from app.config import Settings
    from app.desk.graduation import Group

app = typer.Typer(no_args_is_help=True, help="What may be sent without a person, and the figures it rests on.")

Tenant = Annotated[str, typer.Option("--tenant", "-t", help="Whose: lower-case letters, digits, - and _.")]
OfCategory = Annotated[Category, typer.Argument(help="As classified: how_to, billing, ...")]
Locale = Annotated[str, typer.Argument(help="The customer's language as classified: en, de, pt-BR, ...")]


def actor() -> str:
    return f"{getpass.getuser()} (command line)"


@app.command("list")
def list_(tenant: Tenant, as_json: AsJson = False) -> None:
    """Every category and locale with reviews of low priority, or that was ever opened."""
    from app.desk.graduation import groups
    from app.wiring import tenant_pool

    async def read(settings: Settings) -> list[Group]:
        async with tenant_pool(settings) as pool:
            return await groups(pool, tenant)

    found = shared.run(read(shared.resolved(("database_url",))))
    if as_json:
        shared.print_json([_as_json(one) for one in found])
        return
    table = Table("category", "locale", "state", "reviewed", "clean", "bad replies below", "what is missing")
    for one in found:
        table.add_row(
            one.category, one.locale, "open" if one.is_open else "closed", f"{one.evidence.reviewed:,}",
            f"{one.evidence.clean:,}", f"{one.evidence.bound:.2%}", "" if one.is_open else "; ".join(one.missing()),
        )  # fmt: skip
    out.print(table if found else f"{tenant}: no review of low priority yet, so nothing can be opened.")


@app.command()
def show(category: OfCategory, locale: Locale, tenant: Tenant, as_json: AsJson = False) -> None:
    """What the reviews of one prove, and what came since it was opened."""
    found = shared.run(_read(shared.resolved(("database_url",)), tenant, category, locale))
    if as_json:
        shared.print_json(_as_json(found))
    else:
        _print(found)


@app.command("open")
def open_(
    category: OfCategory,
    locale: Locale,
    tenant: Tenant,
    bound: Annotated[
        float | None, typer.Option(min=0, max=1, help="A stricter bound on the rate of bad replies, such as 0.005.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Don't ask; for whoever has seen the figures.")] = False,
) -> None:
    """Let replies of low priority be sent without a person. Shows the figures and asks."""
    from agents.graduation import BOUND_MAX
    from app.desk.graduation import open_group
    from app.wiring import tenant_pool

    settings = shared.resolved(("database_url",))
    wanted = BOUND_MAX if bound is None else bound
    found = shared.run(_read(settings, tenant, category, locale))
    _print(found)
    if reasons := found.missing(wanted):
        shared.fail(f"{tenant}: {found.subject} stays closed: {'; '.join(reasons)}.", 1)
    if not yes:
        typer.confirm(f"Send replies of {tenant} in {found.subject} without a person?", abort=True)

    async def opening() -> Group:
        async with tenant_pool(settings) as pool:
            return await open_group(pool, tenant, category, locale, actor=actor(), bound_max=wanted)

    shared.run(opening())
    out.print(
        f"{found.subject} is open. It takes effect within seconds where {tenant} is in mode auto (`deskstream tenant"
        " show`), and closes by itself where what comes is worse than promised.",
        soft_wrap=True,
    )


@app.command()
def close(
    category: OfCategory,
    locale: Locale,
    tenant: Tenant,
    why: Annotated[str, typer.Option(help="Stands in the audit log.")] = "closed by hand",
) -> None:
    """Send nothing of it without a person any more."""
    from app.desk.graduation import close_group
    from app.wiring import tenant_pool

    async def closing(settings: Settings) -> bool:
        async with tenant_pool(settings) as pool:
            return await close_group(pool, tenant, category, locale, actor=actor(), why=why)

    closed = shared.run(closing(shared.resolved(("database_url",))))
    out.print(f"{category}/{locale} {'is closed; within seconds nothing more is sent' if closed else 'was not open'}.")


async def _read(settings: Settings, tenant: str, category: Category, locale: str) -> Group:
    from app.desk.graduation import group
    from app.wiring import tenant_pool

    async with tenant_pool(settings) as pool:
        return await group(pool, tenant, category, locale)


def _as_json(one: Group) -> dict[str, Any]:
    return {
        "category": one.category,
        "locale": one.locale,
        "state": "open" if one.is_open else "closed",
        "reviewed": one.evidence.reviewed,
        "clean": one.evidence.clean,
        "bound": one.evidence.bound,
        "bound_max": one.bound_max,
        "missing": list(one.missing()),
        "since": {
            "sent": one.since.sent,
            "reviewed": one.since.reviewed,
            "bad": one.since.bad,
            "complaints": one.since.complaints,
        },
        "opened_by": one.opened_by,
        "opened_at": one.opened_at and one.opened_at.isoformat(),
        "closed_by": one.closed_by,
        "closed_why": one.closed_why,
    }


def _print(one: Group) -> None:
    evidence, since = one.evidence, one.since
    out.print(
        f"{one.subject}: {'open' if one.is_open else 'closed'}. {evidence.reviewed:,} drafts of low priority were "
        f"reviewed, {evidence.clean:,} of them clean (approved without a material edit, and nobody complained): with "
        f"95 % certainty fewer than {evidence.bound:.2%} of such replies are bad; below {one.bound_max:.2%} is asked.",
        soft_wrap=True,
    )
    if one.is_open:
        out.print(
            f"Opened by {one.opened_by} at {one.opened_at:%Y-%m-%d %H:%M}. Since then {since.sent:,} sent without a "
            f"person, {since.reviewed:,} reviewed ({since.bad} bad), {since.complaints} reopened or complained of.",
            soft_wrap=True,
        )
    elif one.closed_why:
        out.print(f"Closed by {one.closed_by} at {one.closed_at:%Y-%m-%d %H:%M}: {one.closed_why}", soft_wrap=True)
