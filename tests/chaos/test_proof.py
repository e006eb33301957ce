"""The proof, short: real stages, real servers, kills and freezes; nothing lost, repeated or out of order.

The negative controls leave a safeguard out: the same count must find the damage that it prevents. Fencing has its
control in ``tests/integration/test_engine.py``: a frozen worker does harm only if it wakes within a commit, and no
schedule brings that about each time.
"""

from __future__ import annotations

import logging
import shutil

import pytest

from app.verify.harness import Options, Report, verify
from app.verify.results import sentences
from app.verify.schedule import Fault
from tests.servers import KAFKA_LIBS

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

SAY = print  # into pytest's capture: shown when it fails


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
    kills = {"seed": 259, "duration_s": 20, "latency_s": 2.0, "tickets": 200, "per_stage": 1}
    report = await damage_without("map", Fault.KILL_WORKER, **kills)  # type: ignore[arg-type]
    assert report.damage.repeated


async def test_without_the_journal_calls_are_paid_again_that_no_fault_explains() -> None:
    joins_and_leaves = (Fault.ADD_WORKER, Fault.REMOVE_WORKER)
    report = await damage_without("journal", *joins_and_leaves, tickets=150, duration_s=15, per_stage=1)
    assert report.damage.calls.unexplained


async def test_without_claims_a_ticket_delivered_twice_is_answered_twice() -> None:
    report = await damage_without("claims", tickets=100, duration_s=10, per_stage=1)
    assert report.damage.repeated
