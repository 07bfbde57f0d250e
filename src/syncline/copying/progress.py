"""What a copy would do with a table, how large its ranges may be, and how far it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncline.errors import SynclineError
from syncline.ports import Plan
from syncline.ports.copying import Bounds, Copied, Copy, Destination, Layout

RANGE_ROWS = 200_000
RANGE_BYTES = 32 * 1024 * 1024


@dataclass(slots=True)
class Progress:
    """How far a table's copy is."""

    entity: str
    rows: int = 0
    """In ranges that are done."""
    passed: int = 0
    """Of those that are under way."""
    total: int = 0
    """About so many there are."""
    ranges: int = 0
    done: int = 0
    left: int = 0
    """Rows that wait for others: they are marked, and a worker writes them."""
    waiting: str = ""
    held: str = ""
    """Tables that cannot be copied, and that foreign keys join with this one: it is declared with them."""
    finished: bool = False
    """Declared copied."""
    error: SynclineError | None = None

    def add(self, copied: Copied) -> None:
        """Count a range that is done."""
        self.rows += copied.rows
        self.left += len(copied.left)
        self.done += 1
        self.waiting = ""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large a range may be."""

    rows: int = RANGE_ROWS
    bytes: int = RANGE_BYTES


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a copy would do with a table."""

    plan: Plan
    destination: Destination
    copy: Copy | None
    """Begun before, and not declared."""
    empty: bool
    layout: Layout

    @property
    def bounds(self) -> Sequence[Bounds]:
        """Its ranges; rows of a table that refer to others of it come in one transaction, or some would be refused."""
        itself = self.destination.name in self.destination.parents
        return [Bounds(None, None)] if itself else self.layout.bounds
