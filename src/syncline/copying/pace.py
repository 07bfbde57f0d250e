"""How fast rows pass: a copy leaves the application its room. Called by the threads that carry."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from syncline.model.turns import Turns
from syncline.ports.copying import StoppedError

RATE = 10_000
"""Rows a second by default, of all copiers together."""
SLOWEST = 0.1
"""Of the rate, while the source takes longer than usual: never nothing."""
SLICE_SECONDS = 0.2
BEHIND_SECONDS = 0.5
"""What was not used may be made up for by so much."""


class Pacing:
    """Lets rows pass at a rate, and ends who is told to stop."""

    def __init__(
        self,
        rate: float | None = RATE,
        *,
        share: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] | None = None,
    ) -> None:
        """``rate``: rows a second; ``None``: no limit. ``share``: as much of it is taken at first."""
        self.rate = rate
        self.share = share
        """Of the rate: less while the source takes longer than usual."""
        self._clock = clock
        self._stopping = threading.Event()
        self._sleep = sleep or self._stopping.wait
        self._turns = Turns(BEHIND_SECONDS, now=clock())
        self._lock = threading.Lock()

    def passed(self, rows: int, _bytes: int = 0) -> None:
        """Count rows, and return when the next ones may pass.

        Raises:
            StoppedError: somebody has called ``stop``.

        """
        self._check()
        if self.rate is None or not rows:
            return
        with self._lock:
            due = self._turns.passed(rows, self.rate * self.share, now=self._clock())
        while (left := due - self._clock()) > 0:
            self._sleep(min(left, SLICE_SECONDS))
            self._check()

    def heed(self, *, strained: bool) -> None:
        """Take half the rate while the source takes longer than usual, and more again afterwards."""
        self.share = max(SLOWEST, self.share / 2) if strained else min(1.0, self.share * 1.25)

    @property
    def slowed(self) -> bool:
        """Whether the source has asked for less than the rate."""
        return self.share < 1.0

    def stop(self) -> None:
        """End every range that is under way."""
        self._stopping.set()

    def _check(self) -> None:
        if self._stopping.is_set():
            raise StoppedError
