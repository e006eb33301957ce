"""A call whose answer was stored is never paid again, and no call is made twice at once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from agents.contract import PermanentError
from app.ports import CallKey, Intent, LedgerRow, Run, Stored
from app.store.database import Pool, connect
from app.store.journal import Journal
from app.store.ledger import attempts, spend, total
from app.store.queries import query
from app.store.retention import expire
from schemas.usage import Usage

BOUND = Decimal("0.02")
COST = Decimal("0.0123456789")
USAGE = Usage(input_tokens=100, cached_tokens=50, cache_write_tokens=7, output_tokens=20)
DEAD_S = 0.3
PATIENCE_S = 10.0

Workers = Callable[..., Awaitable[Journal]]


@pytest.fixture
async def worker(pool: Pool) -> AsyncIterator[Workers]:
    """Starts workers: journals in one process stand for processes of their own."""
    started: list[Journal] = []

    async def start(*, dies: bool = False, **options: Any) -> Journal:
        journal = Journal(pool, **{"worker_dead_s": DEAD_S, "heartbeat_s": 3_600 if dies else 0.05, **options})
        await journal.start()
        started.append(journal)
        return journal

    yield start
    for journal in started:
        await journal.close()


def an_intent(**key: Any) -> Intent:
    fields = {"tenant": "acme", "stage": "draft", "event_id": uuid4().hex, "replay": 0, "question": 0, "attempt": 0}
    return Intent(
        key=CallKey(**{**fields, **key}),
        root_id=uuid4().hex,
        operation="chat",
        provider="offline",
        model="offline-m",
        prompt_version="1",
        digest="d" * 64,
        cost_usd_max=BOUND,
        timeout_s=30,
    )


async def reserve(journal: Journal, intent: Intent) -> Run:
    begun = await asyncio.wait_for(journal.begin(intent), PATIENCE_S)
    assert isinstance(begun, Run)
    return begun


async def stored(journal: Journal, intent: Intent) -> Stored:
    begun = await asyncio.wait_for(journal.begin(intent), PATIENCE_S)
    assert isinstance(begun, Stored)
    return begun


async def finish(journal: Journal, run: Run, answer: bytes = b"answer", outcome: Any = "ok") -> LedgerRow:
    return await journal.finish(
        run.call_id, answer=answer, usage=USAGE, cost_usd=COST, price_known=True, outcome=outcome, latency_s=0.25
    )


async def row_of(pool: Pool, call_id: str) -> dict[str, Any]:
    [row] = await pool.fetch("select * from call_attempt where call_id = $1", call_id)
    return dict(row)


@asynccontextmanager
async def beginning(
    journal: Journal, intent: Intent, *, for_s: float = 3 * DEAD_S
) -> AsyncIterator[asyncio.Task[Run | Stored]]:
    """A begin that has to wait: the task, once it is known to wait."""
    task = asyncio.create_task(journal.begin(intent))
    done, _ = await asyncio.wait([task], timeout=for_s)
    assert not done, "it should wait"
    yield task
    task.cancel()
    await asyncio.wait([task])


async def test_a_stored_answer_is_given_again_with_its_ledger_row(worker: Workers) -> None:
    journal, intent = await worker(), an_intent()
    row = await finish(journal, await reserve(journal, intent))
    assert await stored(await worker(), intent) == Stored(b"answer", row)
    assert (row.usage, row.cost_usd, row.outcome, row.latency_s) == (USAGE, COST, "ok", 0.25)


async def test_a_changed_prompt_does_not_pay_again(worker: Workers) -> None:
    journal, intent = await worker(), an_intent()
    await finish(journal, await reserve(journal, intent))
    await stored(journal, replace(intent, prompt_version="2", model="another", digest="e" * 64))


@pytest.mark.parametrize("changed", ["tenant", "stage", "event_id", "replay", "question", "attempt"])
async def test_each_part_of_the_key_makes_another_call(worker: Workers, changed: str) -> None:
    journal, intent = await worker(), an_intent()
    await finish(journal, await reserve(journal, intent))
    other = "another" if changed in ("tenant", "stage", "event_id") else 1
    await reserve(journal, replace(intent, key=replace(intent.key, **{changed: other})))


async def test_a_malformed_answer_is_stored_as_such(worker: Workers) -> None:
    journal, intent = await worker(), an_intent()
    await finish(journal, await reserve(journal, intent), b"{", "malformed")
    again = await stored(journal, intent)
    assert (again.answer, again.row.outcome) == (b"{", "malformed")


async def test_a_second_begin_in_one_process_waits_for_the_first(worker: Workers) -> None:
    journal, intent = await worker(), an_intent()
    run = await reserve(journal, intent)
    async with beginning(journal, intent) as second:
        await finish(journal, run)
        answered = await asyncio.wait_for(second, PATIENCE_S)
    assert isinstance(answered, Stored)


async def test_a_begin_waits_for_another_live_worker(worker: Workers) -> None:
    first, intent = await worker(), an_intent()
    run = await reserve(first, intent)
    async with beginning(await worker(), intent) as second:
        await finish(first, run)
        answered = await asyncio.wait_for(second, PATIENCE_S)
    assert isinstance(answered, Stored)
    assert answered.lost == ()


async def test_many_workers_that_begin_the_same_calls_run_each_once(worker: Workers) -> None:
    journals = [await worker() for _ in range(3)]
    intents = [an_intent() for _ in range(200)]
    made: list[str] = []

    async def call(journal: Journal, intent: Intent) -> bytes:
        begun = await journal.begin(intent)
        if isinstance(begun, Stored):
            return begun.answer
        made.append(intent.key.event_id)
        await finish(journal, begun, intent.key.event_id.encode())
        return intent.key.event_id.encode()

    asked = [(journal, intent) for journal in journals for intent in intents]
    random.Random(7).shuffle(asked)
    answers = await asyncio.wait_for(asyncio.gather(*(call(*each) for each in asked)), 60)
    assert answers == [intent.key.event_id.encode() for _, intent in asked]
    assert sorted(made) == sorted(intent.key.event_id for intent in intents)


async def test_a_dead_workers_call_is_taken_over_and_counted(worker: Workers, pool: Pool) -> None:
    counts: list[int] = []
    intent = an_intent()
    lost = await reserve(await worker(dies=True), intent)
    survivor = await worker(on_repeated=counts.append)
    taken = await reserve(survivor, intent)
    [row] = taken.lost
    assert (row.call_id, row.outcome, row.cost_usd) == (lost.call_id, "unconfirmed", BOUND)
    assert (survivor.repeated, counts) == (1, [1])
    assert (await row_of(pool, lost.call_id))["outcome"] == "unconfirmed"


async def test_a_live_workers_call_is_taken_over_after_its_deadline(worker: Workers) -> None:
    intent = replace(an_intent(), timeout_s=0.2)
    lost = await reserve(await worker(), intent)
    taken = await reserve(await worker(), intent)
    assert [row.call_id for row in taken.lost] == [lost.call_id]


async def test_a_call_that_its_caller_forgot_is_begun_again_after_its_deadline(worker: Workers) -> None:
    journal, intent = await worker(), replace(an_intent(), timeout_s=0.2)
    lost = await reserve(journal, intent)
    again = await reserve(journal, intent)
    assert [row.call_id for row in again.lost] == [lost.call_id]


async def test_a_live_worker_may_send_however_long_ago_it_reserved(worker: Workers) -> None:
    """Its lease is long enough for a heartbeat to come late on a busy machine."""
    journal, intent = await worker(worker_dead_s=2.0), an_intent()
    run = await reserve(journal, intent)
    async with beginning(await worker(worker_dead_s=2.0), intent, for_s=3.0):
        assert journal.may_send(run.call_id)


async def test_a_silent_worker_may_not_send_before_another_can_take_over(worker: Workers) -> None:
    silent, intent = await worker(dies=True), an_intent()
    run = await reserve(silent, intent)
    assert silent.may_send(run.call_id)
    await reserve(await worker(), intent)
    assert not silent.may_send(run.call_id)


async def test_a_sign_of_life_after_a_silence_gives_no_call_back_that_was_taken_over_meanwhile(worker: Workers) -> None:
    thawed, intent = await worker(dies=True), an_intent()
    run = await reserve(thawed, intent)
    await reserve(await worker(), intent)
    await thawed._announce()
    assert not thawed.may_send(run.call_id)
    assert thawed.may_send((await reserve(thawed, an_intent())).call_id)


async def test_a_silent_worker_may_send_what_it_has_only_just_reserved(worker: Workers) -> None:
    silent, intent = await worker(dies=True), an_intent()
    old = await reserve(silent, intent)
    await reserve(await worker(), intent)
    new = await reserve(silent, an_intent())
    assert (silent.may_send(old.call_id), silent.may_send(new.call_id)) == (False, True)


async def test_a_call_that_was_given_back_may_not_be_sent(worker: Workers) -> None:
    journal, intent = await worker(), an_intent()
    run = await reserve(journal, intent)
    await journal.fail(run.call_id, error="", charged="no")
    assert not journal.may_send(run.call_id)


async def test_a_worker_takes_its_own_call_over_at_once_that_it_could_not_give_back(worker: Workers) -> None:
    journal, intent = await worker(), an_intent()
    lost = await reserve(journal, intent)
    journal._let_go(UUID(lost.call_id))  # as ``fail`` does when the database is away for too long
    async with asyncio.timeout(DEAD_S):
        again = await journal.begin(intent)
    assert isinstance(again, Run) and [row.call_id for row in again.lost] == [lost.call_id]


async def test_what_was_lost_is_told_at_every_later_begin(worker: Workers) -> None:
    intent = an_intent()
    await reserve(await worker(dies=True), intent)
    survivor = await worker()
    taken = await reserve(survivor, intent)
    await finish(survivor, taken)
    assert (await stored(survivor, intent)).lost == taken.lost
    assert (await stored(await worker(), intent)).lost == taken.lost


async def test_only_an_answer_whose_call_was_taken_over_is_late(worker: Workers) -> None:
    thawed, intent = await worker(dies=True), an_intent()
    late = await reserve(thawed, intent)
    survivor = await worker()
    in_time = await reserve(survivor, intent)
    assert [(await finish(survivor, in_time)).late, (await finish(thawed, late)).late] == [False, True]


async def test_the_ledger_tells_all_that_was_or_may_have_been_charged_for_an_event(worker: Workers, pool: Pool) -> None:
    journal, first = await worker(), an_intent()
    second = replace(first, key=replace(first.key, question=1))
    refused = replace(first, key=replace(first.key, question=2))
    await finish(journal, await reserve(journal, first))
    under_way = await reserve(journal, second)
    await journal.fail((await reserve(journal, refused)).call_id, error="429", charged="no")
    await reserve(journal, replace(an_intent(), root_id=first.root_id))  # another event of the same ticket
    key = first.key
    rows = await attempts(
        pool, tenant=key.tenant, stage=key.stage, event_id=key.event_id, replay=0, root_id=first.root_id
    )
    assert [(row.key.question, row.outcome, row.cost_usd) for row in rows] == [
        (0, "ok", COST), (1, "unconfirmed", BOUND),
    ]  # fmt: skip
    assert rows[1].call_id == under_way.call_id


async def test_a_late_answer_corrects_its_ledger_row_but_not_the_answer(worker: Workers, pool: Pool) -> None:
    thawed, intent = await worker(dies=True), an_intent()
    late = await reserve(thawed, intent)
    survivor = await worker()
    await finish(survivor, await reserve(survivor, intent), b"first")
    assert (await row_of(pool, late.call_id))["outcome"] == "unconfirmed"
    corrected = await finish(thawed, late, b"late")
    assert (corrected.outcome, corrected.cost_usd, corrected.usage) == ("ok", COST, USAGE)
    again = await stored(survivor, intent)
    assert again.answer == b"first"
    assert again.lost == (replace(corrected, late=False),)


async def test_a_late_answer_that_comes_first_is_kept(worker: Workers) -> None:
    thawed, intent = await worker(dies=True), an_intent()
    late = await reserve(thawed, intent)
    survivor = await worker()
    taken = await reserve(survivor, intent)
    await finish(thawed, late, b"late")
    await finish(survivor, taken, b"second")
    again = await stored(survivor, intent)
    assert (again.answer, again.row.call_id) == (b"late", late.call_id)
    assert [row.call_id for row in again.lost] == [taken.call_id]


async def test_a_refused_call_costs_nothing_and_can_be_made_again(worker: Workers, pool: Pool) -> None:
    journal, intent = await worker(), an_intent()
    refused = await reserve(journal, intent)
    await journal.fail(refused.call_id, error="429", charged="no")
    row = await row_of(pool, refused.call_id)
    assert (row["outcome"], row["cost_usd"], row["error"]) == ("refused", 0, "429")
    assert (await reserve(journal, intent)).lost == ()


async def test_a_call_with_an_unknown_charge_is_unconfirmed_at_its_bound(worker: Workers) -> None:
    journal, intent = await worker(), an_intent()
    broken = await reserve(journal, intent)
    await journal.fail(broken.call_id, error="connection reset", charged="unknown")
    [row] = (await reserve(journal, intent)).lost
    assert (row.call_id, row.outcome, row.cost_usd) == (broken.call_id, "unconfirmed", BOUND)
    assert journal.repeated == 0  # nobody was taken over


async def test_a_cancelled_begin_leaves_no_reservation(worker: Workers) -> None:
    journal, intent = await worker(), an_intent()
    begin = asyncio.create_task(journal.begin(intent))
    await asyncio.sleep(0)  # it has asked
    begin.cancel()
    with pytest.raises(asyncio.CancelledError):
        await begin
    assert (await reserve(journal, intent)).lost == ()
    await asyncio.sleep(0)


async def test_a_cancelled_finish_stores_its_answer(worker: Workers) -> None:
    journal, intent = await worker(), an_intent()
    finishing = asyncio.create_task(finish(journal, await reserve(journal, intent)))
    await asyncio.sleep(0)
    finishing.cancel()
    await asyncio.wait([finishing])
    assert (await stored(journal, intent)).answer == b"answer"


async def test_a_call_is_not_begun_anew_while_a_cancelled_finish_is_still_being_stored(
    worker: Workers, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored_now, fetch = asyncio.Event(), pool.fetch

    async def slow_to_finish(sql: str, *arguments: object) -> Any:
        if sql == query("finish"):
            await stored_now.wait()
        return await fetch(sql, *arguments)

    monkeypatch.setattr(pool, "fetch", slow_to_finish)
    journal, intent = await worker(), an_intent()
    finishing = asyncio.create_task(finish(journal, await reserve(journal, intent)))
    await asyncio.sleep(0)
    finishing.cancel()
    try:
        async with beginning(journal, intent) as begin:
            stored_now.set()
            assert isinstance(await asyncio.wait_for(begin, PATIENCE_S), Stored)
    finally:
        stored_now.set()


async def test_a_request_that_cannot_be_stored_spoils_no_other(worker: Workers) -> None:
    journal = await worker()
    spoilt = an_intent(event_id="no\0text")
    good = [an_intent() for _ in range(20)]
    begun = await asyncio.gather(
        *(journal.begin(each) for each in [*good[:10], spoilt, *good[10:]]), return_exceptions=True
    )
    assert isinstance(begun.pop(10), PermanentError)
    assert all(isinstance(each, Run) for each in begun)


async def test_an_unknown_call_cannot_be_finished(worker: Workers) -> None:
    with pytest.raises(LookupError, match="never begun"):
        await finish(await worker(), Run(str(uuid4())))


async def test_close_stores_what_is_on_its_way(worker: Workers, pool: Pool) -> None:
    leaving = Journal(pool)
    await leaving.start()
    intent = an_intent()
    finishing = asyncio.create_task(finish(leaving, await reserve(leaving, intent)))
    await asyncio.sleep(0)
    await leaving.close()
    assert (await finishing).outcome == "ok"
    assert (await stored(await worker(), intent)).answer == b"answer"


async def test_the_ledger_adds_up_with_the_unconfirmed_apart(worker: Workers, pool: Pool) -> None:
    journal, tenant = await worker(), f"t{uuid4().hex[:12]}"
    intents = [an_intent(tenant=tenant) for _ in range(5)]
    runs = [await reserve(journal, each) for each in intents]
    await asyncio.gather(finish(journal, runs[0]), finish(journal, runs[1], b"{", "malformed"))
    await journal.fail(runs[2].call_id, error="reset", charged="unknown")
    await journal.fail(runs[3].call_id, error="429", charged="no")
    of_tenant = total(await spend(pool, tenant=tenant))
    assert (of_tenant.calls, of_tenant.cost_usd, of_tenant.usage.input_tokens) == (2, 2 * COST, 200)
    assert (of_tenant.unconfirmed, of_tenant.unconfirmed_usd_max) == (1, BOUND)
    assert total(await spend(pool, root_ids=[intents[0].root_id, intents[4].root_id])).calls == 1


async def test_a_tenant_reads_its_own_ledger_only(worker: Workers, pool: Pool, database_url: str) -> None:
    journal, ours, theirs = await worker(), f"t{uuid4().hex[:12]}", f"t{uuid4().hex[:12]}"
    for tenant in (ours, theirs):
        await finish(journal, await reserve(journal, an_intent(tenant=tenant)))
    app = await connect(database_url, connections_max=1)
    try:
        assert await spend(app) == []
        async with app.transaction(ours) as connection:
            seen = await connection.fetch("select distinct tenant from call_attempt")
        assert [row["tenant"] for row in seen] == [ours]
    finally:
        await app.close()


async def test_a_lost_call_that_nobody_begins_again_is_settled(worker: Workers, pool: Pool) -> None:
    intent = replace(an_intent(), timeout_s=0.01)
    lost = await reserve(await worker(dies=True), intent)
    await pool.fetch("select pg_sleep(0.02)")
    await pool.fetch(query("settle_overdue"), 0.0)
    row = await row_of(pool, lost.call_id)
    assert (row["outcome"], row["cost_usd"]) == ("unconfirmed", BOUND)
    survivor = await worker()
    assert [row.call_id for row in (await reserve(survivor, intent)).lost] == [lost.call_id]
    assert survivor.repeated == 1


async def test_a_call_within_its_deadline_is_not_settled(worker: Workers, pool: Pool) -> None:
    run = await reserve(await worker(), an_intent())
    await pool.fetch(query("settle_overdue"), 0.0)
    assert (await row_of(pool, run.call_id))["outcome"] == "in_flight"


async def test_retention_deletes_the_answer_and_keeps_the_ledger(worker: Workers, pool: Pool) -> None:
    journal, old, new = await worker(), an_intent(), an_intent()
    for intent in (old, new):
        await finish(journal, await reserve(journal, intent))
    kept = await stored(journal, old)
    await pool.fetch("update call set reserved_at = now() - interval '31 days' where event_id = $1", old.key.event_id)
    assert await expire(pool) >= 1
    assert (await row_of(pool, kept.row.call_id))["outcome"] == "ok"
    assert await pool.fetch("select from call where event_id = $1", old.key.event_id) == []
    await stored(journal, new)
