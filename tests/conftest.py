"""Servers for tests. One Kafka and one PostgreSQL for the whole run; a fresh database for each module.

Topics are the tests' own: ``prefix`` keeps their names apart.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

# Here, early: its pytest plugin imports it at the end of the run, and compiling that much there trips a bug of
# CPython 3.11 ("AST constructor recursion depth mismatch") after tests with deep stacks.
import hypothesis
import pytest

from app.embedded.kafka import EmbeddedKafka
from app.embedded.postgres import EmbeddedPostgres
from app.kafka.topics import create_topics
from app.store.database import Pool, connect, migrate
from tests import servers

# CI tries the same examples each time: a new counterexample is found by whoever works on the code, not by a release.
# No deadline: how long an example takes is the machine's affair, and says nothing of what is tested.
hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


@pytest.fixture(scope="session")
async def server_folder() -> AsyncIterator[Path]:
    await servers.sweep()
    with servers.server_folder() as folder:
        yield folder


@pytest.fixture(scope="session")
async def kafka_bootstrap(server_folder: Path) -> AsyncIterator[str]:
    """host:port of a broker."""
    if servers.docker_answers():
        async with servers.kafka_container() as bootstrap:
            yield bootstrap
    else:
        async with servers.embedded_kafka(server_folder) as kafka:
            yield kafka.address


@pytest.fixture(scope="session")
async def postgres_url(server_folder: Path) -> AsyncIterator[str]:
    """A PostgreSQL with pgvector, as its superuser. Tests want ``database_url``."""
    if servers.docker_answers():
        async with servers.postgres_container() as url:
            yield url
    else:
        async with servers.embedded_postgres(server_folder) as postgres:
            yield postgres.address


@pytest.fixture(scope="module")
async def database_url(postgres_url: str) -> AsyncIterator[str]:
    """An empty database for this module."""
    async with servers.fresh_database(postgres_url) as url:
        yield url


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """As the runtime's role, on this module's database, migrated."""
    await migrate(database_url)
    pool = await connect(database_url, role="deskstream_runtime")
    yield pool
    await pool.close()


@pytest.fixture
async def app_pool(database_url: str) -> AsyncIterator[Pool]:
    """As the role that sees one tenant at a time, on this module's database, migrated."""
    await migrate(database_url)
    pool = await connect(database_url, connections_max=4)
    yield pool
    await pool.close()


@pytest.fixture
async def bus(kafka_bootstrap: str) -> dict[str, Any]:
    """Client options of a broker that has our topics."""
    options = {"bootstrap_servers": kafka_bootstrap}
    await create_topics(options, partitions=4, replication_factor=1)
    return options


@pytest.fixture(scope="module")
async def own_kafka(server_folder: Path) -> AsyncIterator[EmbeddedKafka]:
    """A broker that this module may restart and kill. It may be down when a test gets it: ``await kafka.start()``."""
    async with servers.embedded_kafka(server_folder) as kafka:
        yield kafka


@pytest.fixture(scope="module")
async def own_postgres(server_folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A PostgreSQL that this module may restart and kill. It may be down when a test gets it."""
    async with servers.embedded_postgres(server_folder) as postgres:
        yield postgres


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A name that no other test has, fit to begin a topic's or a group's name."""
    return re.sub(r"[^a-z0-9]+", "-", request.node.name.lower())[:60].strip("-") + "-" + uuid4().hex[:8]


@pytest.fixture(scope="session")
def apt_tools() -> None:
    """chromium, promtool and kcat are there, or the test is skipped (in CI: fails)."""
    servers.ensure_apt_tools()
