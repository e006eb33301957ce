"""From the outbox to a help desk: at most once, and only what is still wanted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from app.desk import store
from app.desk.adapters import Adapter, NotNow, Outgoing, Refused, Unsure
from app.desk.decisions import Action, Choice, State
from app.desk.outbox import Outbox
from app.desk.projector import Projector
from app.desk.relay import Relay
from app.desk.sender import Pace, Sender
from app.embedded import process
from app.embedded.command import deskstream
from app.embedded.process import Process
from app.reviews import read_reviews
from app.store.database import Pool
from app.store.policies import create_tenant
from app.store.queries import query
from schemas.policy import Mode, TenantPolicy
from schemas.tickets import Route
from tests.integration.test_projector import Bus

SOON = Pace(
    timeout_s=0.3, lease_s=1.0, poll_s=0.02, backoff_s=0.05, door_s_max=0.3, look_first_after_s=3_600.0
)  # fmt: skip
WAIT_S_MAX = 20.0


class Desk:
    """A help desk whose next answers are foretold."""

    name = "foretold"

    def __init__(self, *answers: Exception | str, settle_s: float | None = 0.0, landed: str | None = None) -> None:
        self.settle_s = settle_s
        self.answers = list(answers)
        self.landed = landed  # what `find` tells
        self.sent: list[Outgoing] = []
        self.looked = 0

    async def send(self, reply: Outgoing) -> str:
        self.sent.append(reply)
        answer = self.answers.pop(0) if self.answers else "r1"
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def find(self, reply: Outgoing) -> str | None:
        self.looked += 1
        return self.landed

    async def close(self) -> None: ...


class Office:
    """One tenant with its tables, topics and people."""

    def __init__(self, bus: Bus, pool: Pool, app_pool: Pool) -> None:
        self.bus, self.pool, self.app_pool, self.tenant = bus, pool, app_pool, bus.tenant

    async def routed(self, route: Route = Route.SEND, ticket_id: str = "t1") -> str:
        """A ticket with its draft; gives the draft's id."""
        message = self.bus.message(ticket_id)
        draft = self.bus.routed(message, route)
        await self.bus.put(message, draft)
        await self.bus.mirror()
        return draft.event_id

    async def execute(self, sql: str, *arguments: object) -> None:
        async with self.pool.transaction() as connection:
            await connection.execute(sql, *arguments)

    async def seen(self, ticket_id: str = "t1") -> store.TicketView:
        return await store.ticket(self.app_pool, self.tenant, ticket_id)

    async def reply(self, ticket_id: str = "t1") -> store.Reply:
        return (await self.seen(ticket_id)).replies[0]

    @asynccontextmanager
    async def sending(self, desk: Adapter, pace: Pace = SOON) -> AsyncIterator[None]:
        stop = asyncio.Event()
        sender = Sender(Outbox(self.pool, self.app_pool), desk, self.bus.client, pace=pace)
        projector = Projector(self.pool, self.bus.client)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(sender.run(stop))
            tasks.create_task(projector.run(stop))
            tasks.create_task(Relay(self.pool, self.bus.client, after_s=0.0).run(stop))
            try:
                yield
            finally:
                stop.set()

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(WAIT_S_MAX):
            while not await condition():
                await asyncio.sleep(0.02)

    async def until_reply(self, *states: str) -> store.Reply:
        async def there() -> bool:
            return (await self.reply()).state in states

        await self.until(there)
        return await self.reply()


ARTICLE = """
    insert into document (tenant, document_id, version, title, digest, collection, imported_at)
    values ($1, 'printing', {version}, 'Printing', '', 'default', clock_timestamp())
"""
OPEN = """
    insert into graduation (tenant, category, locale, state, bound_max, opened_by, opened_at)
    values ($1, 'how_to', 'en', 'open', 0.05, 'ann', now())
"""
Execute = Callable[[str, str], Awaitable[None]]


@pytest.fixture
def postgres_owner(database_url: str) -> Execute:
    async def execute(sql: str, tenant: str) -> None:
        connection = await asyncpg.connect(database_url)
        await connection.execute(sql, tenant)
        await connection.close()

    return execute


@pytest.fixture
async def office(bus: dict[str, Any], pool: Pool, app_pool: Pool, postgres_owner: Execute) -> AsyncIterator[Office]:
    tenant = f"t{uuid4().hex[:12]}"
    await create_tenant(app_pool, TenantPolicy(tenant=tenant, mode=Mode.AUTO))
    await postgres_owner(ARTICLE.format(version=1), tenant)
    await postgres_owner(OPEN, tenant)
    yield Office(Bus(bus, pool, tenant), pool, app_pool)
    # What a test left is none of the next one's business: a sender works for all tenants.
    async with pool.transaction() as connection:
        await connection.execute("update outbox set state = 'stale' where state in ('pending', 'claimed')")


