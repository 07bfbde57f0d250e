"""A circuit breaker: what has failed is left alone for a while, so that nobody waits for the same failure again."""

from __future__ import annotations

import time


class CircuitBreaker:
    """Opens when a call fails; after ``rest`` seconds one call tries again, and the others keep failing meanwhile.

    Source: M. Nygard, "Release It!", Pragmatic Bookshelf, 2007, "Circuit Breaker".
    """

    def __init__(self, rest: float) -> None:
        self.rest = rest
        self._until = 0.0

    def refuses(self) -> bool:
        """Tell whether a call is to fail at once; one that is let through says what became of it."""
        now = time.monotonic()
        if now < self._until:
            return True
        if self._until:
            self._until = now + self.rest  # this call tries
        return False

    def failed(self) -> bool:
        """Take in a failure; tell whether it is the first since the last success."""
        first, self._until = not self._until, time.monotonic() + self.rest
        return first

    def succeeded(self) -> None:
        """Take in a success."""
        self._until = 0.0
