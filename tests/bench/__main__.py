"""``make bench``: the same work through ours and its peers, on one broker, alternating.

Each system runs as its own process and is judged from outside: by what a read_committed reader finds at the output
topic. Results are written after each cell, and a part measured again replaces only its own rows.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from app.embedded.kafka import install
from app.store.database import migrate
from tests.bench import latency, load, report
from tests.bench.load import Cell
from tests.bench.systems import (
    OURS,
    PEERS,
    ROOT,
    Job,
    Used,
    Watched,
    compile_java_peer,
    running,
    system_version,
)
from tests.servers import KAFKA_LIBS, embedded_kafka, embedded_postgres, server_folder

RESULTS = ROOT / "infra" / "docs" / "generated" / "bench"
HEADROOM = 1.2  # records in, over those that the measured time and the warm-up take
RATE_MAX = 40_000  # above what any of them reaches on two cores
SLACK_S = 10.0  # between what is timed, on a machine that is busy
START_S_MAX = 90.0  # thousands of threads or agents take their time
NAMED_CELLS = (Cell(1_000, 50, "uniform"), Cell(4_000, 50, "uniform"))
MATRIX = tuple(
    Cell(in_flight, call_ms, keys)
    for call_ms in (50, 1_000)
    for keys in ("uniform", "zipf")
    for in_flight in (100, 1_000, 4_000, 10_000)
)


@dataclass(frozen=True)
class Options:
    systems: Sequence[str] = (*OURS, *PEERS)
    cells: Sequence[Cell] = MATRIX
    seconds: float = 60.0
    warm_up_s: float = 20.0
    runs: int = 3
    out: Path = RESULTS
    latency: bool = True


@dataclass(frozen=True)
class Measured:
    counted: load.Counted
    used: Used


class Bench:
    def __init__(self, bootstrap: str, database_url: str, folder: Path, options: Options) -> None:
        self._client = {"bootstrap_servers": bootstrap}
        self._database_url = database_url
        self._folder = folder
        self._options = options
        self._sources: dict[str, str] = {}

    async def rates(self) -> None:
        for cell in self._options.cells:
            systems = [name for name in self._options.systems if name in OURS or cell in NAMED_CELLS]
            runs: dict[str, list[Measured]] = {system: [] for system in systems}
            for number in range(self._options.runs):
                for system in systems:  # alternating: a machine that drifts drifts for all
                    measured = await self._measure(system, cell)
                    runs[system].append(measured)
                    print(f"{cell}: {system}, run {number + 1}: {measured.counted.rate:,.0f}/s of {cell.bound:,.0f},"
                          f" {measured.used.cpu_s:.0f} CPU s, {measured.used.rss_mib:.0f} MiB", flush=True)  # fmt: skip
            report.save_rates(self._options.out, [self._row(name, cell, found) for name, found in runs.items()])

    async def latencies(self) -> None:
        rows = []
        for system in [name for name in self._options.systems if name in OURS]:
            runs = []
            for _ in range(self._options.runs):
                await self._empty_journal(system)
                added = await latency.measure(
                    self._client, self._name(), system, self._database_url, self._folder / "system.log",
                    seconds=self._options.seconds, warm_up_s=self._options.warm_up_s,
                )  # fmt: skip
                runs.append(added)
            rows.append(latency.row(system, runs, system_version(system)))
            print(rows[-1], flush=True)
        report.save_latencies(self._options.out, rows)

    async def _measure(self, system: str, cell: Cell) -> Measured:
        source, records = await self._source(cell.keys)
        target = self._name()
        await self._empty_journal(system)
        await load.create(self._client, target, f"{target}.dead")
        job = Job(system, source, target, self._client["bootstrap_servers"], cell.in_flight, cell.call_ms, cell.sigma,
                  self._database_url)  # fmt: skip
        async with running(job, self._folder / "system.log") as watched:
            await self._first_output(watched, target)
            await watched.use(self._options.warm_up_s)
            began = time.time()
            used = await watched.use(self._options.seconds)
            ended = time.time()
        counted = await load.count(self._client, target, began, ended, records)
        if counted.outputs >= records:
            raise RuntimeError(f"{system} ran out of its {records:,} records ({cell}): raise RATE_MAX")
        await load.delete(self._client, target, f"{target}.dead")
        return Measured(counted, used)

    async def _first_output(self, watched: Watched, target: str) -> None:
        """The clock of the warm-up starts with the first output, not with a program's loading."""
        deadline = time.monotonic() + START_S_MAX
        while not await load.committed(self._client, target):
            watched.check()
            if time.monotonic() > deadline:
                print(f"nothing committed within {START_S_MAX:.0f} s:\n{watched.log_tail()}")
                return
            await asyncio.sleep(0.2)

    async def _source(self, keys: str) -> tuple[str, int]:
        """The input topic of these keys and its number of records: filled once, read by all systems and runs."""
        cells = [cell for cell in self._options.cells if cell.keys == keys]
        rate = min(RATE_MAX, max(cell.littles_bound for cell in cells))
        records = int(rate * (self._options.seconds + self._options.warm_up_s + SLACK_S) * HEADROOM)
        if keys not in self._sources:
            topic = f"{self._name()}.{keys}"
            await load.create(self._client, topic)
            await load.fill(self._client, topic, keys, records)
            self._sources[keys] = topic
        return self._sources[keys], records

    async def _empty_journal(self, system: str) -> None:
        """Each run begins with the same empty tables."""
        if system == "ours-journal":
            connection = await asyncpg.connect(self._database_url)
            try:
                await connection.execute("truncate call, call_attempt, claim")
            finally:
                await connection.close()

    def _name(self) -> str:
        return f"bench-{time.time_ns()}"

    def _row(self, system: str, cell: Cell, runs: Sequence[Measured]) -> report.Row:
        rates = [run.counted.rate for run in runs]
        return {
            "system": system,
            "in_flight": cell.in_flight,
            "call_ms": cell.call_ms,
            "keys": cell.keys,
            "rate_median": round(statistics.median(rates), 1),
            "rate_min": round(min(rates), 1),
            "rate_max": round(max(rates), 1),
            "bound": round(cell.bound, 1),
            "cpu_s": round(statistics.median(run.used.cpu_s for run in runs), 1),
            "rss_mib": round(statistics.median(run.used.rss_mib for run in runs), 1),
            "drift": round(statistics.median(run.counted.drift for run in runs), 3),
            "repeated": sum(run.counted.repeated for run in runs),
            "out_of_order": sum(run.counted.out_of_order for run in runs),
            "seconds": self._options.seconds,
            "runs": len(runs),
            "version": system_version(system),
        }


