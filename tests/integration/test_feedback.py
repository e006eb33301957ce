"""What comes back once a reply was sent: opened again, rated."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx2
import orjson
import pytest

from agents.contract import PermanentError
from app.console.accounts import Accounts
from app.console.application import application
from app.console.machines import Machines
from app.console.roles import Role, Scope
from app.desk import feedback, store
from app.desk.decisions import Action, Choice, State
from app.desk.relay import Relay
from app.reviews import read_reviews
from app.store.database import Pool
from app.store.queries import query
from schemas.reviews import Decision, ReviewDecided
from tests.console_site import console, new_tenant
from tests.waiting import add_ticket

ADA = "ada@example.com"
WAIT_S_MAX = 60.0


@pytest.fixture
async def tenant(app_pool: Pool) -> str:
    return await new_tenant(app_pool)


async def sent(pool: Pool, app_pool: Pool, tenant: str, ticket_id: str = "T-1") -> str:
    """A ticket whose draft a person approved and the sender has sent; gives the draft's event id."""
    await add_ticket(pool, tenant, ticket_id)
    draft = (await store.ticket(app_pool, tenant, ticket_id)).routed_event_id or ""
    await store.decide(app_pool, tenant, ticket_id, ADA, Choice(Action.APPROVED, draft))
    [reply] = (await store.ticket(app_pool, tenant, ticket_id)).replies
    async with pool.transaction() as connection:
        await connection.execute(query("desk/reply_sent"), tenant, reply.reply_id, "r-1", "sender")
    return draft


async def events_of(pool: Pool, tenant: str) -> list[ReviewDecided]:
    """What goes to the bus, oldest first."""
    async with pool.transaction() as connection:
        rows = await connection.fetch(
            "select event from decision where tenant = $1 and event is not null order by at", tenant
        )
    return [ReviewDecided.model_validate_json(row["event"]) for row in rows]


async def test_opened_again_it_is_before_a_person_with_the_reason(pool: Pool, app_pool: Pool, tenant: str) -> None:
    draft = await sent(pool, app_pool, tenant)
    await feedback.reopen(app_pool, tenant, "T-1", ADA, "it was another printer")
    view = await store.ticket(app_pool, tenant, "T-1")
    assert view.state is State.ESCALATED
    assert view.reasons[-1] == "opened again: it was another printer"
    [_, event] = await events_of(pool, tenant)
    assert (event.decision, event.draft_event_id, event.reviewer) == (Decision.REOPENED, draft, ADA)


async def test_what_was_sent_is_not_approved_a_second_time(pool: Pool, app_pool: Pool, tenant: str) -> None:
    """The same words twice are no help; a new reply, written by a person, is."""
    draft = await sent(pool, app_pool, tenant)
    await feedback.reopen(app_pool, tenant, "T-1", ADA, "wrong")
    with pytest.raises(PermanentError) as refused:
        await store.decide(app_pool, tenant, "T-1", ADA, Choice(Action.APPROVED, draft))
    assert refused.value.reason == "answered"
    await store.decide(app_pool, tenant, "T-1", ADA, Choice(Action.EDITED, draft, reply="Take the other printer."))
    assert [one.state for one in (await store.ticket(app_pool, tenant, "T-1")).replies] == ["pending", "sent"]


async def test_only_a_ticket_with_a_sent_reply_is_opened_again_or_rated(
    pool: Pool, app_pool: Pool, tenant: str
) -> None:
    await add_ticket(pool, tenant, "T-1")
    for refused in (feedback.reopen(app_pool, tenant, "T-1", ADA, "x"), feedback.rate(app_pool, tenant, "T-1", "x", 3)):
        with pytest.raises(PermanentError) as error:
            await refused
        assert error.value.reason == "not_sent"


async def test_opened_again_twice_is_refused(pool: Pool, app_pool: Pool, tenant: str) -> None:
    await sent(pool, app_pool, tenant)
    await feedback.reopen(app_pool, tenant, "T-1", ADA, "x")
    with pytest.raises(PermanentError, match="escalated"):
        await feedback.reopen(app_pool, tenant, "T-1", ADA, "x")


async def test_the_same_rating_told_twice_counts_once_and_a_new_one_holds(
    pool: Pool, app_pool: Pool, tenant: str
) -> None:
    """One to five, one and back to five: each change is kept."""
    await sent(pool, app_pool, tenant)
    for rating in (5, 5, 1, 1, 5):
        await feedback.rate(app_pool, tenant, "T-1", "customer 7", rating)
    assert [event.rating for event in await events_of(pool, tenant)] == [None, 5, 1, 5]
    assert (await store.ticket(app_pool, tenant, "T-1")).state is State.SENT


async def test_nobody_undoes_what_the_customer_said(pool: Pool, app_pool: Pool, tenant: str) -> None:
    await sent(pool, app_pool, tenant)
    kept = await feedback.rate(app_pool, tenant, "T-1", ADA, 1)
    assert kept is not None
    with pytest.raises(PermanentError, match="undo"):
        await store.undo(app_pool, tenant, kept.id, ADA)


async def test_it_comes_to_the_bus(pool: Pool, app_pool: Pool, tenant: str, bus: dict[str, Any]) -> None:
    await sent(pool, app_pool, tenant)
    await feedback.rate(app_pool, tenant, "T-1", "customer 7", 2, reason="slow")
    stop = asyncio.Event()
    rated: list[ReviewDecided] = []
    async with asyncio.timeout(WAIT_S_MAX), asyncio.TaskGroup() as tasks:
        tasks.create_task(Relay(pool, bus, after_s=0.0).run(stop))
        while not rated:
            rated = [event for event in await read_reviews(bus, tenant) if event.decision is Decision.RATED]
        stop.set()
    assert [(event.rating, event.reason, event.reviewer) for event in rated] == [(2, "slow", "customer 7")]


async def test_a_help_desk_tells_it_with_a_token_for_that(pool: Pool, app_pool: Pool, tenant: str) -> None:
    """With another scope, or half of what is needed, it is refused."""
    await sent(pool, app_pool, tenant)
    accounts, machines = Accounts(app_pool), Machines(app_pool)
    await accounts.add(tenant, ADA, name="ada", role=Role.ADMIN, actor="test")
    user = (await accounts.by_link(await accounts.link(tenant, ADA))).user
    tokens = {
        scope: {"authorization": f"Bearer {await machines.add(user, scope, frozenset({scope}), 1)}"} for scope in Scope
    }
    transport = httpx2.ASGITransport(application(console(app_pool, pool)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://console.test") as client:

        async def told(scope: Scope = Scope.FEEDBACK, **what: Any) -> tuple[int, Any]:
            answer = await client.post(
                "/api/feedback", headers=tokens[scope], content=orjson.dumps({"ticket_id": "T-1", **what})
            )
            return answer.status_code, answer.json().get("kept")

        assert await told(Scope.DECIDE, kind="reopened") == (403, None)
        assert await told(kind="rated") == (422, None)
        assert await told(kind="reopened", rating=3) == (422, None)
        assert await told(kind="rated", rating=4, by="customer 7") == (200, True)
        assert await told(kind="rated", rating=4, by="customer 7") == (200, False)
        assert await told(kind="reopened") == (200, True)
        assert await told(kind="reopened") == (409, None)
        assert (await told(kind="rated", rating=9))[0] == 422
        answer = await client.post(
            "/api/feedback", headers=tokens[Scope.FEEDBACK], json={"ticket_id": uuid4().hex, "kind": "reopened"}
        )
        assert answer.status_code == 404
