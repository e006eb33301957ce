"""The offline model server: a process of our own that speaks a model provider's HTTP API."""

from __future__ import annotations

from typing import Any

import httpx2

from app.embedded.command import deskstream
from app.embedded.process import Process, ServerError
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
            ready_timeout_s=60,
        )

    @property
    def _origin(self) -> str:
        return f"http://{HOST}:{self.port('http')}"

    async def _answers(self) -> bool:
        """Embeddings are answered at once; the classifier may still be training (see ``training``)."""
        return await _status(self._origin) in {"ok", "training"}


async def training(base_url: str) -> str | None:
    """What an offline server at ``base_url`` (it ends in /v1) still does before it can classify; None: nothing.

    Raises ServerError where it has failed. Another server is not asked what it does not know.
    """
    origin = base_url.rstrip("/").removesuffix("/v1")
    report = await _health(origin)
    if report.get("status") == "failed":
        raise ServerError(f"the offline model server could not train its classifier: {report.get('error')}")
    if report.get("status") != "training":
        return None
    done = f" {report['done']} of {report['of']}" if report.get("of") else ""
    return f"{report.get('step', '')}{done}".strip()


async def _status(origin: str) -> str | None:
    return (await _health(origin)).get("status")


async def _health(origin: str) -> dict[str, Any]:
    try:
        async with httpx2.AsyncClient(timeout=PROBE_TIMEOUT_S, trust_env=False) as client:
            report = (await client.get(f"{origin}/healthz")).json()
    except (httpx2.TransportError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}
