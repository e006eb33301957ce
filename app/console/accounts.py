"""Users of the console, the ways in, and their sessions."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from agents.contract import PermanentError
from app.console import passwords
from app.console.roles import Role
from app.console.tokens import digest, new_token, tenant_of
from app.desk.store import add_audit
from app.store.database import Pool
from app.store.queries import query

SESSION_IDLE = timedelta(hours=12)
SESSION_AGE_MAX = timedelta(days=7)
ROTATED_EVERY = timedelta(minutes=15)
# Requests that a browser had under way while the token changed.
ROTATION_GRACE = timedelta(seconds=30)
LINK_AGE_MAX = timedelta(minutes=30)
FAILURES_MAX = 5
FAILURES_WITHIN = timedelta(minutes=15)
SHOWN_MAX = 1_000
EMAIL_CHARS_MAX = 254


@dataclass(frozen=True)
class User:
    user_id: UUID
    tenant: str
    email: str
    name: str
    role: Role
    locale: str | None = None

    @property
    def actor(self) -> str:
        """As decisions and the audit log name them."""
        return self.email


@dataclass(frozen=True)
class Listed:
    user: User
    has_password: bool
    disabled_at: datetime | None
    seen_at: datetime | None


@dataclass(frozen=True)
class Session:
    user: User
    csrf: str
    token: str
    is_new: bool = False  # the browser must be given it

    @property
    def tenant(self) -> str:
        return self.user.tenant


class SignInRefused(Exception):
    """Wrong, or too often: ``wait`` tells which. Whether the account exists is not told."""

    def __init__(self, *, wait: bool = False) -> None:
        super().__init__("too many attempts" if wait else "wrong workspace, e-mail or password")
        self.wait = wait


class Accounts:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    # -- users

    async def add(self, tenant: str, email: str, *, name: str, role: Role, actor: str) -> bool:
        """False where the e-mail address has an account already. Raises PermanentError("bad_email")."""
        email = checked_email(email)
        async with self._pool.transaction(tenant) as connection:
            if await connection.fetchval(query("console/add_user"), tenant, email, name or email, role) is None:
                return False
            await add_audit(connection, tenant, actor, action="user_added", subject=email, details={"role": role})
        return True

    async def listed(self, tenant: str) -> list[Listed]:
        async with self._pool.transaction(tenant) as connection:
            rows = await connection.fetch(query("console/users"), tenant, SHOWN_MAX)
        return [
            Listed(_user(tenant, row), row["has_password"], row["disabled_at"], row["seen_at"]) for row in rows
        ]  # fmt: skip

    async def change(
        self, tenant: str, user_id: UUID, *, actor: str, role: Role | None = None, disabled: bool | None = None
    ) -> None:
        """Raises PermanentError("last_admin") for the one who could still let others in."""
        async with self._pool.transaction(tenant) as connection:
            await connection.fetchval(query("lock_tenant"), tenant)  # two admins who each remove the other take turns
            row = await connection.fetchrow(query("console/change_user"), tenant, user_id, role, disabled)
            if row is None:
                raise PermanentError("unknown_user", "there is no such user")
            if not await connection.fetchval(query("console/admins"), tenant):
                raise PermanentError("last_admin", "a workspace keeps at least one admin: make another one first")
            if row["disabled"]:
                await connection.execute(query("console/end_sessions"), tenant, user_id, None)
            await add_audit(
                connection, tenant, actor, action="user_changed", subject=row["email"],
                details={"role": row["role"], "disabled": row["disabled"]},
            )  # fmt: skip

    async def set_password(self, session: Session, password: str) -> None:
        """The user's other sessions end. Raises PermanentError("weak_password")."""
        if not passwords.CHARS_MIN <= len(password) <= passwords.CHARS_MAX:
            raise PermanentError(
                "weak_password", f"a password has {passwords.CHARS_MIN} to {passwords.CHARS_MAX} characters"
            )
        stored, user = await passwords.hashed(password), session.user
        async with self._pool.transaction(user.tenant) as connection:
            await connection.execute(query("console/set_password"), user.tenant, user.user_id, stored)
            await connection.execute(query("console/end_sessions"), user.tenant, user.user_id, digest(session.token))
            await add_audit(connection, user.tenant, user.actor, action="password_set", subject=user.email, details={})

    async def set_locale(self, user: User, locale: str) -> None:
        async with self._pool.transaction(user.tenant) as connection:
            await connection.execute(query("console/set_locale"), user.tenant, user.user_id, locale)

    # -- signing in

    async def by_password(self, tenant: str, email: str, password: str) -> Session:
        """Raises SignInRefused."""
        account = digest(email.strip().lower())
        async with self._pool.transaction(tenant) as connection:
            failures = await connection.fetchval(query("console/failures"), tenant, account, FAILURES_WITHIN)
            if failures >= FAILURES_MAX:
                raise SignInRefused(wait=True)
            # Counted before it is known to be wrong: guesses made at once can't slip through beside each other.
            await connection.execute(query("console/add_failure"), tenant, account)
            row = await connection.fetchrow(query("console/user_by_email"), tenant, email.strip().lower())
        known = None if row is None or row["disabled_at"] is not None else row
        if not await passwords.matches(password, known and known["password_hash"]) or known is None:
            raise SignInRefused
        async with self._pool.transaction(tenant) as connection:
            await connection.execute(query("console/forget_failures"), tenant, FAILURES_WITHIN, account)
            return await self._opened(connection, _user(tenant, known), "password")

    async def by_email(self, tenant: str, email: str, *, how: str) -> Session:
        """For an identity provider's word that this person is who they say. Raises SignInRefused."""
        async with self._pool.transaction(tenant) as connection:
            row = await connection.fetchrow(query("console/user_by_email"), tenant, email.strip().lower())
            if row is None or row["disabled_at"] is not None:
                raise SignInRefused
            return await self._opened(connection, _user(tenant, row), how)

    async def link(self, tenant: str, email: str) -> str:
        """A token that signs this user in once. Raises PermanentError("unknown_user")."""
        token = new_token(tenant)
        async with self._pool.transaction(tenant) as connection:
            row = await connection.fetchrow(query("console/user_by_email"), tenant, email.strip().lower())
            if row is None or row["disabled_at"] is not None:
                raise PermanentError("unknown_user", f"{tenant} has no user {email}, or they are disabled")
            await connection.execute(query("console/forget_links"), tenant)
            await connection.execute(query("console/add_link"), tenant, digest(token), row["user_id"], LINK_AGE_MAX)
        return token

    async def by_link(self, token: str) -> Session:
        """Raises SignInRefused for one that was used, is too old or never was."""
        tenant = tenant_of(token)
        async with self._pool.transaction(tenant) as connection:
            row = await connection.fetchrow(query("console/use_link"), tenant, digest(token))
            if row is None:
                raise SignInRefused
            return await self._opened(connection, _user(tenant, row), "link")

    async def _opened(self, connection: Any, user: User, how: str) -> Session:
        session = Session(user, csrf=secrets.token_urlsafe(24), token=new_token(user.tenant), is_new=True)
        await connection.execute(query("console/forget_sessions"), user.tenant)
        await connection.execute(
            query("console/open_session"), user.tenant, digest(session.token), user.user_id, session.csrf, SESSION_IDLE
        )
        await add_audit(
            connection, user.tenant, user.actor, action="signed_in", subject=user.email, details={"by": how}
        )
        return session

    # -- sessions

    async def session(self, token: str) -> Session | None:
        """Who this token is of; after a while with a new token, which the browser must be given."""
        tenant = tenant_of(token)
        if not tenant:
            return None
        async with self._pool.transaction(tenant) as connection:
            row = await connection.fetchrow(query("console/session"), tenant, digest(token))
            if row is None:
                return None
            user = _user(tenant, row)
            # A token that was replaced a while ago was copied: neither who has it nor who has its successor goes on.
            stolen = not row["is_current"] and row["age"] > ROTATION_GRACE
            if stolen or row["since"] > SESSION_AGE_MAX:
                await connection.execute(query("console/end_session"), tenant, row["token_hash"])
                if stolen:
                    await add_audit(
                        connection,
                        tenant,
                        user.actor,
                        action="session_ended",
                        subject=user.email,
                        details={"why": "old token"},
                    )
                return None
            if row["is_current"] and row["age"] > ROTATED_EVERY:
                new = new_token(tenant)
                rotated = await connection.fetchval(
                    query("console/rotate_session"), tenant, digest(token), digest(new), SESSION_IDLE
                )
                if rotated:
                    return Session(user, row["csrf"], new, is_new=True)
        return Session(user, row["csrf"], token)

    async def sign_out(self, session: Session) -> None:
        async with self._pool.transaction(session.tenant) as connection:
            await connection.execute(query("console/end_session"), session.tenant, digest(session.token))


def checked_email(email: str) -> str:
    email = email.strip().lower()
    name, at, host = email.partition("@")
    if not (name and at and host) or len(email) > EMAIL_CHARS_MAX or any(c.isspace() for c in email):
        raise PermanentError("bad_email", f"{email!r} is not an e-mail address")
    return email


def _user(tenant: str, row: Mapping[str, Any]) -> User:
    return User(row["user_id"], tenant, row["email"], row["name"], Role(row["role"]), row["locale"])
