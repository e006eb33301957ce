"""Carries the schedule out, and keeps what the count needs to know: what was struck, and when."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from app.embedded.kafka import EmbeddedKafka
from app.embedded.postgres import EmbeddedPostgres
from app.verify.calls import Faults, Moment, Outage
from app.verify.schedule import FREEZE_S, Fault, Strike
from app.verify.workers import Worker, Workers

# A worker that is told to leave gives up after this what is still under way, which another may then pay for again.
DRAIN_S = 20.0


def given_up(stage: str, told_at: float, gone_at: float) -> tuple[Moment, ...]:
    """What a worker lost that was told to leave then, and was gone then."""
    ends_at = told_at + DRAIN_S
    return (Moment(ends_at, stage, "drain_given_up"),) if gone_at >= ends_at else ()


class Striker:
    """``told``: a line for each strike, with the moment at which it was made."""

    def __init__(
        self, workers: Workers, kafka: EmbeddedKafka, postgres: EmbeddedPostgres, say: Callable[[str], None]
    ) -> None:
        self._workers = workers
        self._kafka = kafka
        self._postgres = postgres
        self._say = say
        self._broker = asyncio.Lock()
        self._database = asyncio.Lock()
        self._moments: list[Moment] = []
        self._outages: list[Outage] = []
        self.kills = 0
        self.told: list[str] = []

    @property
    def faults(self) -> Faults:
        return Faults(tuple(self._moments), tuple(self._outages))

    async def strike_all(self, strikes: Sequence[Strike]) -> None:
        """Each at its time, also while an earlier one still lasts. Ends when all have, and every worker is awake."""
        self._began = time.monotonic()
        async with asyncio.TaskGroup() as lasting:
            for strike in strikes:
                await asyncio.sleep(max(0.0, strike.at_s - self._elapsed_s()))
                lasting.create_task(self._strike(strike))

    async def _strike(self, strike: Strike) -> None:
        match strike.fault:
            case Fault.RESTART_BROKER | Fault.KILL_BROKER:
                await self._strike_broker(strike.fault)
            case Fault.RESTART_DATABASE:
                await self._restart_database()
            case Fault.ADD_WORKER:
                self._tell(strike.fault.value)
                self._workers.start_one_more(strike.stage)
            case Fault.KILL_STAGE:
                self._kill_stage(strike.stage)
            case _:
                worker = self._workers.pick(strike.stage, strike.worker)
                if worker is not None:
                    self._tell(f"{strike.fault.value} {worker.name}")
                    await self._strike_worker(strike.fault, worker)

    def _kill_stage(self, stage: str) -> None:
        """Frozen ones, too. With nobody left to finish or to take over, all of the stage's work is cut off at once."""
        workers = self._workers.of(stage)
        self._tell(f"{Fault.KILL_STAGE.value} {stage}: {len(workers)} workers")
        self._mark(stage, Fault.KILL_STAGE.value)
        for worker in workers:
            self.kills += 1
            self._workers.kill(worker)
        self._workers.start_missing()

    async def _strike_worker(self, fault: Fault, worker: Worker) -> None:
        match fault:
            case Fault.KILL_WORKER:
                self.kills += 1
                self._mark(worker.stage, fault.value)
                self._workers.kill(worker)
                self._workers.start(worker.stage)
            case Fault.FREEZE_WORKER:
                self._mark(worker.stage, fault.value)
                self._workers.freeze(worker)
                await asyncio.sleep(FREEZE_S)
                if self._workers.has(worker):  # not killed meanwhile
                    self._mark(worker.stage, "thaw_worker")
                    self._workers.thaw(worker)
            case Fault.REMOVE_WORKER:
                told_at = time.time()
                if not await self._workers.remove(worker):
                    self._mark(worker.stage, "kill_of_a_worker_that_did_not_leave")
                    self._tell(f"{worker.name} did not leave and was killed")
                self._moments += given_up(worker.stage, told_at, time.time())
                self._workers.start_missing()

    async def _strike_broker(self, fault: Fault) -> None:
        async with self._broker:
            self._tell(fault.value)
            if fault is Fault.KILL_BROKER:
                self.kills += 1
                await self._kafka.kill()
                await self._kafka.start()
            else:
                await self._kafka.restart()

    async def _restart_database(self) -> None:
        async with self._database:
            self._tell(Fault.RESTART_DATABASE.value)
            began = time.time()
            await self._postgres.restart()
            self._outages.append(Outage(began, time.time()))

    def _mark(self, stage: str, fault: str) -> None:
        self._moments.append(Moment(time.time(), stage, fault))

    def _tell(self, text: str) -> None:
        self.told.append(f"{self._elapsed_s():.1f} s: {text}")
        self._say(self.told[-1])

    def _elapsed_s(self) -> float:
        return time.monotonic() - self._began
