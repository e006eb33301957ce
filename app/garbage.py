"""Python's collector of cycles, for a process with thousands of records in flight."""

from __future__ import annotations

import gc

# Records in flight are freed by their reference counts. Each full collection walks them all, and holds the loop for
# as long; with Python's own thresholds that is several times a second.
_YOUNG_MAX, _MIDDLE_MAX, _OLD_MAX = 100_000, 20, 100


def settle() -> None:
    """Once everything is loaded: never look at it again, and rarely at the rest."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_MAX, _MIDDLE_MAX, _OLD_MAX)
