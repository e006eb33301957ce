"""``deskstream``: the command line. Commands are thin; what they do stands in the modules they call.

Exit codes: 0 done; 1 done, but something is wrong (a check, an unaccounted ticket); 2 wrong usage or setting;
3 a server is away or refused; 70 a bug; 130 interrupted.
"""

from __future__ import annotations

import asyncio
import secrets
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from agents.pipeline import STAGES
from app.cli import calibration, dead_letters, evaluate, graduation, knowledge, prompt, reviews, shared, tenants, users
from app.cli.gaps import gaps
from app.cli.report import report
from app.cli.shared import AsJson, err, out
from app.cli.verify import verify

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Answers customer-support tickets on a Kafka bus.",
)  # fmt: skip
topics_app = typer.Typer(no_args_is_help=True, help="The topics on the broker.")
db_app = typer.Typer(no_args_is_help=True, help="The database's schema.")
app.add_typer(topics_app, name="topics")
app.add_typer(db_app, name="db")
app.add_typer(knowledge.app, name="kb")
knowledge.app.command("gaps")(gaps)
app.add_typer(dead_letters.app, name="dlq")
app.add_typer(prompt.app, name="prompt")
app.add_typer(tenants.app, name="tenant")
app.add_typer(reviews.app, name="reviews")
app.add_typer(calibration.app, name="calibration")
app.add_typer(users.app, name="users")
app.add_typer(graduation.app, name="graduation")

Tenant = Annotated[str, typer.Option("--tenant", "-t", help="Whose: lower-case letters, digits, - and _.")]


@app.command()
def run(
    tickets: Annotated[Path | None, typer.Option(help="JSON Lines, plain or .gz.")] = None,
    kb: Annotated[Path | None, typer.Option(help="Articles: a file of any format that is read, or a folder.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many tickets.")] = 200,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """From nothing to the summary: servers, knowledge base, stages, tickets."""
    from app import demo
    from app.progress import print_summary
    from app.run import RunOptions
    from app.run import run as run_all

    settings = shared.settings()
    options = RunOptions(
        tickets=shared.existing(tickets or demo.tickets_path(), "--tickets"),
        knowledge=shared.existing(kb or demo.knowledge_path(), "--kb"),
        tenant=tenant,
        limit=limit,
        run_id=f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}",
    )
    console = err if as_json else out
    console.print(f"Tickets: {options.tickets}. Articles: {options.knowledge}.")
    summary = shared.run(run_all(settings, options, console))
    summary.write(settings.state_dir)
    if as_json:
        shared.print_json(summary.as_json())
    else:
        print_summary(out, summary, settings.state_dir)
        _print_way_in(tenant)
    if summary.problems:
        raise typer.Exit(1)


def _print_way_in(tenant: str) -> None:
    """Servers that ``run`` started are down again by now; those of ``up``, and its console, go on."""
    from app.console.launch import running
    from app.embedded import servers
    from app.embedded.process import ServerError

    try:
        resolved = servers.resolve(shared.settings())
    except ServerError:  # none is up any more
        found = None
    else:
        found = shared.run(running(resolved, tenant))
    if found is None:
        out.print("Review the drafts: `deskstream up` starts the console and prints the way in.")
    else:
        _print_console(*found)


def _print_console(address: str, sign_in: str | None) -> None:
    out.print(f"Console: {address}", markup=False)
    if sign_in:
        out.print(f"Sign in once, within 30 minutes: {sign_in}", markup=False, soft_wrap=True)


@app.command()
def up(tenant: Tenant = "demo", as_json: AsJson = False) -> None:
    """Start the embedded servers that no setting replaces, console, desk and auditor, and leave them running."""
    from app.console.launch import launch
    from app.embedded import servers
    from app.setup import prepare

    settings = shared.settings()

    async def start() -> tuple[servers.Servers, str, str | None]:
        started = await servers.up(settings, say=lambda text: err.print(text, style="dim"))
        resolved = servers.resolve(settings)
        await prepare(resolved)
        return started, *await launch(resolved, tenant)

    started, console, sign_in = shared.run(start())
    found = {name: getattr(started, name) or getattr(settings, name) for name in servers.SETTINGS}
    if as_json:
        shared.print_json({**found, "started": list(started.started), "console": console, "sign_in": sign_in})
        return
    for name, address in found.items():
        out.print(f"{name.upper()}={shared.without_password(address or '')}", markup=False)
    out.print(f"Up ({', '.join(started.started) or 'all were running already'}). Stop them with `deskstream down`.")
    _print_console(console, sign_in)


@app.command()
def down() -> None:
    """Stop console, desk, auditor and the embedded servers; data are kept."""
    from app.embedded import servers
    from app.embedded.console import EmbeddedConsole
    from app.embedded.desk import EmbeddedAuditor, EmbeddedDesk

    settings = shared.settings()

    async def stop() -> tuple[str, ...]:
        parts = [part(settings.state_dir) for part in (EmbeddedConsole, EmbeddedDesk, EmbeddedAuditor)]
        ran = [part.name for part in parts if part.running]
        await asyncio.gather(*(part.stop() for part in parts))
        return (*ran, *await servers.down(settings))

    stopped = shared.run(stop())
    out.print(f"Stopped {', '.join(stopped)}." if stopped else "Nothing was running.")


