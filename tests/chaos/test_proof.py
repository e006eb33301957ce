"""The proof, short: real stages, real servers, kills and freezes; nothing lost, repeated or out of order."""

from __future__ import annotations

import pytest

from app.verify.harness import Options, Report, verify
from app.verify.results import sentences
from tests.servers import KAFKA_LIBS

SAY = print  # into pytest's capture: shown when it fails


async def proof(**options: object) -> Report:
    return await verify(Options(libs=KAFKA_LIBS, **options), SAY)  # type: ignore[arg-type]


@pytest.mark.chaos
@pytest.mark.timeout(400)
async def test_kills_and_freezes_lose_repeat_and_disorder_nothing() -> None:
    report = await proof(tickets=500, duration_s=85, seed=1)
    assert report.kills >= 6
    assert report.damage.is_whole, "\n".join(sentences(report))


@pytest.mark.chaos
@pytest.mark.timeout(300)
async def test_without_the_journal_the_same_count_finds_calls_paid_twice() -> None:
    """A negative control: the count can fail."""
    report = await proof(tickets=300, duration_s=40, seed=2, safeguards_off=frozenset({"journal"}))
    assert report.damage.calls_repeated > 0
