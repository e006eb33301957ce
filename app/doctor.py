"""``deskstream doctor``: every server, setting, model and key looked at; one line each, with the way out."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiokafka.errors import KafkaError

from agents.contract import PermanentError, TransientError
from app.config import Settings
from app.embedded import servers
from app.embedded.process import ServerError
from app.kafka.connection import client_options
from app.kafka.topics import check_topics, days_kept_max
from app.models import guidelines
from app.ports import ProviderAway
from app.store.database import address, revision
from app.wiring import probe_embeddings, probe_model
from schemas.topics import TOPICS

_CHECK_S_MAX = 30.0
_DISK_BYTES_MIN = 1024**3


@dataclass(frozen=True)
class Finding:
    name: str
    ok: bool
    text: str

    def as_json(self) -> dict[str, Any]:
        return {"name": self.name, "ok": self.ok, "text": self.text}


async def examine(settings: Settings) -> list[Finding]:
    """Never raises for what it examines: what is wrong is a finding."""
    found = [_disk(settings), _guidelines(settings)]
    try:
        resolved = servers.resolve(settings)
    except ServerError as error:
        return [*found, Finding("servers", ok=False, text=str(error))]
    checks: list[tuple[str, Callable[[Settings], Awaitable[str]]]] = [
        ("Kafka", _kafka),
        ("PostgreSQL", _postgres),
        ("embeddings", _embeddings),
        *((f"{prompt} model", _model(prompt)) for prompt in ("classify", "draft", "ground")),
    ]
    return [*found, *await asyncio.gather(*(_check(name, check, resolved) for name, check in checks))]


async def _check(name: str, check: Callable[[Settings], Awaitable[str]], settings: Settings) -> Finding:
    try:
        async with asyncio.timeout(_CHECK_S_MAX):
            return Finding(name, ok=True, text=f"{name}: {await check(settings)}")
    except _Wrong as error:
        return Finding(name, ok=False, text=f"{name}: {error}")
    except TimeoutError:
        return Finding(name, ok=False, text=f"{name}: no answer within {_CHECK_S_MAX:.0f} s: is its server well?")
    except (TransientError, PermanentError, KafkaError, OSError) as error:
        return Finding(name, ok=False, text=f"{name}: {error}")


class _Wrong(Exception):
    """What is wrong and what to do, in one line."""


def _disk(settings: Settings) -> Finding:
    place = settings.state_dir if settings.state_dir.exists() else settings.state_dir.absolute().parent
    free = shutil.disk_usage(place).free
    gib = f"{free / 1024**3:.1f} GiB free for {settings.state_dir}"
    if free < _DISK_BYTES_MIN:
        return Finding("disk", ok=False, text=f"disk: {gib}: free at least 1 GiB, or set STATE_DIR")
    return Finding("disk", ok=True, text=f"disk: {gib}")


def _guidelines(settings: Settings) -> Finding:
    try:
        loaded = guidelines.load(settings.guidelines_dir)
    except OSError as error:
        return Finding("guidelines", ok=False, text=f"guidelines: {error.filename}: {error.strerror}")
    if loaded.problems:
        more = len(loaded.problems) - 1
        text = f"guidelines: {loaded.problems[0]}" + (f" (and {more} more)" if more else "")
        return Finding("guidelines", ok=False, text=text)
    tenants = len(loaded.tenants)
    return Finding("guidelines", ok=True, text=f"guidelines: built in, and {tenants} tenants' own")


async def _kafka(settings: Settings) -> str:
    try:
        counts = await check_topics(client_options(settings))
        kept = await days_kept_max(client_options(settings))
    except KafkaError as error:
        raise _Wrong(f"no broker at {settings.kafka_bootstrap} ({error}): start it, or set KAFKA_BOOTSTRAP") from error
    if kept > settings.journal_days_kept:
        # A record read again after that would be answered, and paid, once more.
        raise _Wrong(
            f"topics keep records for {kept:g} days, answers are kept for {settings.journal_days_kept}: "
            "raise JOURNAL_DAYS_KEPT, or lower the topics' retention.ms"
        )
    return f"{settings.kafka_bootstrap}, {len(counts)} topics of {counts[TOPICS[0]]} partitions"


async def _postgres(settings: Settings) -> str:
    url = settings.database_url or ""
    found = await revision(url)
    if found is None:
        raise _Wrong(f"the database at {address(url)} has no schema: run `deskstream db migrate`")
    return f"{address(url)}, schema {found}"


async def _embeddings(settings: Settings) -> str:
    return await _asked(probe_embeddings(settings), "EMBEDDINGS_BASE_URL, EMBEDDINGS_API_KEY or LLM_API_KEY")


def _model(prompt: str) -> Callable[[Settings], Awaitable[str]]:
    async def check(settings: Settings) -> str:
        return await _asked(probe_model(settings, prompt), "LLM_BASE_URL, LLM_API_KEY")

    return check


async def _asked(probe: Awaitable[str], names: str) -> str:
    try:
        return await probe
    except ProviderAway as error:
        raise _Wrong(f"{error} ({names})") from error
