"""The proof, short: real stages, real servers, kills and freezes; nothing lost, repeated or out of order.

The negative controls leave a safeguard out: the same count must find the damage that it prevents. Fencing has its
control in ``tests/integration/test_engine.py``: a frozen worker does harm only if it wakes within a commit, and no
schedule brings that about each time.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
from pathlib import Path

import pytest

from app.embedded import process
from app.embedded.command import deskstream
from app.embedded.process import Process
from app.verify.folder import WORKERS, stop_abandoned
from app.verify.harness import Options, Report, verify
from app.verify.results import sentences
from app.verify.schedule import STAGE_NAMES, Fault
from tests.servers import CHECKOUT, KAFKA_LIBS, server_folder

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

SAY = print  # into pytest's capture: shown when it fails
WORKERS_UP_S_MAX = 90


async def proof(**options: object) -> Report:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # at length what a line of the report says
    return await verify(Options(libs=KAFKA_LIBS, **options), SAY)  # type: ignore[arg-type]


async def damage_without(safeguard: str, *faults: Fault, seed: int = 2, **options: object) -> Report:
    """Damage is what is wanted here: its folder goes."""
    report = await proof(safeguards_off=frozenset({safeguard}), faults=frozenset(faults), seed=seed, **options)
    if report.kept_at:
        shutil.rmtree(report.kept_at)
    return report


async def test_kills_and_freezes_lose_repeat_and_disorder_nothing() -> None:
    report = await proof(tickets=600, duration_s=80, seed=1)
    assert report.kills >= 6
    assert report.damage.is_whole, "\n".join(sentences(report))


async def test_without_the_map_a_killed_worker_s_finished_tickets_are_repeated() -> None:
    # A seed whose kills all meet the stages with slow calls, where many are under way.
    kills = {"seed": 2, "duration_s": 20, "latency_s": 2.0, "tickets": 200, "per_stage": 1}
    report = await damage_without("map", Fault.KILL_WORKER, **kills)  # type: ignore[arg-type]
    assert report.damage.repeated


async def test_without_the_journal_calls_are_paid_again_that_no_fault_explains() -> None:
    joins_and_leaves = (Fault.ADD_WORKER, Fault.REMOVE_WORKER)
    report = await damage_without("journal", *joins_and_leaves, tickets=150, duration_s=15, per_stage=1)
    assert report.damage.calls.unexplained


async def test_without_claims_a_ticket_delivered_twice_is_answered_twice() -> None:
    report = await damage_without("claims", tickets=100, duration_s=10, per_stage=1)
    assert report.damage.repeated


def belonging_to(folder: Path) -> list[str]:
    """Processes that have the folder in their arguments or their environment."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            told = (one / "cmdline").read_bytes() + (one / "environ").read_bytes()
        except OSError:  # it has ended
            continue
        if str(folder).encode() in told:
            found.append(told.partition(b"\0")[0].decode())
    return found


def workers_noted(parent: Path) -> list[str]:
    return [line for file in parent.glob(f"*/{WORKERS}") for line in file.read_text().splitlines()]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks processes up in /proc")
async def test_what_a_killed_run_left_running_is_stopped_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    with server_folder() as parent:
        environment = {"TMPDIR": str(parent), "STATE_DIR": str(CHECKOUT / ".deskstream")}
        argv = (*deskstream(), "verify", "--minutes", "0.5", "--workers", "1", "--tickets", "10")
        running = process.launch(Process("verify", argv, parent / "verify.log", env=environment))
        async with asyncio.timeout(WORKERS_UP_S_MAX):
            while len(noted := workers_noted(parent)) < len(STAGE_NAMES):
                await asyncio.sleep(0.1)
        process.kill(running)
        assert await process.wait_gone(running, timeout_s=5)
        (folder,) = {file.parent for file in parent.glob(f"*/{WORKERS}")}
        assert len(belonging_to(folder)) >= len([*noted, "kafka", "postgres", "model-server"])
        monkeypatch.setattr(tempfile, "tempdir", str(parent))
        said: list[str] = []
        await stop_abandoned(said.append)
        assert belonging_to(folder) == []
        assert len(said) == 1
