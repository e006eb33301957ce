"""A run's folder says who runs it and what was started, so that the next run can stop what a killed one left behind."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from app.embedded import process
from app.embedded.kafka import EmbeddedKafka
from app.embedded.model_server import EmbeddedModelServer
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.process import Running, start_mark
from app.embedded.server import EmbeddedServer, Say

PREFIX = "deskstream-verify-"
OWNER = "owner.json"
WORKERS = "workers.jsonl"
GONE_S_MAX = 5.0
# Each server's own folder inside the run's.
SERVERS: Mapping[str, type[EmbeddedServer]] = {
    "kafka": EmbeddedKafka, "postgres": EmbeddedPostgres, "model": EmbeddedModelServer,
}  # fmt: skip


def open_folder() -> Path:
    """PostgreSQL runs as another account where we are root, and must get in."""
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    folder.chmod(0o755)
    me = Running("verify", os.getpid(), start_mark(os.getpid()) or "", "")
    (folder / OWNER).write_text(json.dumps(asdict(me)))
    return folder


def note_worker(folder: Path, worker: Running) -> None:
    with (folder / WORKERS).open("a") as file:
        file.write(json.dumps(asdict(worker)) + "\n")


async def stop_abandoned(say: Say) -> None:
    """Stop what killed runs left running on this machine; their folders stay.

    Not found: a process that was started in the moment of the kill, before it was written down.
    """
    for folder in abandoned(Path(tempfile.gettempdir())):
        workers = [worker for worker in _noted(folder / WORKERS) if process.is_alive(worker)]
        for worker in workers:  # they own nothing that outlives them
            process.kill(worker)
        await asyncio.gather(*(process.wait_gone(worker, timeout_s=GONE_S_MAX) for worker in workers))
        running = [server for name, kind in SERVERS.items() if (server := _server(kind, folder / name))]
        for server in running:
            await server.stop()
        if workers or running:
            stopped = ", ".join([*(server.name for server in running), f"{len(workers)} workers"])
            say(f"An earlier run was killed and had left running: {stopped}. They are stopped; {folder} is kept.")


def abandoned(parent: Path) -> list[Path]:
    """Folders whose run has ended. Another account's are not believed: they could name any process."""
    folders = []
    for file in sorted(parent.glob(f"{PREFIX}*/{OWNER}")):
        owners = _noted(file)
        if owners and not process.is_alive(owners[0]) and file.stat().st_uid == os.geteuid():
            folders.append(file.parent)
    return folders


def _server(kind: type[EmbeddedServer], directory: Path) -> EmbeddedServer | None:
    if not directory.is_dir():
        return None
    server = kind(directory)
    return server if server.running else None


def _noted(file: Path) -> list[Running]:
    """What stands in ``file``; a line that was cut off is passed over, and so is a file that is gone."""
    noted = []
    try:
        lines = file.read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        try:
            noted.append(Running(**json.loads(line)))
        except (ValueError, TypeError):
            continue
    return noted
