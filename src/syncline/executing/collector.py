"""The garbage collector of a process that works on many records."""

from __future__ import annotations

import gc


def tune_garbage_collection() -> None:
    """Fit the collector to a worker's process.

    Documents are many, short-lived and free of cycles; by default the collector walks them over and over.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
