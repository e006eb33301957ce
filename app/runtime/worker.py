"""One worker of a stage: poll, run handlers by lanes, commit by partition.

    poll -> take -> lane -> handler -> result -> transaction (outputs, offset, map)

Control is here; order and limits are in ``lanes``, the protocol of ownership and commit is in ``partition``.
"""

from __future__ import annotations

import asyncio
import gc
import math
import random
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.errors import KafkaConnectionError, KafkaError

from app.runtime.dead_letter import dead_letter
from app.runtime.lanes import Lanes, Waiting
from app.runtime.membership import is_current_member
from app.runtime.observer import Observer, Silent
from app.runtime.partition import Partition
from app.runtime.record import Away, Output, Reject, Result, Retry, Stage

_POLL_MS = 100
_POLL_RECORDS_MAX = 500  # some milliseconds of work, in which no answer is taken
_OVERDUE_LOOK_S = 1.0
_LAST_WORDS_S_MAX = 5.0
_FETCH_BYTES_MAX = 1024 * 1024  # held for each partition until it is polled
_NONE = TopicPartition("", -1)  # what to poll when nothing may be taken: for aiokafka an empty list means all
_REPORT_S = 1.0
_CONNECT_BACKOFF_S = 1.0
_CONNECT_LOG_S = 10.0
_OPEN_BACKOFF_S = 0.2
# Above this a partition is paused, below it resumed: apart, so that it does not flap.
_RESUME_SHARE = 0.8


