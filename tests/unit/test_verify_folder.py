"""Which folders of the proof were left behind by a run that was killed."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

from app.embedded.process import Running, start_mark
from app.verify.folder import OWNER, PREFIX, abandoned

ME = start_mark(os.getpid()) or ""


def folder(parent: Path, owner: str) -> Path:
    made = parent / f"{PREFIX}x"
    made.mkdir()
    (made / OWNER).write_text(owner)
    return made


def run(pid: int, started: str) -> str:
    return json.dumps(asdict(Running("verify", pid, started, "")))


def test_a_folder_whose_run_goes_on_is_not_abandoned(tmp_path: Path) -> None:
    folder(tmp_path, run(os.getpid(), ME))
    assert abandoned(tmp_path) == []


def test_a_folder_whose_run_has_ended_is_abandoned_though_its_pid_is_used_again(tmp_path: Path) -> None:
    left = folder(tmp_path, run(os.getpid(), "another boot:1"))
    assert abandoned(tmp_path) == [left]


@pytest.mark.parametrize("owner", ["", "{", "[]", '{"pid": 1}'])
def test_a_folder_that_says_nothing_is_left_alone(tmp_path: Path, owner: str) -> None:
    folder(tmp_path, owner)
    assert abandoned(tmp_path) == []
