"""``deskstream report``: what became of a tenant's tickets, against the time before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from app.cli import shared
from app.cli.shared import AsJson, err, out

if TYPE_CHECKING:
    from app.config import Settings
    from app.desk.report import Report

Tenant = Annotated[str, typer.Option("--tenant", "-t", help="Whose: lower-case letters, digits, - and _.")]


def report(
    tenant: Tenant,
    days: Annotated[int, typer.Option(min=1, max=3_660, help="The last so many, and as many before them.")] = 30,
    recount: Annotated[
        bool, typer.Option("--recount", help="Count them from the events too; exit code 1 where they differ.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Resolved without a person, time of reviews, cost, satisfaction."""
    settings = shared.resolved(("kafka_bootstrap", "database_url") if recount else ("database_url",))
    now = datetime.now(UTC)
    found = shared.run(_read(settings, tenant, now, days, recount))
    if as_json:
        shared.print_json({name: one.as_json() for name, one in found.items()})
    else:
        _print(tenant, days, found)
    if recount:
        _compare(found["now"], found["recounted"])


def _compare(told: Report, recounted: Report) -> None:
    differing = [name for name, value in vars(told).items() if value != vars(recounted)[name]]
    if not differing:
        err.print("Counted once more from the events: the same.", style="dim")
        return
    shown = "; ".join(
        f"{name} {vars(told)[name]} in the tables, {vars(recounted)[name]} in the events" for name in differing
    )
    shared.fail(
        f"The tables and the events differ: {shown}. The desk (`deskstream desk`) may lag behind or not run, or a topic"
        " has lost its oldest records. Run it again in a minute.", 1,
    )  # fmt: skip


async def _read(settings: Settings, tenant: str, now: datetime, days: int, recounts: bool) -> dict[str, Report]:
    from app.desk.recount import recount
    from app.desk.report import REPORT_S_MAX, against_before
    from app.kafka.connection import client_options
    from app.wiring import tenant_policy, tenant_pool

    await tenant_policy(settings, tenant)  # a name that is misspelt has no tickets either
    async with tenant_pool(settings, statement_timeout_s=REPORT_S_MAX) as pool:
        current, before = await against_before(pool, tenant, days, now=now)
    found = {"now": current, "before": before}
    if recounts:
        found["recounted"] = await recount(client_options(settings), tenant, now - timedelta(days=days), now, now=now)
    return found


def _print(tenant: str, days: int, found: dict[str, Report]) -> None:
    if not any(one.tickets or one.reviews or one.ratings for one in found.values()):
        out.print(f"{tenant}: no ticket was routed, and nothing reviewed or rated, in the last {2 * days} days.")
        return
    titles = {"now": f"last {days} days", "before": f"{days} days before", "recounted": "from the events"}
    table = Table("", *(titles[name] for name in found), title=tenant)
    reports = list(found.values())

    def row(name: str, tell: str, *attributes: str) -> None:
        values = [[getattr(one, attribute) for attribute in attributes] for one in reports]
        table.add_row(name, *("-" if None in told else tell.format(*told) for told in values))

    row("tickets", "{:,}", "tickets")
    row("resolved without a person", "{:,} ({:.1%})", "resolved", "resolved_share")
    row("  of these not yet 7 days old", "{:,}", "unsettled")
    row("  come back within 7 days, so not counted", "{:,}", "retracted")
    row("reviews", "{:,}", "reviews")
    row("  in under a minute", "{:,} of {:,} ({:.1%})", "reviews_under_a_minute", "reviews_timed",
        "under_a_minute_share")  # fmt: skip
    row("  time of a review, median", "{:.0f} s", "review_s_median")
    row("cost of a ticket", "${:.4f}", "cost_usd_per_ticket")
    row("cost of a resolution", "${:.4f}", "cost_usd_per_resolution")
    row("stale work, overtaken by a newer message", "{:,}: ${:.4f} ({:.1%} of the cost)", "stale", "stale_cost_usd",
        "stale_cost_share")  # fmt: skip
    row("satisfied customers (CSAT)", "{:.1%} of {:,}", "csat", "ratings")
    out.print(table)
