"""The proof of sending, short: a help desk that fails on purpose, kills at each step, a database from a backup."""

from __future__ import annotations

import logging
import shutil

import pytest

from app.verify.sending import Options, Report, verify
from tests.servers import KAFKA_LIBS

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]


async def proof(**options: object) -> Report:
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    return await verify(Options(libs=KAFKA_LIBS, **options), print)  # type: ignore[arg-type]


async def test_through_kills_faults_and_a_restored_database_no_reply_is_sent_twice_or_lost() -> None:
    report = await proof(replies=150, seed=3)
    assert sum(report.kills.values()) >= 5
    assert report.restores == 1
    assert report.is_whole, (report.sent_twice, report.lost, report.kept_at)


async def test_without_reading_back_replies_are_sent_twice() -> None:
    report = await proof(replies=60, blind=True, restores=False)
    assert report.sent_twice
    if report.kept_at:
        shutil.rmtree(report.kept_at)
