"""The command line as a person meets it: plain words, exit codes, no traceback."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.config import Settings
from app.embedded.server import free_port
from tests.integration.test_pipeline import settings as settings  # noqa: PLC0414 - the same fixture, here


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def all(self) -> str:
        return self.out + self.err


async def deskstream(*arguments: str, cwd: Path, **environment: str) -> Done:
    command = str(Path(sys.executable).with_name("deskstream"))
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    process = await asyncio.create_subprocess_exec(
        command, *arguments, cwd=cwd, env={**kept, "COLUMNS": "200", **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    done = Done(process.returncode or 0, out.decode(), err.decode())
    assert "Traceback" not in done.all, done.all
    return done


def servers(settings: Settings) -> dict[str, str]:
    return {
        "KAFKA_BOOTSTRAP": settings.kafka_bootstrap or "",
        "DATABASE_URL": settings.database_url or "",
        "LLM_BASE_URL": settings.llm_base_url or "",
        "EMBEDDINGS_BASE_URL": settings.embeddings_base_url or "",
    }


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("KAFKA_BOOTSTRAP", "localhost", "KAFKA_BOOTSTRAP: expected host:port"),
        ("DATABASE_URL", "mysql://u:secret@h/d", "DATABASE_URL: expected postgresql://"),
        ("PARTITIONS", "many", "PARTITIONS: input should be a valid integer"),
    ],
)
async def test_a_wrong_setting_is_named_with_the_accepted_form(
    name: str, value: str, words: str, tmp_path: Path
) -> None:
    done = await deskstream("topics", "create", cwd=tmp_path, **{name: value})
    assert (done.code, words in done.err, "secret" in done.all) == (2, True, False), done.all


async def test_a_setting_in_the_file_is_read_and_the_environment_goes_before_it(tmp_path: Path) -> None:
    (tmp_path / "deskstream.toml").write_text('partitions = "no"\n')
    assert (await deskstream("down", cwd=tmp_path)).code == 2
    assert (await deskstream("down", cwd=tmp_path, PARTITIONS="4")).code == 0


async def test_without_servers_it_says_how_to_get_them(tmp_path: Path) -> None:
    done = await deskstream("topics", "create", cwd=tmp_path)
    assert (done.code, "run `deskstream up`, or set KAFKA_BOOTSTRAP" in done.err) == (3, True), done.all


async def test_a_broker_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = await deskstream("topics", "create", cwd=tmp_path, KAFKA_BOOTSTRAP="127.0.0.1:9")
    assert (done.code, "127.0.0.1:9" in done.err, "KAFKA_BOOTSTRAP" in done.err) == (3, True, True), done.all


async def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = await deskstream("ingest", "nowhere.jsonl", "--tenant", "acme", cwd=tmp_path)
    assert (done.code, "nowhere.jsonl does not exist" in done.err) == (2, True), done.all


async def test_an_unknown_stage_is_answered_with_those_there_are(tmp_path: Path) -> None:
    done = await deskstream("stage", "guess", cwd=tmp_path)
    assert (done.code, "classify, enrich, draft, route" in done.err) == (2, True), done.all


async def test_ingest_reports_the_number_of_a_bad_line_and_goes_on(settings: Settings, tmp_path: Path) -> None:
    lines = ['{"ticket_id": "1", "text": "a"}', "nope", '{"ticket_id": "3", "text": "c"}', '{"text": "no id"}']
    (tmp_path / "t.jsonl").write_text("\n".join(lines))
    done = await deskstream("ingest", "t.jsonl", "--tenant", "acme", cwd=tmp_path, **servers(settings))
    assert done.code == 1
    assert "t.jsonl, line 2: not JSON" in done.err and "t.jsonl, line 4: ticket_id" in done.err
    assert "2 tickets in, 0 repeats, 2 bad lines." in done.out


async def test_kb_import_and_dlq_list_and_doctor_work(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("---\nid: a\ntitle: A\n---\nPress A to begin.\n")
    imported = await deskstream("kb", "import", "a.md", "--tenant", "newco", cwd=tmp_path, **servers(settings))
    assert (imported.code, "1 articles added" in imported.out) == (0, True), imported.all
    listed = await deskstream("dlq", "list", "--json", cwd=tmp_path, **servers(settings))
    assert (listed.code, isinstance(json.loads(listed.out), list)) == (0, True), listed.all
    checked = await deskstream("doctor", "--json", cwd=tmp_path, **servers(settings))
    findings: list[dict[str, Any]] = json.loads(checked.out)
    assert checked.code == 0 and all(finding["ok"] for finding in findings), checked.all
    assert any("it is no language model" in finding["text"] for finding in findings)


async def test_doctor_says_what_is_wrong_and_what_to_do(settings: Settings, tmp_path: Path) -> None:
    wrong = {**servers(settings), "KAFKA_BOOTSTRAP": "127.0.0.1:9"}
    done = await deskstream("doctor", cwd=tmp_path, **wrong)
    assert done.code == 1
    assert "no broker at 127.0.0.1:9" in done.out and "set KAFKA_BOOTSTRAP" in done.out


async def test_a_stage_serves_its_metrics_and_ends_cleanly_when_told(settings: Settings, tmp_path: Path) -> None:
    port = free_port()
    stage = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("deskstream")), "stage", "route", cwd=tmp_path,
        env={**os.environ, **servers(settings), "METRICS_PORT": str(port)}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        text = await _metrics(f"http://127.0.0.1:{port}/metrics")
    finally:
        stage.terminate()
    out, _ = await asyncio.wait_for(stage.communicate(), 25)
    assert 'deskstream_in_flight_records{stage="route"}' in text
    assert stage.returncode == 0 and "stage_stopped" in out.decode()


@pytest.mark.parametrize("away", ["KAFKA_BOOTSTRAP", "DATABASE_URL", "LLM_BASE_URL", "EMBEDDINGS_BASE_URL"])
async def test_a_stage_waits_for_a_server_that_is_not_there_yet_says_so_and_can_be_stopped(
    away: str, settings: Settings, tmp_path: Path
) -> None:
    place = f"127.0.0.1:{free_port()}"
    model = f"http://{place}/v1"
    elsewhere = {
        "KAFKA_BOOTSTRAP": place, "DATABASE_URL": f"postgresql://u:p@{place}/d", "LLM_BASE_URL": model,
        "EMBEDDINGS_BASE_URL": model,
    }  # fmt: skip
    stage = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("deskstream")), "stage", "route", cwd=tmp_path,
        env={**os.environ, **servers(settings), away: elsewhere[away]}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert stage.stdout is not None
    said = ""
    try:
        async with asyncio.timeout(30):
            while "waiting" not in said:
                line = await stage.stdout.readline()
                assert line, f"it ended: {said}"
                said += line.decode()
    finally:
        if stage.returncode is None:
            stage.terminate()
    assert place in said
    assert await asyncio.wait_for(stage.wait(), 25) == 0


async def _metrics(url: str) -> str:
    """Once the worker has reported itself."""
    async with httpx2.AsyncClient() as client, asyncio.timeout(30):
        while True:
            try:
                text = (await client.get(url)).text
            except httpx2.TransportError:
                text = ""
            if "deskstream_in_flight_records{" in text:
                return text
            await asyncio.sleep(0.1)
