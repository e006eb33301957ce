"""What ``run`` says of the console once it is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.cli.main import _print_way_in
from app.config import Settings
from app.embedded.servers import SETTINGS


def test_after_servers_that_run_stopped_again_the_way_to_the_console_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a machine where nothing is up any more."""
    for name in SETTINGS:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setattr("app.cli.shared.settings", lambda: Settings(state_dir=tmp_path))
    _print_way_in("demo")
    assert "deskstream up" in capsys.readouterr().out