async def run(options: Options, bootstrap: str, database_url: str) -> None:
    """On servers that are there."""
    if "parallel-consumer" in options.systems:
        compile_java_peer()
    with tempfile.TemporaryDirectory(prefix="deskstream-bench-logs-") as folder:
        bench = Bench(bootstrap, database_url, Path(folder), options)
        await bench.rates()
        if options.latency:
            await bench.latencies()


@asynccontextmanager
async def servers() -> AsyncIterator[tuple[str, str]]:
    """A broker and a database of the benchmark's own: (bootstrap, database URL)."""
    await install(KAFKA_LIBS, say=print)
    with server_folder() as folder:
        async with embedded_kafka(folder) as kafka, embedded_postgres(folder) as postgres:
            await migrate(postgres.address)
            yield kafka.address, postgres.address


def options_of(arguments: Sequence[str] | None = None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60, help="measured, of each run")
    parser.add_argument("--warm-up", type=float, default=20, help="seconds after the first output")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="+", default=[*OURS, *PEERS], choices=[*OURS, *PEERS], metavar="SYSTEM",
                        help=f"of {', '.join((*OURS, *PEERS))}")  # fmt: skip
    parser.add_argument("--cells", nargs="+", metavar="IN_FLIGHT:CALL_MS:KEYS", help="such as 1000:50:uniform")
    parser.add_argument("--named-cells", action="store_true", help="only the two cells that the peers run")
    parser.add_argument("--no-latency", action="store_true", help="leave out the added latency of ours")
    parser.add_argument("--out", type=Path, default=RESULTS, help="another folder for the results")
    given = parser.parse_args(arguments)
    cells = NAMED_CELLS if given.named_cells else tuple(map(_cell, given.cells)) if given.cells else MATRIX
    return Options(given.only, cells, given.seconds, given.warm_up, given.runs, given.out, not given.no_latency)


def _cell(text: str) -> Cell:
    in_flight, call_ms, keys = text.split(":")
    cell = Cell(int(in_flight), int(call_ms), keys)
    if cell not in MATRIX:
        raise SystemExit(f"{text} is no cell of the benchmark. They are: "
                         + ", ".join(f"{c.in_flight}:{c.call_ms}:{c.keys}" for c in MATRIX))  # fmt: skip
    return cell


async def main(options: Options) -> None:
    async with servers() as (bootstrap, database_url):
        await run(options, bootstrap, database_url)


if __name__ == "__main__":
    asyncio.run(main(options_of()))
