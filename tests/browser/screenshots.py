"""Pictures of the console for people: ``python -m tests.browser.screenshots`` writes infra/docs/generated/console/."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import asyncpg
from playwright.async_api import Browser, Page, async_playwright

from app.console.roles import Role
from app.store import database
from app.store.policies import create_tenant
from schemas.policy import TenantPolicy
from tests import servers
from tests.console_site import Site, console, site
from tests.integration.test_graduation import reviewed
from tests.waiting import PASSAGES, add_ticket

FOLDER = servers.CHECKOUT / "infra" / "docs" / "generated" / "console"
DESKTOP, PHONE = {"width": 1200, "height": 760}, {"width": 390, "height": 760}
TICKETS: tuple[dict[str, Any], ...] = (
    {"subject": "Printing without comments", "requester": "Marta Lindqvist", "priority": "low", "cost_usd": "0.0113",
     "text": "Morning! I print my lesson plans every Friday and the comments of my co-teacher always end up on the "
             "paper. Is there a way to print a note without the comments in it?"},
    {"subject": "You charged me twice", "requester": "Tom Becker", "category": "refund", "priority": "high",
     "state": "escalated", "route": "escalate", "stakes": ["refund", "legal"], "reasons": ["high stakes: legal"],
     "text": "I was charged twice in October and nobody answers. I want my money back or I will go to a lawyer."},
    {"subject": "Synchronisation hängt", "requester": "Jonas Weber", "language": "de", "category": "technical_problem",
     "text": "Meine Notizen kommen seit gestern nicht mehr auf dem Handy an, die Wolke ist rot."},
    {"subject": "how much is plus per year", "requester": "", "category": "billing", "priority": "low",
     "text": "how much is plus per year"},
    {"subject": "<script>alert('hi')</script>", "requester": "Bobby T.", "category": "other",
     "text": "<b>Bold?</b> <script>alert('hi')</script>"},
    {"subject": "Mot de passe oublié", "requester": "Claire Dubois", "language": "fr", "category": "account",
     "text": "Bonjour, je ne reçois pas l'e-mail pour changer mon mot de passe."},
    {"subject": "Recuperar una nota borrada", "requester": "Lucía Gómez", "language": "es", "priority": "low",
     "text": "Borré una nota por error ayer. ¿Se puede recuperar?"},
)  # fmt: skip


async def seed(url: str, runtime: database.Pool, tenant: str) -> None:
    owner = await asyncpg.connect(url)
    for passage in PASSAGES:
        await owner.execute(
            "insert into document (tenant, document_id, version, title, digest, collection)"
            " values ($1, $2, $3, $4, 'x', 'default')",
            tenant, passage.document_id, passage.version, passage.title,
        )  # fmt: skip
    await owner.close()
    for number, ticket in enumerate(TICKETS):
        await add_ticket(runtime, tenant, f"T-{1040 + number}", age_s=9_000 - 600 * number, **ticket)
    for number in range(4):
        await add_ticket(runtime, tenant, f"T-{900 + number}", state="sent")
    await runtime.fetch(_MONTHS, tenant)
    for category, language, reviews in (("how_to", "en", 142), ("how_to", "de", 118), ("billing", "en", 57)):
        await reviewed(runtime, tenant, reviews, category=category, language=language, at=datetime.now(UTC))


# Two months for the report: of the newer one more was sent by itself, and reviews were quicker.
_MONTHS = """
with told as (
    select $1::text as tenant, 'r' || n as id, now() - make_interval(hours => n) as at, n < 720 as is_new, n
    from generate_series(2, 1400) as n
),
routed as (
    insert into routing (tenant, event_id, root_id, ticket_id, route, accepted_at, routed_at)
    select tenant, id, id, id, case when n % 10 < case when is_new then 5 else 3 end then 'send' else 'review' end,
           at, at
    from told
    returning *
),
sent as (
    insert into outbox (reply_id, tenant, ticket_id, conversation_id, root_id, partition, channel, body, state,
                        caused_at, not_before, sent_at)
    select gen_random_uuid(), tenant, ticket_id, ticket_id, root_id, 0, 'email', 'x', 'sent', routed_at, routed_at,
           routed_at
    from routed where route = 'send'
),
paid as (
    insert into ticket_call (tenant, call_id, root_id, cost_usd, told_at)
    select tenant, id, id, 0.009 + n % 7 * 0.0008, at from told
)
insert into review (tenant, event_id, ticket_id, draft_event_id, decision, rating, category, language, priority,
                    review_s, decided_at)
select t.tenant, t.id || kind, t.id, t.id, kind, case kind when 'rated' then 5 - t.n % 9 / 4 end, 'other', 'en', 'high',
       case kind when 'approved' then 18 + t.n % 60 + case when t.is_new then 0 else 25 end end, t.at
from told t join routed r on r.event_id = t.id
cross join lateral (values ('approved'), ('rated')) as kinds (kind)
where kind = 'approved' and r.route = 'review' or kind = 'rated' and t.n % 8 = 0
"""


async def take(page: Page, name: str, url: str, *, keys: tuple[str, ...] = (), shown: str = "main") -> None:
    await page.goto(url)
    for key in keys:
        await (page.keyboard.press(key) if len(key) == 1 or "+" in key else page.keyboard.type(key))
    await page.wait_for_selector(shown)
    await page.screenshot(path=FOLDER / f"{name}.png")


async def pictures(browser: Browser, desk: Site) -> None:
    context = await browser.new_context(viewport=DESKTOP, locale="en")
    page = await context.new_page()
    await page.goto(await desk.link("ada", Role.ADMIN))
    await page.get_by_role("main").get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"{desk.url}/")
    ticket = f"{desk.url}/ticket?id=T-1040"
    await take(page, "queue", desk.url)
    await take(page, "ticket", ticket)
    await take(page, "edit", ticket, keys=("e", "Control+Home", "Good morning Marta, thank you. "), shown="#diff ins")
    await take(page, "graduation", f"{desk.url}/graduation")
    await take(page, "report", f"{desk.url}/report", shown="table.report")
    await take(page, "guidelines", f"{desk.url}/guidelines")
    signed_in = await context.storage_state()
    for name, look in (("dark", {"viewport": DESKTOP, "color_scheme": "dark"}), ("phone", {"viewport": PHONE})):
        other = await browser.new_context(storage_state=signed_in, locale="en", **look)
        page = await other.new_page()
        await take(page, f"queue_{name}", desk.url)
        await take(page, f"ticket_{name}", ticket)


async def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with servers.server_folder() as folder:
        async with servers.embedded_postgres(folder) as postgres, servers.fresh_database(postgres.address) as url:
            await database.migrate(url)
            pool, runtime = await database.connect(url), await database.connect(url, role="deskstream_runtime")
            async with site(console(pool, runtime)) as served, async_playwright() as playwright:
                desk = replace(served, tenant="acme")
                await create_tenant(pool, TenantPolicy(tenant=desk.tenant))
                await seed(url, runtime, desk.tenant)
                browser = await playwright.chromium.launch(
                    executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox"]
                )
                await pictures(browser, desk)
                await browser.close()
            await pool.close()
            await runtime.close()


if __name__ == "__main__":
    asyncio.run(main())