@app.command()
def console(
    port: Annotated[int | None, typer.Option(min=1, max=65_535, help="CONSOLE_PORT, if not given.")] = None,
) -> None:
    """Serve the console until it is stopped (SIGTERM, Ctrl-C)."""
    from app.console.server import serve

    settings = shared.resolved()
    shared.run(serve(settings.model_copy(update={"console_port": port} if port else {})))


@app.command()
def desk() -> None:
    """Run the desk's worker until it is stopped: topics into tables, decisions onto the bus, replies to customers."""
    from app.desk.serve import serve

    async def work() -> None:
        await serve(shared.resolved(("kafka_bootstrap", "database_url")), _stopped_by_signals())

    shared.run(work())


@app.command()
def stage(name: Annotated[str, typer.Argument(help=", ".join(STAGES))]) -> None:
    """Run one worker of a stage until it is stopped (SIGTERM, Ctrl-C): it finishes, commits and leaves."""
    from app.wiring import run_stage

    if name not in STAGES:
        shared.fail(f"there is no stage {name!r}: it is one of {', '.join(STAGES)}", shared.USAGE)

    async def work() -> None:
        await run_stage(shared.resolved(), STAGES[name], _stopped_by_signals())

    # Thousands of calls in flight; elsewhere asyncio's own loop, which can start a process as another user.
    shared.run(work(), loop_factory=uvloop.new_event_loop)


@app.command()
def auditor() -> None:
    """Re-check what is routed and sent, and halt sending at the first broken promise, until it is stopped."""
    from app.desk.serve import audit

    async def work() -> None:
        await audit(shared.resolved(("kafka_bootstrap", "database_url")), _stopped_by_signals())

    shared.run(work())


@app.command()
def ingest(
    file: Annotated[Path, typer.Argument(help="JSON Lines, plain or .gz: ticket_id, text, subject, locale, ...")],
    tenant: Tenant,
    source: Annotated[
        str | None, typer.Option(help="Name of where they come from; the same name and line again is a repeat.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1)] = None,
) -> None:
    """Put tickets on the bus. A bad line is reported by its number and passed over."""
    from app.ingest import ingest as put
    from app.kafka.connection import client_options

    done = shared.run(
        put(
            shared.existing(file, "FILE"),
            client=client_options(shared.resolved(("kafka_bootstrap",))),
            tenant=tenant,
            source=f"/ingest/{source or secrets.token_hex(4)}",
            limit=limit,
            on_bad_line=lambda number, text: err.print(f"{file}, line {number}: {text}", markup=False),
        )
    )
    out.print(f"{len(done.event_ids)} tickets in, {done.repeats} repeats, {done.bad} bad lines.")
    if done.bad:
        raise typer.Exit(1)


@topics_app.command("create")
def topics_create() -> None:
    """Make the topics that are missing."""
    from app.kafka.connection import client_options
    from app.kafka.topics import create_topics

    settings = shared.resolved(("kafka_bootstrap",))
    made = shared.run(
        create_topics(
            client_options(settings),
            partitions=settings.partitions,
            replication_factor=settings.replication_factor,
        )
    )
    out.print(f"Made {', '.join(made)}." if made else "All topics were there.")


@db_app.command("migrate")
def db_migrate() -> None:
    """Bring the schema to the newest revision."""
    from app.store.database import migrate, revision

    url = shared.resolved(("database_url",)).database_url or ""

    async def upgrade() -> str | None:
        await migrate(url)
        return await revision(url)

    out.print(f"The schema is at revision {shared.run(upgrade())}.")


@app.command("model-server")
def model_server(
    port: Annotated[int, typer.Option(min=1, max=65_535)] = 8_400,
    simulate: Annotated[Path | None, typer.Option(help="JSON: latency, refusals, faults; see the README.")] = None,
    call_log: Annotated[Path | None, typer.Option(help="JSON Lines, a row for each request.")] = None,
    host: str = "127.0.0.1",
    allow_remote: Annotated[bool, typer.Option(help="Listen on another address than loopback.")] = False,
) -> None:
    """The offline model: an OpenAI-compatible server that is no language model, and says so in every reply."""
    from app.offline.server import serve
    from app.offline.simulation import Simulation

    try:
        simulation = (
            Simulation.model_validate_json(shared.existing(simulate, "--simulate").read_bytes()) if simulate else None
        )
        serve(host, port, shared.settings().state_dir, simulation, call_log=call_log, allow_remote=allow_remote)
    except ValueError as error:
        shared.fail(f"model-server: {error}", shared.USAGE)
    except OSError as error:
        shared.fail(f"model-server: {error.strerror or error} ({host}:{port})", shared.AWAY)


app.command()(verify)
app.command()(report)
app.add_typer(evaluate.app, name="eval")


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check every server, setting, model and key: one line each, and what to do about it."""
    from app.doctor import examine

    findings = shared.run(examine(shared.settings()))
    if as_json:
        shared.print_json([finding.as_json() for finding in findings])
    else:
        for finding in findings:
            out.print(("ok    " if finding.ok else "WRONG ") + finding.text, markup=False, soft_wrap=True)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def _stopped_by_signals() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def main() -> None:
    try:
        app()
    except Exception as error:  # noqa: BLE001 - a bug of ours: its trace goes to a file, not to the user
        file = shared.keep_trace()
        err.print(f"This is a bug: {type(error).__name__}: {error}\nIts trace is in {file}.", style="red", markup=False)
        sys.exit(shared.BUG)


if __name__ == "__main__":
    main()
