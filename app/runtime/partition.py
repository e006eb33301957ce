"""One input partition under this worker: its producer, its completion map, and the commit of what has finished.

The order of steps is the protocol. A new owner initialises the producer of ``group-topic-partition`` first, which
fences the old one and ends its open transaction, and only then reads the committed offset and map.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nsmallest
from itertools import islice
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    RecordTooLargeError,
)
from aiokafka.structs import OffsetAndMetadata

from app.runtime import told
from app.runtime.completion import MAP_CHARS_MAX, CompletionMap
from app.runtime.dead_letter import dead_letter
from app.runtime.observer import Observer
from app.runtime.record import Output, Record, Result, Stage

_BATCH_BYTES_MAX = 1024 * 1024
# More than the transaction time-out means that the broker has aborted it: the outcome is read back, not waited for.
_COMMIT_S_MAX_OVER_TRANSACTION = 5.0
_STOP_S_MAX = 2.0
_RECOVER_BACKOFF_S = 0.5
_FAILING_BACKOFF_S_MAX = 10.0
# A broker that still writes the markers of one transaction refuses the next for some milliseconds.
_RETRY_BACKOFF_MS = 20

_TOO_LARGE = (MessageSizeTooLargeError, RecordTooLargeError)


@dataclass(frozen=True)
class Batch:
    """What one transaction holds: results, and the offset and map once they are in."""

    results: Sequence[Result]
    commit: told.Commit


class Partition:
    """``is_owner`` tells whether the group still counts this worker as the partition's owner."""

    def __init__(
        self,
        number: int,
        stage: Stage,
        *,
        client: Mapping[str, Any],
        is_owner: Callable[[], Awaitable[bool]],
        log_start: Callable[[], Awaitable[int]],
        observer: Observer,
    ) -> None:
        self.number = number
        self.paused = False
        self.crowded = False  # the map has no room for all that is finished: take no more until the head moves
        self._stage = stage
        self._limits = stage.limits
        self._client = client
        self._is_owner = is_owner
        self._log_start = log_start
        self._observer = observer
        self._map: CompletionMap | None = None
        self._committed: told.Commit | None = None  # the last one, as far as is known here
        self._producer: AIOKafkaProducer | None = None
        self._results: deque[Result] = deque()
        self._failures = 0  # commits in a row
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.closed = False

    # -- records in, results out

    @property
    def ready(self) -> bool:
        return self._map is not None and not self.closed

    @property
    def span(self) -> int:
        return self._map.span if self._map else 0

    @property
    def uncommitted(self) -> int:
        return len(self._results)

    @property
    def next_offset(self) -> int:
        assert self._map is not None
        return self._map.next

    def take(self, record: Record) -> bool:
        """False: the record is finished already, or in flight."""
        assert self._map is not None
        return self._map.take(record.offset)

    def put(self, result: Result) -> None:
        """Queue a result for commit. Dropped when the partition was taken away, or another owner finished it."""
        if self.closed or self._map is None or self._map.is_finished(result.record.offset):
            return
        self._results.append(result)
        self._idle.clear()
        self._changed.set()

    # -- assignment

    async def open(self) -> int:
        """Become the owner; gives the offset to read from.

        Raises KafkaError and TimeoutError, and ConnectionError where another is the owner.
        """
        if not await self._is_owner():
            raise ConnectionError("the group does not count this worker as a member of the current generation")
        await self._stop_producer()  # of an attempt before this one
        async with asyncio.timeout(self._limits.transaction_timeout_s * 2):
            await self._start_producer()
            self._map = await self._read_map()
        return self._map.base

    async def commit_forever(self) -> None:
        """Commit whatever has finished, at most every ``commit_interval_s_min``. Ends when closed."""
        while not self.closed:
            await self._changed.wait()
            if self.closed:
                return
            self._changed.clear()
            began = time.monotonic()
            await self._commit_finished()
            await asyncio.sleep(max(0.0, self._limits.commit_interval_s_min - (time.monotonic() - began)))
            # A crowded map waits for the head's result, which sets the event.
            if self._results and not self.crowded:
                self._changed.set()

    async def drained(self) -> None:
        """Until everything queued is committed."""
        await self._idle.wait()

    async def close(self) -> None:
        """Write nothing more."""
        self.closed = True
        self._changed.set()
        self._idle.set()
        self._results.clear()
        await self._stop_producer()

    # -- commit

    async def _commit_finished(self) -> None:
        while self._results and not self.closed:
            batch = self._next_batch()
            if batch is None or not await self._commit_or_recover(batch):
                return
            if len(self._results) < self._limits.commit_records_max:
                break
        if not self._results:
            self._idle.set()

    def _next_batch(self) -> Batch | None:
        """As many results as one transaction may hold and as the map has room for; None: wait for the head.

        Lowest offsets of all first where room is short: that keeps the order within each lane, and they free the most.
        """
        assert self._map is not None and self._committed is not None
        number = min(len(self._results), self._limits.commit_records_max)
        batch = list(islice(self._results, number))
        self.crowded = False
        while batch:
            offset, encoded = self._map.encoded_with(result.record.offset for result in batch)
            if len(encoded) <= MAP_CHARS_MAX:
                kept = encoded if self._stage.safeguards.completion_map else ""
                return Batch(batch, self._committed.following(offset, kept))
            if self.crowded:
                number //= 2
            self.crowded = True
            batch = nsmallest(number, self._results, key=lambda result: result.record.offset)
        return None

    async def _commit_or_recover(self, batch: Batch) -> bool:
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._limits.transaction_timeout_s + _COMMIT_S_MAX_OVER_TRANSACTION):
                await self._commit(batch.results, batch.commit)
        except _TOO_LARGE as error:
            await self._recover("aborted", error)
            self._bury_largest(error)
            return not self.closed
        except (KafkaError, TimeoutError, AssertionError, OSError) as error:
            # AssertionError: the producer's own state machine, after it failed in the background.
            # Fenced or in doubt, the way on is one: ask who owns, take over, read back what landed.
            await self._recover("fenced" if isinstance(error, ProducerFenced) else "in_doubt", error)
            await self._back_off()
            return not self.closed
        self._settle(batch.results, time.monotonic() - began)
        return True

    async def _commit(self, results: Sequence[Result], commit: told.Commit) -> None:
        """One transaction: outputs, offset and map. Raises KafkaError; then what landed is unknown."""
        producer = self._producer
        assert producer is not None
        await producer.begin_transaction()
        outputs = [output for result in results for output in result.outputs]
        sent = await self._send(producer, outputs, told.header(self._stage, commit))
        source = TopicPartition(self._stage.topic, self.number)
        await producer.send_offsets_to_transaction(
            {source: OffsetAndMetadata(commit.offset, commit.metadata)}, self._stage.group
        )
        # aiokafka commits a transaction after a failed send unless each future is awaited.
        for future in sent:
            await future
        await producer.commit_transaction()
        self._committed = commit

    async def _send(
        self, producer: AIOKafkaProducer, outputs: Sequence[Output], last_header: tuple[str, bytes]
    ) -> list[asyncio.Future[Any]]:
        """Every output to its topic, in order, at this partition's number; ``last_header`` with each topic's last."""
        now_ms = int(time.time() * 1_000)
        last = {output.topic: output for output in outputs}
        builders: dict[str, Any] = {}
        sent: list[asyncio.Future[Any]] = []
        for output in outputs:
            builder = builders.get(output.topic)
            if builder is None:
                builder = builders[output.topic] = producer.create_batch()
            headers = list(output.headers)
            if output is last[output.topic]:
                headers.append(last_header)
            if builder.append(timestamp=now_ms, key=output.key, value=output.value, headers=headers) is None:
                sent.append(await producer.send_batch(builder, output.topic, partition=self.number))
                builder = builders[output.topic] = producer.create_batch()
                builder.append(timestamp=now_ms, key=output.key, value=output.value, headers=headers)
        for topic, builder in builders.items():
            sent.append(await producer.send_batch(builder, topic, partition=self.number))
        for future in sent:
            future.add_done_callback(_retrieved)
        return sent

    def _settle(self, batch: Sequence[Result], duration_s: float) -> None:
        """The batch is committed: only now is it finished here."""
        self._failures = 0
        if self.closed or self._map is None:
            return
        self._map.finish(result.record.offset for result in batch)
        if not self.crowded:
            for _ in batch:
                self._results.popleft()
        else:
            self._results = deque(r for r in self._results if not self._map.is_finished(r.record.offset))
        self._observer.committed(
            self._stage.topic,
            self.number,
            records=len(batch),
            dead=sum(result.dead for result in batch),
            duration_s=duration_s,
        )

    async def _back_off(self) -> None:
        """One failure is ordinary. Where commits go on failing, such as to a topic that is not there, less often."""
        if self._failures:
            await asyncio.sleep(min(_RECOVER_BACKOFF_S * 2 ** min(self._failures, 10), _FAILING_BACKOFF_S_MAX))
        self._failures += 1

    # -- doubt

    async def _recover(self, event: str, error: BaseException) -> None:
        """A new producer, offset and map read again, and what landed dropped. Tries until closed or the owner."""
        self._observer.partition_event(event, self._stage.topic, self.number, repr(error))
        while not self.closed:
            await self._stop_producer()
            try:
                async with asyncio.timeout(self._limits.transaction_timeout_s * 2):
                    if await self._is_owner():
                        await self._start_producer()
                        self._drop_landed(await self._read_map())
                        self._observer.partition_event("recovered", self._stage.topic, self.number)
                        return
            except (KafkaError, TimeoutError, OSError) as again:
                self._observer.partition_event("in_doubt", self._stage.topic, self.number, repr(again))
            await asyncio.sleep(_RECOVER_BACKOFF_S)

    def _drop_landed(self, committed: CompletionMap) -> None:
        assert self._map is not None
        self._map = merged = self._map.union(committed)
        kept = [result for result in self._results if not merged.is_finished(result.record.offset)]
        self._results = deque(kept)
        if not kept:
            self._idle.set()

    def _bury_largest(self, error: BaseException) -> None:
        """The broker refused an output as too large: its input is dead-lettered, its neighbours go on."""
        if not self._results:
            return
        largest = max(
            range(min(len(self._results), self._limits.commit_records_max)),
            key=lambda i: max((len(output.value or b"") for output in self._results[i].outputs), default=0),
        )
        result = self._results[largest]
        letter = dead_letter(
            result.record,
            topic=self._stage.dead_letter_topic,
            stage=self._stage.group,
            reason="result_too_large",
            error=error,
            attempts=1,
            # Already a dead letter: then its value is what is too large.
            bytes_max=0 if result.dead else self._limits.output_bytes_max,
        )
        self._results[largest] = replace(result, outputs=(letter,), dead=True)

    # -- the broker

    async def _start_producer(self) -> None:
        name = f"{self._stage.group}-{self._stage.topic}-{self.number}"
        if not self._stage.safeguards.fencing:
            name += f"-{uuid.uuid4()}"
        producer = AIOKafkaProducer(
            **self._client,
            transactional_id=name,
            transaction_timeout_ms=int(self._limits.transaction_timeout_s * 1_000),
            enable_idempotence=True,
            acks="all",
            linger_ms=0,
            max_batch_size=_BATCH_BYTES_MAX,
            max_request_size=self._limits.output_bytes_max,
            request_timeout_ms=int(self._limits.transaction_timeout_s * 1_000),
            retry_backoff_ms=_RETRY_BACKOFF_MS,
        )
        self._producer = producer  # before start, so that a cancelled start is stopped too
        try:
            await producer.start()
        except AssertionError as error:
            # So aiokafka says that a broker which is starting names no node yet.
            raise KafkaConnectionError(str(error)) from error

    async def _stop_producer(self) -> None:
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            async with asyncio.timeout(_STOP_S_MAX):
                await producer.stop()
        except (KafkaError, TimeoutError, AssertionError, OSError):
            return  # it is fenced or the broker is away; nothing of it is used again

    async def _read_map(self) -> CompletionMap:
        """What is finished, by the group's offset and map and by what the outputs tell. Raises KafkaError."""
        offset, metadata = await self._read_offset()
        start = await self._log_start()
        known = told.Commit.of_metadata(offset, metadata)
        if known is None:
            # Nothing is committed, or an operator reset it: what the outputs tell of earlier lines doesn't count.
            completion = CompletionMap.restore(offset, metadata) if offset >= 0 else CompletionMap(base=start)
            await self._commit((), told.Commit.first(*completion.encoded_with(())))
        else:
            self._committed = await self._last_commit(known)
            completion = CompletionMap.restore(self._committed.offset, self._committed.encoded_map)
        if completion.base < start:
            # Retention removed what was never read: said aloud, since those records are gone.
            self._observer.partition_event(
                "offsets_gone", self._stage.topic, self.number, f"offsets {completion.base} to {start - 1}"
            )
            completion = completion.union(CompletionMap(base=start))
        return completion

    async def _read_offset(self) -> tuple[int, str]:
        """(-1, "") where nothing is committed."""
        source = TopicPartition(self._stage.topic, self.number)
        admin = AIOKafkaAdminClient(**self._client)
        try:
            await admin.start()
            offsets = await admin.list_consumer_group_offsets(self._stage.group, partitions=[source])
        finally:
            await admin.close()
        committed = offsets.get(source)
        if committed is None:
            # aiokafka passes over an error of the whole answer, such as that of a coordinator which still loads. Taken
            # for "nothing was committed", it would have the partition done again from its start.
            raise KafkaError(f"the group's coordinator said nothing of partition {self.number}")
        return committed.offset, committed.metadata or ""

    async def _last_commit(self, known: told.Commit) -> told.Commit:
        """``known`` to the group, or the later one that the outputs tell of and whose offset the broker lost."""
        last = known
        for commit in await told.last_told(self._client, self._stage, self.number):
            if commit.is_after(last):
                last = commit
        if last is not known:
            self._observer.partition_event(
                "offset_lost", self._stage.topic, self.number, f"{known.offset} is committed, {last.offset} was"
            )
        return last


def _retrieved(future: asyncio.Future[Any]) -> None:
    """Once a transaction failed at one place, asyncio must not complain of the failures that nobody awaits."""
    if not future.cancelled():
        future.exception()
