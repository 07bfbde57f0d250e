"""Does the source take longer than usual? Pure: it is told samples and times."""

from __future__ import annotations

from collections import deque

BUCKET_SECONDS = 60.0
BUCKETS = 10
KEPT = 200
FACTOR = 3.0
SLACK_SECONDS = 0.002
"""A fifth of a millisecond that becomes two is no strain."""
USUAL = 0.2
"""The part of a bucket's samples that lies below its usual one: most of them are taken under our own load."""


class Latency:
    """Compares a sample with the usual one of the last ten minutes.

    The usual one is that of the calmest minute: marking makes load of its own for as long as it runs, so that a mean
    would follow it. What lasts for longer than that has become usual. (LEDBAT, RFC 6817, keeps its base delay so.)
    """

    def __init__(self) -> None:
        self._buckets: deque[tuple[int, list[float]]] = deque(maxlen=BUCKETS)
        self._last = 0.0
        self.looked: float | None = None
        """When somebody has looked last, on the same clock; ``None``: nobody has."""

    def note(self, seconds: float, *, at: float) -> None:
        """Take in a sample.

        Args:
            seconds: how long it took.
            at: on any monotonic clock, in seconds.

        """
        number = int(at // BUCKET_SECONDS)
        while self._buckets and self._buckets[0][0] <= number - BUCKETS:
            self._buckets.popleft()
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append((number, []))
        samples = self._buckets[-1][1]
        samples.append(seconds)
        if len(samples) > KEPT:
            del samples[0]
        self._last = seconds
        self.looked = at

    @property
    def usual(self) -> float:
        """The usual sample, in seconds; 0 before the first one."""
        return min((_low(samples) for _, samples in self._buckets), default=0.0)

    @property
    def strained(self) -> bool:
        """Whether the newest sample is far above the usual one."""
        return self._last > FACTOR * self.usual + SLACK_SECONDS


def _low(samples: list[float]) -> float:
    return sorted(samples)[int(USUAL * (len(samples) - 1))]
