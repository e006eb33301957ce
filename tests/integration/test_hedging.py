"""A second request beside a slow one, on the real journal: found again by the next owner, all of it in the ledger."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest

from app.ports import Answered
from app.store.database import Pool
from app.store.journal import Journal
from app.store.ledger import spend, total
from tests.contract.test_answer import CONTEXT, GOOD, QUESTION, Chat, Racing, answerer
from tests.events import verdict

PATIENCE_S = 10.0
DEAD_S = 0.3


@pytest.mark.parametrize("first_worker_dies", [False, True])
async def test_the_next_owner_pays_for_neither_request_again(pool: Pool, first_worker_dies: bool) -> None:
    """``dies``: it stored the answer of the second request and said nothing of the first."""
    context = replace(CONTEXT, event_id=uuid4().hex, root_id=uuid4().hex)

    async def ask(chat: Chat, journal: Journal) -> Answered:
        await journal.start()
        asking = replace(answerer(chat), journal=journal, hedge_after_s=0.05)
        async with asyncio.timeout(PATIENCE_S):
            return await asking.answer(QUESTION, context)

    first = Journal(pool, worker_dead_s=DEAD_S, heartbeat_s=3_600)  # dead soon
    second = Journal(pool, worker_dead_s=DEAD_S, heartbeat_s=0.05)
    if first_worker_dies:
        first.fail = _says_nothing  # type: ignore[method-assign]
    before = await ask(Racing([GOOD, GOOD], delays=[None, 0.0]), first)
    chat = Chat([])
    after = await ask(chat, second)
    assert before.value == after.value == verdict() and not chat.asked
    assert {(row.call_id, row.outcome, row.cost_usd) for row in before.ledger} == {
        (row.call_id, row.outcome, row.cost_usd) for row in after.ledger
    }
    spent = total(await spend(pool, tenant=context.tenant, root_ids=[context.root_id]))
    assert (spent.calls, spent.unconfirmed) == (1, 1)
    assert spent.cost_usd + spent.unconfirmed_usd_max == sum(row.cost_usd for row in after.ledger)
    await first.close()
    await second.close()


async def _says_nothing(call_id: str, *, error: str, charged: str) -> None:
    """As a process that was killed."""
