"""Who gets in to the console, as what, and for how long."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import httpx2
import pytest

from agents.contract import PermanentError
from app.console import report
from app.console.accounts import FAILURES_MAX, Accounts, Session, SignInRefused
from app.console.application import application
from app.console.machines import Machines
from app.console.roles import Role, Scope
from app.desk.report import Report
from app.store.database import Pool
from tests.console_site import console, new_tenant
from tests.waiting import add_ticket

PASSWORD = "correct horse battery"


@pytest.fixture
async def tenant(app_pool: Pool) -> str:
    return await new_tenant(app_pool)


@pytest.fixture
def accounts(app_pool: Pool) -> Accounts:
    return Accounts(app_pool)


@pytest.fixture
async def browser(app_pool: Pool, pool: Pool) -> AsyncIterator[httpx2.AsyncClient]:
    """Keeps cookies and follows nothing."""
    transport = httpx2.ASGITransport(application(console(app_pool, pool)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://console.test") as client:
        yield client


async def _session(accounts: Accounts, tenant: str, role: Role = Role.REVIEWER, name: str = "ada") -> Session:
    await accounts.add(tenant, f"{name}@example.com", name=name, role=role, actor="test")
    return await accounts.by_link(await accounts.link(tenant, f"{name}@example.com"))


async def _sign_in(browser: httpx2.AsyncClient, session: Session) -> None:
    browser.cookies.set("deskstream", session.token)


async def _age(app_pool: Pool, tenant: str, column: str, by: timedelta) -> None:
    async with app_pool.transaction(tenant) as connection:
        await connection.execute(f"update console_session set {column} = {column} - $1::interval", by)


# -- the way in


async def test_a_password_signs_in_and_a_wrong_one_does_not(accounts: Accounts, tenant: str) -> None:
    """There is none until its owner sets one."""
    with pytest.raises(SignInRefused):
        await accounts.by_password(tenant, "ada@example.com", "")
    await accounts.set_password(await _session(accounts, tenant), PASSWORD)
    assert (await accounts.by_password(tenant, " Ada@Example.com ", PASSWORD)).user.email == "ada@example.com"
    with pytest.raises(SignInRefused):
        await accounts.by_password(tenant, "ada@example.com", PASSWORD + " ")


async def test_guessing_is_limited(accounts: Accounts, tenant: str) -> None:
    """After so many wrong ones the right one does not get in either, and the answer says to wait."""
    await accounts.set_password(await _session(accounts, tenant), PASSWORD)
    for _ in range(FAILURES_MAX):
        with pytest.raises(SignInRefused) as refused:
            await accounts.by_password(tenant, "ada@example.com", "wrong")
        assert not refused.value.wait
    with pytest.raises(SignInRefused) as refused:
        await accounts.by_password(tenant, "ada@example.com", PASSWORD)
    assert refused.value.wait


async def test_a_workspace_that_does_not_exist_is_refused_like_a_wrong_password(
    accounts: Accounts, app_pool: Pool
) -> None:
    with pytest.raises(SignInRefused) as refused:
        await accounts.by_password("nobodys", "ada@example.com", PASSWORD)
    assert not refused.value.wait


async def test_a_link_is_used_once_and_not_after_its_time(accounts: Accounts, tenant: str, app_pool: Pool) -> None:
    await _session(accounts, tenant)
    token = await accounts.link(tenant, "ada@example.com")
    await accounts.by_link(token)
    with pytest.raises(SignInRefused):
        await accounts.by_link(token)
    late = await accounts.link(tenant, "ada@example.com")
    async with app_pool.transaction(tenant) as connection:
        await connection.execute("update sign_in_link set expires_at = now() where used_at is null")
    with pytest.raises(SignInRefused):
        await accounts.by_link(late)


async def test_one_workspaces_people_are_nobody_in_another(
    accounts: Accounts, tenant: str, app_pool: Pool, pool: Pool, browser: httpx2.AsyncClient
) -> None:
    """Neither their password nor a token rewritten to it works there, and its tickets are not found."""
    other = await new_tenant(app_pool)
    await add_ticket(pool, other, "T-1")
    session = await _session(accounts, tenant)
    await accounts.set_password(session, PASSWORD)
    with pytest.raises(SignInRefused):
        await accounts.by_password(other, "ada@example.com", PASSWORD)
    assert await accounts.session(session.token.replace(tenant, other)) is None
    await _sign_in(browser, session)
    assert (await browser.get("/ticket?id=T-1")).status_code == 404
    assert "T-1" not in (await browser.get("/")).text


async def test_every_table_with_a_tenant_is_under_row_level_security(pool: Pool) -> None:
    """The dead letters' marks are the runtime's alone: no person's role may read them."""
    rows = await pool.fetch(
        "select c.relname from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant'"
        " where c.relkind in ('r', 'p') and c.relnamespace = 'public'::regnamespace and not c.relrowsecurity"
        " and has_table_privilege('deskstream_app', c.oid, 'select')"
    )
    assert [row["relname"] for row in rows] == []


