"""What an admin does in a real browser: trust, dead letters, users, policy, gaps."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from aiokafka import AIOKafkaProducer
from playwright.async_api import Browser, expect

from app.console.guidelines import Tried
from app.console.roles import Role
from app.desk import autosend, graduation
from app.desk.store import audit_log
from app.kafka.reading import each_record
from app.redraft import Redraft
from app.runtime.dead_letter import PREFIX
from app.store.database import Pool
from schemas.topics import DEAD_LETTER_TOPIC
from tests.browser.conftest import Desks
from tests.console_site import Site, console
from tests.console_site import site as serving
from tests.integration.test_graduation import reviewed


async def test_graduation_is_opened_on_proof_and_closed(site: Site, desks: Desks, pool: Pool, app_pool: Pool) -> None:
    """What is not proven has no button and says what is missing; each change stands in the audit log."""
    await reviewed(pool, site.tenant, 120, at=datetime.now(UTC))
    await reviewed(pool, site.tenant, 40, category="billing", at=datetime.now(UTC))
    page = (desk := await desks.sign_in(role=Role.ADMIN)).page
    await page.goto(f"{site.url}/graduation")
    await expect(page.get_by_text("40 of 100 clean reviews")).to_be_visible()
    await page.get_by_role("button", name="Open", exact=True).click()
    await expect(page.get_by_role("button", name="Close", exact=True)).to_be_visible()
    assert [group.subject for group in await graduation.groups(app_pool, site.tenant) if group.is_open] == ["how_to/en"]
    await page.get_by_role("button", name="Close", exact=True).click()
    await expect(page.get_by_text("Closed by ada@example.com")).to_be_visible()
    actions = [row.action for row in await audit_log(app_pool, site.tenant)]
    assert actions[:2] == ["graduation_closed", "graduation_opened"]
    assert desk.errors == []


async def test_sending_is_halted_and_resumed(site: Site, desks: Desks, app_pool: Pool) -> None:
    page = (await desks.sign_in(role=Role.ADMIN)).page
    await page.goto(f"{site.url}/graduation")
    await page.get_by_label("Why?").fill("wrong prices")
    await page.get_by_role("button", name="Halt sending now").click()
    await expect(page.get_by_text("Sending is halted by ada@example.com: wrong prices")).to_be_visible()
    assert (found := await autosend.standing(app_pool, site.tenant)) is not None
    assert found.why == "wrong prices"
    await page.get_by_role("button", name="Resume sending").click()
    await expect(page.get_by_role("button", name="Halt sending now")).to_be_visible()
    assert await autosend.standing(app_pool, site.tenant) is None


async def test_a_dead_letter_is_put_back_and_anothers_is_not_seen(
    site: Site, desks: Desks, bus: dict[str, Any], app_pool: Pool
) -> None:
    """It stands at its origin again under the next replay number, and is listed no more."""
    producer = AIOKafkaProducer(**bus)
    await producer.start()
    for tenant in (site.tenant, "another"):
        headers = [
            ("ce_tenant", tenant.encode()), (PREFIX + "reason", b"<i>broken</i>"),
            (PREFIX + "origin-topic", b"tickets.enriched"), (PREFIX + "origin-partition", b"0"),
            (PREFIX + "origin-offset", b"7"),
        ]  # fmt: skip
        value = f"{tenant}'s <script>".encode()
        await producer.send_and_wait(DEAD_LETTER_TOPIC, value, key=f"{tenant}/c".encode(), headers=headers)
    await producer.stop()
    page = (desk := await desks.sign_in(role=Role.ADMIN)).page
    await page.goto(f"{site.url}/dead-letters")
    await expect(page.get_by_text("<i>broken</i>")).to_be_visible()
    await expect(page.locator("tbody tr")).to_have_count(1)
    await page.get_by_role("button", name="Put back").click()
    await expect(page.get_by_text("No dead letters.")).to_be_visible()
    seen: list[bytes] = []
    await each_record(bus, "tickets.enriched", lambda record: seen.append(record.value))
    assert [value for value in seen if value.endswith(b"<script>")] == [f"{site.tenant}'s <script>".encode()]
    assert (await audit_log(app_pool, site.tenant))[0].action == "dead_letter_replayed"
    assert desk.errors == []


async def test_a_new_user_comes_in_by_the_link_that_an_admin_makes(site: Site, desks: Desks) -> None:
    page = (desk := await desks.sign_in(role=Role.ADMIN)).page
    await page.goto(f"{site.url}/users")
    form = page.locator("form", has=page.locator("input[value=add]"))
    await form.get_by_label("E-mail").fill("grace@example.com")
    await form.get_by_label("Name").fill("Grace")
    await form.get_by_role("button").click()
    row = page.locator("tr", has_text="grace@example.com")
    await row.get_by_role("button", name="One-time link").click()
    link = await page.locator("pre").inner_text()
    await page.goto(link)
    await page.get_by_role("main").get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("link", name="Grace")).to_be_visible()
    await expect(page.get_by_role("link", name="Users")).to_have_count(0)
    assert desk.errors == []


async def test_the_interface_speaks_another_language(site: Site, desks: Desks) -> None:
    page = (await desks.sign_in()).page
    await page.get_by_label("Language").last.select_option("de")
    await page.get_by_role("button", name="Change").click()
    await expect(page.get_by_role("heading", name="Warteschlange")).to_be_visible()


async def test_gaps_are_looked_for_and_shown_when_found(site: Site, desks: Desks) -> None:
    page = (await desks.sign_in()).page
    await page.goto(f"{site.url}/gaps")
    await page.get_by_role("button", name="Look for gaps").click()
    await expect(page.get_by_text("No group is large enough.")).to_be_visible()


_ROUTED = """
with routed as (
    insert into routing (tenant, event_id, root_id, ticket_id, route, accepted_at, routed_at)
    select $1, $2, $2, $2, $3, at, at from (select now() - make_interval(days => $4) as at) moment
    returning *
)
insert into outbox (reply_id, tenant, ticket_id, conversation_id, root_id, partition, channel, body, state, caused_at,
                    not_before, sent_at)
