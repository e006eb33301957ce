"""The offline model server and stages, for tests of the whole."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import uvicorn
from starlette.applications import Starlette

from agents.pipeline import PIPELINE
from app.config import Settings
from app.embedded import process
from app.embedded.process import Process
from app.embedded.server import free_port
from app.wiring import run_stage

READY_S_MAX = 60


@asynccontextmanager
async def model_server(folder: Path, *, log: Path | None = None, **simulation: Any) -> AsyncIterator[str]:
    """The offline server in its instant mode, unless ``instant=False``; gives the URL that ends in /v1."""
    port = free_port()
    settings = json.dumps({"instant": True, **simulation})
    command = [sys.executable, "-m", "app.offline", "--port", str(port), "--state-dir", str(folder)]
    command += ["--simulation", settings] + (["--log", str(log)] if log else [])

    async def ready() -> bool:
        try:
            async with httpx2.AsyncClient(timeout=2) as client:
                return (await client.get(f"http://127.0.0.1:{port}/healthz")).status_code == 200
        except httpx2.TransportError:
            return False

    running = await process.start(
        Process("model-server", tuple(command), folder / "model-server.log", ready=ready, ready_timeout_s=READY_S_MAX)
    )
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        await process.stop(running)


@asynccontextmanager
async def stages(settings: Settings) -> AsyncIterator[None]:
    """One worker of each stage, in this process."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for agent in PIPELINE:
            tasks.create_task(run_stage(settings, agent, stop))
        try:
            yield
        finally:
            stop.set()


@asynccontextmanager
async def serving(app: Starlette) -> AsyncIterator[str]:
    """``app`` on loopback, in this process; gives the URL that ends in /v1."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
    running = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10):
            while not server.started:
                await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.should_exit = server.force_exit = True
        await running
