"""What a verification asks of the side that holds the truth. Every method may raise ``SourceUnavailableError``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol

from syncline.model.mark import Hint
from syncline.model.notice import Notice
from syncline.ports.digests import SourceDigests, Stretch
from syncline.ports.marking import Absent
from syncline.ports.records import Plan, States


class Pages(Protocol):
    """Records of an entity in the order of their keys, for a first look: what is read may be a little old.

    A page is read in one snapshot; none is held between two pages. Readers may read ahead.
    """

    async def rows(self, plan: Plan, stretch: Stretch, limit: int) -> States:
        """Read whole records.

        Raises:
            SourceError: a record cannot be read (``of_records``); as of the other methods.

        """
        ...

    async def ids(self, plan: Plan, stretch: Stretch, limit: int) -> list[Any]:
        """Read keys as the target has them, of an entity with one key column."""
        ...

    async def keys(self, plan: Plan, stretch: Stretch, limit: int, *, filtered: bool = True) -> list[str]:
        """Read key texts; unless ``filtered``, of all rows, whatever the entity's filter says of them."""
        ...

    async def read(self, plan: Plan, keys: Sequence[str]) -> States:
        """Read the records of keys."""
        ...


class Why(StrEnum):
    """Why a key is not decided yet."""

    MARK = "mark"
    DEFERRED = "deferred"
    TASK = "task"
    PARKED = "parked"
    MOVED = "moved"
    """It changed between two looks."""


class Snapshot(Protocol):
    """One state of the source, with what is on its way to the target."""

    async def read(self, plan: Plan, keys: Sequence[str]) -> States:
        """Read the records of keys; when that fails the snapshot goes on."""
        ...

    async def unsettled(self, plan: Plan, keys: Sequence[str]) -> Mapping[str, Why]:
        """Say of which keys the target need not have this state yet, and why."""
        ...


class Looks(Protocol):
    """Single keys of the source, as they are now: what decides. Nobody else uses it meanwhile."""

    def snapshot(self) -> AbstractAsyncContextManager[Snapshot]:
        """Hold one state for a block."""
        ...

    async def clock(self) -> datetime:
        """Read the source's clock."""
        ...

    async def horizon(self) -> str | None:
        """Name a point before which everything has ended that was begun; ``None``: the engine does not tell.

        Rows of before are seen by whatever is read from now on.
        """
        ...

    async def lanes(self, plan: Plan, keys: Sequence[str]) -> list[int]:
        """Give the lanes of keys, in their order."""
        ...

    async def read(self, plan: Plan, keys: Sequence[str]) -> States:
        """Read the records of keys."""
        ...

    async def absent(self, plan: Plan, keys: Sequence[str], *, newer: str | None = None) -> Absent:
        """Find the keys that have no row inside the entity's filter.

        Args:
            plan: the entity.
            keys: their texts; anybody may have made them up.
            newer: a ``horizon``: also those whose row is newer.

        """
        ...

    async def inside(
        self, plan: Plan, keys: Sequence[str], first: str | None, end: str | None
    ) -> tuple[list[str], list[str]]:
        """Find the keys that lie in a range, as the source sorts them; and those that no value of the column has."""
        ...

    async def sample(self, plan: Plan, size: int) -> list[str]:
        """Choose keys at random."""
        ...

    async def mark(self, plan: Plan, keys: Sequence[str], hint: Hint) -> None:
        """Mark keys, whether they have rows or not: the relay makes them equal."""
        ...


@dataclass(slots=True)
class Checkpoint:
    """An unfinished pass that is ours."""

    id: int
    state: Mapping[str, Any] = field(default_factory=dict)
    """As the pass wrote it; empty: it begins."""
    findings: Sequence[Mapping[str, Any]] = ()


class Claims(Protocol):
    """Passes that are ours.

    One belongs to whoever claims it, for as long as it goes on; when that process dies the claim expires.
    """

    async def save(
        self, checkpoint: Checkpoint, state: Mapping[str, Any], findings: Sequence[Mapping[str, Any]] | None
    ) -> None:
        """Keep how far it has come; ``findings`` is ``None`` while they are the same.

        Raises:
            PassLostError: it is somebody else's; as of ``hold``.

        """
        ...

    async def hold(self, checkpoint: Checkpoint) -> None:
        """Keep the claim while there is nothing new to keep."""
        ...

    async def end(self, checkpoint: Checkpoint) -> None:
        """Forget a pass. Idempotent."""
        ...

    async def release(self, checkpoint: Checkpoint) -> None:
        """Let others go on with it at once; when that fails the claim expires."""
        ...


