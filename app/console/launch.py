"""Console, desk and auditor of this machine, beside the embedded servers, and the way in for the first admin."""

from __future__ import annotations

from app.config import Settings
from app.console.server import sign_in_address
from app.embedded.console import EmbeddedConsole
from app.embedded.desk import EmbeddedAuditor, EmbeddedDesk
from app.wiring import create_tenant, settings_as_environment


async def launch(settings: Settings, tenant: str) -> tuple[str, str | None]:
    """Its address, and a one-time link unless somebody signed in already. Raises ServerError, TransientError."""
    await create_tenant(settings, tenant)
    environment = settings_as_environment(settings)
    console = EmbeddedConsole(settings.state_dir, environment)
    await console.start()
    await EmbeddedDesk(settings.state_dir, environment).start()
    await EmbeddedAuditor(settings.state_dir, environment).start()
    return await _way_in(settings, console, tenant)


async def running(settings: Settings, tenant: str) -> tuple[str, str | None] | None:
    """As ``launch`` gives it, of the console that runs already; None where none does."""
    console = EmbeddedConsole(settings.state_dir)
    return await _way_in(settings, console, tenant) if console.running else None


async def _way_in(settings: Settings, console: EmbeddedConsole, tenant: str) -> tuple[str, str | None]:
    there = settings.model_copy(update={"console_url": settings.console_url or console.address})
    return there.console_url or console.address, await sign_in_address(there, tenant)
