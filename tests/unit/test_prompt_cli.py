"""``deskstream prompt``: it shows what is sent, and says plainly when nothing is cached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from app.cli.prompt import app
from app.config import CONFIG_FILE_VARIABLE, Settings
from app.models.guidelines import load
from app.models.prompts import PromptLibrary


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv(CONFIG_FILE_VARIABLE, str(tmp_path / "none.toml"))
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def acme(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    folder = tmp_path / "guidelines"
    (folder / "acme" / "locale").mkdir(parents=True)
    (folder / "acme" / "tone.md").write_text("We say thou. :smile: [b]", "utf-8")
    (folder / "acme" / "locale" / "de.md").write_text("Immer du.", "utf-8")
    monkeypatch.setenv("GUIDELINES_DIR", str(folder))
    return folder


def prompt(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == code, done.output
    return done.output


def as_json(*arguments: str) -> Any:
    return json.loads(prompt(*arguments, "--json"))


def test_show_prints_the_prompt_as_it_is_sent(acme: Path) -> None:
    shown = prompt("show", "draft", "--tenant", "acme", "--locale", "de")
    library = PromptLibrary(cache_control=True, json_schema=True, guidelines=load(acme))
    for level in library.levels("draft", tenant="acme", language="de"):
        assert f"{level.text}\n" in shown


def test_show_names_the_levels_and_their_files(acme: Path) -> None:
    levels = as_json("show", "draft", "--tenant", "acme", "--locale", "de-AT")
    assert [(level["level"], level["files"]) for level in levels] == [
        ("task", ["draft.md"]),
        ("guidelines", ["tone.md", "policy.md", "escalation.md"]),
        ("locale", ["locale/de.md"]),
        ("tenant", ["tone.md", "locale/de.md"]),
    ]


def test_a_tenant_without_guidelines_is_said(acme: Path) -> None:
    assert "zeta has no guidelines of its own" in prompt("show", "draft", "--tenant", "zeta")


def test_a_folder_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GUIDELINES_DIR", str(tmp_path / "gone"))
    assert "is no folder" in prompt("show", "draft").replace("\n", " ")


def test_diff_shows_what_a_tenant_adds_and_that_it_takes_nothing_away(acme: Path) -> None:
    lines = prompt("diff", "--tenant", "acme", "--locale", "de").splitlines()
    assert "+Immer du." in lines and "+We say thou. :smile: [b]" in lines
    assert not [line for line in lines if line.startswith("-") and not line.startswith("---")]


def test_diff_sets_two_languages_against_each_other() -> None:
    lines = prompt("diff", "--locale", "de", "--locale", "fr").splitlines()
    assert "-# German" in lines and "+# French" in lines


def test_diff_of_what_is_the_same_says_so() -> None:
    assert "the same" in prompt("diff", "--locale", "de", "--locale", "de-AT")


def test_cost_says_that_a_prompt_below_the_shortest_length_is_not_cached() -> None:
    said = prompt("cost", "classify")
    assert "Nothing is cached" in said and "4,096" in said and "estimate" in said
    found = as_json("cost", "classify")
    assert found["cached"] == "no"


def test_cost_is_unsure_between_the_documented_and_the_measured_length() -> None:
    found = as_json("cost", "draft", "--locale", "hi")
    assert found["cached"] == "unsure" and "Counted as not cached" in found["verdict"]


def test_cost_tells_from_which_level_on_a_long_prompt_is_cached(acme: Path) -> None:
    (acme / "acme" / "policy.md").write_text("".join(f"Rule {n}: not {n}.\n" for n in range(300)), "utf-8")
    found = as_json("cost", "draft", "--tenant", "acme")
    assert found["cached"] == "yes" and "from the level 'tenant' on" in found["verdict"]
    usd = found["system_prompts_usd"]
    assert usd["warm"] < usd["by_calls_a_day"]["1000"] < usd["uncached"] < usd["cold"]


def test_cost_says_that_nothing_is_cached_without_breakpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLM_CACHE_CONTROL", "false")
    found = as_json("cost", "draft", "--locale", "hi")
    assert found["cached"] == "no" and "LLM_CACHE_CONTROL" in found["verdict"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "guess"), "no prompt 'guess'"),
        (("cost", "guess"), "no prompt 'guess'"),
        (("show", "draft", "--locale", "german!"), "no language tag"),
        (("diff",), "give --tenant, or --locale twice"),
        (("diff", "--locale", "de"), "give --tenant, or --locale twice"),
    ],
)
def test_wrong_usage_is_one_line(arguments: tuple[str, ...], words: str) -> None:
    assert words in prompt(*arguments, code=2)


def test_a_tenants_file_that_cannot_be_used_is_named(acme: Path) -> None:
    (acme / "acme" / "policy.md").write_bytes(b"\xff")
    assert "policy.md: not UTF-8" in prompt("show", "draft", "--tenant", "acme", code=2).replace("\n", " ")
