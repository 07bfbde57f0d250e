"""Marking many records of an entity: ranges of its keys, lists of them, and what only the target has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from syncline.ports.records import Plan
from syncline.ports.tasks import Tasks

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which of some keys have a row for which the conditions hold."""

    keys: list[str]
    doubtful: list[str]
    """The conditions fail at these rows, or were not asked: so many statements were too many."""


@dataclass(frozen=True, slots=True)
class Absent:
    """Which of some keys the source lacks."""

    keys: list[str]
    """No row, or one outside of the filter."""
    impossible: list[str]
    """No value of the column's type has this text (no such enum label, no such day)."""


class Keys(Protocol):
    """The keys of one entity in the order of their index, as texts. What marks them does so in one transaction.

    Args named ``and_`` are called in that transaction, before it commits; they may be called again when it is repeated.
    """

    async def last(self) -> str | None:
        """Find the highest key; ``None``: there is no row."""
        ...

    async def count(self, most: int) -> int:
        """Count the rows, up to so many."""
        ...

    async def boundary(self, after: str | None, last: str, size: int) -> str | None:
        """Find the key that ends a chunk of so many rows; ``None``: no more than these are left up to ``last``."""
        ...

    async def mark_range(self, after: str | None, until: str, *, and_: Callable[[int], Awaitable[None]]) -> None:
        """Mark the rows inside the filter after one key, up to another; ``and_`` is told their number.

        Raises:
            SourceError: a condition fails at some row (``of_records``): nothing is marked.

        """
        ...

    async def chosen(self, after: str | None, until: str) -> Chosen:
        """Tell which of these rows are to be marked, where one statement for all of them fails."""
        ...

    async def mark(self, keys: Sequence[str], hint: str, *, and_: Callable[[], Awaitable[None]]) -> None:
        """Mark keys, whether they have rows or not.

        Marks of one call have no order among themselves (of more than about 32,000 keys, those of a lane are in several
        blocks, numbered in any order): whoever reads them reads the records as they are.
        """
        ...

    async def absent(self, keys: Sequence[str]) -> Absent:
        """Find the keys that have no row inside the entity's filter."""
        ...

    async def are_still_the_key(self) -> bool:
        """Tell whether the entity's key is the one that was compiled; inside of ``and_`` it stays so to the commit."""
        ...


class Marking(Protocol):
    """What marks many records, for one worker, on connections of its own."""

    @property
    def tasks(self) -> Tasks:
        """Backfills and sweeps."""
        ...

    def keys(self, plan: Plan, *, where: str | None = None) -> Keys:
        """Give the keys of an entity; ``where``: only rows for which this SQL condition holds too are marked."""
        ...

    async def together(self, act: Callable[[], Awaitable[T]]) -> T:
        """Do something in one transaction; ``act`` must not leave anything behind when it is repeated."""
        ...

    async def check_condition(self, plan: Plan, where: str) -> None:
        """Have the database parse a condition; nothing is executed.

        Raises:
            ConditionError: it is no condition over this table.

        """
        ...
