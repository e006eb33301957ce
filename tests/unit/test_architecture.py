"""ARCHITECTURE.md tells the truth about files and tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "ARCHITECTURE.md").read_text()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:app|agents|schemas|tests|infra)/[\w./-]+)", TEXT))))
def test_a_file_that_it_names_is_there(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("name", sorted(set(re.findall(r"::(test_\w+)", TEXT))))
def test_a_test_that_it_names_is_there(name: str) -> None:
    """A name that ends in an underscore is the beginning of one."""
    everything = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert f"def {name}" in everything
