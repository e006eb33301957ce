"""The console as a process of its own, beside the embedded servers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import httpx2

from app.embedded.command import deskstream
from app.embedded.process import Process
from app.embedded.server import HOST, EmbeddedServer, Say, quiet

PROBE_TIMEOUT_S = 2


class EmbeddedConsole(EmbeddedServer):
    name = "console"

    def __init__(self, state_dir: Path, environment: Mapping[str, str] | None = None, *, say: Say = quiet) -> None:
        """``environment`` holds the servers' addresses; to stop it none is needed."""
        super().__init__(state_dir / self.name, say=say)
        self._environment = environment or {}

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port('http')}"

    async def prepare(self) -> Process:
        port = await self.choose_port("http")
        return Process(
            name=self.name,
            argv=(*deskstream(), "console", "--port", str(port)),
            log=self.log_path,
            env=self._environment,
            ready=self._answers,
            ready_timeout_s=60,
        )

    async def _answers(self) -> bool:
        try:
            async with httpx2.AsyncClient(timeout=PROBE_TIMEOUT_S, trust_env=False) as client:
                return (await client.get(f"{self.address}/healthz")).status_code == 200
        except httpx2.TransportError:
            return False
