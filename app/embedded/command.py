"""How to start ourselves as another process."""

from __future__ import annotations

import sys
from pathlib import Path


def deskstream() -> tuple[str, ...]:
    """The installed command of this very environment, else the module behind it."""
    script = Path(sys.executable).with_name("deskstream")
    return (str(script),) if script.exists() else (sys.executable, "-m", "app.cli.main")
