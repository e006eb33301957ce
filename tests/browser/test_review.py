"""Reviewing in a real browser."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import expect

from app.console.roles import Role
from app.store.database import Pool
from tests.browser.conftest import Desks
from tests.console_site import Site
from tests.integration.test_feedback import sent
from tests.waiting import add_ticket


async def _column(pool: Pool, column: str, tenant: str) -> list[Any]:
    return [
        row[column]
        for row in await pool.fetch(f"select {column} from ticket where tenant = $1 order by ticket_id", tenant)
    ]


async def test_ten_tickets_by_keyboard_only(site: Site, desks: Desks, pool: Pool) -> None:
    """Every decision with one key; the next ticket comes by itself; at the end nothing waits."""
    for number in range(10):
        await add_ticket(pool, site.tenant, f"T-{number}", age_s=1_000 - number)
    page = (desk := await desks.sign_in()).page
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    for number in range(10):
        await page.wait_for_url(f"**/ticket?*id=T-{number}&*")
        await expect(page.locator("#approve")).to_be_visible()
        if number % 5 == 4:
            await page.keyboard.press("x")
            await page.keyboard.type("wrong article")
            await page.keyboard.press("Control+Enter")
        else:
            await page.keyboard.press("a")
    await expect(page.get_by_text("All done")).to_be_visible()
    assert await _column(pool, "state", site.tenant) == (["sending"] * 4 + ["rejected"]) * 2
    assert desk.errors == []


async def test_what_was_edited_is_shown_and_sent(site: Site, desks: Desks, pool: Pool) -> None:
    """The word diff follows the typing; the outbox has the reply as edited, without marks of citations."""
    await add_ticket(pool, site.tenant, "T-1")
    page = (desk := await desks.sign_in()).page
    await page.goto(f"{site.url}/ticket?id=T-1")
    await page.keyboard.press("e")
    await page.keyboard.press("Control+Home")
    await page.keyboard.type("Good morning. ")
    await expect(page.locator("#diff ins")).to_contain_text("Good morning.")
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_text("All done")).to_be_visible()
    [row] = await pool.fetch("select body from outbox where tenant = $1", site.tenant)
    assert row["body"].startswith("Good morning. Hello,")
    assert "[print-note]" not in row["body"]
    assert desk.errors == []


async def test_a_decision_is_undone_with_one_key(site: Site, desks: Desks, pool: Pool) -> None:
    """The ticket waits again, and is shown again."""
    await add_ticket(pool, site.tenant, "T-1", age_s=200)
    await add_ticket(pool, site.tenant, "T-2", age_s=100)
    page = (await desks.sign_in()).page
    await page.goto(f"{site.url}/next")
    await page.keyboard.press("a")
    await page.wait_for_url("**id=T-2**")
    await page.keyboard.press("u")
    await page.wait_for_url("**id=T-1**")
    await expect(page.locator("#approve")).to_be_visible()
    assert await _column(pool, "state", site.tenant) == ["waiting", "waiting"]


async def test_a_sent_ticket_is_opened_again_and_its_reply_not_offered_twice(
    site: Site, desks: Desks, pool: Pool, app_pool: Pool
) -> None:
    await sent(pool, app_pool, site.tenant)
    page = (desk := await desks.sign_in()).page
    await page.goto(f"{site.url}/ticket?id=T-1")
    await page.locator("#reopen summary").click()
    await page.locator("#reopen textarea").fill("it was another printer")
    await page.keyboard.press("Control+Enter")
    await expect(page.get_by_text("opened again: it was another printer")).to_be_visible()
    await expect(page.locator("[data-opens=edit]")).to_be_visible()
    await expect(page.locator("#approve")).to_have_count(0)
    assert await _column(pool, "state", site.tenant) == ["escalated"]
    assert desk.errors == []


async def test_two_people_never_get_one_ticket(site: Site, desks: Desks, pool: Pool) -> None:
    """The second is told who has it and cannot decide; 'next' leads each to another one."""
    await add_ticket(pool, site.tenant, "T-1", age_s=200)
    await add_ticket(pool, site.tenant, "T-2", age_s=100)
    ada, grace = (await desks.sign_in("ada")).page, (await desks.sign_in("grace")).page
    await ada.goto(f"{site.url}/next")
    await ada.wait_for_url("**id=T-1**")
    await grace.goto(f"{site.url}/ticket?id=T-1")
    await expect(grace.get_by_text("ada@example.com has it")).to_be_visible()
    await expect(grace.locator("#approve")).to_have_count(0)
    await grace.goto(f"{site.url}/next")
    await grace.wait_for_url("**id=T-2**")


async def test_what_a_customer_wrote_is_only_ever_text(site: Site, desks: Desks, pool: Pool) -> None:
    """A script in subject, message, name, article and draft neither runs nor becomes an element."""
    attack = "<script>document.title='owned'</script><img src=x onerror=alert(1)>"
    await add_ticket(
        pool, site.tenant, "<b>T</b>", subject=attack, text=attack, requester=attack, draft=attack, reasons=[attack]
    )
    desk = await desks.sign_in()
    page = desk.page
    await expect(page.locator(".rows .subject")).to_have_text(attack)
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.locator(".customer")).to_have_text(attack)
    await page.keyboard.press("e")
    await page.keyboard.type(attack)
    await expect(page.locator("#diff ins").first).to_be_visible()
    assert await page.locator("main script, main img, main b:not(.tabs b)").count() == 0
    assert "owned" not in (await page.title()).replace(attack, "")
    assert desk.errors == []


async def test_counts_move_while_tickets_flow(site: Site, desks: Desks, pool: Pool) -> None:
    """Without a reload."""
    desk = await desks.sign_in()
    count = desk.page.locator("[sse-swap=waiting]")
    await expect(count).to_have_text("0")
    await add_ticket(pool, site.tenant, "T-1")
    await expect(count).to_have_text("1")
    await add_ticket(pool, site.tenant, "T-2")
    await expect(count).to_have_text("2")
    assert desk.errors == []


async def test_a_link_signs_in_once(site: Site, desks: Desks) -> None:
    """Looking at it does not use it up; using it does."""
    link = await site.link("linus")
    page = (await desks.sign_in()).page
    for _ in range(2):
        await page.goto(link)
    await page.get_by_role("main").get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"{site.url}/")
    await page.goto(link)
    await page.get_by_role("main").get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("used already")


async def test_a_viewer_decides_nothing(site: Site, desks: Desks, pool: Pool) -> None:
    """There is no button, and looking takes no lease."""
    await add_ticket(pool, site.tenant, "T-1")
    page = (await desks.sign_in(role=Role.VIEWER)).page
    await page.goto(f"{site.url}/ticket?id=T-1")
    await expect(page.get_by_text("Choose File").first).to_be_visible()
    await expect(page.locator(".decide")).to_have_count(0)
    assert await _column(pool, "lease_user", site.tenant) == [None]


PAGES = (
    "/",
    "/ticket?id=T-1",
    "/account",
    "/users",
    "/audit",
    "/dead-letters",
    "/graduation",
    "/policy?days=1&mode=auto",
    "/gaps",
    "/report",
    "/guidelines",
)


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
async def test_nobody_is_shut_out(look: str, site: Site, desks: Desks, pool: Pool) -> None:
    """axe-core finds nothing on any page, and no page is wider than a phone."""
    await add_ticket(pool, site.tenant, "T-1", stakes=["legal"], priority="urgent", state="escalated")
    desk = await desks.sign_in(role=Role.ADMIN, dark=look == "dark", phone=look == "phone")
    found = {}
    for place in PAGES:
        await desk.page.goto(site.url + place)
        for details in await desk.page.locator("details").all():
            await details.evaluate("each => each.open = true")
        wide = await desk.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        found[place] = [*await desk.problems(), *(["wider than the window"] if wide else [])]
    assert found == {place: [] for place in PAGES}
    assert desk.errors == []
