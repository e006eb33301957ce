"""What doctor says of a broker, of models and of guidelines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from app import doctor
from app.config import Settings
from app.kafka.topics import create_topics
from tests.processes import serving

NOWHERE = "127.0.0.1:9"


async def finding(kafka_bootstrap: str = NOWHERE, name: str = "Kafka", **settings: Any) -> doctor.Finding:
    """The other servers are not there."""
    nowhere = {"llm_base_url": f"http://{NOWHERE}/v1", "embeddings_base_url": f"http://{NOWHERE}/v1"}
    asked = Settings(
        kafka_bootstrap=kafka_bootstrap, database_url=f"postgresql://u:p@{NOWHERE}/d", **{**nowhere, **settings}
    )
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


@pytest.mark.parametrize(
    ("name", "setting"), [("classify model", "LLM_BASE_URL"), ("embeddings", "EMBEDDINGS_BASE_URL")]
)
async def test_a_model_server_that_is_not_there_is_told_at_once_with_the_way_out(
    name: str, setting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_CHECK_S_MAX", 5.0)  # what has no answer by then is told without a reason
    wrong = await finding(name=name)
    assert not wrong.ok
    assert f"no connection to http://{NOWHERE}/v1: nothing listens there: start the server" in wrong.text
    assert setting in wrong.text


@pytest.mark.parametrize("name", ["draft model", "embeddings"])
async def test_a_key_that_is_refused_is_told_with_its_setting(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_CHECK_S_MAX", 5.0)

    async def refused(request: Request) -> JSONResponse:
        return JSONResponse({"error": {"message": "no such key"}}, status_code=401)

    async with serving(Starlette(routes=[Route("/{path:path}", refused, methods=["GET", "POST"])])) as url:
        wrong = await finding(name=name, llm_base_url=url, embeddings_base_url=url)
    assert not wrong.ok
    assert "401 no such key; check the API key setting" in wrong.text and "LLM_API_KEY" in wrong.text
