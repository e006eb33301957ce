"""A real browser: Debian's Chromium, by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

from app.console.roles import Role
from app.store.database import Pool
from tests.console_site import Site, console
from tests.console_site import site as serving

WAIT_MS_MAX = 15_000
AXE = (Path(__file__).parents[1] / "vendor" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
async def browser(apt_tools: None) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox"]
        )
        yield browser
        await browser.close()


@pytest.fixture
async def site(app_pool: Pool, pool: Pool, bus: dict[str, Any]) -> AsyncIterator[Site]:
    async with serving(console(app_pool, pool, bus)) as site:
        yield site


class Desk:
    """Somebody at their own browser. ``errors`` is what the page's scripts complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        page.on("dialog", lambda dialog: self.errors.append(f"a dialog opened: {dialog.message}"))

    async def problems(self) -> list[str]:
        """What shuts people out, as axe-core finds it."""
        await self.page.evaluate(AXE)
        found = await self.page.evaluate("axe.run()")
        return [f"{each['id']}: {each['nodes'][0]['html'][:120]}" for each in found["violations"]]


@pytest.fixture
async def desks(browser: Browser, site: Site) -> AsyncIterator[Desks]:
    desks = Desks(browser, site)
    yield desks
    await desks.close()


class Desks:
    def __init__(self, browser: Browser, site: Site) -> None:
        self._browser = browser
        self._site = site
        self._contexts: list[object] = []

    async def sign_in(
        self, name: str = "ada", role: Role = Role.REVIEWER, *, dark: bool = False, phone: bool = False
    ) -> Desk:
        context = await self._browser.new_context(
            locale="en",
            color_scheme="dark" if dark else "light",
            viewport={"width": 390, "height": 844} if phone else {"width": 1280, "height": 900},
        )
        context.set_default_timeout(WAIT_MS_MAX)
        self._contexts.append(context)
        desk = Desk(await context.new_page())
        await desk.page.goto(await self._site.link(name, role))
        await desk.page.get_by_role("button", name="Sign in").click()
        await desk.page.wait_for_url(f"{self._site.url}/")
        return desk

    async def close(self) -> None:
        for context in self._contexts:
            await context.close()  # type: ignore[attr-defined]
