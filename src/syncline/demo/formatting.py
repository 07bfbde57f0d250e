"""Numbers, durations and curves as short text."""

from __future__ import annotations

import math
from collections.abc import Sequence

BARS = "▁▂▃▄▅▆▇█"


def number(value: float) -> str:
    """Write a whole number with separators."""
    return f"{round(value):,}"


def duration(seconds: float | None) -> str:
    """Write a duration with its unit: three digits at most."""
    if seconds is None:
        return "-"
    if seconds <= 0:
        return "0 s"
    if seconds < 0.9995:
        milliseconds = seconds * 1000
        return f"{milliseconds:.1f} ms" if milliseconds < 9.95 else f"{milliseconds:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 99.5 else f"{seconds:.0f} s"


def sparkline(values: Sequence[float], width: int, *, size: int = 1, logarithmic: bool = False) -> str:
    """Draw the newest values as bars, the highest as a full one; nothing (0) is the lowest bar.

    Each bar is the highest of ``size`` values, so that no peak gets lost.
    """
    if width < 1 or not values:
        return ""
    groups = [max(values[at : at + size]) for at in range(0, len(values), size)]
    return "".join(BARS[height] for height in _heights(groups[-width:], logarithmic=logarithmic))


def _heights(values: Sequence[float], *, logarithmic: bool) -> list[int]:
    if logarithmic:
        least = min((value for value in values if value > 0), default=1.0)
        values = [math.log10(max(value, least) / least) for value in values]
    top = max(values, default=0.0)
    if top <= 0:
        return [0 for _ in values]
    return [min(len(BARS) - 1, math.ceil(value / top * (len(BARS) - 1))) for value in values]
