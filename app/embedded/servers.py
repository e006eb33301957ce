"""The servers of a machine that has none: started together, found again, stopped together.

What a setting names is never started, and only what was started here is ever stopped. Each server's own folder says
which process it is; ``<state_dir>/servers.json`` repeats it for people and scripts.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from app.config import Settings
from app.embedded.kafka import EmbeddedKafka
from app.embedded.lock import locked
from app.embedded.model_server import EmbeddedModelServer
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.process import Running, ServerError
from app.embedded.server import EmbeddedServer, Say, quiet

SERVERS_FILE = "servers.json"
LOCK_FILE = "servers.lock"
LOCK_TIMEOUT_S = 900  # the other one may be downloading

# Each server, and the settings that its address answers.
KINDS: Mapping[type[EmbeddedServer], tuple[str, ...]] = {
    EmbeddedKafka: ("kafka_bootstrap",),
    EmbeddedPostgres: ("database_url",),
    EmbeddedModelServer: ("llm_base_url", "embeddings_base_url"),
}
SETTINGS = tuple(name for names in KINDS.values() for name in names)


@dataclass(frozen=True)
class Servers:
    """Where the embedded servers are. None: that one does not run."""

    kafka_bootstrap: str | None = None
    database_url: str | None = None
    llm_base_url: str | None = None
    embeddings_base_url: str | None = None
    processes: tuple[Running, ...] = ()
    started: tuple[str, ...] = ()  # by this very call of ``up``; the others ran already


@dataclass(frozen=True)
class ServerStatus:
    name: str
    pid: int | None  # None: it does not run
    address: str | None
    log: Path


async def up(settings: Settings, *, say: Say = quiet) -> Servers:
    """Start, at the same time, what no setting names and what does not run yet: all of it, or nothing."""
    async with locked(settings.state_dir / LOCK_FILE, timeout_s=LOCK_TIMEOUT_S):
        started = await _start_all(_wanted(settings, say=say))
        servers = running(settings)
        _write(settings, servers)
    return replace(servers, started=started)


async def down(settings: Settings, *, only: Collection[str] | None = None) -> tuple[str, ...]:
    """Stop the embedded servers (or ``only`` those of these names). Gives the names of those that ran."""
    async with locked(settings.state_dir / LOCK_FILE, timeout_s=LOCK_TIMEOUT_S):
        ours = [server for server in _all(settings) if only is None or server.name in only]
        stopping = [server for server in ours if server.running]
        await asyncio.gather(*(server.stop() for server in stopping))
        _write(settings, running(settings))
    return tuple(server.name for server in stopping)


def status(settings: Settings) -> tuple[ServerStatus, ...]:
    """The embedded servers that run or that these settings need."""
    wanted = {server.name for server in _wanted(settings)}
    return tuple(
        ServerStatus(
            name=server.name,
            pid=process.pid if process else None,
            address=server.address if process else None,
            log=server.log_path,
        )
        for server in _all(settings)
        if (process := server.running) or server.name in wanted
    )


def running(settings: Settings) -> Servers:
    """The embedded servers that run now."""
    found = [(server, process) for server in _all(settings) if (process := server.running)]
    addresses = {name: server.address for server, _ in found for name in KINDS[type(server)]}
    return Servers(
        kafka_bootstrap=addresses.get("kafka_bootstrap"),
        database_url=addresses.get("database_url"),
        llm_base_url=addresses.get("llm_base_url"),
        embeddings_base_url=addresses.get("embeddings_base_url"),
        processes=tuple(process for _, process in found),
    )


def resolve(settings: Settings, *, names: Collection[str] = SETTINGS) -> Settings:
    """The settings with the addresses of the embedded servers where they name none; ``names`` are those needed."""
    missing = [name for name in names if getattr(settings, name) is None]
    if not missing:
        return settings
    servers = running(settings)
    absent = [name.upper() for name in missing if getattr(servers, name) is None]
    if absent:
        listed = " and ".join(filter(None, (", ".join(absent[:-1]), absent[-1])))
        raise ServerError(f"the embedded servers are not up: run `deskstream up`, or set {listed}")
    return settings.model_copy(update={name: getattr(servers, name) for name in missing})


def _all(settings: Settings, *, say: Say = quiet) -> tuple[EmbeddedServer, ...]:
    return tuple(kind(settings.state_dir / kind.name, say=say) for kind in KINDS)


def _wanted(settings: Settings, *, say: Say = quiet) -> tuple[EmbeddedServer, ...]:
    return tuple(
        server
        for server in _all(settings, say=say)
        if any(getattr(settings, name) is None for name in KINDS[type(server)])
    )


async def _start_all(servers: tuple[EmbeddedServer, ...]) -> tuple[str, ...]:
    ran = [server for server in servers if server.running]
    tasks = [asyncio.create_task(server.start(), name=server.name) for server in servers]
    try:
        await asyncio.gather(*tasks)
    except BaseException:  # cancelled, too: an `up` that was interrupted leaves nothing running that it started
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # Not by what their tasks gave: one that was ready may have been interrupted in what comes after.
        await asyncio.gather(*(server.stop() for server in servers if server not in ran))
        raise
    return tuple(server.name for server, task in zip(servers, tasks, strict=True) if task.result())


def _write(settings: Settings, servers: Servers) -> None:
    file = settings.state_dir / SERVERS_FILE
    if not servers.processes:
        file.unlink(missing_ok=True)
        return
    content = asdict(servers)
    del content["started"]
    draft = file.with_name(file.name + ".new")
    draft.unlink(missing_ok=True)
    # The address of PostgreSQL holds its password.
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        json.dump(content, stream, indent=2)
        stream.write("\n")
    draft.replace(file)