select gen_random_uuid(), tenant, ticket_id, ticket_id, root_id, 0, 'email', 'x', 'sent', routed_at, routed_at,
       routed_at
from routed where route = 'send'
"""


async def test_the_report_compares_with_the_time_before(site: Site, desks: Desks, pool: Pool) -> None:
    """Two of three tickets were resolved this month, one of two the month before; each figure has its bar."""
    for number, (days, route) in enumerate([(20, "send"), (20, "send"), (20, "review"), (45, "send"), (45, "review")]):
        await pool.fetch(_ROUTED, site.tenant, f"r{number}", route, days)
    page = (desk := await desks.sign_in(role=Role.VIEWER)).page
    await page.get_by_role("link", name="Report").click()
    row = page.locator("tr", has_text="Resolved without a person")
    await expect(row.locator("td.number")).to_have_text(["66.7 % (2)", "50.0 % (1)"])
    widths = [await row.locator(f"rect.{kind}").get_attribute("width") for kind in ("now", "before")]
    assert widths == ["66.67", "50.0"]
    boxes = [await row.locator(f"rect.{kind}").bounding_box() for kind in ("whole", "now")]
    assert boxes[0] and boxes[1] and 0.6 < boxes[1]["width"] / boxes[0]["width"] < 0.7
    await page.get_by_role("link", name="7 days", exact=True).click()
    await expect(page.get_by_text("No ticket came in during this time.")).to_be_visible()
    assert desk.errors == []


async def test_guidelines_are_tried_on_past_tickets(
    app_pool: Pool, pool: Pool, bus: dict[str, Any], browser: Browser
) -> None:
    """Old and new draft stand beside each other with what differs and what it cost; a reviewer may not spend that."""
    asked: list[Tried] = []

    async def redraft(tenant: str, tried: Tried) -> tuple[Redraft, ...]:
        asked.append(tried)
        found = Redraft("T-1", "<b>Hi</b>", "en", "Hello. Print it.", "Ahoy. Print it.", "m", Decimal("0.0123"))
        return (found, replace(found, ticket_id="T-2", after="", problem="answered twice wrongly"))

    async with serving(console(app_pool, pool, bus, redraft=redraft)) as site:
        desks = Desks(browser, site)
        try:
            desk = await desks.sign_in(role=Role.ADMIN)
            page = desk.page
            await page.get_by_role("link", name="Guidelines").click()
            await page.get_by_label("tone.md").fill("Say ahoy.")
            await page.get_by_role("button", name="Draft again").click()
            await expect(page.get_by_text("Tickets drafted again: 2. That cost $0.0246.")).to_be_visible()
            await expect(page.locator(".beside ins").first).to_contain_text("Ahoy")
            await expect(page.locator(".beside del").first).to_contain_text("Hello")
            await expect(page.get_by_text("answered twice wrongly")).to_be_visible()
            await expect(page.get_by_role("link", name="<b>Hi</b>").first).to_be_visible()
            await expect(page.get_by_label("tone.md")).to_have_value("Say ahoy.")
            assert [tried.own.kinds for tried in asked] == [{"tone": "Say ahoy."}]
            assert (await desk.problems(), desk.errors) == ([], [])
            reviewer = (await desks.sign_in("grace")).page
            await reviewer.goto(f"{site.url}/guidelines")
            await expect(reviewer.get_by_role("button", name="Draft again")).to_have_count(0)
        finally:
            await desks.close()
