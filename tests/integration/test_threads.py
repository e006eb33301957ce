"""A conversation as the agents are told of it, in PostgreSQL."""

from datetime import timedelta
from uuid import uuid4

from app.store.database import Pool
from app.store.policies import create_tenant
from app.store.threads import Threads
from schemas.policy import TenantPolicy
from schemas.tickets import TURN_CHARS_MAX, TURNS_MAX, Author, Thread, Turn
from tests.events import NOON

INSERT = """
    insert into message (tenant, conversation_id, ticket_id, event_id, author, body, at)
    values ($1, 'c1', 't1', $2, $3, $4, $5)
"""


async def conversation(app_pool: Pool, pool: Pool, *turns: tuple[str, str, int]) -> str:
    """Each turn: author, text, minutes from noon."""
    tenant = f"t{uuid4().hex[:8]}"
    await create_tenant(app_pool, TenantPolicy(tenant=tenant))
    for author, text, minutes in turns:
        await pool.fetch(INSERT, tenant, uuid4().hex, author, text, NOON + timedelta(minutes=minutes))
    return tenant


async def test_a_conversation_that_nobody_knows_is_empty(app_pool: Pool) -> None:
    assert await Threads(app_pool).thread("nobody", "c1", NOON) == Thread()


async def test_what_stood_before_a_message_is_told_and_the_message_itself_is_not(app_pool: Pool, pool: Pool) -> None:
    tenant = await conversation(
        app_pool,
        pool,
        ("customer", "Hi", -3),
        ("deskstream", "Hello", -2),
        ("agent", "Hello?", -1),
        ("customer", "?", 0),
    )
    thread = await Threads(app_pool).thread(tenant, "c1", NOON)
    assert thread.before == (
        Turn(author=Author.CUSTOMER, text="Hi"),
        Turn(author=Author.DESKSTREAM, text="Hello"),
        Turn(author=Author.AGENT, text="Hello?"),
    )
    assert (thread.replies, thread.newer) == (2, "")


async def test_a_newer_message_of_the_customer_or_of_a_person_overtakes(app_pool: Pool, pool: Pool) -> None:
    for author, newer in (("customer", "the customer wrote again"), ("agent", "a person replied"), ("deskstream", "")):
        tenant = await conversation(app_pool, pool, ("customer", "?", 0), (author, "!", 1))
        assert (await Threads(app_pool).thread(tenant, "c1", NOON)).newer == newer


async def test_of_a_long_conversation_the_latest_beginnings_are_told(app_pool: Pool, pool: Pool) -> None:
    turns = [("customer", f"{number}" + "x" * 9_000, number - 50) for number in range(20)]
    thread = await Threads(app_pool).thread(await conversation(app_pool, pool, *turns), "c1", NOON)
    assert len(thread.before) == TURNS_MAX and thread.before[-1].text.startswith("19")
    assert {len(turn.text) for turn in thread.before} == {TURN_CHARS_MAX}


async def test_no_tenant_is_told_of_another_s_conversation(app_pool: Pool, pool: Pool) -> None:
    await conversation(app_pool, pool, ("customer", "secret", -1))
    other = await conversation(app_pool, pool)
    assert (await Threads(app_pool).thread(other, "c1", NOON)).before == ()
