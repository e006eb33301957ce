"""What the server answered, one JSON object a line: the other side of the ledger, for checks."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, BinaryIO

import orjson

KEY_CHARS_MAX = 200


class CallLog:
    """Append-only; each row is written before its answer leaves. Without a path nothing is kept."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._file: BinaryIO | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)

    def write(
        self,
        *,
        key: str | None,
        digest: str | None,
        began: float,
        task: str | None,
        model: str | None,
        status: int,
        usage: dict[str, Any] | None,
        fault: str | None,
    ) -> None:
        if self._file is None:
            return
        row = {
            "ts": round(time.time(), 6),
            "began": round(began, 6),
            "digest": digest,
            "idempotency_key": key[:KEY_CHARS_MAX] if key else None,
            "task": task,
            "model": model,
            "status": status,
            "usage": usage,
            "fault": fault,
        }
        self._file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