# -- sessions


async def test_a_session_gets_a_new_token_after_a_while(accounts: Accounts, tenant: str, app_pool: Pool) -> None:
    """The old one is good for requests under way; used later it was copied, and the session ends for both."""
    old = await _session(accounts, tenant)
    await _age(app_pool, tenant, "rotated_at", timedelta(minutes=20))
    new = await accounts.session(old.token)
    assert new is not None
    assert new.is_new
    assert new.token != old.token
    assert await accounts.session(old.token) is not None
    await _age(app_pool, tenant, "rotated_at", timedelta(minutes=1))
    assert await accounts.session(old.token) is None
    assert await accounts.session(new.token) is None


async def test_a_session_ends_after_a_week_however_busy(accounts: Accounts, tenant: str, app_pool: Pool) -> None:
    session = await _session(accounts, tenant)
    await _age(app_pool, tenant, "created_at", timedelta(days=8))
    assert await accounts.session(session.token) is None


async def test_who_is_shut_out_is_out_at_once(accounts: Accounts, tenant: str) -> None:
    session = await _session(accounts, tenant)
    await _session(accounts, tenant, Role.ADMIN, "grace")
    await accounts.change(tenant, session.user.user_id, actor="grace", disabled=True)
    assert await accounts.session(session.token) is None
    with pytest.raises(PermanentError):
        await accounts.link(tenant, "ada@example.com")


async def test_the_last_admin_stays(accounts: Accounts, tenant: str) -> None:
    session = await _session(accounts, tenant, Role.ADMIN)
    for change in ({"role": Role.VIEWER}, {"disabled": True}):
        with pytest.raises(PermanentError, match="at least one admin"):
            await accounts.change(tenant, session.user.user_id, actor="ada", **change)  # type: ignore[arg-type]
    assert await accounts.session(session.token) is not None


async def test_no_token_is_stored(accounts: Accounts, tenant: str, app_pool: Pool) -> None:
    """Of sessions, links and machines only digests: who reads the tables cannot sign in."""
    session = await _session(accounts, tenant, Role.ADMIN)
    tokens = [
        session.token,
        await accounts.link(tenant, "ada@example.com"),
        await Machines(app_pool).add(session.user, "robot", frozenset(Scope), 1),
    ]
    async with app_pool.transaction(tenant) as connection:
        for table in ("console_session", "sign_in_link", "api_token", "audit_log"):
            stored = str(await connection.fetch(f"select * from {table}"))
            assert not [token for token in tokens if token.split(".")[1] in stored], table


# -- requests


async def test_without_a_session_everything_leads_to_the_sign_in(browser: httpx2.AsyncClient) -> None:
    for place in ("/", "/ticket?id=1", "/users", "/audit", "/dead-letters", "/account"):
        answer = await browser.get(place)
        assert (answer.status_code, answer.headers["location"].split("?")[0]) == (303, "/sign-in"), place
    assert (await browser.post("/decide", data={"id": "1"})).headers["location"].startswith("/sign-in")


