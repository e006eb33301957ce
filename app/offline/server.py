"""The offline model server: the OpenAI API as far as Deskstream uses it, on loopback."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from pathlib import Path

import structlog
import uvicorn
from starlette.applications import Starlette

from app.offline.call_log import CallLog
from app.offline.classify import TRAINING_FILE, Judge, load_or_train
from app.offline.embedding import Embedder
from app.offline.endpoints import Endpoints, Progress
from app.offline.language import letter_opinion
from app.offline.simulation import Simulation

BACKLOG = 2_048
CONNECTIONS_MAX = 10_000
STOP_S_MAX = 2

log = structlog.get_logger()


def create_app(
    *,
    state_dir: Path,
    simulation: Simulation | None = None,
    call_log: Path | None = None,
    training_file: Path = TRAINING_FILE,
) -> Starlette:
    """The application; loading and training begin with its lifespan."""
    simulation = simulation or Simulation()
    if simulation.instant:
        endpoints = Endpoints(simulation=simulation, embedder=None, load_classifier=None, call_log=CallLog(call_log))
        return endpoints.app()
    embedder = Embedder()

    def load(progress: Progress) -> Judge:
        letter_opinion("The language model is loaded here, not by the first ticket.")
        return load_or_train(training_file=training_file, state_dir=state_dir, embedder=embedder, progress=progress)

    return Endpoints(simulation=simulation, embedder=embedder, load_classifier=load, call_log=CallLog(call_log)).app()


def serve(
    host: str,
    port: int,
    state_dir: Path,
    simulation: Simulation | None = None,
    *,
    call_log: Path | None = None,
    training_file: Path = TRAINING_FILE,
    allow_remote: bool = False,
    on_listening: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM. Port 0: any free one. ``on_listening`` gets the URL that ends in /v1.

    Raises ValueError for a host beyond loopback unless ``allow_remote``: there is no authentication.
    """
    if not allow_remote and not _is_loopback(host):
        raise ValueError(f"{host} is not a loopback address; the offline model has no authentication")
    listener = _listen(host, port)
    url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}/v1"
    app = create_app(state_dir=state_dir, simulation=simulation, call_log=call_log, training_file=training_file)
    log.info("offline model server", url=url, notice="this is not a language model")
    if on_listening is not None:
        on_listening(url)
    config = uvicorn.Config(
        app,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=STOP_S_MAX,
        backlog=BACKLOG,
        limit_concurrency=CONNECTIONS_MAX,
        server_header=False,
    )
    with listener:
        uvicorn.Server(config).run(sockets=[listener])


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener
