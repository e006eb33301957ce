"""``deskstream``: the command line. Commands are thin; what they do stands in the modules they call.

Exit codes: 0 done; 1 done, but something is wrong (a check, an unaccounted ticket); 2 wrong usage or setting;
3 a server is away or refused; 70 a bug; 130 interrupted.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import signal
import sys
import traceback
from collections.abc import Callable, Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any, NoReturn, TypeVar

import typer
import uvloop
from pydantic import ValidationError
from rich.console import Console

from agents.pipeline import STAGES
from app.config import Settings, describe_problem

T = TypeVar("T")

USAGE, AWAY, BUG, INTERRUPTED = 2, 3, 70, 130

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Answers customer-support tickets on a Kafka bus.",
)  # fmt: skip
topics_app = typer.Typer(no_args_is_help=True, help="The topics on the broker.")
db_app = typer.Typer(no_args_is_help=True, help="The database's schema.")
kb_app = typer.Typer(no_args_is_help=True, help="The tenant's knowledge base.")
app.add_typer(topics_app, name="topics")
app.add_typer(db_app, name="db")
app.add_typer(kb_app, name="kb")

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

Tenant = Annotated[str, typer.Option("--tenant", "-t", help="Whose: lower-case letters, digits, - and _.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command()
def run(
    tickets: Annotated[Path | None, typer.Option(help="JSON Lines, plain or .gz.")] = None,
    kb: Annotated[Path | None, typer.Option(help="Articles: JSON Lines, Markdown, or a folder.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many tickets.")] = 200,
    tenant: Tenant = "demo",
    as_json: AsJson = False,
) -> None:
    """From nothing to the summary: servers, knowledge base, stages, tickets."""
    from app import demo
    from app.progress import print_summary
    from app.run import RunOptions
    from app.run import run as run_all

    settings = _settings()
    options = RunOptions(
        tickets=_existing(tickets or demo.tickets_path(), "--tickets"),
        knowledge=_existing(kb or demo.knowledge_path(), "--kb"),
        tenant=tenant,
        limit=limit,
        run_id=f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}",
    )
    console = err if as_json else out
    console.print(f"Tickets: {options.tickets}. Articles: {options.knowledge}.")
    summary = _run(run_all(settings, options, console))
    summary.write(settings.state_dir)
    if as_json:
        _print_json(summary.as_json())
    else:
        print_summary(out, summary, settings.state_dir)
    if summary.problems:
        raise typer.Exit(1)


@app.command()
def up(as_json: AsJson = False) -> None:
    """Start the embedded servers that no setting replaces, make topics and schema, and leave them running."""
    from app.embedded import servers
    from app.setup import prepare

    settings = _settings()

    async def start() -> servers.Servers:
        started = await servers.up(settings, say=lambda text: err.print(text, style="dim"))
        await prepare(servers.resolve(settings))
        return started

    started = _run(start())
    found = {name: getattr(started, name) or getattr(settings, name) for name in servers.SETTINGS}
    if as_json:
        _print_json({**found, "started": list(started.started)})
        return
    for name, address in found.items():
        out.print(f"{name.upper()}={_without_password(address or '')}", markup=False)
    out.print(f"Up ({', '.join(started.started) or 'all were running already'}). Stop them with `deskstream down`.")


@app.command()
def down() -> None:
    """Stop the embedded servers; data are kept."""
    from app.embedded import servers

    stopped = _run(servers.down(_settings()))
    out.print(f"Stopped {', '.join(stopped)}." if stopped else "Nothing was running.")


@app.command()
def stage(name: Annotated[str, typer.Argument(help=", ".join(STAGES))]) -> None:
    """Run one worker of a stage until it is stopped (SIGTERM, Ctrl-C): it finishes, commits and leaves."""
    from app.wiring import run_stage

    if name not in STAGES:
        _fail(f"there is no stage {name!r}: it is one of {', '.join(STAGES)}", USAGE)

    async def work() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await run_stage(_resolved(), STAGES[name], stop)

    # Thousands of calls in flight; elsewhere asyncio's own loop, which can start a process as another user.
    _run(work(), loop_factory=uvloop.new_event_loop)


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

    done = _run(
        put(
            _existing(file, "FILE"),
            client=client_options(_resolved(("kafka_bootstrap",))),
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

    settings = _resolved(("kafka_bootstrap",))
    made = _run(
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

    url = _resolved(("database_url",)).database_url or ""

    async def upgrade() -> str | None:
        await migrate(url)
        return await revision(url)

    out.print(f"The schema is at revision {_run(upgrade())}.")


@kb_app.command("import")
def kb_import(
    path: Annotated[Path, typer.Argument(help="JSON Lines, Markdown, or a folder.")],
    tenant: Tenant,
    sync: Annotated[bool, typer.Option(help="Also withdraw what is no longer there.")] = False,
) -> None:
    """Import articles; only what is new or changed is embedded."""
    from app.progress import KnowledgeBar
    from app.wiring import create_tenant, import_knowledge

    settings = _resolved(("database_url", "embeddings_base_url"))
    _existing(path, "PATH")

    async def work() -> Any:
        await create_tenant(settings, tenant)
        with KnowledgeBar(err) as bar:
            return await import_knowledge(
                settings, path, tenant, on_progress=bar.update, on_unreadable=unreadable.append, sync=sync
            )

    unreadable: list[Any] = []
    imported = _run(work())
    for one in unreadable:
        err.print(str(one), markup=False, style="yellow", soft_wrap=True)
    out.print(
        f"{imported.added} articles added, {imported.updated} updated, {imported.unchanged} unchanged, "
        f"{imported.withdrawn} withdrawn; {imported.chunks} passages."
    )
    if unreadable:
        raise typer.Exit(1)


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
            Simulation.model_validate_json(_existing(simulate, "--simulate").read_bytes()) if simulate else None
        )
        serve(host, port, _settings().state_dir, simulation, call_log=call_log, allow_remote=allow_remote)
    except ValueError as error:
        _fail(f"model-server: {error}", USAGE)
    except OSError as error:
        _fail(f"model-server: {error.strerror or error} ({host}:{port})", AWAY)


@app.command()
def doctor(as_json: AsJson = False) -> None:
    """Check every server, setting, model and key: one line each, and what to do about it."""
    from app.doctor import examine

    findings = _run(examine(_settings()))
    if as_json:
        _print_json([finding.as_json() for finding in findings])
    else:
        for finding in findings:
            out.print(("ok    " if finding.ok else "WRONG ") + finding.text, markup=False, soft_wrap=True)
    if not all(finding.ok for finding in findings):
        raise typer.Exit(1)


def main() -> None:
    try:
        app()
    except Exception as error:  # noqa: BLE001 - a bug of ours: its trace goes to a file, not to the user
        file = _keep_trace()
        err.print(f"This is a bug: {type(error).__name__}: {error}\nIts trace is in {file}.", style="red", markup=False)
        sys.exit(BUG)


# -- what every command shares


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        for problem in error.errors(include_url=False):
            err.print(describe_problem(problem), markup=False, style="red", soft_wrap=True)
        raise typer.Exit(USAGE) from None
    except ValueError as error:  # the TOML file
        _fail(f"deskstream.toml: {error}", USAGE)


def _resolved(names: tuple[str, ...] | None = None) -> Settings:
    from app.embedded import servers
    from app.embedded.process import ServerError

    try:
        return servers.resolve(_settings(), names=names or servers.SETTINGS)
    except ServerError as error:
        _fail(str(error), AWAY)


def _run(work: Coroutine[Any, Any, T], *, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None) -> T:
    """Run it; every expected failure becomes one line and an exit code."""
    from aiokafka.errors import KafkaError

    from agents.contract import PermanentError, TransientError
    from app.embedded.process import ServerError

    async def interruptible() -> T:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        with suppress(NotImplementedError):
            loop.add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(interruptible())
    except (KeyboardInterrupt, asyncio.CancelledError):
        err.print("Interrupted; what this command started is stopped.")
        raise typer.Exit(INTERRUPTED) from None
    except (ServerError, TransientError, PermanentError) as error:
        _fail(str(error), AWAY)
    except KafkaError as error:
        _fail(f"Kafka: {error}; check KAFKA_BOOTSTRAP, or run `deskstream doctor`", AWAY)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _fail(f"{place}{error.strerror or error}", AWAY)


def _keep_trace() -> Path:
    with NamedTemporaryFile("w", prefix="deskstream-bug-", suffix=".log", delete=False) as file:
        traceback.print_exc(file=file)
    return Path(file.name)


def _existing(path: Path, option: str) -> Path:
    if not path.exists():
        _fail(f"{option}: {path} does not exist", USAGE)
    return path


def _fail(text: str, code: int) -> NoReturn:
    err.print(text, style="red", markup=False, soft_wrap=True)
    raise typer.Exit(code)


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def _without_password(address: str) -> str:
    head, at, tail = address.rpartition("@")
    return f"{head.rpartition(':')[0]}:***@{tail}" if at else address


if __name__ == "__main__":
    main()
