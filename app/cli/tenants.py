"""``deskstream tenant``: what a tenant allows."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from app.cli import shared
from app.cli.shared import AsJson, out

app = typer.Typer(no_args_is_help=True, help="What a tenant allows.")

Tenant = Annotated[str, typer.Argument(help="Lower-case letters, digits, - and _.")]


@app.command()
def show(tenant: Tenant, as_json: AsJson = False) -> None:
    """Mode, graduated categories, thresholds."""
    from app.wiring import tenant_policy

    policy = shared.run(tenant_policy(shared.resolved(("database_url",)), tenant))
    told: dict[str, Any] = policy.model_dump(mode="json")
    if as_json:
        shared.print_json(told)
        return
    for name, value in told.items():
        out.print(f"{name:20} {', '.join(value) or 'none' if isinstance(value, list) else value}", markup=False)


@app.command()
def mask(
    tenant: Tenant,
    on: Annotated[
        bool,
        typer.Option("--on/--off", help="Cards, IBANs, national ids with a checksum, e-mail addresses, phone numbers."),
    ] = True,
) -> None:
    """Mask personal data before they go to a provider; they are put back into what comes from it."""
    from app.wiring import set_masking

    shared.run(set_masking(shared.resolved(("database_url",)), tenant, on))
    out.print(
        f"Personal data of {tenant} are {'masked before they go' if on else 'sent as they are'} to a provider."
        " Names and addresses have no form that could be told, and are never masked.",
        markup=False,
        soft_wrap=True,
    )
