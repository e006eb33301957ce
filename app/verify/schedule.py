"""Which fault strikes when: a function of the seed."""

from __future__ import annotations

import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

WARM_UP_S = 2.0
# From one fault to the next, on average: evenly between a half and one and a half of it.
APART_S = 6.0
DENSE_APART_S = 3.5  # for long runs, whose kills are to add up
STAGE_NAMES = ("classify", "enrich", "draft", "route")
WORKERS_MAX = 4  # of a stage
# After a kill or a freeze a stage does nothing until the session of 10 s has timed out. To strike it again before it
# has work under way would prove nothing, and keep all tickets from moving on.
REST_S = 15.0
FREEZE_S = 14.0  # past the session time-out of 10 s


class Fault(StrEnum):
    KILL_WORKER = "kill_worker"  # -9, and another is started
    KILL_STAGE = "kill_stage"  # -9 to every worker of one stage at once, and as many as should be are started
    FREEZE_WORKER = "freeze_worker"  # SIGSTOP past its session, then SIGCONT
    REMOVE_WORKER = "remove_worker"  # SIGTERM, and another is started later
    ADD_WORKER = "add_worker"
    RESTART_BROKER = "restart_broker"
    KILL_BROKER = "kill_broker"
    RESTART_DATABASE = "restart_database"


# Kills of workers are what the promise is about; servers' restarts take longest.
_WEIGHTS = {
    Fault.KILL_WORKER: 12,
    Fault.KILL_STAGE: 8,
    Fault.FREEZE_WORKER: 3,
    Fault.REMOVE_WORKER: 2,
    Fault.ADD_WORKER: 2,
    Fault.RESTART_BROKER: 1,
    Fault.KILL_BROKER: 1,
    Fault.RESTART_DATABASE: 1,
}
# The short form meets each of these at least once.
_FIRST = (Fault.KILL_WORKER, Fault.FREEZE_WORKER, Fault.KILL_WORKER, Fault.KILL_BROKER, Fault.KILL_WORKER,
          Fault.RESTART_DATABASE, Fault.KILL_WORKER, Fault.REMOVE_WORKER, Fault.KILL_WORKER, Fault.ADD_WORKER,
          Fault.KILL_STAGE, Fault.RESTART_BROKER, Fault.KILL_WORKER)  # fmt: skip


STOPS_ITS_STAGE = frozenset({Fault.KILL_WORKER, Fault.KILL_STAGE, Fault.FREEZE_WORKER})


@dataclass(frozen=True)
class Strike:
    at_s: float
    fault: Fault
    stage: str
    worker: int  # which of the stage's workers, modulo how many there are


def schedule(
    seed: int, duration_s: float, faults: Collection[Fault] = tuple(Fault), *, apart_s: float = APART_S
) -> tuple[Strike, ...]:
    """Strikes of these faults in order of time, ``apart_s`` apart on average, the last before ``duration_s``."""
    rng = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    weights = {fault: weight for fault, weight in _WEIGHTS.items() if fault in faults}
    first = [fault for fault in _FIRST if fault in faults]
    strikes: list[Strike] = []
    stopped_at_s = dict.fromkeys(STAGE_NAMES, -REST_S)
    at_s = WARM_UP_S
    while weights and at_s < duration_s:
        number = len(strikes)
        drawn = rng.choices(list(weights), list(weights.values()))[0]
        fault = first[number] if number < len(first) else drawn
        stage = _rested(stopped_at_s, at_s, rng.randrange(1_000))
        if fault in STOPS_ITS_STAGE:
            stopped_at_s[stage] = at_s
        strikes.append(Strike(round(at_s, 3), fault, stage, rng.randrange(1_000)))
        at_s += rng.uniform(0.5, 1.5) * apart_s
    return tuple(strikes)


def _rested(stopped_at_s: Mapping[str, float], at_s: float, drawn: int) -> str:
    """One of the stages that had time to move on; where there is none, the one that had most."""
    rested = [stage for stage, stopped in stopped_at_s.items() if at_s - stopped >= REST_S]
    return rested[drawn % len(rested)] if rested else min(stopped_at_s, key=stopped_at_s.__getitem__)