async def test_a_form_needs_the_sessions_own_token(
    accounts: Accounts, tenant: str, pool: Pool, browser: httpx2.AsyncClient
) -> None:
    """None, and another session's, are refused; nothing is decided."""
    await add_ticket(pool, tenant, "T-1")
    session, other = await _session(accounts, tenant), await _session(accounts, tenant, name="grace")
    await _sign_in(browser, session)
    sent = {"id": "T-1", "action": "approved", "draft": f"routed-{tenant}-T-1"}
    for csrf in ({}, {"csrf": ""}, {"csrf": other.csrf}):
        assert (await browser.post("/decide", data={**sent, **csrf})).status_code == 403
    assert (await browser.post("/decide", data={**sent, "csrf": session.csrf})).status_code == 303


@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.test"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}]
)
async def test_another_sites_form_is_refused_before_anything_is_read(
    headers: dict[str, str], browser: httpx2.AsyncClient
) -> None:
    answer = await browser.post("/sign-in", data={"workspace": "x", "email": "x", "password": "x"}, headers=headers)
    assert answer.status_code == 403


async def test_nothing_on_a_page_runs_inline(
    accounts: Accounts, tenant: str, pool: Pool, browser: httpx2.AsyncClient
) -> None:
    """The policy allows scripts and styles from files of ours only, and no page holds an inline one."""
    await add_ticket(pool, tenant, "T-1")
    await _sign_in(browser, await _session(accounts, tenant, Role.ADMIN))
    for place in ("/", "/ticket?id=T-1", "/users", "/audit", "/account", "/sign-in", "/report", "/guidelines", "/gaps"):
        answer = await browser.get(place)
        policy = answer.headers["content-security-policy"]
        assert answer.status_code == 200, place
        assert "'unsafe" not in policy
        assert "script-src 'self';" in policy
        assert not re.search(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|javascript:", answer.text), place


async def test_a_report_that_takes_long_is_waited_for_and_then_kept(
    accounts: Accounts, tenant: str, app_pool: Pool, pool: Pool
) -> None:
    """The page asks again until it is counted; whoever looks again within minutes has it counted no second time."""
    counted, may_end = [], asyncio.Event()

    async def count(tenant: str, days: int) -> tuple[Report, ...]:
        counted.append(days)
        await may_end.wait()
        return await report.counted(app_pool, tenant, days)

    jobs = report.jobs_of(count)
    transport = httpx2.ASGITransport(application(replace(console(app_pool, pool), reports=jobs)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://console.test") as browser:
        await _sign_in(browser, await _session(accounts, tenant))
        for _ in range(2):
            page = (await browser.get("/report?days=7")).text
            assert 'hx-trigger="every 1s"' in page
            assert "<table" not in page
        may_end.set()
        await jobs[7].wait(tenant, 10.0)
        for _ in range(2):
            page = (await browser.get("/report?days=7")).text
            assert "hx-trigger" not in page
            assert "<table" in page
        assert counted == [7]
        await browser.get("/report?days=30")
        assert counted == [7, 30]
        await browser.get("/report?days=7")
        assert counted == [7, 30]
    for each in jobs.values():
        await each.close()


@pytest.mark.parametrize(
    "place", ["//evil.test", "https://evil.test", "/\\evil.test", "javascript:alert(1)", "\thttps://evil.test", "x"]
)
async def test_a_sign_in_leads_nowhere_else(
    place: str, accounts: Accounts, tenant: str, browser: httpx2.AsyncClient
) -> None:
    await accounts.set_password(await _session(accounts, tenant), PASSWORD)
    sent = {"workspace": tenant, "email": "ada@example.com", "password": PASSWORD, "next": place}
    assert (await browser.post("/sign-in", data=sent)).headers["location"] == "/"


async def test_roles_hold_for_requests_too(
    accounts: Accounts, tenant: str, pool: Pool, browser: httpx2.AsyncClient
) -> None:
    """Not only for the buttons that are shown."""
    await add_ticket(pool, tenant, "T-1")
    viewer, reviewer = await _session(accounts, tenant, Role.VIEWER), await _session(accounts, tenant, name="grace")
    sent = {"id": "T-1", "action": "approved", "draft": f"routed-{tenant}-T-1"}
    await _sign_in(browser, viewer)
    assert (await browser.post("/decide", data={**sent, "csrf": viewer.csrf})).status_code == 403
    await _sign_in(browser, reviewer)
    for place in ("/users", "/audit", "/dead-letters"):
        assert (await browser.get(place)).status_code == 403, place
    for place in ("/users", "/graduation", "/guidelines", "/dead-letters"):
        assert (await browser.post(place, data={"do": "add", "csrf": reviewer.csrf})).status_code == 403, place


async def test_a_draft_that_changed_is_not_approved_unseen(
    accounts: Accounts, tenant: str, pool: Pool, browser: httpx2.AsyncClient
) -> None:
    await add_ticket(pool, tenant, "T-1")
    session = await _session(accounts, tenant)
    await _sign_in(browser, session)
    sent = {"id": "T-1", "action": "approved", "draft": "an older one", "csrf": session.csrf}
    answer = await browser.post("/decide", data=sent)
    assert answer.status_code == 409
    assert "has changed since" in answer.text


async def test_a_body_that_is_too_long_is_not_read(
    accounts: Accounts, tenant: str, browser: httpx2.AsyncClient
) -> None:
    await _sign_in(browser, await _session(accounts, tenant))
    assert (await browser.post("/decide", data={"reply": "x" * 600_000})).status_code == 413


async def test_a_language_is_chosen_and_kept(accounts: Accounts, tenant: str, browser: httpx2.AsyncClient) -> None:
    """The browser's before the first choice, the user's own after it."""
    session = await _session(accounts, tenant)
    await _sign_in(browser, session)
    assert '<html lang="fr">' in (await browser.get("/", headers={"accept-language": "fr-CA,en;q=0.5"})).text
    await browser.post("/locale", data={"locale": "ja", "next": "/"})
    browser.cookies.delete("deskstream_locale")
    assert '<html lang="ja">' in (await browser.get("/", headers={"accept-language": "fr"})).text


# -- machines


async def test_a_machine_does_what_its_scopes_allow(
    accounts: Accounts, tenant: str, pool: Pool, app_pool: Pool, browser: httpx2.AsyncClient
) -> None:
    """It reads the queue, decides under its own name, and is refused the rest; a revoked token is nobody's."""
    await add_ticket(pool, tenant, "T-1")
    session = await _session(accounts, tenant, Role.ADMIN)
    token = await Machines(app_pool).add(session.user, "robot", frozenset({Scope.READ, Scope.DECIDE}), 1)
    bearer = {"authorization": f"Bearer {token}"}
    [row] = (await browser.get("/api/tickets", headers=bearer)).json()["tickets"]
    view = (await browser.get("/api/ticket", params={"id": row["ticket_id"]}, headers=bearer)).json()
    asked = {"ticket_id": "T-1", "draft_event_id": view["routed_event_id"], "action": "approved"}
    decided = await browser.post("/api/decisions", json=asked, headers=bearer)
    assert (decided.status_code, decided.json()["actor"]) == (200, "token robot")
    assert (await browser.post("/api/decisions", json=asked, headers=bearer)).status_code == 409
    assert (await browser.post("/api/decisions", json={"x": 1}, headers=bearer)).status_code == 422
    assert (await browser.get("/api/audit", headers=bearer)).status_code == 403
    [known] = await Machines(app_pool).listed(tenant)
    await Machines(app_pool).revoke(session.user, known["token_id"])
    assert (await browser.get("/api/tickets", headers=bearer)).status_code == 401


async def test_a_sessions_cookie_is_no_machines_token(
    accounts: Accounts, tenant: str, browser: httpx2.AsyncClient
) -> None:
    session = await _session(accounts, tenant, Role.ADMIN)
    await _sign_in(browser, session)
    assert (await browser.get("/api/tickets")).status_code == 401
    assert (await browser.get("/api/tickets", headers={"authorization": f"Bearer {session.token}"})).status_code == 401