async def test_what_was_routed_to_be_sent_is_sent(office: Office) -> None:
    await office.routed()
    desk = Desk("r7")
    async with office.sending(desk):
        reply = await office.until_reply("sent")
    assert (reply.remote_id, [sent.body for sent in desk.sent]) == ("r7", ["Press Ctrl+P."])
    seen = await office.seen()
    assert (seen.state, [message.author for message in seen.messages]) == (State.SENT, ["customer", "deskstream"])


@pytest.mark.parametrize("route", [Route.REVIEW, Route.ESCALATE, Route.SUPERSEDED])
async def test_nothing_else_is_sent_without_a_person(office: Office, route: Route) -> None:
    await office.routed(route)
    assert (await office.seen()).replies == ()


async def test_what_a_person_approved_is_sent_once_it_cannot_be_undone(office: Office) -> None:
    draft = await office.routed(Route.REVIEW)
    await store.decide(office.app_pool, office.tenant, "t1", "ann", Choice(Action.APPROVED, draft))
    reply = await office.reply()
    assert (reply.state, (reply.not_before - reply.created_at).total_seconds()) == ("pending", store.UNDO_S)
    await office.execute("update outbox set not_before = now() where tenant = $1", office.tenant)
    desk = Desk()
    async with office.sending(desk):
        await office.until_reply("sent")
    assert [sent.body for sent in desk.sent] == ["Press Ctrl+P."]


async def test_an_edit_is_what_is_sent(office: Office) -> None:
    draft = await office.routed(Route.REVIEW)
    edited = Choice(Action.EDITED, draft, reply="Press Ctrl+P twice.")
    decided = await store.decide(office.app_pool, office.tenant, "t1", "ann", edited)
    assert ((await office.reply()).body, decided.material) == ("Press Ctrl+P twice.", True)


async def test_what_was_undone_is_not_sent_and_waits_again(office: Office) -> None:
    draft = await office.routed(Route.REVIEW)
    decided = await store.decide(office.app_pool, office.tenant, "t1", "ann", Choice(Action.APPROVED, draft))
    await store.undo(office.app_pool, office.tenant, decided.id, "ann")
    seen = await office.seen()
    assert (seen.state, seen.replies[0].state) == (State.WAITING, "stale")
    again = await store.decide(office.app_pool, office.tenant, "t1", "ann", Choice(Action.APPROVED, draft))
    assert again.id != decided.id


async def test_a_newer_message_while_the_reply_waits_keeps_it_from_going(office: Office) -> None:
    """The tables have not got it yet when the sender claims."""
    await office.routed()
    await office.bus.put(office.bus.message("t2"))
    desk = Desk()
    async with office.sending(desk):
        reply = await office.until_reply("stale", "sent")
    assert (reply.state, desk.sent) == ("stale", [])
    seen = await office.seen()
    assert (seen.state, seen.superseded_by) == (State.SUPERSEDED, "t2")


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ("update tenant set mode = 'draft' where tenant = $1", State.WAITING),
        ("insert into sending_halt (tenant, why, by) values ($1, 'a test', 'auditor')", State.WAITING),
        ("update graduation set state = 'closed' where tenant = $1", State.WAITING),
        ("update graduation set category = 'billing' where tenant = $1", State.WAITING),
        ("update graduation set locale = 'de' where tenant = $1", State.WAITING),
        ("update ticket set state = 'taken_over' where tenant = $1", State.TAKEN_OVER),
        ("insert into message (tenant, conversation_id, ticket_id, event_id, author, body, at)"
         " values ($1, 'c1', 't1', 'a' || $1, 'agent', 'I will look', now())", State.TAKEN_OVER),
        ("insert into ticket (tenant, ticket_id, conversation_id, root_id, source, partition, channel, subject,"
         " customer_text, accepted_at, state) values ($1, 't0', 'c1', 'r', 's', 0, '', '', '', now(), 'escalated')",
         State.WAITING),
    ],
    ids=["draft mode", "halted", "graduation closed", "another category open", "another locale open", "taken over",
         "a human's reply", "the conversation is escalated"],
)  # fmt: skip
async def test_what_is_stale_by_then_goes_to_a_person(
    office: Office, postgres_owner: Execute, change: str, state: State
) -> None:
    await office.routed()
    await postgres_owner(change, office.tenant)
    desk = Desk()
    async with office.sending(desk):
        await office.until_reply("stale")
    assert (desk.sent, (await office.seen()).state) == ([], state)


