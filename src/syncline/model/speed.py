"""How fast a count grows, over a window of time. Pure."""

from __future__ import annotations

from collections import deque


class Speed:
    """How fast a count has grown lately.

    Args:
        window: seconds to look back; 0: to the last time that the count was taken in.

    """

    def __init__(self, window: float) -> None:
        self._window = window
        self._seen: deque[tuple[float, float]] = deque()

    def note(self, count: float, *, at: float) -> None:
        """Take in the count at a time (any clock, in seconds)."""
        self._seen.append((at, count))
        while len(self._seen) > 2 and self._seen[1][0] <= at - self._window:
            self._seen.popleft()

    @property
    def per_second(self) -> float | None:
        """``None`` until it is known."""
        if not self._seen:
            return None
        (began, first), (ended, last) = self._seen[0], self._seen[-1]
        return (last - first) / (ended - began) if ended > began else None

    def seconds_left(self, total: float | None) -> float | None:
        """How long it takes to reach ``total`` at this speed; ``None``: nobody knows."""
        speed = self.per_second
        if total is None or not speed:
            return None
        return max(0.0, (total - self._seen[-1][1]) / speed)
