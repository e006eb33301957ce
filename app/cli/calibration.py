"""``deskstream calibration``: what confidence is worth for a tenant."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from app.cli import shared
from app.cli.shared import AsJson, out

if TYPE_CHECKING:
    from app.calibration.fit import Fitted, Measured
    from app.calibration.reliability import Bin
    from app.config import Settings
    from app.store.policies import Kept
    from schemas.policy import Curve

app = typer.Typer(no_args_is_help=True, help="Confidence, fitted on a tenant's reviewed drafts.")

Tenant = Annotated[str, typer.Option("--tenant", "-t", help="Whose: lower-case letters, digits, - and _.")]
_PLOT_ROWS, _PLOT_COLUMNS = 11, 41


@app.command()
def fit(
    tenant: Tenant, since: Annotated[datetime | None, typer.Option(help="Only reviews since then (UTC).")] = None
) -> None:
    """Fit it on the reviews that are on the bus now; the new version holds within seconds."""
    from app.calibration.fit import TooFewReviews

    settings = shared.resolved(("kafka_bootstrap", "database_url"))
    try:
        fitted, version = shared.run(_fit(settings, tenant, since and since.replace(tzinfo=UTC)))
    except TooFewReviews as error:
        shared.fail(f"{tenant}: {error}.", 1)
    _print(fitted.measured, fitted.curves, f"version {version}, reviews until {fitted.reviewed_until:%Y-%m-%d %H:%M}")


@app.command()
def show(
    tenant: Tenant,
    plot: Annotated[bool, typer.Option("--plot", help="Also draw it.")] = False,
    as_json: AsJson = False,
) -> None:
    """The calibration that holds, and its reliability on reviews that it was not fitted on."""
    kept = shared.run(_show(shared.resolved(("database_url",)), tenant))
    if as_json:
        shared.print_json(_as_json(kept))
        return
    if kept is None:
        out.print(f"{tenant}: uncalibrated, so nothing is sent by itself. `deskstream calibration fit` fits it.")
        return
    held = kept.calibration
    _print(kept.measured, held.curves, f"version {held.version}, reviews until {held.reviewed_until:%Y-%m-%d %H:%M}")
    if plot:
        out.print(_plot(kept.measured.bins), markup=False)


async def _fit(settings: Settings, tenant: str, since: datetime | None) -> tuple[Fitted, int]:
    from app.calibration.fit import fit as fitted_on
    from app.calibration.fit import reviewed
    from app.kafka.connection import client_options
    from app.reviews import read_reviews
    from app.store.policies import keep_calibration
    from app.wiring import tenant_pool

    found = fitted_on(reviewed(await read_reviews(client_options(settings), tenant, since=since)))
    async with tenant_pool(settings) as pool:
        return found, await keep_calibration(pool, tenant, found)


async def _show(settings: Settings, tenant: str) -> Kept | None:
    from app.store.policies import kept_calibration
    from app.wiring import tenant_pool

    async with tenant_pool(settings) as pool:
        return await kept_calibration(pool, tenant)


def _as_json(kept: Kept | None) -> dict[str, Any]:
    from agents.confidence import FORMULA

    if kept is None:
        return {"calibrated": False}
    return {
        "calibrated": kept.calibration.formula == FORMULA,
        "fitted_at": kept.fitted_at.isoformat(),
        **kept.calibration.model_dump(mode="json"),
        "measured": kept.measured.model_dump(mode="json"),
    }


def _print(measured: Measured, curves: tuple[Curve, ...], title: str) -> None:
    table = Table(title=f"Reliability of {measured.reviews:,} reviews, each predicted by others ({title})")
    for name in ("confidence", "reviews", "predicted", "approved"):
        table.add_column(name, justify="right")
    for one in measured.bins:
        table.add_row(
            f"{one.low:.1f} to {one.high:.1f}", f"{one.reviews:,}", f"{one.predicted:.3f}", f"{one.approved:.3f}"
        )
    out.print(table)
    out.print(
        f"Expected calibration error: {measured.error_raw:.3f} raw, {measured.error:.3f} calibrated; "
        f"of one that is exactly right about {measured.by_chance:.3f}, by chance."
    )
    for curve in curves:
        whose = " ".join(filter(None, (curve.category, curve.language))) or "the whole tenant"
        out.print(f"Curve of {whose}: {curve.reviews:,} reviews, {len(curve.raw_from)} steps.")


def _plot(bins: tuple[Bin, ...]) -> str:
    """Approved over predicted: o where they fall, . where they would be the same."""
    rows = [[" "] * _PLOT_COLUMNS for _ in range(_PLOT_ROWS)]

    def mark(x: float, y: float, sign: str) -> None:
        rows[_PLOT_ROWS - 1 - round(y * (_PLOT_ROWS - 1))][round(x * (_PLOT_COLUMNS - 1))] = sign

    for at in range(_PLOT_COLUMNS):
        mark(at / (_PLOT_COLUMNS - 1), at / (_PLOT_COLUMNS - 1), ".")
    for one in bins:
        mark(one.predicted, one.approved, "o")
    lines = [f"{1 - at / (_PLOT_ROWS - 1):3.1f} |{''.join(row)}" for at, row in enumerate(rows)]
    return "\n".join(["approved", *lines, f"    +{'-' * _PLOT_COLUMNS}", f"     0{'predicted':^{_PLOT_COLUMNS - 2}}1"])