async def edit_article(execute: Execute, tenant: str) -> None:
    await execute("update document set withdrawn_at = clock_timestamp() where tenant = $1", tenant)
    await execute(ARTICLE.format(version=2), tenant)


async def test_an_edited_article_sends_its_drafts_to_a_person(office: Office, postgres_owner: Execute) -> None:
    await edit_article(postgres_owner, office.tenant)
    await office.routed()  # it cites version 1
    desk = Desk()
    async with office.sending(desk):
        reply = await office.until_reply("stale")
    assert (desk.sent, reply.last_error) == ([], "a cited article was changed or withdrawn")
    seen = await office.seen()
    assert (seen.state, seen.changed_articles) == (State.WAITING, ("printing",))


async def test_what_a_person_approved_before_the_edit_is_shown_to_them_again(
    office: Office, postgres_owner: Execute
) -> None:
    draft = await office.routed(Route.REVIEW)
    await store.decide(office.app_pool, office.tenant, "t1", "ann", Choice(Action.APPROVED, draft))
    await edit_article(postgres_owner, office.tenant)
    await office.execute("update outbox set not_before = now() where tenant = $1", office.tenant)
    async with office.sending(Desk()):
        await office.until_reply("stale")
    assert (await office.seen()).state is State.WAITING


async def test_what_a_person_approved_after_the_edit_is_sent(office: Office, postgres_owner: Execute) -> None:
    await edit_article(postgres_owner, office.tenant)
    draft = await office.routed(Route.REVIEW)
    await store.decide(office.app_pool, office.tenant, "t1", "ann", Choice(Action.APPROVED, draft))
    await office.execute("update outbox set not_before = now() where tenant = $1", office.tenant)
    async with office.sending(Desk()):
        await office.until_reply("sent")


# --- doubt


async def test_a_time_out_is_looked_up_and_not_sent_again_where_it_landed(office: Office) -> None:
    await office.routed()
    desk = Desk(Unsure("timed out"), landed="r9")
    async with office.sending(desk):
        reply = await office.until_reply("sent")
    assert (reply.remote_id, len(desk.sent)) == ("r9", 1)


async def test_a_time_out_that_did_not_land_is_sent_again(office: Office) -> None:
    await office.routed()
    desk = Desk(Unsure("timed out"))
    async with office.sending(desk):
        await office.until_reply("sent")
    assert (len(desk.sent), desk.looked) == (2, 1)


async def test_what_a_desk_cannot_tell_is_unknown_and_a_person_settles_it(office: Office) -> None:
    await office.routed()
    desk = Desk(Unsure("timed out"), settle_s=None)
    async with office.sending(desk):
        await office.until_reply("unknown")
    assert (len(desk.sent), (await office.seen()).state) == (1, State.UNKNOWN)
    assert [row.ticket_id for row in await store.queue(office.app_pool, office.tenant)] == ["t1"]
    await store.settle_unknown(office.app_pool, office.tenant, "t1", "ann", landed=True)
    seen = await office.seen()
    assert (seen.state, seen.replies[0].state, len(seen.messages)) == (State.SENT, "sent", 2)


async def test_a_person_who_saw_that_it_did_not_land_has_it_sent(office: Office) -> None:
    await office.routed()
    desk = Desk(Unsure("timed out"), settle_s=None)
    async with office.sending(desk):
        await office.until_reply("unknown")
        await store.settle_unknown(office.app_pool, office.tenant, "t1", "ann", landed=False)
        await office.until_reply("sent")
    assert len(desk.sent) == 2


async def test_a_reply_that_is_old_when_it_is_first_tried_is_looked_up(office: Office) -> None:
    """A restored database has forgotten what was sent after its backup."""
    await office.routed()
    desk = Desk(landed="r3")
    async with office.sending(desk, replace(SOON, look_first_after_s=0.0)):
        reply = await office.until_reply("sent")
    assert (reply.remote_id, desk.sent) == ("r3", [])


async def test_a_desk_that_is_busy_is_tried_again(office: Office) -> None:
    await office.routed()
    desk = Desk(NotNow("429", retry_after_s=0.1), NotNow("429"))
    async with office.sending(desk):
        reply = await office.until_reply("sent")
    assert (len(desk.sent), desk.looked, reply.attempts) == (3, 0, 3)


