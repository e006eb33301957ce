"""A worker of the desk that kills itself (SIGKILL) at steps of its sender, by a seed: ``python -m`` with JSON."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from app.desk.adapters import Outgoing
from app.desk.adapters.webhook import Webhook
from app.desk.outbox import Outbox
from app.desk.projector import Projector
from app.desk.relay import Relay
from app.desk.sender import Pace, Sender
from app.store import database
from app.verify.desk import SECRET
from app.wiring import configure_log

PACE = Pace(
    at_once=16, timeout_s=0.6, lease_s=6.0, poll_s=0.1, door_s_max=3.0, backoff_s=0.1, backoff_s_max=1.0,
    look_first_after_s=5.0,
)  # fmt: skip
# Longer than the failing desk takes to show what it accepted, on a machine that is busy, too.
SETTLE_S = 8.0
REQUEST_S = 0.03  # a kill falls somewhere within a request
UNDO_S = 1.0


class Blind(Webhook):
    """Without its safeguard: it finds nothing, so what is in doubt is sent again."""

    async def find(self, reply: Outgoing) -> str | None:
        return None


class Death:
    """``share`` of the steps are the last. ``noted``: a file with a line for each death."""

    def __init__(self, seed: int, share: float, noted: Path) -> None:
        self._rng = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self._share = share
        self._noted = noted

    def __call__(self, step: str) -> None:
        if self._rng.random() < self._share:
            self._die(step)
        if step == "began" and self._rng.random() < self._share:
            asyncio.get_running_loop().call_later(self._rng.uniform(0.0, REQUEST_S), self._die, "sending")

    def _die(self, step: str) -> None:
        with self._noted.open("a") as file:
            file.write(f"{step}\n")
        os.kill(os.getpid(), signal.SIGKILL)


async def work(options: dict[str, Any]) -> None:
    configure_log("warning")
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    client = {"bootstrap_servers": options["kafka"]}
    async with AsyncExitStack() as stack:
        runtime = await database.connect(options["database"], role="deskstream_runtime")
        stack.push_async_callback(runtime.close)
        if options["part"] == "tables":
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(Projector(runtime, client).run(stop))
                tasks.create_task(Relay(runtime, client, after_s=UNDO_S).run(stop))
            return
        app = await database.connect(options["database"])
        stack.push_async_callback(app.close)
        blind = options["blind"]
        adapter = (Blind if blind else Webhook)(
            options["desk"], SECRET, timeout_s=PACE.timeout_s, settle_s=0.0 if blind else SETTLE_S
        )
        stack.push_async_callback(adapter.close)
        death = Death(options["seed"], options["kill_share"], Path(options["noted"]))
        await Sender(Outbox(runtime, app), adapter, client, pace=PACE, on_step=death).run(stop)


if __name__ == "__main__":
    asyncio.run(work(json.loads(sys.argv[1])))
