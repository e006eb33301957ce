"""The embedded servers: they keep their data, are found again, and leave other people's processes alone."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from app.config import Settings
from app.embedded.kafka import EmbeddedKafka, answers
from app.embedded.postgres import EmbeddedPostgres
from app.embedded.process import Process, ServerError, is_alive, kill, launch, start
from app.embedded.servers import down, resolve, running, status, up
from tests.servers import KAFKA_LIBS

MODELS = "http://127.0.0.1:9/v1"  # named, so that no model server is started


@pytest.fixture(scope="module")
async def settings(server_folder: Path) -> AsyncIterator[Settings]:
    state = server_folder / "state"
    (state / "kafka").mkdir(parents=True)
    (state / "kafka" / "libs").symlink_to(KAFKA_LIBS)
    settings = settings_in(state)
    yield settings
    await down(settings)


def settings_in(state: Path, *, kafka_bootstrap: str | None = None, database_url: str | None = None) -> Settings:
    return Settings.model_validate(
        {
            "state_dir": state,
            "kafka_bootstrap": kafka_bootstrap,
            "database_url": database_url,
            "llm_base_url": MODELS,
            "embeddings_base_url": MODELS,
        }
    )


async def write(settings: Settings, mark: str) -> None:
    named = resolve(settings)
    admin = AIOKafkaAdminClient(bootstrap_servers=named.kafka_bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(mark, num_partitions=1, replication_factor=1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=named.kafka_bootstrap, acks="all") as producer:
        await producer.send_and_wait(mark, mark.encode(), partition=0)
    connection = await asyncpg.connect(named.database_url)
    await connection.execute(f'create table "{mark}" as select 1 as one')
    await connection.close()


async def assert_kept(settings: Settings, mark: str) -> None:
    named = resolve(settings)
    async with AIOKafkaConsumer(bootstrap_servers=named.kafka_bootstrap) as consumer:
        consumer.assign([TopicPartition(mark, 0)])
        await consumer.seek_to_beginning()
        record = await asyncio.wait_for(consumer.getone(), timeout=20)
    assert record.value == mark.encode()
    connection = await asyncpg.connect(named.database_url)
    assert await connection.fetchval(f'select one from "{mark}"') == 1
    await connection.close()


async def test_data_are_kept_over_down_and_up(settings: Settings, prefix: str) -> None:
    first = await up(settings)
    await write(settings, prefix)
    assert await down(settings) == ("kafka", "postgres")
    again = await up(settings)
    await assert_kept(settings, prefix)
    assert (again.kafka_bootstrap, again.database_url) == (first.kafka_bootstrap, first.database_url)


async def test_data_are_kept_over_kill_9(settings: Settings, prefix: str) -> None:
    servers = await up(settings)
    await write(settings, prefix)
    for process in servers.processes:
        kill(process)
    await up(settings)
    await assert_kept(settings, prefix)


async def test_two_ups_at_once_start_each_server_once(settings: Settings) -> None:
    await down(settings)
    one, other = await asyncio.gather(up(settings), up(settings))
    assert one.processes == other.processes
    assert sorted(one.started + other.started) == ["kafka", "postgres"]


async def test_two_commands_at_once_start_each_server_once(settings: Settings) -> None:
    """As above, between processes: each holds the lock of the folder while it starts."""
    await down(settings)
    program = (
        "import asyncio, pathlib, sys; from app.config import Settings; from app.embedded.servers import up;"
        f"s = Settings(state_dir=pathlib.Path(sys.argv[1]), llm_base_url='{MODELS}', embeddings_base_url='{MODELS}');"
        "print(*asyncio.run(up(s)).started)"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("KAFKA_BOOTSTRAP", "DATABASE_URL")}
    commands = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", program, str(settings.state_dir), stdout=asyncio.subprocess.PIPE, env=environment
        )
        for _ in range(2)
    ]
    outputs = await asyncio.gather(*(command.communicate() for command in commands))
    assert sorted(b"".join(out for out, _ in outputs).split()) == [b"kafka", b"postgres"]
    assert len(running(settings).processes) == 2


async def test_servers_json_says_where_they_are_and_only_to_their_owner(settings: Settings) -> None:
    servers = await up(settings)
    file = settings.state_dir / "servers.json"
    content = json.loads(file.read_text())
    assert content["kafka_bootstrap"] == servers.kafka_bootstrap
    assert content["database_url"] == servers.database_url
    assert [process["pid"] for process in content["processes"]] == [process.pid for process in servers.processes]
    assert file.stat().st_mode & 0o077 == 0


async def test_servers_are_in_sessions_of_their_own(settings: Settings) -> None:
    """So the terminal's Ctrl-C does not reach them: their supervisor decides."""
    for process in (await up(settings)).processes:
        assert os.getsid(process.pid) == process.pid


async def test_status_tells_the_running_from_the_stopped(settings: Settings) -> None:
    await up(settings)
    await down(settings, only=["kafka"])
    assert {server.name: server.pid is not None for server in status(settings)} == {"kafka": False, "postgres": True}


