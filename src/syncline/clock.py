"""A clock for what ends by itself, wherever its process is meanwhile."""

from __future__ import annotations

import time

_BOOTTIME = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # macOS has only the second; it counts sleep there


def boottime() -> float:
    """Seconds on a clock that also counts while the machine (or this process) is suspended."""
    return time.clock_gettime(_BOOTTIME)
