"""Turns: while many marks wait, those that are made after them are read in between.

A pass over a transaction of a million rows is long, and whoever writes after it would wait for its end. So while more
waits than one batch takes, what is marked from then on has a turn every quarter of a second: one read that begins above
all that waited, and leaves the pass where it was. It is a read more, never one instead: the pass comes to the same
marks, if they still wait then.
"""

from __future__ import annotations

import time

from syncline.ports import Floor

TURN_SECONDS = 0.25
"""Between two turns at least; a pass reads one batch in between at least."""


class Turns:
    """Tells a reader which of its reads are turns, and where they begin.

    Args:
        floor: knows which numbers were drawn; ``None``: numbers do not say what was made later, there are no turns.

    """

    def __init__(self, floor: Floor | None) -> None:
        self._floor = floor
        self._front: int | None = None
        """Marks above this have turns."""
        self._drawn: int | None = None
        """The highest number that was given out when a read was full for the first time."""
        self._due = 0.0
        self._was_one = False

    def reset(self) -> None:
        """Forget what waited: there are new lanes."""
        self._front = self._drawn = None

    def next(self) -> int | None:
        """Give the number above which the next read begins if it is a turn; ``None``: the pass goes on."""
        now = time.monotonic()
        self._was_one = self._front is not None and not self._was_one and now >= self._due
        if not self._was_one:
            return None
        self._due = now + TURN_SECONDS
        return self._front

    async def look(self, *, turn: bool, full: bool, size: int, most: bool) -> None:
        """Take in what a read has found.

        Where a turn finds as much as a read takes, too, the next ones begin above that: whoever comes last waits least.

        Args:
            turn: it was a turn.
            full: there may be more behind it.
            size: how many marks it could take. The front is half as many numbers below the last one, as a margin: they
                have no more keys than that, and among them are the last that were made before this read.
            most: no read takes more. Until reads have grown to that there are no turns; what is made meanwhile is
                above the front.

        """
        if self._floor is None:
            return
        if turn:
            if full:
                self._front = max(self._front or 0, await self._floor.drawn() - size // 2)
        elif not full:
            self.reset()
        elif self._front is None:
            if self._drawn is None:
                self._drawn = await self._floor.drawn()
            if most and self._drawn:  # 0: it cannot be told
                self._front = max(0, self._drawn - size // 2)
