"""The initial copy of tables: what source and target remember of it, and who carries a range over."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from syncline.ports.records import Plan


class Bounds(NamedTuple):
    """A range of keys: after one, up to and with another, as texts of the key's columns in its index' order."""

    after: tuple[str, ...] | None
    until: tuple[str, ...] | None

    def __str__(self) -> str:
        parts = [f"{word} {', '.join(key)}" for word, key in (("after", self.after), ("up to", self.until)) if key]
        return " ".join(parts) or "all keys"


@dataclass(frozen=True, slots=True)
class Range:
    """A part of a table, as the target remembers it."""

    id: int
    number: int
    """From 1."""
    bounds: Bounds
    done: bool
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Copy:
    """A table's copy, as the source remembers it."""

    entity: int
    id: str
    """Changes when the copy begins anew."""
    begun_at: datetime
    fenced: bool
    """No batch that was read before can be written any more."""
    copied_at: datetime | None


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table can be divided."""

    bounds: Sequence[Bounds]
    rows: int
    """About so many."""
    bytes: int


@dataclass(frozen=True, slots=True)
class Destination:
    """A table of the target, as far as the order of copies and their form depend on it."""

    name: str
    parents: frozenset[str]
    """Tables that it refers to, perhaps itself."""
    children: frozenset[str]
    """Tables that refer to it, perhaps itself."""
    binary: bool
    """Values travel in PostgreSQL's binary form: both sides' types have the same."""
    why_text: str = ""
    """Why not."""


class Copied(NamedTuple):
    """What became of a range."""

    rows: int
    bytes: int
    left: Sequence[str] = ()
    """Keys whose rows had to wait for others; they are marked."""


class RangeLostError(Exception):
    """Another copier has begun the range anew, or has done it; nothing was written."""


class StoppedError(Exception):
    """The copy was told to stop; what of the range was written is rolled back."""


Tell = Callable[[int, int], None]
"""Told how many more rows and bytes have passed; may take its time, and may raise ``StoppedError``."""


class Copies(Protocol):
    """What the source remembers: while a table is not declared copied, nobody reads its marks and no sweep begins."""

    async def all(self) -> dict[int, Copy]:
        """Read what is known, by entity."""
        ...

    async def begin(self, plans: Collection[Plan], *, above: int) -> Mapping[int, int]:
        """Have marks wait from now on, and take every lane from its worker, in one transaction.

        The backfills and sweeps that the installation has asked for until now wait; ``declare`` drops them.
        It is noted what the entities were compiled from: where that has changed when the first worker compiles them,
        every record is marked, as rows were read without the columns that have come since.

        Args:
            plans: the copies of their entities begin anew.
            above: the highest epoch in the target.

        Returns:
            Lane to a new epoch. Once that stands in the target, nothing that was read before can be written there.

        """
        ...

    async def take_lanes(self, *, above: int) -> Mapping[int, int]:
        """Take every lane from its worker; see ``begin``."""
        ...

    async def fenced(self, entities: Collection[int]) -> None:
        """Note that the lanes' new epochs stand in the target."""
        ...

    async def declare(self, copies: Sequence[Copy]) -> bool:
        """Say that tables are copied: from now on their marks are read. False: one of the copies is not known any more.

        All are declared, or none.

        Workers begin anew with their lanes: they have passed over marks that are due now.
        """
        ...

    async def look(self, copy: Copy) -> float:
        """Commit something small, as durable as the application's changes; how long that took, in seconds."""
        ...

    async def layout(self, plan: Plan, *, range_rows: int, range_bytes: int) -> Layout:
        """Divide a table into ranges of about so many rows and bytes: a short read of a part of its pages."""
        ...

    async def give_up(self, entities: Collection[int]) -> None:
        """Forget the copies of entities: their marks are read again, whatever the target holds."""
        ...


class Ranges(Protocol):
    """What the target remembers: which ranges are done, and who is at one."""

    async def prepare(self) -> None:
        """Create our table; see that no other copy runs.

        Raises:
            CopyError: another one does.

        """
        ...

    async def describe(self, plan: Plan) -> Destination:
        """Look at the target's table.

        Raises:
            UnsuitableTargetError, PrivilegeError: it cannot be written.

        """
        ...

    async def of(self, copy: Copy) -> list[Range]:
        """List the ranges of a copy; none: they are still to be laid."""
        ...

    async def is_empty(self, plan: Plan) -> bool:
        """Tell whether the target's table has no row."""
        ...

    async def require_unreferred(self, plans: Sequence[Plan]) -> None:
        """See that the tables can be emptied without a change to others.

        Raises:
            CopyError: rows of a table that is not one of these refer to one of them.

        """
        ...

    async def lay(self, copies: Sequence[tuple[Copy, Plan, Sequence[Bounds]]], *, replace: bool) -> None:
        """Remember the ranges of copies, in one transaction; what was remembered of these tables before is forgotten.

        Args:
            copies: children first.
            replace: delete what is in these tables, in the same transaction.

        Raises:
            CopyError: with ``replace``; see ``require_unreferred``.

        """
        ...

    async def forget(self, copy: Copy) -> None:
        """Forget the ranges of a copy that is declared. Idempotent."""
        ...


class Carrier(Protocol):
    """Carries ranges over, on two connections of its own; blocks the thread in which it is called."""

    def carry(self, plan: Plan, part: Range, tell: Tell) -> Copied:
        """Begin the range anew and copy it, in one transaction of the target with the note that it is done.

        A row that has to wait for another one (a unique value, a parent that is not there) is left out and marked.

        Raises:
            RangeLostError, StoppedError: nothing is written.
            RejectedRowError: the target refuses a row; nothing is written.
            SourceError, TargetError: nothing is written, as far as it is known; the range may be carried again.

        """
        ...

    def close(self) -> None:
        """Close the connections; an open transaction is rolled back."""
        ...
