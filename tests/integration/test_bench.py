"""The benchmark runs: short, ours alone, on the tests' own servers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("psutil", reason="the benchmark's extra is not installed: make .venv/bench")
pytest.importorskip("matplotlib", reason="the benchmark's extra is not installed: make .venv/bench")

from tests.bench.__main__ import options_of, run

SHORT = ["--seconds", "3", "--warm-up", "1", "--runs", "1", "--cells", "100:50:uniform"]


async def test_a_short_benchmark_of_ours_gives_a_rate_within_its_bound_and_every_latency(
    kafka_bootstrap: str, tmp_path: Path
) -> None:
    """100 calls of 50 ms in flight are at most 2,000 a second; none of them comes out twice or out of order."""
    await run(options_of([*SHORT, "--only", "ours", "--out", str(tmp_path)]), kafka_bootstrap, database_url="")
    (rate,) = json.loads((tmp_path / "runtime.json").read_text())
    assert 0 < rate["rate_median"] <= rate["bound"] * 1.02  # the edges of so short a time
    assert (rate["repeated"], rate["out_of_order"]) == (0, 0)
    assert (tmp_path / "runtime.png").stat().st_size > 0
    (latency,) = json.loads((tmp_path / "latency.json").read_text())
    assert latency["records"] == 3_000
    assert 0 < latency["p50_ms"] <= latency["p99_ms"]
