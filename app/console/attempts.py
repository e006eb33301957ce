"""How often each address tried to sign in, and failed, of late: for this process, whatever the accounts."""

from __future__ import annotations

from collections import OrderedDict

FAILURES_MAX = 30
WITHIN_S = 900.0
ADDRESSES_MAX = 10_000


class Attempts:
    def __init__(self) -> None:
        self._failed: OrderedDict[str, list[float]] = OrderedDict()

    def begin(self, address: str, now: float) -> bool:
        """Counts as failed until it has succeeded, so that many at once can't slip through. False: too often."""
        recent = [at for at in self._failed.pop(address, []) if now - at < WITHIN_S]
        if allowed := len(recent) < FAILURES_MAX:
            recent.append(now)
        self._failed[address] = recent
        if len(self._failed) > ADDRESSES_MAX:
            self._failed.popitem(last=False)
        return allowed

    def succeeded(self, address: str) -> None:
        if self._failed.get(address):
            self._failed[address].pop()
