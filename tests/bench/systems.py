"""The systems under measurement: how each is started, and a run of it watched from outside."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
POM = ROOT / "infra" / "bench" / "pom.xml"
JAVA_LIBS = ROOT / ".deskstream" / "bench" / "libs"
PARALLEL_CONSUMER = "0.5.3.2"
OURS = ("ours", "ours-journal")
PEERS = ("parallel-consumer", "faust", "quix")
STOP_S_MAX = 25.0
LOG_CHARS = 2_000


@dataclass(frozen=True)
class Job:
    system: str
    source: str
    target: str
    bootstrap: str
    in_flight: int
    call_ms: int
    sigma: float
    database_url: str = ""


@dataclass(frozen=True)
class Used:
    cpu_s: float
    rss_mib: float  # the most of all samples


def command(job: Job) -> list[str]:
    work = [job.source, job.target, job.bootstrap, str(job.in_flight), str(job.call_ms), str(job.sigma)]
    match job.system:
        case "ours":
            return [sys.executable, "-m", "tests.bench.ours", *work]
        case "ours-journal":
            return [sys.executable, "-m", "tests.bench.ours", *work, job.database_url]
        case "parallel-consumer":
            return ["java", "-Xmx2g", "-cp", f"{POM.parent / 'target' / 'classes'}:{JAVA_LIBS}/*", "bench.Peer", *work]
        case "faust" | "quix":
            return [sys.executable, "-m", "tests.bench.peers", job.system, *work]
        case _:
            raise ValueError(f"there is no system {job.system!r}: choose of {', '.join((*OURS, *PEERS))}")


def system_version(system: str) -> str:
    if system == "parallel-consumer":
        return PARALLEL_CONSUMER
    return version({"faust": "faust-streaming", "quix": "quixstreams"}.get(system, "deskstream"))


def compile_java_peer() -> None:
    goals = ["compile", "dependency:copy-dependencies", f"-DoutputDirectory={JAVA_LIBS}"]
    subprocess.run(["mvn", "-q", "-B", "-f", str(POM), *goals], check=True)


class Watched:
    """A running system. What it used is counted with its children."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self._process = process
        self._watched = psutil.Process(process.pid)
        self._log = log

    def check(self) -> None:
        if self._process.poll() is not None:
            raise RuntimeError(f"the system ended with {self._process.returncode}:\n{self.log_tail()}")

    def kill(self) -> None:
        """As kill -9 does."""
        self._process.kill()

    def suspend(self) -> None:
        self._watched.suspend()

    def resume(self) -> None:
        self._watched.resume()

    def log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-LOG_CHARS:]

    async def use(self, seconds: float) -> Used:
        """What it uses in the next ``seconds``. Raises RuntimeError if it ends before."""
        cpu_s, until, rss = self._cpu_s(), time.monotonic() + seconds, 0
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(1.0, left))
            self.check()
            rss = max(rss, self._rss())
        return Used(self._cpu_s() - cpu_s, rss / 1024**2)

    def _tree(self) -> list[psutil.Process]:
        return [self._watched, *self._watched.children(recursive=True)]

    def _cpu_s(self) -> float:
        total = 0.0
        for process in self._tree():
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def _rss(self) -> int:
        total = 0
        for process in self._tree():
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total


@asynccontextmanager
async def running(job: Job, log: Path) -> AsyncIterator[Watched]:
    """The system as a process until the block ends; then it is asked to stop, and made to."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(job), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
    try:
        yield Watched(process, log)
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, STOP_S_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