async def test_what_a_desk_refuses_goes_to_a_person(office: Office) -> None:
    draft = await office.routed()
    async with office.sending(Desk(Refused("no such ticket"))):
        reply = await office.until_reply("failed")
    seen = await office.seen()
    assert (seen.state, "no such ticket" in seen.reasons[-1]) == (State.WAITING, True)
    await store.decide(office.app_pool, office.tenant, "t1", "ann", Choice(Action.APPROVED, draft))
    assert (await office.reply()).reply_id != reply.reply_id


async def test_a_claim_that_ran_out_sends_nothing(office: Office) -> None:
    await office.routed()
    outbox = Outbox(office.pool, office.app_pool)
    (claimed,) = await outbox.claim(1, lease_s=0.2, settled_s=0.0)
    assert await outbox.begin(claimed, within_s=0.3) is False


async def test_whoever_lost_a_claim_takes_no_doubt_away(office: Office) -> None:
    """Else the reply is sent again while the request of its next claim is still on its way, though the same process has
    both claims."""
    await office.routed()
    outbox = Outbox(office.pool, office.app_pool)
    (lost,) = await outbox.claim(1, lease_s=0.0, settled_s=60.0)
    (held,) = await outbox.claim(1, lease_s=60.0, settled_s=60.0)
    assert await outbox.begin(held, within_s=0.3) is True
    await outbox.later(lost, "the tables are behind", in_s=0.0, did_not_land=True)
    await outbox.failed(lost, "the desk says no")
    assert await outbox.begin(lost, within_s=0.3) is False
    assert (await office.reply()).state == "claimed"
    assert await outbox.claim(1, lease_s=60.0, settled_s=60.0) == []


async def test_two_senders_never_have_the_same_reply(office: Office) -> None:
    for number in range(6):
        await office.bus.put(
            *(m := (office.bus.message(f"t{number}", f"c{number}"),)), office.bus.routed(m[0], Route.SEND)
        )
    await office.bus.mirror()
    senders = [Outbox(office.pool, office.app_pool) for _ in range(3)]
    claims = await asyncio.gather(*(one.claim(4, lease_s=9, settled_s=1) for one in senders))
    ids = [claimed.outgoing.reply_id for claim in claims for claimed in claim]
    assert len(ids) == len(set(ids)) == 6


# --- decisions on the bus


async def test_a_decision_is_on_the_bus_once_it_cannot_be_undone(office: Office) -> None:
    draft = await office.routed(Route.REVIEW)
    decided = await store.decide(
        office.app_pool, office.tenant, "t1", "ann", Choice(Action.REJECTED, draft, reason="wrong article")
    )
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(Relay(office.pool, office.bus.client, after_s=0.0).run(stop))

        async def relayed() -> bool:
            return bool(await read_reviews(office.bus.client, office.tenant))

        await office.until(relayed)
        stop.set()
    (review,) = await read_reviews(office.bus.client, office.tenant)
    assert (review.event_id, review.decision, review.reviewer) == (str(decided.id), "rejected", "ann")
    await office.bus.mirror()  # what comes back is known
    assert len((await office.seen()).decisions) == 1


async def test_what_was_undone_never_gets_to_the_bus(office: Office) -> None:
    draft = await office.routed(Route.REVIEW)
    decided = await store.decide(office.app_pool, office.tenant, "t1", "ann", Choice(Action.APPROVED, draft))
    await store.undo(office.app_pool, office.tenant, decided.id, "ann")
    async with office.pool.transaction() as connection:
        assert await connection.fetch(query("desk/due_decisions"), 0.0, 10) == []


async def test_the_desk_s_process_sends_what_the_topics_say_and_ends_when_told(
    office: Office, database_url: str, tmp_path: Path
) -> None:
    message = office.bus.message()
    await office.bus.put(message, office.bus.routed(message, Route.SEND))
    environment = {**office.bus.environment, "DATABASE_URL": database_url, "STATE_DIR": str(tmp_path)}
    desk = process.launch(
        Process("desk", (*deskstream(), "desk"), tmp_path / "desk.log", {**environment, "REPLY_ADAPTER": "file"})
    )
    try:

        async def landed() -> bool:
            return bool(files(tmp_path / "replies" / office.tenant))

        await office.until(landed)
        assert (await office.until_reply("sent")).state == "sent"
    finally:
        assert await process.stop(desk), (tmp_path / "desk.log").read_text()


def files(folder: Path) -> list[Path]:
    return list(folder.glob("*.json"))
