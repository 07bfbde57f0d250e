"""CockroachDB as a source: it polls, retries, and reads marks and states a moment in the past.

A read in the past moves no writer's timestamp, so that polling does not push the application's transactions into
retries. Marks and states of a batch are read as of the same time, so a state contains the change of its mark. What a
present read gets for nothing must be kept by rule here:

- No state is older than the lease of its lane. Else a new owner would read, in the past, a mark that the old owner has
  acknowledged since, and write the older state under its higher ticket. So the lease's own timestamp bounds every read.
- Times never go back within a session: a higher ticket is never an older state.
- Marks that this worker has acknowledged are still there in the past; they are remembered and passed over.

See https://www.cockroachlabs.com/docs/stable/as-of-system-time and docs/explanation/cockroachdb.md.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection
from datetime import timedelta
from decimal import Decimal

STALENESS = timedelta(milliseconds=500)
"""How far in the past marks are read. Writers that take longer from first to last write may still be pushed."""
MARGIN_SECONDS = 5.0
"""How long acknowledged marks are remembered beyond that: ten times the clock offset that its nodes tolerate."""


class Past:
    """The time at which a session reads."""

    def __init__(self) -> None:
        self.read_at: Decimal | None = None
        """When the marks were read that were read last; ``None``: none were."""
        self.acknowledged = Recent(STALENESS.total_seconds() + MARGIN_SECONDS)
        self._not_before = Decimal(0)

    def bound(self, when: Decimal) -> None:
        """Read nothing as of an earlier time from now on."""
        self._not_before = max(self._not_before, when)

    def advance(self, when: Decimal) -> bool:
        """Go on to a time; false: it may not be read any more."""
        if when < self._not_before or (self.read_at is not None and when < self.read_at):
            return False
        self.read_at = when
        return True


class Recent:
    """Numbers that are remembered for some seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._numbers: set[int] = set()
        self._batches: deque[tuple[float, Collection[int]]] = deque()

    def add(self, numbers: Collection[int]) -> None:
        """Remember these."""
        self._numbers.update(numbers)
        self._batches.append((time.monotonic(), numbers))

    def forget(self) -> None:
        """Forget what is old."""
        until = time.monotonic() - self._seconds
        while self._batches and self._batches[0][0] < until:
            self._numbers.difference_update(self._batches.popleft()[1])

    def __contains__(self, number: int) -> bool:
        return number in self._numbers

    def __len__(self) -> int:
        return len(self._numbers)