async def test_after_a_crash_nothing_resolves(settings: Settings) -> None:
    """servers.json still names them, but their processes are gone."""
    for process in (await up(settings)).processes:
        kill(process)
    await until(lambda: not running(settings).processes)
    with pytest.raises(ServerError, match="run `deskstream up`, or set KAFKA_BOOTSTRAP and DATABASE_URL"):
        resolve(settings)


async def test_down_leaves_a_process_alone_that_has_our_old_pid(settings: Settings) -> None:
    await up(settings)
    await down(settings)
    with stranger_process() as stranger:
        record = {"name": "kafka", "pid": stranger.pid, "started": "before the reboot", "log": ""}
        (settings.state_dir / "kafka" / "process.json").write_text(json.dumps(record))
        assert await down(settings) == ()
        assert stranger.poll() is None


async def test_postgres_starts_though_a_stranger_has_its_old_pid(settings: Settings) -> None:
    """After a reboot: PostgreSQL itself would take the stranger for a server that still runs."""
    await up(settings)
    await down(settings)
    home = EmbeddedPostgres(settings.state_dir / "postgres").home
    with stranger_process(user="nobody" if os.geteuid() == 0 else None) as stranger:
        (home / "data" / "postmaster.pid").write_text(f"{stranger.pid}\n{home / 'data'}\n1\n5432\n\n\n\n")
        assert "postgres" in (await up(settings)).started
        assert stranger.poll() is None


async def test_a_named_server_is_not_started(server_folder: Path) -> None:
    named = settings_in(
        server_folder / "named", kafka_bootstrap="broker.example:9092", database_url="postgresql://u:p@db.example/d"
    )
    assert (await up(named)).processes == ()
    assert resolve(named) == named


async def test_a_port_that_was_taken_meanwhile_is_replaced(settings: Settings) -> None:
    old = (await up(settings)).kafka_bootstrap
    await down(settings)
    assert old
    stranger = await asyncio.start_server(lambda *_: None, "127.0.0.1", int(old.partition(":")[2]))
    async with stranger:
        new = (await up(settings)).kafka_bootstrap
        assert new
        assert new != old
        assert await answers(new)


async def test_an_up_interrupted_while_a_server_starts_leaves_nothing_running(server_folder: Path) -> None:
    settings = settings_in(server_folder / "interrupted")
    task = asyncio.create_task(up(settings))
    await until((settings.state_dir / "postgres" / "process.json").exists)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert running(settings).processes == ()


async def test_an_up_interrupted_once_a_server_is_ready_leaves_nothing_running(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = asyncio.Event()

    async def never_ends(_postgres: EmbeddedPostgres) -> None:
        ready.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(EmbeddedPostgres, "_ensure_database", never_ends)
    settings = settings_in(server_folder / "interrupted late")
    task = asyncio.create_task(up(settings))
    async with asyncio.timeout(60):
        await ready.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert running(settings).processes == ()


async def test_one_that_cannot_start_stops_the_others(server_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    settings = settings_in(server_folder / "half")
    with pytest.raises(ServerError, match="Java"):
        await up(settings)
    assert running(settings).processes == ()


async def test_without_java_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ServerError, match=r"apt-get install openjdk-17-jre-headless.*KAFKA_BOOTSTRAP"):
        await EmbeddedKafka(tmp_path).start()


@pytest.mark.parametrize(("printed", "says"), [('version "1.8.0_402"', "is 8:"), ('version "11.0.2"', "is 11:")])
async def test_an_old_java_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, printed: str, says: str) -> None:
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\necho 'openjdk {printed}' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ServerError, match=says):
        await EmbeddedKafka(tmp_path / "kafka").start()


async def test_without_maven_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"21\"' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(ServerError, match=r"apt-get install maven.*KAFKA_BOOTSTRAP"):
        await EmbeddedKafka(tmp_path / "kafka").start()


async def test_a_process_that_ends_while_starting_shows_its_log_of_this_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("an older reason\n")
    with pytest.raises(ServerError, match="the reason") as caught:
        await start(Process("failing", ("sh", "-c", "echo the reason; exit 3"), log, ready=never))
    assert "older" not in str(caught.value)


async def test_a_process_that_does_not_get_ready_is_stopped(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    slow = Process(
        "slow", ("sh", "-c", f"echo $$ > {pid_file}; exec sleep 60"), tmp_path / "log", ready=never, ready_timeout_s=0.3
    )
    with pytest.raises(ServerError, match=r"slow was not ready within 0.3 s"):
        await start(slow)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


async def test_a_pid_with_another_start_time_is_another_process(tmp_path: Path) -> None:
    process = launch(Process("sleep", ("sleep", "60"), tmp_path / "log"))
    other = type(process)(**{**asdict(process), "started": process.started + "0"})
    kill(other)
    assert is_alive(process)
    assert not is_alive(other)
    kill(process)


@contextmanager
def stranger_process(user: str | None = None) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"], start_new_session=True, user=user) as process:
        try:
            yield process
        finally:
            process.kill()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def never() -> bool:
    return False
