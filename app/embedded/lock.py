"""A lock between processes. The system frees it when its holder ends, however it ends."""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app.embedded.process import ServerError

POLL_S = 0.1


@asynccontextmanager
async def locked(file: Path, *, timeout_s: float) -> AsyncIterator[None]:
    """Hold the lock on ``file``, waiting for it at most ``timeout_s``."""
    descriptor = _open(file)
    deadline = time.monotonic() + timeout_s
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ServerError(
                        f"{file} has been locked for {timeout_s:.0f} s by another `deskstream up` or `down`:"
                        " wait for it, or end it"
                    ) from None
                await asyncio.sleep(POLL_S)
        yield
    finally:
        os.close(descriptor)


def _open(file: Path) -> int:
    file.parent.mkdir(parents=True, exist_ok=True)
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
