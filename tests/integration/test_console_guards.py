"""What the console refuses, whatever its pages show: asked for over HTTP as a program would."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from functools import partial

import httpx2
import pytest

from agents.contract import PermanentError
from app.console.accounts import Accounts, Session
from app.console.application import application
from app.console.live import Counts
from app.console.queue import read_counts
from app.console.roles import Role
from app.desk import store
from app.desk.decisions import Action, Choice
from app.models.guidelines import FILE_CHARS_MAX
from app.store.database import Pool
from tests.console_site import console, new_tenant
from tests.waiting import add_ticket

ADA, GRACE = "ada@example.com", "grace@example.com"
WAIT_S_MAX = 20.0


@pytest.fixture
async def tenant(app_pool: Pool, pool: Pool) -> str:
    tenant = await new_tenant(app_pool)
    await add_ticket(pool, tenant, "T-1")
    return tenant


@pytest.fixture
async def browser(app_pool: Pool, pool: Pool) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(application(console(app_pool, pool)))
    async with httpx2.AsyncClient(transport=transport, base_url="http://console.test") as client:
        yield client


async def _signed_in(
    browser: httpx2.AsyncClient, app_pool: Pool, tenant: str, email: str = ADA, role: Role = Role.REVIEWER
) -> Session:
    accounts = Accounts(app_pool)
    await accounts.add(tenant, email, name=email, role=role, actor="test")
    session = await accounts.by_link(await accounts.link(tenant, email))
    browser.cookies.set("deskstream", session.token)
    return session


def _choice(tenant: str) -> Choice:
    return Choice(Action.APPROVED, draft_event_id=f"routed-{tenant}-T-1")


# -- leases


async def test_a_colleagues_ticket_is_neither_taken_nor_decided(
    browser: httpx2.AsyncClient, app_pool: Pool, tenant: str
) -> None:
    """Nor by a form that was open before the colleague came."""
    session = await _signed_in(browser, app_pool, tenant)
    assert await store.lease(app_pool, tenant, "T-1", GRACE) == GRACE
    assert await store.lease(app_pool, tenant, "T-1", ADA) == GRACE
    sent = {"id": "T-1", "action": "approved", "draft": f"routed-{tenant}-T-1", "csrf": session.csrf}
    answer = await browser.post("/decide", data=sent)
    assert (answer.status_code, "A colleague has this ticket" in answer.text) == (409, True)
    assert (await store.ticket(app_pool, tenant, "T-1")).decisions == ()


async def test_a_lease_ends_when_nobody_renews_it(app_pool: Pool, pool: Pool, tenant: str) -> None:
    await store.lease(app_pool, tenant, "T-1", GRACE)
    await pool.fetch("update ticket set lease_until = now() - interval '1 s' where tenant = $1", tenant)
    assert await store.lease(app_pool, tenant, "T-1", ADA) == ADA


# -- undo


async def test_undo_ends_after_its_ten_seconds(app_pool: Pool, pool: Pool, tenant: str) -> None:
    decided = await store.decide(app_pool, tenant, "T-1", ADA, _choice(tenant))
    await pool.fetch("update decision set at = at - interval '11 s' where tenant = $1", tenant)
    with pytest.raises(PermanentError, match="within 10 seconds"):
        await store.undo(app_pool, tenant, decided.id, ADA)


async def test_only_who_decided_undoes_it(app_pool: Pool, tenant: str) -> None:
    decided = await store.decide(app_pool, tenant, "T-1", ADA, _choice(tenant))
    with pytest.raises(PermanentError):
        await store.undo(app_pool, tenant, decided.id, GRACE)
    await store.undo(app_pool, tenant, decided.id, ADA)


# -- text, cookies, counts


async def test_markup_of_a_customer_is_text(
    browser: httpx2.AsyncClient, app_pool: Pool, pool: Pool, tenant: str
) -> None:
    attack = "<img src=x onerror=alert(1)>'\"</textarea>"
    await add_ticket(pool, tenant, "T-2", subject=attack, text=attack, requester=attack, draft=attack, reasons=[attack])
    await _signed_in(browser, app_pool, tenant)
    for place in ("/", "/ticket?id=T-2", "/?text=%3Cimg%20src%3E"):
        text = (await browser.get(place)).text
        assert "<img" not in text and "</textarea>'" not in text, place
        assert "&lt;img" in text, place


async def test_the_sessions_cookie_is_kept_from_scripts_and_other_sites(
    browser: httpx2.AsyncClient, app_pool: Pool, tenant: str
) -> None:
    accounts = Accounts(app_pool)
    await accounts.add(tenant, ADA, name="Ada", role=Role.VIEWER, actor="test")
    answer = await browser.post("/sign-in/link", data={"token": await accounts.link(tenant, ADA)})
    cookie = answer.headers["set-cookie"].lower()
    assert answer.status_code == 303 and "httponly" in cookie and "samesite=lax" in cookie


async def test_counts_that_move_are_of_ones_own_workspace(app_pool: Pool, pool: Pool, tenant: str) -> None:
    """What comes in is told while the stream is open; another workspace's tickets are not."""
    other = await new_tenant(app_pool)
    counts = Counts(partial(read_counts, app_pool))
    async with asyncio.timeout(WAIT_S_MAX), aclosing(counts.follow(tenant)) as events:
        await _until(events, "event: waiting\ndata: 1\n")
        await add_ticket(pool, other, "T-9")
        await add_ticket(pool, tenant, "T-2")
        assert await _until(events, "event: waiting\ndata: 2\n")


async def test_a_bug_ends_the_stream_and_is_told() -> None:
    """Not silently, and not only once the browser asks again."""

    async def read(tenant: str) -> Mapping[str, str]:
        raise KeyError("no such column")

    with pytest.raises(KeyError):
        async with asyncio.timeout(WAIT_S_MAX), aclosing(Counts(read).follow("t")) as events:
            await _until(events, "never")


async def _until(events: AsyncIterator[str], wanted: str) -> bool:
    async for text in events:
        if wanted in text:
            return True
    return False


async def test_the_stream_is_of_the_workspace_that_is_signed_in(
    browser: httpx2.AsyncClient, app_pool: Pool, tenant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    followed: list[str] = []

    async def follow(self: Counts, whose: str) -> AsyncIterator[str]:
        followed.append(whose)
        yield "event: waiting\ndata: 1\n\n"

    monkeypatch.setattr(Counts, "follow", follow)
    assert (await browser.get("/events", headers={"accept": "text/event-stream"})).status_code == 401
    await _signed_in(browser, app_pool, tenant)
    assert (await browser.get("/events")).status_code == 200
    assert followed == [tenant]


# -- guidelines


async def test_guidelines_that_are_too_long_are_not_tried(
    browser: httpx2.AsyncClient, app_pool: Pool, tenant: str
) -> None:
    session = await _signed_in(browser, app_pool, tenant, role=Role.ADMIN)
    sent = {"language": "en", "tickets": "5", "csrf": session.csrf}
    answer = await browser.post("/guidelines", data={**sent, "tone": "x" * (FILE_CHARS_MAX + 1)})
    assert (answer.status_code, "too long" in answer.text) == (400, True)
    assert (await browser.post("/guidelines", data={**sent, "language": "?"})).status_code == 400
    assert (await browser.post("/guidelines", data={**sent, "tone": "Say ahoy."})).status_code == 303
