"""Pauses of the worker."""

from __future__ import annotations

import random
from datetime import timedelta


class Backoff:
    """Exponential backoff with full jitter.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    def __init__(
        self, *, first: timedelta = timedelta(milliseconds=50), most: timedelta = timedelta(seconds=5)
    ) -> None:
        self._first = first.total_seconds()
        self._most = most.total_seconds()
        self.attempts = 0

    def next(self) -> timedelta:
        """Draw the next pause."""
        ceiling = min(self._most, self._first * 2 ** min(self.attempts, 30))
        self.attempts += 1
        return timedelta(seconds=random.uniform(ceiling / 10, ceiling))  # noqa: S311  not a secret

    def reset(self) -> None:
        """Start over: it worked."""
        self.attempts = 0
