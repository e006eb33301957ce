"""Which offsets of a partition are finished, as the offset commit's metadata carries it.

Calls finish out of order. The committed offset is the lowest unfinished one (``base``); a bitmap in its metadata says
what is finished beyond it. Bit i stands for offset base + i. Offsets that were never polled (transaction markers,
compacted records) count as finished.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from dataclasses import dataclass, field

_PREFIX = "1:"  # version of this encoding
METADATA_CHARS_MAX = 4_096  # the broker's offset.metadata.max.bytes


@dataclass
class CompletionMap:
    """``next``: the offset after the highest one taken. Invariant: bit 0 of ``bits`` is never set."""

    base: int
    bits: int = 0
    next: int = field(default=-1)

    def __post_init__(self) -> None:
        self.next = max(self.next, self.base)

    @classmethod
    def restore(cls, offset: int, metadata: str) -> CompletionMap:
        """The map as committed. Metadata of another hand (an operator's reset) restores to the bare offset."""
        return cls(base=offset, bits=_decode(metadata))

    @property
    def span(self) -> int:
        return self.next - self.base

    def is_finished(self, offset: int) -> bool:
        return offset < self.base or bool(self.bits >> (offset - self.base) & 1)

    def take(self, offset: int) -> bool:
        """Register a polled offset. False: it was taken before or is finished, so skip it."""
        if offset < self.next:
            return False
        gap = offset - self.next
        finished = self.is_finished(offset)
        if gap:
            self.bits |= ((1 << gap) - 1) << (self.next - self.base)
        self.next = offset + 1
        self._advance()
        return not finished

    def finish(self, offsets: Iterable[int]) -> None:
        for offset in offsets:
            if offset >= self.base:
                self.bits |= 1 << (offset - self.base)
        self._advance()

    def union(self, other: CompletionMap) -> CompletionMap:
        """What either map counts as finished."""
        base = max(self.base, other.base)
        bits = self.bits >> (base - self.base) | other.bits >> (base - other.base)
        merged = CompletionMap(base=base, bits=bits, next=max(self.next, other.next))
        merged._advance()
        return merged

    def encoded_with(self, offsets: Iterable[int]) -> tuple[int, str]:
        """(offset, metadata) as if ``offsets`` were finished, leaving this map as it is."""
        ahead = CompletionMap(base=self.base, bits=self.bits, next=self.next)
        ahead.finish(offsets)
        return ahead.base, _encode(ahead.bits)

    def _advance(self) -> None:
        # The number of set bits below the first unset one.
        run = (~self.bits & (self.bits + 1)).bit_length() - 1
        if run:
            self.base += run
            self.bits >>= run
            self.next = max(self.next, self.base)


def _encode(bits: int) -> str:
    if not bits:
        return ""
    encoded = _PREFIX + base64.b64encode(bits.to_bytes((bits.bit_length() + 7) // 8, "little")).decode()
    # The span cap keeps this true; dropping the map to make it fit would repeat finished records.
    assert len(encoded) <= METADATA_CHARS_MAX, f"completion map of {len(encoded)} characters"
    return encoded


def _decode(metadata: str | None) -> int:
    if not metadata or not metadata.startswith(_PREFIX):
        return 0
    try:
        return int.from_bytes(base64.b64decode(metadata[len(_PREFIX) :], validate=True), "little")
    except binascii.Error:
        return 0
