"""What is old is deleted by one process at a time, in bounded steps; the ledger is not."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from uuid import uuid4

from app.ports import CallKey, Intent, Place, Run
from app.store.claims import Claims
from app.store.database import Pool
from app.store.journal import Journal
from app.store.queries import query
from app.store.retention import expire, expiring
from schemas.usage import Usage

DAYS = 7
LIMIT_S = 20.0


async def claimed(pool: Pool, days_ago: int, count: int = 1) -> str:
    """Claims of so many days ago; gives the tenant that they are of."""
    claims, tenant = Claims(pool), f"t{uuid4().hex[:12]}"
    await asyncio.gather(*(
        claims.claim(stage="draft", tenant=tenant, source="desk", event_id=str(n), replay=0, digest="",
                     place=Place("topic", 0, n))
        for n in range(count)
    ))  # fmt: skip
    await claims.close()
    await pool.fetch(
        "update claim set claimed_at = now() - make_interval(days => $2) where tenant = $1", tenant, days_ago
    )
    return tenant


async def left(pool: Pool, table: str, tenant: str) -> int:
    [row] = await pool.fetch(f"select count(*) from {table} where tenant = $1", tenant)
    return int(row["count"])


async def answered(pool: Pool, days_ago: int, *, finish: bool = True) -> str:
    """A call of so many days ago, by a worker last heard of then; gives its tenant."""
    journal, tenant = Journal(pool), f"t{uuid4().hex[:12]}"
    await journal.start()
    key = CallKey(tenant=tenant, stage="draft", event_id="e", replay=0, question=0, attempt=0)
    begun = await journal.begin(
        Intent(key, "root", "chat", "offline", "offline-m", "1", "", cost_usd_max=Decimal(1), timeout_s=30)
    )
    assert isinstance(begun, Run)
    if finish:
        await journal.finish(
            begun.call_id, answer=b"answer", usage=Usage(input_tokens=1), cost_usd=Decimal(1), price_known=True,
            outcome="ok", latency_s=0.1,
        )  # fmt: skip
    await journal.close()
    await pool.fetch(
        "update call set reserved_at = now() - make_interval(days => $2) where tenant = $1", tenant, days_ago
    )
    return tenant


async def test_calls_and_claims_past_their_days_are_deleted_and_the_ledger_is_kept(pool: Pool) -> None:
    old, new = await answered(pool, DAYS + 1), await answered(pool, DAYS - 1)
    old_claim, new_claim = await claimed(pool, DAYS + 1), await claimed(pool, DAYS - 1)
    assert await expire(pool, days_kept=DAYS) >= 2
    assert [await left(pool, "call", tenant) for tenant in (old, new)] == [0, 1]
    assert [await left(pool, "claim", tenant) for tenant in (old_claim, new_claim)] == [0, 1]
    assert [await left(pool, "call_attempt", tenant) for tenant in (old, new)] == [1, 1]


async def test_a_call_in_flight_is_kept_however_old(pool: Pool) -> None:
    tenant = await answered(pool, DAYS + 1, finish=False)
    await expire(pool, days_kept=DAYS)
    assert await left(pool, "call", tenant) == 1


async def test_a_worker_not_heard_of_for_days_is_forgotten(pool: Pool) -> None:
    old, new = uuid4(), uuid4()
    for worker, days in ((old, DAYS + 1), (new, 0)):
        await pool.fetch("insert into worker values ($1, now() - make_interval(days => $2))", worker, days)
    await expire(pool, days_kept=DAYS)
    rows = await pool.fetch("select worker_id from worker where worker_id = any($1)", [old, new])
    assert [row["worker_id"] for row in rows] == [new]


async def test_nothing_is_deleted_while_another_process_is_at_it(pool: Pool) -> None:
    tenant = await claimed(pool, DAYS + 1)
    async with pool.transaction() as other:
        assert await other.fetchval(query("lock_expiry"))
        assert await expire(pool, days_kept=DAYS) == 0
        assert await left(pool, "claim", tenant) == 1
    assert await expire(pool, days_kept=DAYS) == 1


async def test_one_go_deletes_so_many_rows_and_the_next_one_goes_on(pool: Pool) -> None:
    tenant = await claimed(pool, DAYS + 1, count=25)
    counts = [await expire(pool, days_kept=DAYS, rows_at_a_time=5, rows_max=10) for _ in range(4)]
    assert counts == [10, 10, 5, 0]
    assert await left(pool, "claim", tenant) == 0


async def test_two_processes_at_once_delete_each_row_once(pool: Pool) -> None:
    tenant = await claimed(pool, DAYS + 1, count=200)
    deleted = sum(await asyncio.gather(*(expire(pool, days_kept=DAYS, rows_at_a_time=10) for _ in range(2))))
    assert deleted + await left(pool, "claim", tenant) == 200
    assert deleted >= 10


async def test_a_stage_expires_again_and_again(pool: Pool) -> None:
    async with expiring(pool, days_kept=DAYS, every_s=0.05, first_s_max=0.05), asyncio.timeout(LIMIT_S):
        for _ in range(2):
            tenant = await claimed(pool, DAYS + 1)
            while await left(pool, "claim", tenant):
                await asyncio.sleep(0.02)
