"""The desk's worker and the auditor as processes of their own, beside the embedded servers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from app.embedded.command import deskstream
from app.embedded.process import Process
from app.embedded.server import EmbeddedServer, Say, quiet


class EmbeddedDesk(EmbeddedServer):
    name = "desk"

    def __init__(self, state_dir: Path, environment: Mapping[str, str] | None = None, *, say: Say = quiet) -> None:
        """``environment`` holds the servers' addresses; to stop it none is needed."""
        super().__init__(state_dir / self.name, say=say)
        self._environment = environment or {}

    @property
    def address(self) -> str:
        return ""  # nobody calls it

    async def prepare(self) -> Process:
        return Process(name=self.name, argv=(*deskstream(), self.name), log=self.log_path, env=self._environment)


class EmbeddedAuditor(EmbeddedDesk):
    name = "auditor"
