"""Tickets are found by what stands in them, through an index, in the workspace of whoever looks."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from app.desk import store
from app.desk.decisions import State
from app.desk.store import Wanted
from app.desk.terms import asked
from app.store.database import Pool
from tests.console_site import new_tenant
from tests.integration.test_projector import Bus
from tests.waiting import add_ticket

TICKETS = 30_000
TEXTS = {
    "de": ("Rückerstattung für Bestellung", "Die Synchronisierung der Notizen hängt seit gestern."),
    "ja": ("同期できません", "ノートを印刷するとコメントも印刷されてしまいます。"),
    "zh": ("无法导出笔记", "我昨天购买了年度套餐,但是发票没有收到。"),
    "ko": ("환불 요청", "어제 결제한 요금을 전액환불해 주세요."),
    "en": ("Cannot print", "The printer isn't found; see ticket #4711, mail ada.lovelace@example.com"),
}


@pytest.fixture
async def tenant(app_pool: Pool, pool: Pool) -> str:
    tenant = await new_tenant(app_pool)
    for language, (subject, text) in TEXTS.items():
        await add_ticket(pool, tenant, f"T-{language}", subject=subject, text=text, language=language)
    return tenant


async def _found(pool: Pool, tenant: str, text: str) -> list[str]:
    return sorted(row.ticket_id for row in await store.queue(pool, tenant, Wanted(text=text)))


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("rückerstattung", "de"), ("SYNCHRON", "de"), ("notizen hängt", "de"), ("印刷", "ja"), ("コメントも印刷", "ja"),
        ("发票", "zh"), ("年度套餐", "zh"), ("환불", "ko"), ("요금", "ko"), ("printer", "en"),
        ("ada.lovelace@exam", "en"), ("t-EN", "en"), ("#4711", "en"),
    ],
)  # fmt: skip
async def test_a_ticket_is_found_in_its_language(text: str, language: str, tenant: str, app_pool: Pool) -> None:
    assert await _found(app_pool, tenant, text) == [f"T-{language}"]


@pytest.mark.parametrize("text", ["印刷発票", "rückerstattung printer", "'; drop table ticket --", "' | 'T-de", "a\0b"])
async def test_all_that_is_looked_for_must_be_there(text: str, tenant: str, app_pool: Pool) -> None:
    assert await _found(app_pool, tenant, text) == []


async def test_a_compound_that_only_ends_so_is_found_in_korean(tenant: str, app_pool: Pool) -> None:
    """전액환불: the word that is looked for stands in the middle of one."""
    assert await _found(app_pool, tenant, "전액 환불") == ["T-ko"]


async def test_another_workspaces_ticket_is_not_found(tenant: str, app_pool: Pool) -> None:
    other = await new_tenant(app_pool)
    assert await _found(app_pool, other, "printer") == []
    assert await _found(app_pool, other, f"x' | '{tenant} printer") == []


async def test_filters_pages_and_looking_back_hold_for_a_search_too(tenant: str, app_pool: Pool, pool: Pool) -> None:
    for number in range(5):
        await add_ticket(pool, tenant, f"N-{number}", text="A printer", age_s=900 - number, state="sent")
        await add_ticket(pool, tenant, f"W-{number}", text="A printer", age_s=900 - number, category="billing")
    wanted = Wanted(text="printer", category="billing")
    first = await store.queue(app_pool, tenant, wanted, limit=2)
    after = await store.queue(app_pool, tenant, wanted, limit=2, after=first[-1].cursor)
    assert [row.ticket_id for row in (*first, *after)] == ["W-0", "W-1", "W-2", "W-3"]
    back = await store.latest(app_pool, tenant, State.SENT, Wanted(text="printer"), limit=2)
    older = await store.latest(app_pool, tenant, State.SENT, Wanted(text="printer"), limit=2, after=back[-1].cursor)
    assert [row.ticket_id for row in (*back, *older)] == ["N-4", "N-3", "N-2", "N-1"]


async def test_a_ticket_is_found_by_its_newest_message(bus: dict[str, Any], app_pool: Pool, pool: Pool) -> None:
    tenant = await new_tenant(app_pool)
    topics = Bus(bus, pool, tenant)
    for body in ("Der Drucker geht nicht", "印刷できません"):
        await topics.put(topics.message(body=body))
        await topics.mirror()
    wanted = Wanted(states=(State.WORKING,), text="印刷")
    assert [row.ticket_id for row in await store.queue(app_pool, tenant, wanted)] == ["t1"]
    assert await store.queue(app_pool, tenant, Wanted(states=(State.WORKING,), text="drucker")) == []


@pytest.mark.parametrize("function", ["find_open", "find_latest"])
async def test_a_rare_word_is_looked_up_in_the_index(function: str, tenant: str, database_url: str) -> None:
    """As the functions run it: a plan that walks through all tickets would show here."""
    owner = await asyncpg.connect(database_url)
    try:
        await owner.execute(
            "insert into ticket (tenant, ticket_id, conversation_id, root_id, source, partition, channel, subject,"
            " customer_text, accepted_at, state) select $1, 'F-' || n, n, n, 'test', 0, 'x', '', '',"
            " now() - make_interval(secs => n), case when n % 2 = 0 then 'waiting' else 'sent' end"
            " from generate_series(1, $2::integer) n",
            tenant, TICKETS,
        )  # fmt: skip
        await owner.execute("analyze ticket")  # else each row's foreign key is looked for among all tickets
        await owner.execute(
            "insert into ticket_term select $1, 'F-' || n, as_terms($1, array['all', 'n' || n % 7919])"
            " from generate_series(1, $2::integer) n",
            tenant, TICKETS,
        )  # fmt: skip
        await owner.execute("vacuum analyze ticket, ticket_term")
        await owner.execute("select set_config('deskstream.tenant', $1, false)", tenant)
        await owner.execute("set plan_cache_mode = force_custom_plan")
        body = await owner.fetchval("select prosrc from pg_proc where proname = $1", function)
        types = await owner.fetchval(
            "select string_agg(format_type(each, null), ', ' order by place) from pg_proc,"
            " unnest(proargtypes) with ordinality t (each, place) where proname = $1",
            function,
        )
        await owner.execute(f"prepare found ({types}) as {body}")
        states = "'{waiting,escalated,unknown}', null, null, null, null, null" if function == "find_open" else "'sent'"
        rest = "null, 51" if function == "find_open" else "null, null, null, null, null, 51"
        query = (asked("n7777", tenant) or "").replace("'", "''")
        plan = await owner.fetch(f"explain execute found ('{query}', {states}, {rest})")
        assert "ticket_term_terms" in "\n".join(row[0] for row in plan)
    finally:
        await owner.close()
