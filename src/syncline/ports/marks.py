"""Marks: what has changed and is not applied yet; and how those who make them wake an idle relay."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from syncline.model.mark import Mark
from syncline.ports.records import Plan, States
from syncline.ports.target import Rejection


@dataclass(slots=True)
class Acknowledgement:
    """What a worker has done with the marks that it had read.

    ``marks`` may be of several batches; ``leases`` are the lanes of these marks with the epoch under which each was
    read.
    """

    marks: list[Mark] = field(default_factory=list)
    leases: dict[int, int] = field(default_factory=dict)
    absent: list[tuple[int, int, str]] = field(default_factory=list)
    """(entity, lane, key) of records that were deleted for the first time: to be deleted again after the grace time."""
    rejected: list[tuple[int, Rejection]] = field(default_factory=list)
    """(entity, rejection): parked."""
    unpark: bool = False
    """Some of these keys may be parked: what succeeded is cleared."""
    documents: dict[tuple[int, str], str] = field(default_factory=dict)
    """(entity, key) to JSON of what was applied, for a history that keeps it."""

    def merge(self, other: Acknowledgement) -> None:
        """Take in another one, for one statement."""
        self.marks += other.marks
        self.leases |= other.leases
        self.absent += other.absent
        self.rejected += other.rejected
        self.unpark |= other.unpark
        self.documents |= other.documents


class Floor(Protocol):
    """A lower bound for reading marks: below it none can appear any more. It speaks for one reader, in memory."""

    @property
    def value(self) -> int:
        """Where a pass over the marks may start."""
        ...

    def reset(self) -> None:
        """Start from zero again: there are new lanes."""
        ...

    async def advance(self) -> None:
        """Take the next step; call it now and then while there is work. A ``reset`` meanwhile undoes it."""
        ...

    async def drawn(self) -> int:
        """Read the highest number that was given out: marks that are made from now on are above it."""
        ...

    def seen(self, first: int | None) -> None:
        """Raise the floor after a read that started at it: ``first`` is the lowest mark that was there."""
        ...


@dataclass(frozen=True, slots=True)
class Traced:
    """A transaction that was traced, with those of its marks that are acknowledged together."""

    traceparent: str
    """W3C trace context of the span that wrote."""
    transaction: str
    captured_at: datetime
    """When the first of these marks was made, by the source's clock."""
    entities: Sequence[str]
    marks: int


class Traces(Protocol):
    """Which traces marks belong to. Reading them is never needed for correctness."""

    async def are_kept(self) -> bool:
        """Tell whether traces are remembered."""
        ...

    async def of(self, marks: Sequence[Mark]) -> list[Traced]:
        """Find the traces of marks that are not acknowledged yet, at most a hundred."""
        ...

    async def forget_old(self) -> None:
        """Remove traces that are older than an hour, delivered or not."""
        ...


class Marks(Protocol):
    """The outbox: a mark is there when the change of its record is committed, and stays until it is acknowledged.

    Marks of a lane become visible in any order (transactions commit in another order than they draw numbers), so that
    passes over them are repeated. Every method may raise ``SourceUnavailableError``: the session is over; of an
    ``acknowledge`` or ``add`` then nothing is known, and both may be repeated.
    """

    @property
    def traces(self) -> Traces | None:
        """``None``: the source cannot remember any."""
        ...

    def floor(self) -> Floor | None:
        """Make a floor for a reader; ``None``: numbers say nothing of what may still appear."""
        ...

    async def read(self, *, after: int, lanes: int, limit: int, without: Sequence[int] = ()) -> list[Mark]:
        """Read waiting marks in the order of ``seq``, blocks whole and in the place of their last keys.

        Args:
            after: only marks above this ``seq``.
            lanes: bit mask of the lanes, as a signed 64-bit integer.
            limit: at most so many; of blocks as many as have so many keys, and at most ``most_blocks`` of it.
            without: ids of entities to leave out.

        """
        ...

    async def read_with_states(
        self, plan: Plan, *, after: int, lanes: int, limit: int, without: Sequence[int] = ()
    ) -> tuple[list[Mark], States] | None:
        """Read waiting marks and, in the same snapshot, one entity's states; ``None``: not of this entity.

        Raises:
            KeyFormatError: a text is not a key of this entity.
            SourceError: a record cannot be read, or more than one row has its key.

        """
        ...

    async def acknowledge(self, ack: Acknowledgement, *, grace: timedelta, history: bool) -> set[int]:
        """Remove marks under the lease, in one transaction with what is parked; return the lanes that are still held.

        Marks of lanes that are not held under these epochs stay. Done twice it is done once.
        """
        ...

    async def add(self, entity: int, keys: Sequence[str], hint: str) -> None:
        """Mark keys of an entity, durably. A mark too many costs a look."""
        ...

    async def promote_deferred(self, limit: int = 5000) -> int:
        """Turn second deletes that are due into marks; return their number. Several may do so side by side."""
        ...


class Waker(Protocol):
    """Wakes an idle relay: while somebody holds the wake lock, writers notify; otherwise they save themselves that."""

    @property
    def holds(self) -> bool:
        """Whether this session holds the wake lock."""
        ...

    @property
    def can_listen(self) -> bool:
        """Whether notifications reach this session; else it wakes others only."""
        ...

    async def arm(self) -> bool:
        """Take the wake lock: whoever commits from now on notifies. False while another one has it or a writer works.

        One more read of marks after this closes the gap.
        """
        ...

    async def disarm(self) -> None:
        """Give the lock back: writers need not notify a relay that reads anyway. Idempotent."""
        ...

    def has_lost_connection(self) -> bool:
        """Tell whether the connection that holds the lock was cut off; costs nothing."""
        ...

    async def another_holds(self) -> bool:
        """Tell whether another worker holds the wake lock; its wake wakes us too. Who it is, is remembered."""
        ...

    async def another_holds_still(self) -> bool:
        """Tell whether the same one holds it as before: between two holders, writers have told nobody."""
        ...

    async def listen(self, wake: Callable[[bool], None]) -> None:
        """Call ``wake`` once, and at every notification, until the session ends; true: it is a call."""
        ...

    async def notify(self, *, call: bool = False) -> None:
        """Wake the other workers; by a call, have them renew their leases, too."""
        ...
