"""Connections to PostgreSQL, and its schema.

The owner migrates. Everything else acts as ``deskstream_app``, which sees one tenant at a time, or as
``deskstream_runtime``, which works for all tenants at once, on the journal and the claims only.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import parse_qs, urlsplit

import asyncpg
from pgvector.asyncpg import register_vector

from agents.contract import PermanentError, TransientError
from app.ports import ProviderAway

if TYPE_CHECKING:
    from sqlalchemy import Connection

Role = Literal["deskstream_app", "deskstream_runtime"]
SETTING = "DATABASE_URL"

_MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x6465736B  # any number that nobody else locks
_CONNECT_TIMEOUT_S = 10.0
STATEMENT_TIMEOUT_S = 30.0

_AWAY = (OSError, TimeoutError, asyncpg.PostgresConnectionError, asyncpg.TooManyConnectionsError,
         asyncpg.CannotConnectNowError, asyncpg.AdminShutdownError, asyncpg.CrashShutdownError)  # fmt: skip
_PASSING = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.QueryCanceledError,
            asyncpg.LockNotAvailableError, asyncpg.InsufficientResourcesError)  # fmt: skip
_REFUSED = (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidCatalogNameError)


def address(url: str) -> str:
    """Host, port and database of ``url``, without its password."""
    parts = urlsplit(url)
    host = parts.hostname or parse_qs(parts.query).get("host", ["localhost"])[0]
    return f"{host}:{parts.port or 5432}{parts.path}"


@contextmanager
def _errors(place: str) -> Iterator[None]:
    try:
        yield
    except _PASSING as error:
        raise TransientError(f"PostgreSQL at {place}: {error}") from error
    except _REFUSED as error:
        raise ProviderAway(f"PostgreSQL at {place} refuses the login: {error}; check {SETTING}") from error
    except _AWAY as error:
        reason = str(error) or type(error).__name__
        raise ProviderAway(f"PostgreSQL at {place} is away: {reason}; start it or set {SETTING}") from error
    except asyncpg.DataError as error:
        raise PermanentError("unstorable", f"PostgreSQL cannot store this value: {error}") from error
    except asyncpg.InternalClientError as error:
        # What asyncpg's protocol can say of a connection that is broken off in the middle of a statement.
        raise ProviderAway(f"PostgreSQL at {place} broke the connection off: {error}") from error
    except asyncpg.InterfaceError as error:
        if "clos" not in str(error):  # a connection or pool closed under us; the rest are bugs of ours
            raise
        raise ProviderAway(f"PostgreSQL at {place} closed the connection: {error}") from error


class Pool:
    """Connections that act as one role. Errors of the server come out as TransientError or PermanentError."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record], place: str) -> None:
        self._pool = pool
        self.place = place

    async def fetch(self, sql: str, *arguments: object) -> list[asyncpg.Record]:
        """Run one statement on its own."""
        with _errors(self.place):
            return await self._pool.fetch(sql, *arguments)

    @asynccontextmanager
    async def transaction(self, tenant: str | None = None) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy[Any]]:
        """A transaction that sees ``tenant``, or what the role sees without one."""
        with _errors(self.place):
            async with self._pool.acquire() as connection, connection.transaction():
                if tenant is not None:
                    await connection.execute("select set_config('deskstream.tenant', $1, true)", tenant)
                yield connection

    async def close(self, timeout_s: float = 10.0) -> None:
        """Wait for connections in use, at most ``timeout_s``; then break them off."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()


async def connect(
    url: str,
    *,
    role: Role = "deskstream_app",
    connections_max: int = 10,
    statement_timeout_s: float = STATEMENT_TIMEOUT_S,
) -> Pool:
    """A pool on a migrated database. Raises PermanentError("not_migrated") on one that is not."""
    place = address(url)
    settings = {
        "application_name": role,
        "role": role,  # at the connection's start, so that no RESET gives the login's own rights back
        "statement_timeout": str(int(statement_timeout_s * 1000)),
        "idle_in_transaction_session_timeout": "60000",
        # A plan made while a table was empty would stay a sequential scan until the next ANALYZE.
        "plan_cache_mode": "force_custom_plan",
    }
    if role == "deskstream_runtime":
        settings["enable_seqscan"] = "off"  # it looks up keys, in tables that grow faster than their statistics
    try:
        with _errors(place):
            pool = await asyncpg.create_pool(
                url, min_size=1, max_size=connections_max, timeout=_CONNECT_TIMEOUT_S,
                command_timeout=statement_timeout_s + 5, init=register_vector, server_settings=settings,
            )  # fmt: skip
    except (asyncpg.InvalidParameterValueError, asyncpg.UndefinedObjectError, ValueError) as error:
        # The role or the type "vector" is not there.
        raise PermanentError(
            "not_migrated", f"the database at {place} is not migrated ({error}): run `deskstream db migrate`"
        ) from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise PermanentError(
            "role_not_granted",
            f"the login of {SETTING} may not act as {role} at {place}: "
            f"run `grant deskstream_app, deskstream_runtime to <login>` there as the owner",
        ) from error
    return Pool(pool, place)


async def migrate(url: str, to: str = "head") -> None:
    """Bring the schema to a revision, the newest as a rule. Two at once take turns; the second finds nothing to do."""
    # A stage migrates nothing, and these two are a quarter of what it would load.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415
    from sqlalchemy import text  # noqa: PLC0415

    def upgrade(connection: Connection) -> None:
        config = Config(attributes={"connection": connection})
        config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
        command.upgrade(config, to)

    with _errors(address(url)):
        async with _engine(url).begin() as connection:
            await connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
            await connection.run_sync(upgrade)


async def revision(url: str) -> str | None:
    """The schema's revision; None where nothing was migrated."""
    with _errors(address(url)):
        connection = await asyncpg.connect(url, timeout=_CONNECT_TIMEOUT_S)
        try:
            if await connection.fetchval("select to_regclass('alembic_version')") is None:
                return None
            found: str | None = await connection.fetchval("select version_num from alembic_version")
            return found
        finally:
            await connection.close()


def _engine(url: str) -> Any:
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    async def connection() -> asyncpg.Connection[Any]:
        # asyncpg reads libpq's forms of URL, such as a socket directory in ?host=, and SQLAlchemy does not.
        return await asyncpg.connect(url, timeout=_CONNECT_TIMEOUT_S)

    return create_async_engine("postgresql+asyncpg://", async_creator=connection, poolclass=NullPool)
