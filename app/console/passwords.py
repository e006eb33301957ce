"""Passwords as argon2id, and how long one may be guessed at."""

from __future__ import annotations

import asyncio
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

CHARS_MIN = 12
CHARS_MAX = 200
_AT_ONCE_MAX = 2  # each takes 64 MiB and a core for some 50 ms

_hasher = PasswordHasher()  # RFC 9106's second recommendation
_turn = asyncio.Semaphore(_AT_ONCE_MAX)


@cache
def _nobodys() -> str:
    return _hasher.hash("whatever is typed, it is not this")


async def hashed(password: str) -> str:
    async with _turn:
        return await asyncio.to_thread(_hasher.hash, password)


async def matches(password: str, stored: str | None) -> bool:
    """Takes as long for an account that does not exist (None), so that its absence can't be told by the clock."""
    async with _turn:
        compared = await asyncio.to_thread(_nobodys) if stored is None else stored
        return await asyncio.to_thread(_verified, password[:CHARS_MAX], compared) and stored is not None


def _verified(password: str, stored: str) -> bool:
    try:
        return _hasher.verify(stored, password)
    except (VerificationError, InvalidHashError):
        return False
