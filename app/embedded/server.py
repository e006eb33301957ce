"""What the embedded servers have in common: a directory, a port that stays, a process that is found again."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import structlog

from app.embedded import process
from app.embedded.process import Process, Running, ServerError

log = structlog.get_logger(__name__)

HOST = "127.0.0.1"
# Below the range that systems hand out for outgoing connections (from 32,768 on Linux), so that a kept port is still
# free at the next start.
PORTS = range(20_000, 30_000)
PORT_TRIES_MAX = 200
PORT_FREED_S_MAX = 2.0  # what a killed server may take to let go of it

Say = Callable[[str], None]


def quiet(_message: str) -> None:
    """Say nothing."""


class EmbeddedServer(ABC):
    """One server in one directory. Another process that opens the same directory finds the same server.

    Not for two callers at once: ``app.embedded.servers`` holds a lock around it.
    """

    name: str
    stop_signal = signal.SIGTERM
    stop_timeout_s: float = 30

    def __init__(self, directory: Path, *, say: Say = quiet) -> None:
        self.directory = directory.absolute()
        self.say = say

    @abstractmethod
    async def prepare(self) -> Process:
        """Install and initialise what is missing, choose ports, and say what to run. Idempotent."""

    @property
    @abstractmethod
    def address(self) -> str:
        """What goes into the settings. Known once it has been started."""

    @property
    def log_path(self) -> Path:
        return self.directory / f"{self.name}.log"

    @property
    def running(self) -> Running | None:
        """The process of the last start, if it is alive."""
        record = _read(self._record_file)
        try:
            running = Running(**record)
        except TypeError:  # nothing started, or a file of another version
            return None
        return running if process.is_alive(running) else None

    @property
    def pid(self) -> int:
        running = self.running
        if running is None:
            raise ServerError(f"{self.name} is not running in {self.directory}")
        return running.pid

    async def start(self) -> bool:
        """Start it unless it runs, and wait until it is ready. True if this call started it."""
        todo = await self.prepare()
        running = self.running
        if running is not None:
            try:
                await process.wait_ready(todo, running)
            except ServerError:
                if process.is_alive(running):
                    raise
                todo = await self.prepare()  # it was just ending
            else:
                return False
        began = time.monotonic()
        running = process.launch(todo)
        _write(self._record_file, asdict(running))
        await process.ready_or_killed(todo, running)
        self.say(f"{self.name} is up ({time.monotonic() - began:.1f} s)")
        return True

    async def stop(self) -> bool:
        """Stop it and wait until it has ended. True if it ended by itself, False if it had to be killed."""
        running = self.running
        if running is None:
            return True
        clean = await process.stop(running, stop_signal=self.stop_signal, timeout_s=self.stop_timeout_s)
        if not clean:
            log.warning("server_killed", server=self.name, after_s=self.stop_timeout_s)
        self._record_file.unlink(missing_ok=True)
        return clean

    async def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        running = self.running
        if running is None:
            raise ServerError(f"{self.name} is not running in {self.directory}")
        process.kill(running)
        if not await process.wait_gone(running, timeout_s=10):
            raise ServerError(f"{self.name} (pid {running.pid}) is still there 10 s after SIGKILL")

    async def restart(self) -> None:
        await self.stop()
        await self.start()

    def port(self, use: str) -> int:
        try:
            port: int = _read(self._ports_file)[use]
        except KeyError:
            raise ServerError(f"{self.name} in {self.directory} has not been started yet") from None
        return port

    async def choose_port(self, use: str) -> int:
        """The port of last time unless somebody else has it, so that clients find the server again."""
        ports = _read(self._ports_file)
        deadline = time.monotonic() + PORT_FREED_S_MAX
        while use in ports and self.running is None:
            if is_free(ports[use]):
                return self.port(use)
            if time.monotonic() > deadline:
                del ports[use]
                break
            await asyncio.sleep(process.POLL_S)
        if use not in ports:
            _write(self._ports_file, {**ports, use: free_port()})
        return self.port(use)

    @property
    def _ports_file(self) -> Path:
        return self.directory / "ports.json"

    @property
    def _record_file(self) -> Path:
        return self.directory / "process.json"


def is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        # As servers do: a port whose last connections are still closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    for _ in range(PORT_TRIES_MAX):
        port = random.choice(PORTS)  # noqa: S311 - so that two servers at once rarely meet
        if is_free(port):
            return port
    raise ServerError(f"no free port on {HOST} between {PORTS.start} and {PORTS.stop - 1}")


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(file: Path, content: dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(file.name + ".new")
    draft.write_text(json.dumps(content, indent=2) + "\n")
    draft.replace(file)  # never half a file