class Passes(Claims, Protocol):
    """Passes under way, kept in the source: what was found so far, and from where to go on."""

    async def guard(self) -> str:
        """Name what a pass is about besides its entity: this source, on this timeline, as installed now."""
        ...

    async def begin(self, plan: Plan, scope: str, state: Mapping[str, Any]) -> Checkpoint:
        """Keep a pass for the first time."""
        ...

    async def forget(self, plans: Sequence[Plan]) -> None:
        """Drop what earlier commands left unfinished."""
        ...

    async def resume(self, plan: Plan, scope: str) -> Checkpoint | None:
        """Take the newest unfinished pass of a command over, when its process is dead; ``None``: there is none like it.

        Raises:
            SynclineError: its process lives.

        """
        ...


@dataclass(frozen=True, slots=True)
class Turn:
    """Whose pass of the continuous verification is under way; it is claimed."""

    checkpoint: Checkpoint
    entity: int
    """0: nobody's."""
    scope: str


class Rounds(Protocol):
    """Whose turn it is in the continuous verification, for one worker."""

    @property
    def passes(self) -> Passes:
        """Passes as this worker's."""
        ...

    async def claim(self) -> Turn | None:
        """Take the turn, or keep it; ``None``: another worker has it."""
        ...

    async def begin(self, turn: Turn, plan: Plan, scope: str) -> Turn:
        """Give the turn to an entity."""
        ...

    async def done(self, turn: Turn) -> None:
        """Give the turn to nobody."""
        ...

    async def ages(self) -> dict[int, float]:
        """Tell how many seconds ago each entity's newest full pass began."""
        ...

    async def copies(self) -> Mapping[int, tuple[str, bool]]:
        """Tell which copy of an entity's table was the last one, and whether it is under way."""
        ...


@dataclass(frozen=True, slots=True)
class Situation:
    """How far the target is behind."""

    queue: int
    """Marks that wait."""
    lag_seconds: float
    workers: int
    """Live ones."""


class Backlog(Protocol):
    """What is on its way to the target."""

    async def situation(self) -> Situation:
        """Tell how far the target is behind."""
        ...

    async def waiting(self, plan: Plan, before: datetime) -> tuple[int, int]:
        """Count an entity's marks from before a time, and its tasks."""
        ...

    async def parked_keys(self, plan: Plan) -> list[str]:
        """List an entity's parked records."""
        ...


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a full pass proved."""

    as_of: datetime
    records: int
    verdict: str
    facts: Mapping[str, Any]
    """The whole report, in JSON's types."""
    equal: bool
    undamaged: bool
    """But for parked records, which count as failed."""


class Certificates(Protocol):
    """What remains of verifications and repairs."""

    async def certify(self, plan: Plan, certificate: Certificate) -> None:
        """Keep what a full pass proved, and end the notices that it disproves."""
        ...

    async def warn(self, plan: Plan, name: Notice, message: str) -> None:
        """Leave a notice of an entity."""
        ...

    async def audit(self, entity: str, *, marked: int, left: int) -> None:
        """Note a repair."""
        ...


class SourceSide(Protocol):
    """The side that holds the truth, for one verification."""

    @property
    def name(self) -> str:
        """What documents carry as ``_source``."""
        ...

    @property
    def pages(self) -> Pages:
        """First looks."""
        ...

    @property
    def digests(self) -> SourceDigests | None:
        """First looks, where the target sums up its records too; ``None``: this side cannot."""
        ...

    @property
    def looks(self) -> Looks:
        """What decides."""
        ...

    @property
    def passes(self) -> Passes:
        """Passes of a command."""
        ...

    @property
    def backlog(self) -> Backlog:
        """What is on its way."""
        ...

    @property
    def certificates(self) -> Certificates:
        """What remains."""
        ...

    def rounds(self, owner: str) -> Rounds:
        """Give the turns of a worker (a UUID as text)."""
        ...

    async def arrived(self, patience: timedelta) -> None:
        """Wait until ``pages`` show everything that was committed before now.

        Raises:
            SourceUnavailableError: they do not in time.

        """
        ...

    async def identity(self) -> tuple[str, str]:
        """Tell which installation this is, and on which system; as in a ``Beat``."""
        ...
