"""Which fault strikes when: a function of the seed."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

WARM_UP_S = 2.0
APART_S_MIN, APART_S_MAX = 3.0, 9.0
FREEZE_S = 14.0  # past the session time-out of 10 s


class Fault(StrEnum):
    KILL_WORKER = "kill_worker"  # -9, and another is started
    FREEZE_WORKER = "freeze_worker"  # SIGSTOP past its session, then SIGCONT
    REMOVE_WORKER = "remove_worker"  # SIGTERM, and another is started later
    ADD_WORKER = "add_worker"
    RESTART_BROKER = "restart_broker"
    KILL_BROKER = "kill_broker"
    RESTART_DATABASE = "restart_database"


# Kills of workers are what the promise is about; servers' restarts take longest.
_WEIGHTS = {
    Fault.KILL_WORKER: 12,
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
          Fault.KILL_WORKER, Fault.RESTART_BROKER, Fault.KILL_WORKER)  # fmt: skip


@dataclass(frozen=True)
class Strike:
    at_s: float
    fault: Fault
    stage: int  # which stage and which of its workers, each modulo how many there are
    worker: int


def schedule(seed: int, duration_s: float, faults: Collection[Fault] = tuple(Fault)) -> tuple[Strike, ...]:
    """Strikes of these faults in order of time, the last before ``duration_s``."""
    rng = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    weights = {fault: weight for fault, weight in _WEIGHTS.items() if fault in faults}
    first = [fault for fault in _FIRST if fault in faults]
    strikes: list[Strike] = []
    at_s = WARM_UP_S
    while weights and at_s < duration_s:
        number = len(strikes)
        drawn = rng.choices(list(weights), list(weights.values()))[0]
        fault = first[number] if number < len(first) else drawn
        strikes.append(Strike(round(at_s, 3), fault, rng.randrange(1_000), rng.randrange(1_000)))
        at_s += rng.uniform(APART_S_MIN, APART_S_MAX)
    return tuple(strikes)
