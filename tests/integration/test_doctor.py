"""What doctor says of a broker and of guidelines."""

from __future__ import annotations

from pathlib import Path

import pytest

from app import doctor
from app.config import Settings
from app.kafka.topics import create_topics


async def finding(kafka_bootstrap: str, name: str = "Kafka", **settings: object) -> doctor.Finding:
    """The other servers are not there."""
    nowhere = "127.0.0.1:9"
    asked = Settings(
        kafka_bootstrap=kafka_bootstrap, database_url=f"postgresql://u:p@{nowhere}/d",
        llm_base_url=f"http://{nowhere}/v1", embeddings_base_url=f"http://{nowhere}/v1", **settings,  # type: ignore[arg-type]
    )  # fmt: skip
    (found,) = [found for found in await doctor.examine(asked) if found.name == name]
    return found


async def test_answers_must_be_kept_for_longer_than_records(
    kafka_bootstrap: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_CHECK_S_MAX", 5.0)
    await create_topics({"bootstrap_servers": kafka_bootstrap}, partitions=4, replication_factor=1)
    assert (await finding(kafka_bootstrap)).ok  # a week in the topics, 30 days in the journal
    wrong = await finding(kafka_bootstrap, journal_days_kept=6)
    assert not wrong.ok
    assert "topics keep records for 7 days, answers are kept for 6: raise JOURNAL_DAYS_KEPT" in wrong.text


async def test_a_tenant_s_guidelines_that_cannot_be_used_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_CHECK_S_MAX", 1.0)
    (tmp_path / "acme").mkdir()
    tone = tmp_path / "acme" / "tone.md"
    tone.write_text("Be brief.")
    assert (await finding("127.0.0.1:9", "guidelines", guidelines_dir=tmp_path)).ok
    tone.write_bytes(b"\xff\xfe")
    wrong = await finding("127.0.0.1:9", "guidelines", guidelines_dir=tmp_path)
    assert not wrong.ok
    assert str(tone) in wrong.text
