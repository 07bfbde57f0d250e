"""Rows that are refused for other ones again and again: in the end they give way, or two could wait for each other."""

from __future__ import annotations

import time
from collections.abc import Sequence

from syncline.engines.postgres.target.changes import Changes, Outcome
from syncline.engines.postgres.target.tables import Table
from syncline.model.entity import TableName

MOST_TRIED = 100_000
GIVES_WAY_AFTER = 3
"""Times that a row is refused for another one before it gives way: by then most others have come, and one whose
conflict is real is parked (relay/conflicts.py: PATIENCE): it keeps its row."""
FORGOTTEN_SECONDS = 30.0
"""So long after its last refusal a row begins anew: who waits is tried each second, this one was parked meanwhile."""


class Refused:
    """How often each row was refused in a row."""

    def __init__(self) -> None:
        self._refused: dict[tuple[TableName, str], tuple[int, float]] = {}
        """How often, and when last."""

    def yielding(self, batch: Sequence[Changes]) -> set[tuple[Table, str]]:
        """Give the rows of a batch that give way from now on."""
        if not self._refused:
            return set()
        return {
            (changes.table, key)
            for changes in batch
            for key in changes.keys
            if self._times((changes.table.name, key)) >= GIVES_WAY_AFTER
        }

    def _times(self, record: tuple[TableName, str]) -> int:
        times, last = self._refused.get(record, (0, 0.0))
        return times if time.monotonic() - last < FORGOTTEN_SECONDS else 0

    def remember(self, batch: Sequence[Changes], outcome: Outcome) -> None:
        """Count what has become of a batch."""
        waiting = {(refusal.table, refusal.key) for refusal in outcome.refused}
        if self._refused:
            for changes in batch:
                for key in changes.keys:
                    if (changes.table.name, key) not in waiting:
                        self._refused.pop((changes.table.name, key), None)
        if len(self._refused) > MOST_TRIED:
            self._refused.clear()
        for record in waiting:
            self._refused[record] = self._times(record) + 1, time.monotonic()
