"""How a sender's times fit together."""

from __future__ import annotations

import pytest

from app.desk.sender import Pace


def test_a_claim_lasts_longer_than_all_steps_of_a_reply() -> None:
    """Looked up, the tables waited for, sent."""
    with pytest.raises(ValueError, match="not longer than"):
        Pace(timeout_s=2.0, door_s_max=5.0, lease_s=9.0)
    Pace(timeout_s=2.0, door_s_max=5.0, lease_s=9.1)
