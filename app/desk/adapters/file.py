"""Replies as files, ``<folder>/<tenant>/<reply id>.json``, for whoever fetches them. They must stay there for as long
as a reply may be tried again: by its file a reply is known to have landed."""

from __future__ import annotations

import asyncio
import os
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import orjson

from app.desk.adapters import NotNow, Outgoing, Unsure


class Files:
    name = "file"
    settle_s: float | None = 0.0

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def send(self, reply: Outgoing) -> str:
        try:
            return await asyncio.to_thread(self._write, reply)
        except OSError as error:
            raise NotNow(f"{self._folder}: {error.strerror or error}; make it writable or free some space") from error

    async def find(self, reply: Outgoing) -> str | None:
        file = self._file(reply)
        try:
            return file.name if await asyncio.to_thread(file.exists) else None
        except OSError as error:
            raise Unsure(f"{file}: {error.strerror or error}") from error

    async def close(self) -> None: ...

    def _write(self, reply: Outgoing) -> str:
        """It appears whole or not at all, and once: a link to it is made only where there is none."""
        file = self._file(reply)
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f".{uuid4().hex}.part")
        try:
            with part.open("xb") as out:
                out.write(orjson.dumps(reply, option=orjson.OPT_INDENT_2))
                out.flush()
                os.fsync(out.fileno())
            with suppress(FileExistsError):
                os.link(part, file)
        finally:
            part.unlink(missing_ok=True)
        return file.name

    def _file(self, reply: Outgoing) -> Path:
        return self._folder / reply.tenant / f"{reply.reply_id}.json"
