"""How fast requests were lately: a percentile over the last minutes, for the alert that the health routes give."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable

from syncline.telemetry.catalogue import API_BUCKETS

SLICE_SECONDS = 15.0
SLICES = 20
"""Five minutes."""
FEWEST = 20
"""Requests below which no percentile is worth an alert."""


class RecentLatency:
    """Counts durations in buckets, a set of buckets for each slice of time; old slices are forgotten."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._slices: deque[tuple[float, list[int]]] = deque(maxlen=SLICES)

    def add(self, seconds: float) -> None:
        """Take in one request."""
        now = self._now()
        if not self._slices or now - self._slices[-1][0] >= SLICE_SECONDS:
            self._slices.append((now, [0] * (len(API_BUCKETS) + 1)))
        self._slices[-1][1][bisect_left(API_BUCKETS, seconds)] += 1

    def percentile(self, share: float = 0.95) -> float | None:
        """Estimate the duration in seconds that ``share`` of the requests did not exceed; ``None``: too few.

        Between two bounds it interpolates; above the last it gives that.
        """
        oldest = self._now() - SLICES * SLICE_SECONDS
        recent = [counts for at, counts in self._slices if at > oldest]
        counts: list[int] = [sum(column) for column in zip(*recent, strict=True)]
        total = sum(counts)
        if total < FEWEST:
            return None
        rank, below = share * total, 0
        for place, count in enumerate(counts[:-1]):
            if below + count >= rank:
                low = API_BUCKETS[place - 1] if place else 0.0
                return low + (API_BUCKETS[place] - low) * (rank - below) / count
            below += count
        return API_BUCKETS[-1]

    def measures(self) -> dict[str, float]:
        """Give ``api_p95_ms`` for the thresholds; nothing while there are too few requests."""
        found = self.percentile()
        return {} if found is None else {"api_p95_ms": found * 1000}
