"""The schema, its roles, and what a server that is away looks like."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from agents.contract import PermanentError, TransientError
from app.store.database import Pool, connect, migrate, revision
from app.store.policies import Policies, create_tenant, set_rerank
from schemas.policy import Mode, TenantPolicy


async def tenant_of(pool: Pool, **fields: object) -> str:
    policy = TenantPolicy.model_validate({"tenant": f"t{uuid4().hex[:12]}", **fields})
    assert await create_tenant(pool, policy)
    return policy.tenant


async def test_two_migrations_at_once_leave_one_schema(database_url: str) -> None:
    await asyncio.gather(migrate(database_url), migrate(database_url))
    assert await revision(database_url) is not None


async def test_without_a_tenant_nothing_is_seen(app_pool: Pool) -> None:
    await tenant_of(app_pool)
    assert await app_pool.fetch("select * from tenant") == []


async def test_a_tenant_sees_itself_only(app_pool: Pool) -> None:
    ours, theirs = await tenant_of(app_pool), await tenant_of(app_pool)
    async with app_pool.transaction(ours) as connection:
        seen = {row["tenant"] for row in await connection.fetch("select tenant from tenant")}
    assert ours in seen
    assert theirs not in seen


async def test_a_tenant_cannot_write_into_another(app_pool: Pool) -> None:
    ours, theirs = await tenant_of(app_pool), await tenant_of(app_pool)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with app_pool.transaction(ours) as connection:
            await connection.execute("insert into knowledge_size values ($1, 1)", theirs)


async def test_the_tenant_of_a_transaction_ends_with_it(app_pool: Pool) -> None:
    ours = await tenant_of(app_pool)
    for _ in range(4):  # more often than the pool has connections
        async with app_pool.transaction(ours):
            pass
        assert await app_pool.fetch("select * from tenant") == []


async def test_reset_role_gives_no_rights_back(app_pool: Pool) -> None:
    async with app_pool.transaction() as connection:
        await connection.execute("reset role")
        assert await connection.fetchval("select current_user") == "deskstream_app"


async def test_the_runtime_has_no_business_in_the_knowledge_base(app_pool: Pool, database_url: str) -> None:
    runtime = await connect(database_url, role="deskstream_runtime", connections_max=1)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await runtime.fetch("select * from document")
    finally:
        await runtime.close()


async def test_a_server_that_is_away_passes_and_is_named() -> None:
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:1/desk .*DATABASE_URL"):
        await connect("postgresql://desk:secret@127.0.0.1:1/desk")


async def test_a_password_is_never_in_the_error() -> None:
    with pytest.raises(TransientError) as caught:
        await connect("postgresql://desk:secret@127.0.0.1:1/desk")
    assert "secret" not in str(caught.value)


async def test_an_unmigrated_database_says_what_to_run(database_url: str) -> None:
    name = f"d{uuid4().hex[:12]}"
    owner = await asyncpg.connect(database_url)
    await owner.execute(f"create database {name}")
    await owner.close()
    before, _, after = database_url.partition("?")
    url = before.rsplit("/", 1)[0] + f"/{name}" + (f"?{after}" if after else "")
    with pytest.raises(PermanentError, match="deskstream db migrate"):
        await connect(url)


async def test_a_new_tenant_is_in_draft_mode_with_no_graduated_category(app_pool: Pool) -> None:
    tenant = await tenant_of(app_pool)
    assert await Policies(app_pool).policy(tenant) == TenantPolicy(tenant=tenant)


async def test_a_policy_reads_back_as_it_was_written(app_pool: Pool) -> None:
    fields = {"mode": Mode.AUTO, "confidence_min": 0.75, "mask_personal_data": True, "rerank": True}
    tenant = await tenant_of(app_pool, **fields)
    assert await Policies(app_pool).policy(tenant) == TenantPolicy.model_validate({"tenant": tenant, **fields})


async def test_reranking_is_switched_for_a_tenant_and_for_no_other(app_pool: Pool) -> None:
    tenant, other = await tenant_of(app_pool), await tenant_of(app_pool)
    await set_rerank(app_pool, tenant, on=True)
    assert [(await Policies(app_pool).policy(each)).rerank for each in (tenant, other)] == [True, False]
    with pytest.raises(PermanentError, match="there is no tenant"):
        await set_rerank(app_pool, "nobody", on=True)


async def test_a_tenant_that_exists_is_left_as_it_is(app_pool: Pool) -> None:
    tenant = await tenant_of(app_pool, mode=Mode.AUTO)
    assert not await create_tenant(app_pool, TenantPolicy(tenant=tenant))
    assert (await Policies(app_pool).policy(tenant)).mode is Mode.AUTO


async def test_an_unknown_tenant_is_permanent(app_pool: Pool) -> None:
    with pytest.raises(PermanentError) as caught:
        await Policies(app_pool).policy("nobody")
    assert caught.value.reason == "unknown_tenant"


async def test_a_policy_put_back_to_draft_is_seen_once_the_kept_one_is_old(app_pool: Pool) -> None:
    tenant = await tenant_of(app_pool, mode=Mode.AUTO)
    policies = Policies(app_pool, kept_s=0)
    assert (await policies.policy(tenant)).mode is Mode.AUTO
    async with app_pool.transaction(tenant) as connection:
        await connection.execute("update tenant set mode = 'draft' where tenant = $1", tenant)
    assert (await policies.policy(tenant)).mode is Mode.DRAFT
