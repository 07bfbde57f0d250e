"""Finding the one record that brings the target down, by halving the batch."""

from __future__ import annotations

from collections.abc import Mapping

from syncline.relay.work import Touched

TRIES = 3
"""Failures, each followed by a probe that succeeds, before a batch is suspected."""
LONE_TRIES = 5
"""The same, before a lone record is convicted: a bad network may fail it several times in a row."""
CALM = 200
"""Batches that succeed in a row before the search is given up."""
MOST_HALVINGS = 16


class Poison:
    """Counts failures that are the batch's and not the server's.

    The server fails with a batch, a small write of our own succeeds, and this happens again: then something in the
    batch is at fault. The batch is halved (``shrink`` times) until a lone record fails; that one is convicted. Trouble
    of the server convicts nobody, however long it lasts.
    """

    def __init__(self) -> None:
        self.shrink = 0
        self.suspect: tuple[int, str] | None = None
        """The only key of the batch that failed last, if it had only one."""
        self._failures = 0
        self._lone: tuple[tuple[int, str] | None, int] = (None, 0)
        self._successes = 0

    @property
    def suspects(self) -> bool:
        """Whether a lone record has failed already: the next tries are further apart, it may still be the server."""
        return self._lone[1] > 0

    def innocent(self) -> None:
        """The server itself is in trouble."""
        self._failures = 0
        self._lone = (None, 0)

    def succeeded(self, touched: Mapping[int, Touched]) -> int:
        """A batch went through, and with it these records; return how often to halve the next one."""
        self._failures = 0
        lone = self._lone[0]
        if lone is not None and lone[0] in touched and lone[1] in touched[lone[0]].hints:
            self._lone = (None, 0)  # it can be written: what had failed was something else
        if self.shrink:
            self._successes += 1
            if self._successes > CALM:
                self.shrink = 0
        return self.shrink

    def guilty(self) -> tuple[int, str] | None:
        """A batch failed although the server takes writes; return the record to park once it is found."""
        self._failures += 1
        self._successes = 0
        if self.suspect is not None:
            known, count = self._lone
            self._lone = (self.suspect, count + 1 if known == self.suspect else 1)
            if self._lone[1] < LONE_TRIES:
                return None
            culprit, self.shrink, self._lone, self._failures = self.suspect, 0, (None, 0), 0
            return culprit
        if self.shrink or self._failures >= TRIES:
            self.shrink = min(self.shrink + 1, MOST_HALVINGS)
        return None
