"""The stages' processes, and what can be done to them."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.embedded import process
from app.embedded.command import deskstream
from app.embedded.process import Process, Running

STAGE_NAMES = ("classify", "enrich", "draft", "route")
WORKERS_MAX = 4  # of a stage


@dataclass
class Worker:
    running: Running
    frozen: bool = False


class Workers:
    """``per_stage`` workers of each stage; ``number`` in a log's name counts every process ever started."""

    def __init__(self, folder: Path, environment: Mapping[str, str], *, per_stage: int) -> None:
        self._folder = folder
        self._environment = environment
        self._per_stage = per_stage
        self._number = 0
        self.of: dict[str, list[Worker]] = {name: [] for name in STAGE_NAMES}

    def start_all(self) -> None:
        """As many of each stage as there should be at least."""
        for name, workers in self.of.items():
            workers[:] = [worker for worker in workers if process.is_alive(worker.running)]
            while len(workers) < self._per_stage:
                self.start(name)

    def start(self, stage: str) -> None:
        self._number += 1
        todo = Process(
            name=f"{stage}-{self._number}",
            argv=(*deskstream(), "stage", stage),
            log=self._folder / "logs" / f"{stage}-{self._number}.log",
            env=self._environment,
        )
        self.of[stage].append(Worker(process.launch(todo)))

    def pick(self, stage: int, worker: int) -> tuple[str, Worker] | None:
        """One that runs and is not frozen; None where there is none."""
        name = STAGE_NAMES[stage % len(STAGE_NAMES)]
        ready = [one for one in self.of[name] if not one.frozen and process.is_alive(one.running)]
        return (name, ready[worker % len(ready)]) if ready else None

    def kill(self, name: str, worker: Worker) -> None:
        process.kill(worker.running)
        self.of[name].remove(worker)
        self.start(name)

    def freeze(self, worker: Worker) -> None:
        worker.frozen = True
        with suppress(ProcessLookupError):
            os.kill(worker.running.pid, signal.SIGSTOP)

    def thaw(self, worker: Worker) -> None:
        worker.frozen = False
        with suppress(ProcessLookupError):
            os.kill(worker.running.pid, signal.SIGCONT)

    def thaw_all(self) -> None:
        for workers in self.of.values():
            for worker in workers:
                if worker.frozen:
                    self.thaw(worker)

    async def remove(self, name: str, worker: Worker) -> None:
        """SIGTERM: it finishes, commits and leaves."""
        self.of[name].remove(worker)
        await process.stop(worker.running)

    async def stop_all(self) -> None:
        self.thaw_all()
        everyone = [worker.running for workers in self.of.values() for worker in workers]
        await asyncio.gather(*(process.stop(running) for running in everyone))
