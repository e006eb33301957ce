"""The offline model server: a process of our own that speaks a model provider's HTTP API."""

from __future__ import annotations

import httpx2

from app.embedded.command import deskstream
from app.embedded.process import Process
from app.embedded.server import HOST, EmbeddedServer

PROBE_TIMEOUT_S = 2


class EmbeddedModelServer(EmbeddedServer):
    name = "model-server"

    @property
    def address(self) -> str:
        return f"{self._origin}/v1"

    async def prepare(self) -> Process:
        port = await self.choose_port("http")
        return Process(
            name=self.name,
            argv=(*deskstream(), "model-server", "--port", str(port)),
            log=self.log_path,
            env={"STATE_DIR": str(self.directory.parent)},
            ready=self._answers,
            ready_timeout_s=120,  # it loads the embedding model, and trains the classifier the first time
        )

    @property
    def _origin(self) -> str:
        return f"http://{HOST}:{self.port('http')}"

    async def _answers(self) -> bool:
        try:
            async with httpx2.AsyncClient(timeout=PROBE_TIMEOUT_S, trust_env=False) as client:
                return (await client.get(f"{self._origin}/healthz")).status_code == httpx2.codes.OK
        except httpx2.TransportError:
            return False
