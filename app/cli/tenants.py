"""``deskstream tenant``: what a tenant allows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli import shared
from app.cli.graduation import actor
from app.cli.shared import AsJson, out
from schemas.policy import Mode

if TYPE_CHECKING:
    from app.config import Settings

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
    told["graduated"] = [f"{one['category']}/{one['locale']}" for one in told["graduated"]]
    for name, value in told.items():
        out.print(f"{name:20} {', '.join(value) or 'none' if isinstance(value, list) else value}", markup=False)


@app.command()
def mode(tenant: Tenant, to: Annotated[Mode, typer.Argument(help="draft: nothing is sent without a person.")]) -> None:
    """Draft, or auto: then what has graduated is sent without a person."""
    from app.desk.autosend import set_mode
    from app.wiring import tenant_pool

    async def work(settings: Settings) -> None:
        async with tenant_pool(settings) as pool:
            await set_mode(pool, tenant, to, actor=actor())

    shared.run(work(shared.resolved(("database_url",))))
    out.print(f"{tenant} is in mode {to}.")


@app.command()
def halt(tenant: Tenant, why: Annotated[str, typer.Option(help="Stands in the audit log.")] = "halted by hand") -> None:
    """Send nothing of the tenant without a person until it is resumed."""
    from app.desk import autosend
    from app.wiring import tenant_pool

    async def work(settings: Settings) -> bool:
        async with tenant_pool(settings) as pool:
            return await autosend.halt(pool, tenant, why=why, by=actor())

    done = shared.run(work(shared.resolved(("database_url",))))
    out.print(f"Sending of {tenant} {'is halted' if done else 'was halted already'}.")


@app.command()
def resume(tenant: Tenant) -> None:
    """Lift a halt, by whoever has looked at its reason."""
    from app.desk import autosend
    from app.wiring import tenant_pool

    async def work(settings: Settings) -> bool:
        async with tenant_pool(settings) as pool:
            return await autosend.lift(pool, tenant, actor=actor())

    done = shared.run(work(shared.resolved(("database_url",))))
    out.print(f"Sending of {tenant} {'goes on' if done else 'was not halted'}.")


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


@app.command()
def rerank(
    tenant: Tenant, on: Annotated[bool, typer.Option("--on/--off", help="Off for a new tenant.")] = True
) -> None:
    """Have a model pick the five passages of a ticket out of fifteen: one more paid call a ticket."""
    from app.store.policies import set_rerank
    from app.wiring import tenant_pool

    async def work(settings: Settings) -> None:
        async with tenant_pool(settings) as pool:
            await set_rerank(pool, tenant, on)

    shared.run(work(shared.resolved(("database_url",))))
    out.print(f"Passages of {tenant} are {'picked by RERANK_MODEL' if on else 'taken in the order of the search'}.")
