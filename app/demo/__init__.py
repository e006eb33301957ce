"""What `deskstream run` runs on: real tickets and articles where they are at hand, else the demo set here."""

from __future__ import annotations

from pathlib import Path

HERE = Path(__file__).parent
_REAL = HERE.parents[2] / "shared" / "data"
_REAL_TICKETS = _REAL / "tickets" / "sumo_firefox_gold.dev.jsonl"
_REAL_KNOWLEDGE = _REAL / "kb" / "sumo_firefox.docs.jsonl"


def tickets_path() -> Path:
    """A file of tickets, JSON Lines."""
    return _REAL_TICKETS if _has_real_data() else HERE / "tickets.jsonl"


def knowledge_path() -> Path:
    """A file or a folder of articles."""
    return _REAL_KNOWLEDGE if _has_real_data() else HERE / "kb"


def _has_real_data() -> bool:
    """Both, since tickets without their articles show nothing."""
    return _REAL_TICKETS.exists() and _REAL_KNOWLEDGE.exists()
