"""A long-running process of ours: start, wait until ready, recognise later, stop.

A process runs in a session of its own, so that the terminal's Ctrl-C reaches whoever supervises it and not the process
itself. Whoever starts it stops it.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

POLL_S = 0.05
LOG_TAIL_BYTES = 4_000
LOG_BYTES_MAX = 20_000_000  # a longer log is set aside, as .1, when the process next starts


class ServerError(Exception):
    """A server cannot be started, stopped or found. The message names the way out."""


async def _at_once() -> bool:
    return True


@dataclass(frozen=True)
class Process:
    """What to run, and how to tell that it is ready."""

    name: str
    argv: tuple[str, ...]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)  # over this process's own environment
    cwd: Path | None = None
    user: str | None = None
    ready: Callable[[], Awaitable[bool]] = _at_once
    ready_timeout_s: float = 60


@dataclass(frozen=True)
class Running:
    """A process that was started. A pid alone is used again by the system: ``started`` tells the two apart."""

    name: str
    pid: int
    started: str
    log: str
    log_start: int = 0  # bytes that were in the log before


def launch(process: Process) -> Running:
    """Start it and return at once."""
    process.log.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if process.log.stat().st_size > LOG_BYTES_MAX:
            process.log.replace(process.log.with_name(process.log.name + ".1"))
    with process.log.open("ab") as log:
        log_start = log.tell()
        try:
            child = subprocess.Popen(  # noqa: S603 - argv is ours, and there is no shell
                process.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **process.env},
                cwd=process.cwd,
                start_new_session=True,
                **account(process.user),
            )
        except OSError as error:
            raise ServerError(f"{process.name} cannot be started: {error}") from error
    _children[child.pid] = child
    return Running(process.name, child.pid, start_mark(child.pid) or "", str(process.log), log_start)


async def start(process: Process) -> Running:
    """Start it and wait until it is ready. If it does not get ready, it is stopped."""
    running = launch(process)
    await ready_or_killed(process, running)
    return running


async def ready_or_killed(process: Process, running: Running) -> None:
    try:
        await wait_ready(process, running)
    except BaseException:  # a cancelled start leaves nothing behind either
        kill(running)
        await asyncio.shield(wait_gone(running, timeout_s=5))
        raise


async def wait_ready(process: Process, running: Running) -> None:
    deadline = time.monotonic() + process.ready_timeout_s
    while True:
        if not is_alive(running):
            raise ServerError(
                f"{process.name} ended while starting; its log {running.log} ends with:\n{_tail(running)}"
            )
        if await process.ready():
            return
        if time.monotonic() > deadline:
            raise ServerError(
                f"{process.name} was not ready within {process.ready_timeout_s:g} s;"
                f" its log {running.log} ends with:\n{_tail(running)}"
            )
        await asyncio.sleep(POLL_S)


def is_alive(running: Running) -> bool:
    child = _children.get(running.pid)
    if child is not None and child.poll() is not None:  # reaps it
        _children.pop(running.pid, None)
    return start_mark(running.pid) == running.started != ""


async def stop(running: Running, *, stop_signal: signal.Signals = signal.SIGTERM, timeout_s: float = 30) -> bool:
    """Ask it to end and wait until it has; kill it after ``timeout_s``. True if it ended by itself."""
    if not is_alive(running):
        return True
    with suppress(ProcessLookupError):
        os.kill(running.pid, stop_signal)
    if await wait_gone(running, timeout_s=timeout_s):
        return True
    kill(running)
    await wait_gone(running, timeout_s=5)
    return False


async def wait_gone(running: Running, *, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while is_alive(running):
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True


def kill(running: Running) -> None:
    """SIGKILL, if it is still that process."""
    if is_alive(running):
        with suppress(ProcessLookupError):
            os.kill(running.pid, signal.SIGKILL)


def account(user: str | None) -> dict[str, Any]:
    """What subprocess needs to run a program as ``user``."""
    return {} if user is None else {"user": user, "group": _group(user), "extra_groups": ()}


def start_mark(pid: int) -> str | None:
    """When the process started, in a form that no other process with this pid shares. None: it is not there."""
    stat = Path(f"/proc/{pid}/stat")
    if not Path("/proc/self/stat").exists():
        return _start_mark_by_ps(pid)
    try:
        # The name stands in parentheses and may hold anything; the fields after it are state (0) ... start time (19).
        fields = stat.read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] in "ZX" and _threads(pid) <= 1:  # while other threads end, ports and files are still open
        return None
    return f"{_boot_id()}:{fields[19]}"


# Children of this process, which stay zombies until they are asked for.
_children: dict[int, subprocess.Popen[bytes]] = {}


def _threads(pid: int) -> int:
    try:
        return len(list(Path(f"/proc/{pid}/task").iterdir()))
    except OSError:
        return 0


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "unknown"


def _start_mark_by_ps(pid: int) -> str | None:
    done = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)  # noqa: S603, S607
    state, _, started = done.stdout.strip().partition(" ")
    return None if not state or state.startswith("Z") else started.strip()


def _group(user: str) -> int:
    import pwd  # noqa: PLC0415 - not on Windows

    return pwd.getpwnam(user).pw_gid


def _tail(running: Running) -> str:
    try:
        with Path(running.log).open("rb") as log:
            log.seek(max(running.log_start, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
            return log.read().decode(errors="replace").strip()
    except OSError:
        return "(no log)"
