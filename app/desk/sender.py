"""Sends what is in the outbox, each reply at most once.

One reply: claim it; where an earlier attempt may have landed, look; wait until the tables have every message that was
at the door; ask whether it is still wanted; mark that it is in doubt; send; mark what became of it. A kill at any of
these steps leaves a claim that runs out and, from the mark on, a doubt that the next sender resolves by looking. What
cannot be resolved is ``unknown``, and a person looks.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from agents.contract import TransientError
from app import metrics
from app.desk.adapters import Adapter, NotNow, Refused, Unsure
from app.desk.door import Door
from app.desk.outbox import Claimed, Outbox, Stale

_log = structlog.get_logger()


@dataclass(frozen=True)
class Pace:
    """``timeout_s``: a request to the desk ends within it. ``lease_s``: a claim; longer than all steps of a reply, or
    two work at it in vain."""

    at_once: int = 16
    timeout_s: float = 15.0
    lease_s: float = 60.0
    poll_s: float = 0.25
    door_s_max: float = 10.0  # then the tables are too far behind, and the reply waits
    door_poll_s: float = 0.05
    backoff_s: float = 1.0  # doubled with each attempt
    backoff_s_max: float = 300.0
    # An older one may be of a restored database, which has forgotten that it was sent.
    look_first_after_s: float = 30.0
    doubt_s_max: float = 900.0  # the desk does not say: unknown
    attempts_max: int = 100

    def __post_init__(self) -> None:
        steps_s = self.door_s_max + 2 * self.timeout_s  # it is looked up, the tables are waited for, it is sent
        if self.lease_s <= steps_s:
            raise ValueError(f"a claim of {self.lease_s} s is not longer than the {steps_s} s that a reply may take")


class Sender:
    """``on_step`` is told of each step as it is done: claimed, looked, began, answered, marked."""

    def __init__(
        self, outbox: Outbox, adapter: Adapter, client: Mapping[str, Any], *, pace: Pace | None = None,
        on_step: Callable[[str], None] = lambda step: None,
    ) -> None:  # fmt: skip
        self._outbox = outbox
        self._adapter = adapter
        self._client = client
        self._pace = pace or Pace()
        self._on_step = on_step
        self._under_way: set[asyncio.Task[None]] = set()
        self._not_before = 0.0  # the desk asked for a pause

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop``; what is under way is finished. Servers that are away are waited for."""
        consumer = AIOKafkaConsumer(**self._client)
        door = Door(consumer, self._outbox, poll_s=self._pace.door_poll_s)
        started = False
        try:
            while not stop.is_set():
                try:
                    if not started:
                        await consumer.start()
                        started = True
                    claimed = await self._claim(door)
                except (TransientError, KafkaError, OSError) as error:
                    _log.warning("sender_waits", error=str(error) or type(error).__name__)
                    claimed = False
                if not claimed:
                    await self._pause(stop)
            await asyncio.gather(*self._under_way)
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)
            await consumer.stop()

    async def _pause(self, stop: asyncio.Event) -> None:
        """Until there is room again, where there was none; else for ``poll_s``."""
        if self._free() == 0:
            await asyncio.wait(self._under_way, timeout=self._pace.poll_s, return_when=asyncio.FIRST_COMPLETED)
            return
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), self._pace.poll_s)

    def _free(self) -> int:
        """Claimed by the half of what is sent at once: not one by one."""
        free = self._pace.at_once - len(self._under_way)
        return free if free >= self._pace.at_once / 2 else 0

    async def _claim(self, door: Door) -> bool:
        free = self._free()
        if not free or time.monotonic() < self._not_before:
            return False
        settle_s = self._adapter.settle_s or 0.0
        claimed = await self._outbox.claim(free, lease_s=self._pace.lease_s, settled_s=self._pace.timeout_s + settle_s)
        for one in claimed:
            task = asyncio.create_task(self._deliver(one, door))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return bool(claimed)

    async def _deliver(self, claimed: Claimed, door: Door) -> None:
        """Whatever fails here leaves the claim to run out."""
        try:
            self._on_step("claimed")
            outcome = await self._outcome(claimed, door)
            metrics.REPLIES.labels(outcome).inc()
            self._on_step("marked")
        except (TransientError, KafkaError, OSError) as error:
            _log.warning("reply_put_off", reply_id=str(claimed.outgoing.reply_id), error=str(error))
        except Exception:  # noqa: BLE001 - a bug: this reply's claim runs out, the others go on
            _log.exception("reply_failed", reply_id=str(claimed.outgoing.reply_id))

    async def _outcome(self, claimed: Claimed, door: Door) -> str:
        reply, outbox = claimed.outgoing, self._outbox
        if self._must_look(claimed):
            try:
                landed = await self._landed(claimed)
            except Unsure as error:
                return await self._in_doubt(claimed, str(error))
            self._on_step("looked")
            if landed is not None:
                await outbox.sent(reply, landed)
                return "found"
        looked_at = time.monotonic()
        if not await door.has_passed(claimed.partition, within_s=self._pace.door_s_max):
            await outbox.later(claimed, "the tables are behind", in_s=self._pace.backoff_s, did_not_land=True)
            return "later"
        asked_at = time.monotonic()
        begun = await outbox.begin(claimed, within_s=self._pace.timeout_s)
        if isinstance(begun, Stale):
            await outbox.stale(claimed, begun)
            return "stale"
        # A process that was frozen after it asked may have lost its claim since.
        if not begun or time.monotonic() - asked_at > self._pace.timeout_s:
            return "later"
        self._on_step("began")
        outcome = await self._send(claimed)
        metrics.REPLY_WINDOW_SECONDS.observe(time.monotonic() - looked_at)
        return outcome

    def _must_look(self, claimed: Claimed) -> bool:
        if claimed.doubted_s is not None:
            return True
        return self._adapter.settle_s is not None and claimed.age_s > self._pace.look_first_after_s

    async def _landed(self, claimed: Claimed) -> str | None:
        """Raises Unsure."""
        if self._adapter.settle_s is None:
            raise Unsure(f"{self._adapter.name} cannot tell whether a reply landed")
        return await self._adapter.find(claimed.outgoing)

    async def _in_doubt(self, claimed: Claimed, why: str) -> str:
        if self._adapter.settle_s is None or (claimed.doubted_s or claimed.age_s) > self._pace.doubt_s_max:
            await self._outbox.unknown(claimed, why)
            return "unknown"
        await self._outbox.later(claimed, why, in_s=self._backoff_s(claimed), did_not_land=claimed.doubted_s is None)
        return "later"

    async def _send(self, claimed: Claimed) -> str:
        reply, outbox = claimed.outgoing, self._outbox
        try:
            remote_id = await self._adapter.send(reply)
        except Refused as error:
            await outbox.failed(claimed, str(error))
            return "failed"
        except NotNow as error:
            return await self._not_now(claimed, error)
        except Unsure as error:
            self._on_step("answered")
            # In doubt as it is: claimed again once the desk must show it.
            await outbox.later(claimed, str(error), in_s=self._adapter.settle_s or 0.0, did_not_land=False)
            return "later"
        self._on_step("answered")
        await outbox.sent(reply, remote_id)
        return "sent"

    async def _not_now(self, claimed: Claimed, error: NotNow) -> str:
        if claimed.attempts >= self._pace.attempts_max:
            await self._outbox.failed(claimed, str(error))
            return "failed"
        if error.retry_after_s is not None:
            self._not_before = max(self._not_before, time.monotonic() + error.retry_after_s)
        in_s = max(error.retry_after_s or 0.0, self._backoff_s(claimed))
        await self._outbox.later(claimed, str(error), in_s=in_s, did_not_land=True)
        return "later"

    def _backoff_s(self, claimed: Claimed) -> float:
        longest = min(self._pace.backoff_s_max, self._pace.backoff_s * 2.0 ** min(claimed.attempts - 1, 20))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311  # jitter
