"""How fast a pass reads: never so much at once that the application feels it."""

from __future__ import annotations

import asyncio
import time

from syncline.model.turns import Turns

PAGES_PER_SECOND = 50
"""A limited rate is spread over so many pages, so that no single one holds the databases up for long."""
SMALLEST = 20


class Pace:
    """Holds a pass to a number of records a second.

    Args:
        rate: records a second; ``None``: no limit.

    """

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._turns = Turns(1 / PAGES_PER_SECOND, now=time.monotonic())

    def page(self, most: int) -> int:
        """Give the size of a page."""
        if self._rate is None:
            return most
        return max(SMALLEST, min(most, int(self._rate / PAGES_PER_SECOND)))

    async def passed(self, records: int) -> None:
        """Wait until the next page may be read."""
        if self._rate is None:
            return
        now = time.monotonic()
        due = self._turns.passed(records, self._rate, now=now)
        if due > now:
            await asyncio.sleep(due - now)
