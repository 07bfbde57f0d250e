"""Entities of which some record cannot be read, or not now: their marks are worked off apart from the others.

One row that fails an expression fails the statement for all. To find it takes a statement for every few records, and
these are not spent on the way that all entities share, nor is the wait for a table that is locked: the entity's marks
of that batch become an ``Apart``, which is read in parts, on a connection of its own, each part a batch of its own.
Meanwhile the entity's other marks stay in the outbox; a new pass finds them when the group is done.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from syncline.model.mark import Mark
from syncline.ports import Plan

PART = 500
"""Keys of one part at most."""
STATEMENTS = 64
"""Statements that one part may take; what is not read then is left to the next."""


@dataclass(slots=True, eq=False)
class Apart:
    """Marks of one entity that are to be read apart."""

    plan: Plan
    leases: Mapping[int, int]
    """The leases under which the marks were taken."""
    marks: dict[str, list[Mark]] = field(default_factory=dict)
    """By key."""

    def add(self, marks: Sequence[Mark]) -> None:
        """Take in marks."""
        for mark in marks:
            self.marks.setdefault(mark[3], []).append(mark)

    def lost(self, held: Mapping[int, int]) -> list[Mark]:
        """Remove and give the marks of lanes that are not held under the same lease any more."""
        gone = {lane for lane, epoch in self.leases.items() if held.get(lane) != epoch}
        return self._remove([key for key, marks in self.marks.items() if marks[0][1] in gone]) if gone else []

    def next(self) -> list[Mark]:
        """Remove and give the marks of the next part."""
        return self._remove(list(self.marks)[:PART])

    def rest(self) -> list[Mark]:
        """Remove and give all that are left."""
        return self._remove(list(self.marks))

    def _remove(self, keys: Sequence[str]) -> list[Mark]:
        return [mark for key in keys for mark in self.marks.pop(key)]