class Worker:
    """``client`` are aiokafka's connection options (bootstrap_servers, security_protocol, ...).

    ``on_drain`` is told within how many seconds handlers must end. One that cannot may raise CancelledError: its record
    is then left to the next owner.
    """

    def __init__(
        self,
        stage: Stage,
        *,
        client: Mapping[str, Any],
        observer: Observer | None = None,
        on_wait: Callable[[str], None] = lambda text: None,
        on_drain: Callable[[float], None] = lambda within_s: None,
    ) -> None:
        self._stage = stage
        self._limits = stage.limits
        self._client = dict(client)
        self._observer: Observer = observer or Silent()
        self._on_wait = on_wait
        self._on_drain = on_drain
        self._lanes = Lanes(
            in_flight_max=stage.limits.in_flight_max,
            partition_in_flight_max=stage.limits.partition_in_flight_max,
            tenant_in_flight_max=stage.limits.tenant_in_flight_max,
        )
        self._partitions: dict[int, Partition] = {}
        self._committers: dict[int, asyncio.Task[None]] = {}
        self._tasks: asyncio.TaskGroup
        self._consumer: AIOKafkaConsumer
        self._running: dict[Waiting, asyncio.Task[None]] = {}
        self._stopping = False
        self.assigned = asyncio.Event()  # at least one partition is ready

    # -- the loop

    async def run(self, stop: asyncio.Event) -> None:
        """Until ``stop`` is set; then finish what is in flight, commit, and leave the group.

        Waits for a broker that is not there yet. A bug in the engine itself ends the worker with its exception.
        """
        self._consumer = self._make_consumer()
        try:
            async with asyncio.TaskGroup() as self._tasks:
                stopper = self._tasks.create_task(stop.wait())
                if not await self._connect(stop):
                    return
                reporter = self._tasks.create_task(self._report_forever())
                overdue = self._tasks.create_task(self._end_overdue_forever())
                while not stop.is_set():
                    await self._poll_once()
                await self._drain()
                stopper.cancel()
                reporter.cancel()
                overdue.cancel()
        finally:
            await self._consumer.stop()

    async def _poll_once(self) -> None:
        self._hold_back()
        polled = await self._consumer.getmany(*self._asked(), timeout_ms=_POLL_MS, max_records=_POLL_RECORDS_MAX)
        for source, records in polled.items():
            partition = self._partitions.get(source.partition)
            # Polled before the partition's state was read: it seeks back to its base when it is ready.
            if partition is not None and partition.ready:
                self._observer.polled(source.topic, source.partition, len(records))
                for record in records:
                    if partition.take(record):
                        self._lanes.add(Waiting(record, partition, self._stage.admit(record)))
        self._dispatch()

    def _asked(self) -> list[TopicPartition]:
        """The partitions to poll. An empty list stands for all, those assigned during the poll included."""
        if not any(partition.paused for partition in self._partitions.values()):
            return []
        numbers = [number for number, partition in self._partitions.items() if not partition.paused]
        return [TopicPartition(self._stage.topic, number) for number in numbers] or [_NONE]

    def _dispatch(self) -> None:
        if self._stopping:
            return
        while (item := self._lanes.next()) is not None:
            self._running[item] = self._tasks.create_task(self._run(item))

    def _hold_back(self) -> None:
        """Pause a partition at its span cap, or all when what waits is too much to hold; polling goes on.

        A paused partition is not polled. aiokafka's own pause would throw away what it has fetched.
        """
        limits = self._limits
        held = self._lanes.waiting_bytes
        span_max = limits.span_max - _POLL_RECORDS_MAX
        for number, partition in self._partitions.items():
            if not partition.ready:
                continue
            full = (
                partition.crowded
                or partition.span >= span_max
                or partition.uncommitted >= limits.uncommitted_max
                or held >= limits.buffer_bytes_max
            )
            roomy = (
                not partition.crowded
                and partition.span < span_max * _RESUME_SHARE
                and partition.uncommitted < limits.uncommitted_max * _RESUME_SHARE
                and held < limits.buffer_bytes_max * _RESUME_SHARE
            )
            if full and not partition.paused:
                self._pause(number, partition)
            elif roomy and partition.paused:
                self._resume(number, partition)

    def _pause(self, number: int, partition: Partition) -> None:
        partition.paused = True
        self._observer.partition_event("paused", self._stage.topic, number, f"span {partition.span}")

    def _resume(self, number: int, partition: Partition) -> None:
        partition.paused = False
        self._observer.partition_event("resumed", self._stage.topic, number)

    async def _drain(self) -> None:
        """Start nothing more; finish and commit what runs, within ``drain_s_max``. The rest is the next owner's."""
        self._stopping = True  # first: what comes after a record that is left must not start
        self._on_drain(self._limits.drain_s_max)
        try:
            async with asyncio.timeout(self._limits.drain_s_max):
                while self._lanes.in_flight:
                    await self._consumer.getmany(_NONE, timeout_ms=_POLL_MS)
                for partition in list(self._partitions.values()):  # a rebalance may take some away meanwhile
                    await partition.drained()
        except TimeoutError:
            self._on_wait(f"{self._lanes.in_flight} records were still in flight and are left to the next owner")
        await self._let_go(list(self._partitions))
        for task in self._running.values():
            task.cancel()

    # -- one record

    async def _run(self, item: Waiting) -> None:
        try:
            item.partition.put(await self._result(item))
        finally:
            # Not reached by one that is cancelled before it first runs: that happens only when all end.
            del self._running[item]
            self._lanes.release(item)
        self._dispatch()

    async def _result(self, item: Waiting) -> Result:
        """The handler's outputs, or the dead letter: always a result, unless cancelled from outside."""
        try:
            return await self._handle(item)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not item.overdue or task is None:
                raise
            task.uncancel()
            item.deadline = math.inf
            error = TimeoutError(f"it had not ended after {time.monotonic() - item.began:.0f} s")
            return await self._give_up(item, "time_in_flight", error)

    async def _handle(self, item: Waiting) -> Result:
        record = item.record
        item.began = time.monotonic()
        item.deadline = item.began + self._limits.time_in_flight_s_max
        self._observer.started(max(0.0, time.time() - record.timestamp / 1_000))
        bugs = 0
        while True:
            item.attempts += 1
            attempt_began = time.monotonic()
            try:
                outputs = await self._stage.handler(record)
                self._check_size(outputs)
            except Away as away:
                delay = self._backoff_s(item.attempts, away)
                item.deadline += time.monotonic() - attempt_began + delay
                outcome = "away"
            except Retry as error:
                delay = self._backoff_s(item.attempts, error)
                if time.monotonic() + delay > item.deadline:
                    return await self._give_up(item, "retries_exhausted", error)
                outcome = "retry"
            except Reject as error:
                return self._bury(item, error.reason, error, outputs=error.outputs)
            except Exception as error:  # noqa: BLE001 - anything else is a bug: bounded attempts, then dead-lettered
                self._observer.bug(record.topic, record.partition, record.offset, error)
                bugs += 1
                delay = self._backoff_s(item.attempts, None)
                if bugs >= self._limits.bug_attempts_max or time.monotonic() + delay > item.deadline:
                    return await self._give_up(item, "bug", error)
                outcome = "bug"
            else:
                self._observer.handled("ok", time.monotonic() - item.began, item.attempts)
                return Result(record, outputs)
            self._observer.handled(outcome, time.monotonic() - attempt_began, item.attempts)
            await asyncio.sleep(delay)

    async def _end_overdue_forever(self) -> None:
        """One look at all that run now and then costs less than a timer for each."""
        every_s = min(_OVERDUE_LOOK_S, self._limits.time_in_flight_s_max / 4)
        while True:
            await asyncio.sleep(every_s)
            now = time.monotonic()
            for item, task in self._running.items():
                if item.deadline < now:
                    item.overdue = True
                    task.cancel()

    def _check_size(self, outputs: Sequence[Output]) -> None:
        for output in outputs:
            if len(output.value or b"") > self._limits.output_bytes_max:
                raise Reject(
                    "result_too_large",
                    f"a record of {len(output.value or b'')} bytes for {output.topic}; "
                    f"the limit is {self._limits.output_bytes_max}",
                )

    async def _give_up(self, item: Waiting, reason: str, error: BaseException) -> Result:
        """The engine's own decision: the stage says what is to be said with the dead letter, if it can."""
        outputs: Sequence[Output] = ()
        record = item.record
        if self._stage.last_words is not None:
            try:
                async with asyncio.timeout(_LAST_WORDS_S_MAX):
                    outputs = await self._stage.last_words(record)
                self._check_size(outputs)
            except Exception as again:  # noqa: BLE001 - whatever it is, the record must end
                self._observer.bug(record.topic, record.partition, record.offset, again)
                outputs = ()
        return self._bury(item, reason, error, outputs=outputs)

    def _bury(
        self,
        item: Waiting,
        reason: str,
        error: BaseException,
        *,
        outputs: Sequence[Output] = (),
    ) -> Result:
        self._observer.handled(reason, time.monotonic() - item.began, item.attempts)
        letter = dead_letter(
            item.record,
            topic=self._stage.dead_letter_topic,
            stage=self._stage.group,
            reason=reason,
            error=error,
            attempts=item.attempts,
            bytes_max=self._limits.output_bytes_max,
        )
        return Result(item.record, (*outputs, letter), dead=True)

    def _backoff_s(self, attempts: int, error: Retry | None) -> float:
        """Exponential with full jitter, never less than what the other side asked for."""
        ceiling = min(self._limits.backoff_s_max, self._limits.backoff_s_min * 2 ** min(attempts, 16))
        delay = random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter
        asked = error.retry_after_s if error is not None else None
        return max(delay, asked * random.uniform(1.0, 1.2)) if asked else delay  # noqa: S311 - jitter

    # -- partitions come and go

    async def _let_go(self, numbers: Sequence[int]) -> None:
        """Commit what has finished within ``revoke_s_max``, then write nothing more for these partitions."""
        # At once out of sight: a rebalance may ask for the same while a drain waits here.
        leaving = {number: self._partitions.pop(number) for number in numbers if number in self._partitions}
        committers = [self._committers.pop(number) for number in leaving]
        for partition in leaving.values():
            self._lanes.drop(partition)
        try:
            async with asyncio.timeout(self._limits.revoke_s_max):
                for partition in leaving.values():
                    if partition.ready:
                        await partition.drained()
        except TimeoutError:
            pass  # the next owner reads what landed, and does the rest again
        for committer in committers:
            committer.cancel()
        for number, partition in leaving.items():
            partition.closed = True
            self._observer.partition_event("revoked", self._stage.topic, number)
            # Not waited for, as the others wait for this worker's part in the rebalance: it writes nothing more.
            self._tasks.create_task(partition.close())
        if not self._partitions:
            self.assigned.clear()

    def _take_over(self, numbers: Sequence[int]) -> None:
        if self._stopping:
            return  # they wait until this worker has left the group
        for number in numbers:
            source = TopicPartition(self._stage.topic, number)
            partition = Partition(
                number,
                self._stage,
                client=self._client,
                is_owner=partial(is_current_member, self._consumer),
                log_start=partial(self._log_start, source),
                observer=self._observer,
            )
            self._partitions[number] = partition
            self._consumer.pause(source)
            self._committers[number] = self._tasks.create_task(self._own(source, partition))

    async def _own(self, source: TopicPartition, partition: Partition) -> None:
        """Open the partition, read from its base, and commit until it is taken away."""
        while True:
            try:
                base = await partition.open()
                break
            except (KafkaError, OSError, TimeoutError) as error:
                self._observer.partition_event("in_doubt", source.topic, source.partition, repr(error))
                await asyncio.sleep(_OPEN_BACKOFF_S)
        if self._partitions.get(source.partition) is not partition:
            return
        # What was polled before this moment was dropped; seek makes it be polled again.
        self._consumer.seek(source, base)
        self._consumer.resume(source)
        self.assigned.set()
        if all(each.ready for each in self._partitions.values()):
            # What aiokafka had fetched and now threw away lies in cycles: up to a megabyte for each partition, in so
            # few objects that a collector which counts objects hardly ever comes for it.
            gc.collect()
        self._observer.partition_event("assigned", source.topic, source.partition, f"from offset {base}")
        await partition.commit_forever()

    async def _log_start(self, source: TopicPartition) -> int:
        return int((await self._consumer.beginning_offsets([source]))[source])

    # -- the broker

    def _make_consumer(self) -> AIOKafkaConsumer:
        return AIOKafkaConsumer(
            **self._client,
            group_id=self._stage.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            partition_assignment_strategy=(StickyPartitionAssignor,),
            session_timeout_ms=int(self._limits.session_timeout_s * 1_000),
            heartbeat_interval_ms=int(self._limits.heartbeat_interval_s * 1_000),
            max_partition_fetch_bytes=_FETCH_BYTES_MAX,
            fetch_max_wait_ms=100,
        )

    async def _connect(self, stop: asyncio.Event) -> bool:
        said = float("-inf")
        while not stop.is_set():
            try:
                self._consumer.subscribe([self._stage.topic], listener=_Listener(self))
                await self._consumer.start()
            except (KafkaConnectionError, KafkaError, OSError) as error:
                if time.monotonic() - said > _CONNECT_LOG_S:
                    said = time.monotonic()
                    self._on_wait(f"waiting for Kafka at {self._client.get('bootstrap_servers')}: {error}")
                await self._consumer.stop()
                self._consumer = self._make_consumer()
                await asyncio.sleep(_CONNECT_BACKOFF_S)
            else:
                return True
        return False

    async def _report_forever(self) -> None:
        while True:
            self._observer.load(in_flight=self._lanes.in_flight, waiting=self._lanes.waiting)
            for number, partition in self._partitions.items():
                if partition.ready:
                    end = self._consumer.highwater(TopicPartition(self._stage.topic, number))
                    self._observer.lag(
                        self._stage.topic,
                        number,
                        records=max(0, (end or 0) - partition.next_offset),
                        span=partition.span,
                    )
            await asyncio.sleep(_REPORT_S)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc] # aiokafka has no types
    """aiokafka logs what a listener raises and goes on without it: so failures are carried to the worker's tasks."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        await self._carry(self._worker._let_go([source.partition for source in revoked]))

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        async def take_over() -> None:
            self._worker._take_over([source.partition for source in assigned])

        await self._carry(take_over())

    async def _carry(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            task = self._worker._tasks.create_task(work)
        except RuntimeError:  # the worker's tasks have ended meanwhile, so there is nothing to take or to let go
            work.close()
            return
        await asyncio.wait([task])
