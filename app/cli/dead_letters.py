"""``deskstream dlq``: the dead letters."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table

from app.cli import shared
from app.cli.shared import AsJson, err, out

app = typer.Typer(no_args_is_help=True, help="What could not be processed: list, show, replay, drop.")

Reason = Annotated[str | None, typer.Option(help="Only with this reason.")]
Tenant = Annotated[str | None, typer.Option(help="Only this tenant's.")]
Since = Annotated[datetime | None, typer.Option(help="Only dead since then (UTC).")]
Until = Annotated[datetime | None, typer.Option(help="Only dead before then (UTC).")]
Places = Annotated[list[str] | None, typer.Argument(help="PARTITION/OFFSET, as `list` shows them.")]
_SHOWN_MAX = 100


@app.command("list")
def list_(
    reason: Reason = None, tenant: Tenant = None, since: Since = None, until: Until = None,
    everything: Annotated[bool, typer.Option("--all", help="Also those replayed or dropped.")] = False,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Oldest first."""
    letters = _letters(None, reason, tenant, since, until, handled_too=everything)
    if as_json:
        shared.print_json([letter.as_json() for letter in letters])
        return
    table = Table()
    for name in ("place", "dead at", "tenant", "reason", "origin", "error", "handled"):
        table.add_column(name)
    for letter in letters[:_SHOWN_MAX]:
        table.add_row(
            letter.place, f"{letter.dead_at:%Y-%m-%d %H:%M:%S}", letter.tenant, letter.reason, letter.origin,
            letter.field("error")[:80], letter.handled or "",
        )  # fmt: skip
    out.print(table if letters else "No dead letters.")
    if len(letters) > _SHOWN_MAX:
        out.print(f"... and {len(letters) - _SHOWN_MAX} more; --json shows all")


@app.command()
def show(place: Annotated[str, typer.Argument(help="PARTITION/OFFSET")]) -> None:
    """Reason, origin, headers and value of one."""
    for letter in _letters([place], None, None, None, None, handled_too=True):
        shared.print_json(
            {
                **letter.as_json(),
                "key": (letter.key or b"").decode(errors="replace"),
                "headers": {name: text.decode(errors="replace") for name, text in letter.headers},
                "value": (letter.value or b"").decode(errors="replace"),
            }
        )


@app.command()
def replay(
    places: Places = None, reason: Reason = None, tenant: Tenant = None, since: Since = None, until: Until = None
) -> None:
    """Put them back into the topic that they came from, once what was wrong is mended."""
    from app.dead_letters import replay as put_back

    letters = _letters(places, reason, tenant, since, until)
    kept_back = _with_pool(lambda client, pool: put_back(client, pool, letters))
    out.print(f"{len(letters) - len(kept_back)} replayed.")
    for letter in kept_back:
        err.print(f"{letter.place}: its value was too large to keep; it is still at {letter.origin}", markup=False)
    if kept_back:
        raise typer.Exit(1)


@app.command()
def drop(
    places: Places = None, reason: Reason = None, tenant: Tenant = None, since: Since = None, until: Until = None
) -> None:
    """Put them aside; they stay in the topic."""
    from app.dead_letters import drop as put_aside

    letters = _letters(places, reason, tenant, since, until)
    _with_pool(lambda client, pool: put_aside(pool, letters))
    out.print(f"{len(letters)} dropped.")


def _letters(
    places: list[str] | None,
    reason: str | None,
    tenant: str | None,
    since: datetime | None,
    until: datetime | None,
    *,
    handled_too: bool = False,
) -> list[Any]:
    from app.dead_letters import Wanted, read

    wanted = Wanted(
        reason=reason,
        tenant=tenant,
        since=since and since.replace(tzinfo=UTC),
        until=until and until.replace(tzinfo=UTC),
        places=frozenset(places or ()),
        handled_too=handled_too,
    )
    letters: list[Any] = _with_pool(lambda client, pool: read(client, pool, wanted))
    if missing := sorted(wanted.places - {letter.place for letter in letters}):
        shared.fail(f"no dead letter at {', '.join(missing)}, or handled already", shared.USAGE)
    return letters


def _with_pool(work: Callable[[Any, Any], Awaitable[Any]]) -> Any:
    from app.kafka.connection import client_options
    from app.wiring import runtime_pool

    settings = shared.resolved(("kafka_bootstrap", "database_url"))

    async def run() -> Any:
        async with runtime_pool(settings) as pool:
            return await work(client_options(settings), pool)

    return shared.run(run())
