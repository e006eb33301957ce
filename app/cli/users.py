"""``deskstream users``: who may sign in to the console, and the console itself."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from app.cli import shared
from app.cli.shared import AsJson, out
from app.console.roles import Role

app = typer.Typer(no_args_is_help=True, help="Who may sign in to the console.")

Tenant = Annotated[str, typer.Option("--tenant", "-t", help="Whose console.")]
Email = Annotated[str, typer.Argument(help="E-mail address.")]
ACTOR = "command line"


@app.command("list")
def list_(tenant: Tenant = "demo", as_json: AsJson = False) -> None:
    """Users, their roles, and when they were last there."""
    users = _with_accounts(lambda accounts: accounts.listed(tenant))
    rows = [
        {
            "email": each.user.email,
            "name": each.user.name,
            "role": each.user.role.value,
            "disabled": each.disabled_at is not None,
            "seen_at": each.seen_at.isoformat() if each.seen_at else None,
        }
        for each in users
    ]
    if as_json:
        shared.print_json(rows)
        return
    table = Table()
    for name in ("e-mail", "name", "role", "disabled", "seen at"):
        table.add_column(name)
    for row in rows:
        table.add_row(*("" if value in {None, False} else str(value) for value in row.values()))
    out.print(table if rows else f"{tenant} has no users.")


@app.command()
def add(
    email: Email,
    tenant: Tenant = "demo",
    role: Annotated[Role, typer.Option()] = Role.REVIEWER,
    name: Annotated[str, typer.Option()] = "",
) -> None:
    """Add a user; `deskstream users link` then lets them in."""
    if not _with_accounts(lambda accounts: accounts.add(tenant, email, name=name, role=role, actor=ACTOR)):
        shared.fail(f"{email} is a user of {tenant} already", shared.USAGE)
    out.print(f"Added. Let them in with `deskstream users link {email} --tenant {tenant}`.", markup=False)


@app.command()
def link(email: Email, tenant: Tenant = "demo") -> None:
    """A link that signs this user in once, within 30 minutes."""
    from app.console.server import sign_in_address

    settings = shared.resolved(("database_url",))
    out.print(shared.run(sign_in_address(settings, tenant, email)), markup=False, soft_wrap=True)


def _with_accounts(work: Any) -> Any:
    from app.console.accounts import Accounts
    from app.wiring import tenant_pool

    settings = shared.resolved(("database_url",))

    async def run() -> Any:
        async with tenant_pool(settings) as pool:
            return await work(Accounts(pool))

    return shared.run(run())
