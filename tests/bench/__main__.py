"""``make bench``: the same work through ours and its peers, on one broker, alternating.

Each system runs as its own process; what counts is what a read_committed reader finds at the output topic with a
timestamp within the measured time, after warm-up. Rows go to ``runtime.json``, a table and a plot beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import psutil

from app.embedded import kafka as embedded_kafka
from app.embedded.kafka import EmbeddedKafka
from app.embedded.postgres import EmbeddedPostgres
from app.store.database import migrate
from tests.bench.load import Cell, count, fill
from tests.bench.report import write
from tests.servers import KAFKA_LIBS

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "infra" / "docs" / "generated" / "bench"
POM = ROOT / "infra" / "bench" / "pom.xml"
# Records are put in before the clock runs: enough for warm-up and measured time at this share above the bound.
HEADROOM = 1.15
RATE_MAX = 16_000  # above what any of them reaches on two cores
OURS = ("ours", "ours with journal")
PEERS = ("parallel consumer", "faust", "quix")
PEER_CELLS = (Cell(1_000, 50, 0, "uniform"), Cell(4_000, 50, 0, "uniform"))


@dataclass(frozen=True)
class Measured:
    rate: float
    cpu_s: float
    rss_mib: float
    repeated: int


def matrix() -> list[Cell]:
    return [
        Cell(in_flight, call_ms, sigma, keys)
        for call_ms, sigma in ((50, 0.0), (1_000, 0.5))
        for keys in ("uniform", "zipf")
        for in_flight in (100, 1_000, 4_000, 10_000)
    ]


class Bench:
    def __init__(
        self, bootstrap: str, database_url: str, peer_classes: str, *, seconds: float, warm_up_s: float
    ) -> None:
        self._bootstrap = bootstrap
        self._database_url = database_url
        self._peer_classes = peer_classes
        self._seconds = seconds
        self._warm_up_s = warm_up_s

    async def measure(self, system: str, cell: Cell) -> Measured:
        client = {"bootstrap_servers": self._bootstrap}
        name = f"b{time.time_ns()}"
        rate = min(cell.bound, RATE_MAX) if system != "quix" else 4_000 / cell.call_ms
        await fill(client, name, cell, int(rate * (self._seconds + self._warm_up_s) * HEADROOM))
        process = subprocess.Popen(
            self._command(system, name, cell), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            watched = psutil.Process(process.pid)
            await asyncio.sleep(self._warm_up_s)
            began, cpu = time.time(), _cpu_s(watched)
            await asyncio.sleep(self._seconds)
            ended, cpu_s = time.time(), _cpu_s(watched) - cpu
            rss = watched.memory_info().rss / 1024**2
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        counted = await count(client, name, began * 1_000, ended * 1_000)
        return Measured(counted.rate, cpu_s, rss, counted.repeated)

    def _command(self, system: str, name: str, cell: Cell) -> list[str]:
        work = [name, self._bootstrap, str(cell.in_flight), str(cell.call_ms), str(cell.sigma)]
        match system:
            case "ours":
                return [sys.executable, "-m", "tests.bench.ours", *work]
            case "ours with journal":
                return [sys.executable, "-m", "tests.bench.ours", *work, self._database_url]
            case "parallel consumer":
                topics = [self._bootstrap, f"{name}.in", f"{name}.out"]
                return ["java", "-Xmx2g", "-cp", self._peer_classes, "bench.Peer", *topics, *work[2:]]
            case _:
                return [sys.executable, "-m", "tests.bench.peers", system, *work]


def _cpu_s(process: psutil.Process) -> float:
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(t.user + t.system for t in times)


def _peer_classes() -> str:
    """Compile the Java peer; gives its class path."""
    libs = ROOT / ".deskstream" / "bench" / "libs"
    goals = ["compile", "dependency:copy-dependencies", f"-DoutputDirectory={libs}"]
    subprocess.run(["mvn", "-q", "-B", "-f", str(POM), *goals], check=True)
    return f"{POM.parent / 'target' / 'classes'}:{libs}/*"


def _version(system: str) -> str:
    match system:
        case "parallel consumer":
            return "0.5.3.2"
        case "faust":
            return version("faust-streaming")
        case "quix":
            return version("quixstreams")
        case _:
            return version("deskstream")


async def run(arguments: argparse.Namespace) -> None:
    folder = _open_folder()
    server, postgres = EmbeddedKafka(folder / "kafka", libs=KAFKA_LIBS), EmbeddedPostgres(folder / "postgres")
    await embedded_kafka.install(KAFKA_LIBS, say=print)
    try:
        await asyncio.gather(server.start(), postgres.start())
        await migrate(postgres.address)
        classes = _peer_classes() if "parallel consumer" in arguments.systems else ""
        bench = Bench(server.address, postgres.address, classes, seconds=arguments.seconds, warm_up_s=arguments.warm_up)
        cells = [cell for cell in matrix() if not arguments.named_cells or cell in PEER_CELLS]
        write(RESULTS if not arguments.out else Path(arguments.out), await _rows(bench, cells, arguments))
    finally:
        await asyncio.gather(server.stop(), postgres.stop())


def _open_folder() -> Path:
    """PostgreSQL runs as another account where we are root, and must get in."""
    folder = Path(tempfile.mkdtemp(prefix="deskstream-bench-"))
    folder.chmod(0o755)
    return folder


async def _rows(bench: Bench, cells: Sequence[Cell], arguments: argparse.Namespace) -> list[dict[str, object]]:
    rows = []
    for cell in cells:
        systems = [s for s in arguments.systems if s in OURS or cell in PEER_CELLS]
        runs: dict[str, list[Measured]] = {system: [] for system in systems}
        for number in range(arguments.runs):
            for system in systems:  # alternating, so that a machine that drifts drifts for all
                measured = await bench.measure(system, cell)
                runs[system].append(measured)
                print(f"{cell} {system} run {number + 1}: {measured.rate:.0f}/s, bound {cell.bound:.0f}", flush=True)
        rows += [_row(system, cell, measured) for system, measured in runs.items()]
    return rows


def _row(system: str, cell: Cell, runs: Sequence[Measured]) -> dict[str, object]:
    rates = [measured.rate for measured in runs]
    return {
        "system": system,
        "in_flight": cell.in_flight,
        "call_ms": cell.call_ms,
        "sigma": cell.sigma,
        "keys": cell.keys,
        "rate_median": round(statistics.median(rates), 1),
        "rate_min": round(min(rates), 1),
        "rate_max": round(max(rates), 1),
        "bound": round(cell.bound, 1),
        "cpu_s": round(statistics.median(measured.cpu_s for measured in runs), 1),
        "rss_mib": round(statistics.median(measured.rss_mib for measured in runs), 1),
        "repeated": sum(measured.repeated for measured in runs),
        "runs": len(runs),
        "version": _version(system),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="measured, of each run")
    parser.add_argument("--warm-up", type=float, default=10)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--systems", nargs="+", default=[*OURS, *PEERS], choices=[*OURS, *PEERS])
    parser.add_argument("--named-cells", action="store_true", help="only the two cells that the peers run")
    parser.add_argument("--out", help="another folder for the results")
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
