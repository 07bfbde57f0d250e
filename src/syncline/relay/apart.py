"""Entities in trouble: their marks are worked off apart from the others.

Some record cannot be read, or not now; or many cannot be written. One row that fails an expression fails the statement
for all. To find it takes a statement for every few records, and these are not spent on the way that all entities share,
nor is the wait for a table that is locked: the entity's marks of that batch become an ``Apart``, which is read in
parts, on a connection of its own, each part a batch of its own. Meanwhile the entity's other marks stay in the outbox;
a new pass finds them when the group is done.

A record that cannot be written costs several times what a good one does: it is encoded alone to see that it is to
blame, refused with a long message, parked, told. A crowd of them would fill the batches that all entities share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from syncline.model.mark import Mark
from syncline.ports import Plan
from syncline.relay.outcome import Outcome

PART = 250
"""Keys of one part at most."""
GROUP = 4 * PART
"""Marks of one group, where so many wait."""
STATEMENTS = 64
"""Statements that one part may take; what is not read then is left to the next."""
CROWD, SHARE = 25, 0.1
"""Records of an entity in one batch that cannot be written, and their share, from which on all of its marks are worked
off apart: this is slower, and a backlog with a bad record here and there need not be."""
MOST_REST = 0.25
"""Seconds between two parts at most, while other entities have changes."""


@dataclass(slots=True, eq=False)
class Apart:
    """Marks of one entity that are to be read apart."""

    plan: Plan
    leases: Mapping[int, int]
    """The leases under which the marks were taken."""
    admission: str = ""
    """What the target's gate said before they were."""
    marks: dict[str, list[Mark]] = field(default_factory=dict)
    """By key."""
    served: int = 0
    """Records of the parts so far."""
    unwritten: int = 0
    """Those of them that could not be written."""

    def add(self, marks: Sequence[Mark]) -> None:
        """Take in marks."""
        for mark in marks:
            for key in (mark[3],) if mark[6] is None else mark[6]:
                one = mark if mark[6] is None else mark._replace(keys=(key,), whole=False)
                self.marks.setdefault(key, []).append(one)

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

    def count(self, outcome: Outcome) -> None:
        """Take in what became of a part."""
        self.served += len(outcome.work.touched[self.plan.id].hints)
        self.unwritten += outcome.unwritten()[self.plan.id]


class Crowds:
    """Entities of which many records could not be written the last time."""

    def __init__(self) -> None:
        self._entities: set[int] = set()

    def __contains__(self, entity: int) -> bool:
        return entity in self._entities

    def look(self, outcome: Outcome) -> None:
        """Take in what became of a batch."""
        if outcome.rejected or outcome.waiting:
            unwritten, touched = outcome.unwritten().items(), outcome.work.touched
            self._entities.update(e for e, count in unwritten if _is_crowd(count, len(touched[e].hints)))

    def leave(self, group: Apart) -> None:
        """Let an entity back among the others when nearly all of its group could be written, however few these were."""
        if group.unwritten <= SHARE * group.served:
            self._entities.discard(group.plan.id)


def _is_crowd(unwritten: int, records: int) -> bool:
    return unwritten >= CROWD and unwritten >= SHARE * records
