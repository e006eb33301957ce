"""Intents and answers of paid calls (port: Journal).

A call is reserved before it is made and its answer stored when it comes. Who finds it reserved by another live worker
asks again at growing intervals: it happens after a rebalance only, and LISTEN/NOTIFY would add a lock that all commits
share to every answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal, TypeVar
from uuid import uuid4

import asyncpg
import structlog
from asyncpg.pgproto.pgproto import UUID

from agents.contract import TransientError
from app.ports import Intent, LedgerRow, Run, Stored
from app.store.batch import Batcher
from app.store.database import Pool
from app.store.queries import query
from app.store.rows import call_key, ledger_row, new_call_id
from schemas.usage import Usage

HEARTBEAT_S = 2.0
WORKER_DEAD_S = 10.0  # as Kafka's session time-out: by then the partitions have another owner
POLL_S_MIN, POLL_S_MAX = 0.025, 0.4
# For a place to be found in the books; then the record waits instead.
DATABASE_AWAY_S_MAX = 15.0
# An answer in hand is paid for: worth waiting for a database that restarts, though less than a record's own time.
ANSWER_KEPT_S_MAX = 90.0
# A call that died with its worker and is not begun again must stand in the ledger all the same.
OVERDUE_S = 60.0
SETTLED_S = 30.0
ERROR_CHARS_MAX = 1_000

R = TypeVar("R")

_log = structlog.get_logger()


@dataclass(frozen=True)
class _Reservation:
    intent: Intent
    key: UUID
    call_id: UUID


@dataclass(frozen=True)
class _Busy:
    """Another worker makes the call; ``deadline_s``: for how long it may, if that could be read."""

    deadline_s: float | None


@dataclass(slots=True)
class _Finish:
    call_id: UUID
    answer: bytes
    usage: Usage
    cost_usd: Decimal
    price_known: bool
    outcome: Literal["ok", "malformed"]
    latency_s: float
    intent: Intent | None  # None: this process has let go of the call, and its row must be looked up


@dataclass(frozen=True)
class _Failure:
    call_id: UUID
    error: str
    refused: bool


@dataclass(slots=True)
class _Open:
    """A call of this process between begin and its end. Others that begin it wait for ``ended``."""

    intent: Intent
    call_id: UUID = field(default_factory=new_call_id)
    ended: asyncio.Event | None = None  # made by the first who waits
    is_being_released: bool = False
    # By the monotonic clock:
    began: float = field(default_factory=time.monotonic)  # not later than the database has it
    deadline: float | None = None  # None while it is being reserved


class Journal:
    """One for each process. The pool must be the runtime's, with at least 7 connections: six statements can be under
    way, and the heartbeat must never wait for them."""

    def __init__(
        self,
        pool: Pool,
        *,
        worker_dead_s: float = WORKER_DEAD_S,
        heartbeat_s: float = HEARTBEAT_S,
        on_repeated: Callable[[int], None] = lambda count: None,
    ) -> None:
        self.worker_id = uuid4()
        self.repeated = 0  # calls taken over from the dead or the late: perhaps paid twice
        self._pool = pool
        self._worker_dead_s = worker_dead_s
        self._heartbeat_s = heartbeat_s
        self._on_repeated = on_repeated
        self._open: dict[UUID, _Open] = {}
        self._keys: dict[UUID, UUID] = {}  # call id -> key, of the open calls
        self._begins = Batcher(self._run_begins, key=lambda reservation: reservation.key)
        self._finishes = Batcher(self._run_finishes, key=lambda finish: finish.call_id)
        self._failures = Batcher(self._run_failures, key=lambda failure: failure.call_id)
        self._releases: set[asyncio.Task[None]] = set()
        self._alive_at = float("-inf")  # by the monotonic clock; not later than the database has it
        self._silent_until = float("-inf")  # what was reserved before may have been taken over
        self._heartbeat: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Announce this worker and keep it alive."""
        await self._announce()
        self._heartbeat = asyncio.create_task(self._beat())

    async def close(self) -> None:
        """Store what is on its way and sign off. Calls still in flight are taken over after their deadline."""
        if self._releases:
            await asyncio.wait(self._releases)
        for batcher in (self._begins, self._finishes, self._failures):
            await batcher.close()
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            await asyncio.wait([self._heartbeat])
        await self._pool.fetch(query("worker_gone"), self.worker_id)

    async def begin(self, intent: Intent) -> Run | Stored:
        """Reserve the call, or give its stored answer; waits while another live worker makes the same call.

        A dead worker's intent, or one past its deadline, is taken over: its row becomes unconfirmed.
        """
        key = call_key(intent.key)
        while (other := self._open.get(key)) is not None:
            await self._end_of(other)
        mine = self._open[key] = _Open(intent)
        self._keys[mine.call_id] = key
        try:
            answered = await self._reserve(_Reservation(intent, key, mine.call_id))
        except BaseException:
            if not mine.is_being_released:
                self._let_go(mine.call_id)
            raise
        if isinstance(answered, Stored):
            self._let_go(mine.call_id)
        else:
            mine.deadline = time.monotonic() + intent.timeout_s
        return answered

    def may_send(self, call_id: str) -> bool:
        """No other worker takes it over in the next moments: it is open here, and either it or this worker's last sign
        of life is younger than half of what counts as dead. So a worker that was frozen sends nothing on waking."""
        key = self._keys.get(UUID(call_id))
        if key is None:
            return False
        call, now = self._open[key], time.monotonic()
        fresh = now - max(self._alive_at, call.began) < self._worker_dead_s / 2
        return fresh and call.began >= self._silent_until and (call.deadline is None or now < call.deadline)

    async def finish(
        self, call_id: str, *, answer: bytes, usage: Usage, cost_usd: Decimal, price_known: bool,
        outcome: Literal["ok", "malformed"], latency_s: float,
    ) -> LedgerRow:  # fmt: skip
        """Store the answer, even if the caller is cancelled meanwhile. The first stored answer of a key wins."""
        found = UUID(call_id)
        done = _Finish(found, answer, usage, cost_usd, price_known, outcome, latency_s, self._intent_of(found))
        row = await self._end(done.call_id, lambda: self._finishes.enqueue(done), away_s_max=ANSWER_KEPT_S_MAX)
        if row is None:
            raise LookupError(f"the journal has no call {call_id}: it was never begun, or is past its retention")
        return row

    async def fail(self, call_id: str, *, error: str, charged: Literal["no", "unknown"]) -> None:
        """The call gave no answer. ``no``: the provider refused it; ``unknown``: it becomes unconfirmed."""
        failure = _Failure(UUID(call_id), error.replace("\0", "")[:ERROR_CHARS_MAX], charged == "no")
        await self._end(failure.call_id, lambda: self._failures.enqueue(failure))

    async def _end(
        self, call_id: UUID, enqueue: Callable[[], asyncio.Future[R]], *, away_s_max: float = DATABASE_AWAY_S_MAX
    ) -> R:
        """Nobody in this process begins the call anew before its end is stored, though the caller is cancelled."""
        under_way: list[asyncio.Future[R]] = []
        try:
            return await _persist(enqueue, under_way.append, away_s_max=away_s_max)
        finally:
            if under_way:
                under_way[0].add_done_callback(lambda _: self._let_go(call_id))
            else:
                self._let_go(call_id)

    async def _reserve(self, reservation: _Reservation) -> Run | Stored:
        poll_s = POLL_S_MIN
        while True:
            answered = await _persist(
                lambda: self._begins.enqueue(reservation), lambda future: self._release(reservation, future)
            )
            if not isinstance(answered, _Busy):
                return answered
            left_s = POLL_S_MAX if answered.deadline_s is None else max(answered.deadline_s, POLL_S_MIN)
            await asyncio.sleep(min(poll_s * random.uniform(0.5, 1), left_s))  # noqa: S311  # jitter
            poll_s = min(2 * poll_s, POLL_S_MAX)

    def _release(self, reservation: _Reservation, future: asyncio.Future[Run | Stored | _Busy]) -> None:
        """Its caller was cancelled while ``future`` was on its way: no request will be made."""
        self._open[reservation.key].is_being_released = True

        async def release() -> None:
            try:
                if isinstance(await future, Run):
                    await self.fail(str(reservation.call_id), error="cancelled before the request", charged="no")
            except TransientError:
                _log.warning("reservation_kept_until_its_deadline", call_id=str(reservation.call_id))
            finally:
                self._let_go(reservation.call_id)

        task = asyncio.create_task(release())
        self._releases.add(task)
        task.add_done_callback(self._releases.discard)

    async def _end_of(self, other: _Open) -> None:
        """Wait until ``other`` has ended or is overdue (its caller was cancelled and said nothing), or a second."""
        left_s = 1.0 if other.deadline is None else other.deadline - time.monotonic()
        if left_s <= 0:
            self._let_go(other.call_id)
            return
        other.ended = other.ended or asyncio.Event()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(left_s):
                await other.ended.wait()

    def _intent_of(self, call_id: UUID) -> Intent | None:
        key = self._keys.get(call_id)
        return None if key is None else self._open[key].intent

    def _let_go(self, call_id: UUID) -> None:
        key = self._keys.pop(call_id, None)
        if key is not None and (ended := self._open.pop(key).ended):
            ended.set()

    async def _beat(self) -> None:
        settled_at = time.monotonic()
        while True:
            await asyncio.sleep(self._heartbeat_s)
            now = time.monotonic()
            for open_call in list(self._open.values()):
                if open_call.deadline is not None and open_call.deadline < now:
                    self._let_go(open_call.call_id)
            try:
                await self._announce()
                if now >= settled_at + SETTLED_S:
                    await self._pool.fetch(query("settle_overdue"), OVERDUE_S)
                    settled_at = now
            except TransientError as error:
                _log.warning("heartbeat_missed", error=str(error))

    async def _announce(self) -> None:
        sent_at = time.monotonic()
        await self._pool.fetch(query("heartbeat"), self.worker_id)
        if sent_at - self._alive_at > self._worker_dead_s / 2:
            self._silent_until = sent_at
        self._alive_at = sent_at

    async def _run_begins(self, reservations: Sequence[_Reservation]) -> list[Run | Stored | _Busy]:
        columns = zip(*(_begin_columns(each) for each in reservations), strict=True)
        rows = await self._pool.fetch(query("begin"), *columns, self.worker_id, self._worker_dead_s)
        lost: dict[UUID, list[LedgerRow]] = defaultdict(list)
        verdicts: dict[UUID, asyncpg.Record] = {}
        repeated = 0
        for row in rows:
            if row["kind"] == "lost":
                lost[row["call_key"]].append(ledger_row(row["attempt"]))
                repeated += row["taken_over"]
            else:
                verdicts[row["call_key"]] = row
        if repeated:
            self.repeated += repeated
            self._on_repeated(repeated)
        return [_answered(each, verdicts.get(each.key), tuple(lost.get(each.key, ()))) for each in reservations]

    async def _run_finishes(self, finishes: Sequence[_Finish]) -> list[LedgerRow | None]:
        columns = zip(*(_finish_columns(each) for each in finishes), strict=True)
        rows = await self._pool.fetch(query("finish"), *columns)
        found = {row["call_id"]: row for row in rows}
        return [_finished(each, found[each.call_id]) if each.call_id in found else None for each in finishes]

    async def _run_failures(self, failures: Sequence[_Failure]) -> list[None]:
        columns = zip(*((each.call_id, each.error, each.refused) for each in failures), strict=True)
        await self._pool.fetch(query("fail"), *columns)
        return [None] * len(failures)


