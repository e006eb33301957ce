"""Which offsets of a partition are finished, as the offset commit's metadata carries it.

Calls finish out of order. The committed offset is the lowest unfinished one (``base``); a bitmap in its metadata says
what is finished beyond it. Bit i stands for offset base + i. Offsets that were never polled (transaction markers,
compacted records) count as finished.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

# The broker's offset.metadata.max.bytes is 4,096, and the commit's number stands before the map.
MAP_CHARS_MAX = 4_096 - 32

# Two encodings, told apart by their prefix. A plain bitmap of 24,000 offsets fits the limit. Beyond that, what is
# unfinished is sparse: the gaps between unfinished offsets, a byte each (255: 255 and more to come), deflated. So a
# stuck head costs little, however far the others run ahead; 2,500 unfinished among 100,000 take 3,000 characters.
_PLAIN, _GAPS = "1:", "2:"
_GAP_MAX = 255


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
        bit = offset - self.base
        return bit < 0 or (bit < self.bits.bit_length() and bool(self.bits >> bit & 1))

    def take(self, offset: int) -> bool:
        """Register a polled offset. False: it was taken before or is finished, so skip it."""
        if offset == self.next and offset - self.base >= self.bits.bit_length():  # nearly always
            self.next = offset + 1
            return True
        if offset < self.next:
            return False
        gap = offset - self.next
        finished = self.is_finished(offset)
        if gap:
            self.bits |= ((1 << gap) - 1) << (self.next - self.base)
        self.next = offset + 1
        if gap:
            self._advance()
        return not finished

    def finish(self, offsets: Iterable[int]) -> None:
        # One mask and one "or": an "or" for each offset would copy the whole map each time.
        mask = bytearray(max(0, self.next - self.base) // 8 + 1)
        for offset in offsets:
            bit = offset - self.base
            if bit >= 0:
                mask[bit >> 3] |= 1 << (bit & 7)
        self.bits |= int.from_bytes(mask, "little")
        self._advance()

    def union(self, other: CompletionMap) -> CompletionMap:
        """What either map counts as finished."""
        base = max(self.base, other.base)
        bits = self.bits >> (base - self.base) | other.bits >> (base - other.base)
        merged = CompletionMap(base=base, bits=bits, next=max(self.next, other.next))
        merged._advance()
        return merged

    def encoded_with(self, offsets: Iterable[int]) -> tuple[int, str]:
        """(offset, metadata) as if ``offsets`` were finished, leaving this map as it is.

        The metadata can be longer than ``MAP_CHARS_MAX``: commit fewer offsets then, never without the map.
        """
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
    plain = bits.to_bytes((bits.bit_length() + 7) // 8, "little")
    encoded = _PLAIN + base64.b64encode(plain).decode()
    if len(encoded) <= MAP_CHARS_MAX:
        return encoded
    return _GAPS + base64.b64encode(zlib.compress(_gaps(plain, bits.bit_length()), level=1)).decode()


def _gaps(plain: bytes, length: int) -> bytes:
    """The finished offsets before each unfinished one of the first ``length`` bits, the last run included."""
    flags = np.unpackbits(np.frombuffer(plain, np.uint8), bitorder="little")[:length]
    unfinished = np.concatenate(([-1], np.flatnonzero(flags == 0), [length]))
    runs = np.diff(unfinished) - 1
    return b"".join(bytes([_GAP_MAX]) * (run // _GAP_MAX) + bytes([run % _GAP_MAX]) for run in runs.tolist())


def _ungapped(encoded: bytes) -> int:
    bits, position, run = 0, 0, 0
    for gap in encoded:
        run += gap
        if gap < _GAP_MAX:
            bits |= ((1 << run) - 1) << position
            position += run + 1
            run = 0
    return bits


def _decode(metadata: str | None) -> int:
    prefix, text = (metadata or "")[:2], (metadata or "")[2:]
    try:
        if prefix == _PLAIN:
            return int.from_bytes(base64.b64decode(text, validate=True), "little")
        if prefix == _GAPS:
            return _ungapped(zlib.decompress(base64.b64decode(text, validate=True)))
    except (binascii.Error, zlib.error):
        return 0
    return 0
