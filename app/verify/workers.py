"""The stages' processes, and what can be done to them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from app.embedded import process
from app.embedded.command import deskstream
from app.embedded.process import Process, Running
from app.verify.folder import note_worker
from app.verify.schedule import STAGE_NAMES, WORKERS_MAX

# Before that it may have no partition yet, and to kill it would prove little.
JOINED_S = 10.0


@dataclass
class Worker:
    stage: str
    running: Running
    frozen: bool = False
    since: float = field(default_factory=time.monotonic)

    @property
    def name(self) -> str:
        return self.running.name


class Workers:
    """``per_stage`` workers of each stage; ``number`` in a log's name counts every process ever started."""

    def __init__(self, folder: Path, environment: Mapping[str, str], *, per_stage: int) -> None:
        self._folder = folder
        self._environment = environment
        self._per_stage = per_stage
        self._number = 0
        self._of: dict[str, list[Worker]] = {name: [] for name in STAGE_NAMES}
        self._killed: list[Worker] = []  # and not yet reaped
        self.crashed: list[str] = []  # ended, and nobody had asked them to

    def start_missing(self) -> None:
        """As many of each stage as there should be at least; those that ended by themselves are noted."""
        self._killed = [worker for worker in self._killed if process.is_alive(worker.running)]
        for stage, workers in self._of.items():
            ended = [worker for worker in workers if not process.is_alive(worker.running)]
            self.crashed += [worker.name for worker in ended]
            workers[:] = [worker for worker in workers if worker not in ended]
            while len(workers) < self._per_stage:
                self.start(stage)

    def start(self, stage: str) -> None:
        self._number += 1
        name = f"{stage}-{self._number}"
        log = self._folder / "logs" / f"{name}.log"
        todo = Process(name=name, argv=(*deskstream(), "stage", stage), log=log, env=self._environment)
        running = process.launch(todo)
        note_worker(self._folder, running)
        self._of[stage].append(Worker(stage, running))

    def start_one_more(self, stage: str) -> None:
        if len(self._of[stage]) < WORKERS_MAX:
            self.start(stage)

    def pick(self, stage: str, number: int) -> Worker | None:
        """One that runs and is not frozen, rather one that had time to join; None where there is none."""
        running = [worker for worker in self.of(stage) if not worker.frozen]
        ready = [worker for worker in running if time.monotonic() - worker.since >= JOINED_S] or running
        return ready[number % len(ready)] if ready else None

    def of(self, stage: str) -> tuple[Worker, ...]:
        """Those that run or are frozen."""
        return tuple(worker for worker in self._of[stage] if process.is_alive(worker.running))

    def has(self, worker: Worker) -> bool:
        return worker in self._of[worker.stage]

    def kill(self, worker: Worker) -> None:
        """kill -9."""
        process.kill(worker.running)
        self._killed.append(worker)
        self._of[worker.stage].remove(worker)

    def freeze(self, worker: Worker) -> None:
        worker.frozen = True
        _signal(worker, signal.SIGSTOP)

    def thaw(self, worker: Worker) -> None:
        worker.frozen = False
        _signal(worker, signal.SIGCONT)

    async def remove(self, worker: Worker) -> bool:
        """SIGTERM: it finishes, commits and leaves. False if it had to be killed."""
        self._of[worker.stage].remove(worker)
        return await process.stop(worker.running)

    async def stop_all(self) -> None:
        everyone = [worker for workers in self._of.values() for worker in workers]
        for worker in everyone:
            self.thaw(worker)
        await asyncio.gather(*(process.stop(worker.running) for worker in everyone))


def _signal(worker: Worker, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(worker.running.pid, number)