async def _persist(
    enqueue: Callable[[], asyncio.Future[R]],
    on_cancelled: Callable[[asyncio.Future[R]], None] = lambda future: None,
    *,
    away_s_max: float = DATABASE_AWAY_S_MAX,
) -> R:
    """The result of what ``enqueue`` starts, tried again while the database is away. Every statement of the journal
    may run twice. A cancelled caller does not stop what has started."""
    give_up = time.monotonic() + away_s_max
    pause_s = POLL_S_MIN
    while True:
        future = enqueue()
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            on_cancelled(future)
            raise
        except TransientError:
            if time.monotonic() > give_up:
                raise
        await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311  # jitter
        pause_s = min(2 * pause_s, 1.0)


def _begin_columns(reservation: _Reservation) -> tuple[object, ...]:
    intent, key = reservation.intent, reservation.intent.key
    return (
        reservation.key, reservation.call_id, key.tenant, key.stage, key.event_id, key.replay, key.question,
        key.attempt, intent.root_id, intent.operation, intent.provider, intent.model, intent.prompt_version,
        intent.digest, intent.cost_usd_max, intent.timeout_s,
    )  # fmt: skip


def _finish_columns(finish: _Finish) -> tuple[object, ...]:
    usage = finish.usage
    return (
        finish.call_id, finish.answer, finish.outcome, usage.input_tokens, usage.cached_tokens,
        usage.cache_write_tokens, usage.output_tokens, finish.cost_usd, finish.price_known, finish.latency_s,
        finish.intent is None,
    )  # fmt: skip


def _finished(finish: _Finish, row: asyncpg.Record) -> LedgerRow:
    """As it stands in the ledger now. Its whole row is there where more must be known than was given."""
    if row["attempt"] is not None:
        return replace(ledger_row(row["attempt"]), late=row["late"])
    intent = finish.intent
    assert intent is not None
    return LedgerRow(
        call_id=str(finish.call_id), key=intent.key, root_id=intent.root_id, operation=intent.operation,
        provider=intent.provider, model=intent.model, usage=finish.usage, cost_usd=finish.cost_usd,
        price_known=finish.price_known, outcome=finish.outcome, latency_s=finish.latency_s, late=row["late"],
    )  # fmt: skip


def _answered(
    reservation: _Reservation, verdict: asyncpg.Record | None, lost: tuple[LedgerRow, ...]
) -> Run | Stored | _Busy:
    if verdict is None:  # reserved by another after the statement's snapshot: it can be seen next time
        return _Busy(None)
    if verdict["kind"] == "run":
        return Run(str(reservation.call_id), lost)
    if verdict["kind"] == "stored":
        return Stored(verdict["answer"], ledger_row(verdict["attempt"]), lost)
    return _Busy(verdict["deadline_s"])
