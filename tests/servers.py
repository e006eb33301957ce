"""The servers that tests use: containers where a Docker engine answers, embedded ones elsewhere."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import pytest

from app.embedded import kafka, postgres
from app.embedded.kafka import EmbeddedKafka
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.process import Running, is_alive, start_mark
from app.embedded.server import free_port

CHECKOUT = Path(__file__).parents[1]
KAFKA_LIBS = CHECKOUT / ".deskstream" / "kafka" / "libs"  # fetched once for `deskstream up` and all tests
KAFKA_IMAGE = "apache/kafka:4.3.1"
POSTGRES_IMAGE = "pgvector/pgvector:pg18"
CONTAINER_READY_S_MAX = 120
FOLDER_PREFIX = "deskstream-tests-"


@cache
def docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=10, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


@contextmanager
def server_folder() -> Iterator[Path]:
    """A folder for servers. Not pytest's: PostgreSQL runs as another account where we are root, and must get in."""
    folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX))
    folder.chmod(0o755)
    owner = {"pid": os.getpid(), "started": start_mark(os.getpid())}
    (folder / "owner.json").write_text(json.dumps(owner))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def sweep() -> None:
    """Stop what a test run left that was killed."""
    for folder in _abandoned():
        for record in folder.glob("*/process.json"):
            kind = EmbeddedKafka if record.parent.name.startswith("kafka") else EmbeddedPostgres
            await kind(record.parent).stop()
        shutil.rmtree(folder, ignore_errors=True)


def _abandoned() -> list[Path]:
    folders = []
    for file in Path(tempfile.gettempdir()).glob(f"{FOLDER_PREFIX}*/owner.json"):
        try:
            owner = json.loads(file.read_text())
        except (OSError, ValueError):
            continue  # it is being written, or deleted
        if not is_alive(Running("pytest", owner["pid"], owner["started"], "")):
            folders.append(file.parent)
    return folders


@asynccontextmanager
async def embedded_kafka(folder: Path) -> AsyncIterator[EmbeddedKafka]:
    server = EmbeddedKafka(folder / f"kafka-{uuid4().hex[:6]}", libs=KAFKA_LIBS)
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def embedded_postgres(folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder / f"postgres-{uuid4().hex[:6]}")
    try:
        await server.start()
        yield server
    finally:
        await server.stop()


@asynccontextmanager
async def kafka_container() -> AsyncIterator[str]:
    from testcontainers.core.container import DockerContainer

    port = free_port()  # chosen beforehand, since the broker must advertise it
    container = DockerContainer(KAFKA_IMAGE).with_bind_ports(9092, port)
    bootstrap = f"{container.get_docker_client().host()}:{port}"
    settings = {
        "NODE_ID": "1",
        "PROCESS_ROLES": "broker,controller",
        "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "ADVERTISED_LISTENERS": f"PLAINTEXT://{bootstrap}",
        "LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "MESSAGE_MAX_BYTES": "4194304",
        "AUTO_CREATE_TOPICS_ENABLE": "false",
    }
    for name, value in settings.items():
        container.with_env(f"KAFKA_{name}", value)
    with container:
        await _until(lambda: kafka.answers(bootstrap), what=KAFKA_IMAGE)
        yield bootstrap


@asynccontextmanager
async def postgres_container() -> AsyncIterator[str]:
    from testcontainers.community.postgres import PostgresContainer

    container = PostgresContainer(POSTGRES_IMAGE, username="deskstream", password="deskstream", driver=None)
    with container.with_command("postgres -c max_connections=300"):
        url = container.get_connection_url()
        await _until(lambda: postgres.answers(url), what=POSTGRES_IMAGE)
        yield url


@asynccontextmanager
async def fresh_database(server_url: str) -> AsyncIterator[str]:
    """An empty database of its own, dropped afterwards."""
    name = f"test_{uuid4().hex[:12]}"
    await _execute(server_url, f'CREATE DATABASE "{name}"')
    try:
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        await _execute(server_url, f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


# Command, and the Debian package that brings it.
APT_TOOLS = {"chromium": "chromium", "promtool": "prometheus", "kcat": "kcat"}


def ensure_apt_tools() -> None:
    """Install what is missing where that is possible. Elsewhere skip the test, or fail it in CI."""
    missing, said = _missing_tools(), ""
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        said = _apt_get("update") or _apt_get("install", "-y", "--no-install-recommends", *missing.values())
        missing = _missing_tools()
    if missing:
        reason = f"{', '.join(missing)} missing: apt-get install {' '.join(missing.values())}. {said}".strip()
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)


def _missing_tools() -> dict[str, str]:
    return {command: package for command, package in APT_TOOLS.items() if shutil.which(command) is None}


def _apt_get(*arguments: str) -> str:
    """Run it; gives the end of what it complained about if it failed."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Another run may hold apt's lock.
    command = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", *arguments]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    except subprocess.TimeoutExpired:
        return f"apt-get {arguments[0]} took longer than 240 s."
    return "" if done.returncode == 0 else f"apt-get {arguments[0]} failed: {done.stderr.strip()[-300:]}"


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def _until(ready: Callable[[], Awaitable[bool]], *, what: str) -> None:
    deadline = time.monotonic() + CONTAINER_READY_S_MAX
    while not await ready():
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not answer within {CONTAINER_READY_S_MAX} s")
        await asyncio.sleep(0.2)
