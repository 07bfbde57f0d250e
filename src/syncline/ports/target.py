"""The few seams between the parts. Whoever implements one keeps what its docstring promises."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from syncline.model.entity import Entity
from syncline.ports.reverse import Reverse

Document = dict[str, Any]
"""A record as the target has it. MongoDB's has ``_id``, ``_originalId`` (the key text), ``_source``, ``_syncedAt`` and
``_v`` (its ticket) beside its own fields."""


class Fence(StrEnum):
    """What keeps a late write of an old owner from changing anything."""

    RECORD = "record"
    """Each record carries the ticket of its last write; a lower one changes nothing."""
    LANE = "lane"
    """A batch proves that its lanes are still its worker's, and is written whole or not at all."""


@dataclass(slots=True)
class Batch:
    """States of one entity to write; each key occurs once, in one of the three lists."""

    entity: Entity
    inserts: list[State] = field(default_factory=list)
    """Present, and probably not in the target yet."""
    upserts: list[State] = field(default_factory=list)
    """Present."""
    deletes: list[Absence] = field(default_factory=list)
    again: AbstractSet[str] = frozenset()
    """Keys with no other mark than the one for their second delete, present or not."""
    lanes: Mapping[int, int] = field(default_factory=dict)
    """Lane to the epoch under which these were read, for a target whose fence is the lane's; perhaps more lanes."""
    admission: str = ""
    """``Target.admission`` as it was before the marks of these were read."""
    source: str = ""
    """Name of the source, for a target that notes it in its records."""
    read_at: datetime = datetime.min  # noqa: DTZ901
    """When the states were read (UTC without a zone), likewise."""

    def __len__(self) -> int:
        return len(self.inserts) + len(self.upserts) + len(self.deletes)

    @property
    def states(self) -> Sequence[State]:
        """Give what is present."""
        return (*self.inserts, *self.upserts)


class State(NamedTuple):
    """A record as the source has it: which one it is and its ticket stand beside what it holds."""

    key: str
    """The key's text, as marks have it."""
    id: Any
    """The key as the target has it."""
    ticket: int
    body: Any
    """What the target stores, in its own form (a document without our fields, a row); made by the mapping.

    The target may add its own fields to it.
    """


@dataclass(frozen=True, slots=True)
class Absence:
    """The source has no such record (any more), or its filter excludes it."""

    key: str
    id: Any
    ticket: int
    again: bool = False
    """It is the second delete, where a target wants two: nothing older can arrive any more."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """The target will never take this record as it is."""

    key: str
    code: str
    """Short and stable, e.g. ``too_large``, ``mapping``, ``validation``."""
    message: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """A constraint lets another record stand in this one's way, perhaps only until that one is written too."""

    key: str
    index: str
    value: Mapping[str, Any]
    """The fields of this record (for a ``child``: of the other one) with the value in question, as a filter."""
    why: str = "value"
    """value: the other has it, by a unique index; parent: it is missing; child: it refers to this one."""
    collection: str = ""
    """Where the other record is; empty: in the same one, and ``Target.holders`` finds it."""
    other: Mapping[str, Any] | None = None
    """Its key, as far as it is known."""


@dataclass(slots=True)
class Report:
    """What became of a batch: every key that is not named here is in the target, or a newer state of it is."""

    stale: int = 0
    """Keys whose record already carried a higher ticket; nothing was changed (as far as the engine tells)."""
    outranked: dict[str, Any] = field(default_factory=dict)
    """Of those, key to the higher ticket that the record was seen with afterwards, whatever type that has."""
    unknown: set[str] = field(default_factory=set)
    """Of those, keys whose higher ticket was gone when it was looked for: their state is to be written again."""
    present: int = 0
    """Inserts that met an existing record and became updates."""
    rejected: list[Rejection] = field(default_factory=list)
    conflicts: list[Conflict] = field(default_factory=list)

    def add(self, part: Report) -> None:
        """Take in the report on another part of the batch."""
        self.stale += part.stale
        self.outranked |= part.outranked
        self.unknown |= part.unknown
        self.present += part.present
        self.rejected += part.rejected
        self.conflicts += part.conflicts


@dataclass(frozen=True, slots=True)
class Beat:
    """The target's memory of its source, read and advanced at each renewal; it shows a restore of either side."""

    installation: str
    """Changes with every ``syncline install`` into a clean database."""
    system: str
    """The source server's own identity: system identifier and database."""
    count: int
    """Number of the newest renewal that reached the target."""
    timeline: str = ""
    """The source's history of promotions, as far as it tells; another one may have lost what was committed last."""
    nonce: str = ""
    """A random value that the source remembers: a copy of the source has left another one. Empty: an older release."""
    worker: str = ""
    """Who wrote it, for people."""


UNREADABLE = "unknown cluster"
"""Stands in a CockroachDB's identity when the role may not read the cluster's id: then only the database tells."""


def same_system(one: str, other: str) -> bool:
    """Tell whether two identities are the same cluster and database, as far as they can be read."""
    if one.startswith(UNREADABLE) or other.startswith(UNREADABLE):
        return one.rpartition("/")[2] == other.rpartition("/")[2]
    return one == other


class Target(Protocol):
    """A database that is kept equal to the source, behind the fence.

    Every write is idempotent and fenced: no older state is written over a newer one. When ``apply`` returns, what it
    reports as written is durable (it survives a crash of the target and the loss of a minority of its members).
    """

    @property
    def fence(self) -> Fence:
        """What it is fenced by; the suites of ``syncline.testing.contract`` differ in that."""
        ...

    @property
    def deletes_twice(self) -> bool:
        """Whether a write may be executed after its sender gave it up: then a delete is done again after a while."""
        ...

    @property
    def reverse(self) -> Reverse | None:
        """What knows whether a link goes back from here; ``None``: none can."""
        ...

    @property
    def admission(self) -> str:
        """What a gate before the target has said last; empty: there is none. Asking costs nothing.

        It is taken before marks are read and goes with their states: a gate that has changed since lets them not in.
        """
        ...

    async def ask_gate(self) -> bool:
        """Ask what the gates say now; tell whether the one that has turned back a batch last would let in another."""
        ...

    async def prepare(self, entities: Sequence[Entity]) -> None:
        """Create what is declared (indexes, control records). Idempotent."""
        ...

    async def apply(self, batch: Batch) -> Report:
        """Write states. Unordered within the batch.

        Raises:
            TargetGateError: nothing is written; see ``admission``.
            TargetUnavailableError: nothing is known of any key; the same or a newer state may be sent again.
            LaneLostError: lanes are another worker's, or the outcome is unknown (only where the fence is the lane's).

        """
        ...

    def as_json(self, batch: Batch) -> dict[str, str]:
        """Give a batch's states as JSON, by key, as they are stored; those that have no such form are left out."""
        ...

    async def lane_epochs(self) -> dict[int, int]:
        """Read the highest epoch that each lane has announced here; lanes without one are missing."""
        ...

    async def announce(self, epochs: Mapping[int, int]) -> set[int]:
        """Raise the record of each lane to its epoch, only where it is lower; return the lanes that were raised."""
        ...

    async def beat(self, beat: Beat, *, over: str | None = None) -> Beat | None:
        """Store ``beat`` unless another system's is stored, or a higher count of its own; return what was there before.

        Args:
            beat: to store.
            over: the other system whose record may be replaced.

        """
        ...

    async def read_beat(self) -> Beat | None:
        """Read the heartbeat record without touching it."""
        ...

    async def probe(self) -> None:
        """Write something small and durable, to tell a sick server from a sick batch.

        Raises:
            TargetUnavailableError: it is the server.

        """
        ...

    async def holders(self, entity: Entity, values: Sequence[Mapping[str, Any]]) -> list[Document | None]:
        """Find, for each unique value, the record that has it now."""
        ...

    async def read(self, entity: Entity, ids: Sequence[Any]) -> list[Document]:
        """Read records by ``_id``, from the primary, at the strongest consistency the engine has."""
        ...

    def walk(
        self, entity: Entity, *, after: Any = None, size: int = 1000, resume: bool = False, until: Any = ...
    ) -> AsyncIterator[list[Document]]:
        """Walk a collection in the order of ``_id``, across types, as lists of ``{_id, _v}``.

        With ``resume`` the walk goes on after the ``_id`` given as ``after`` (which may be null itself). It ends with
        the ``_id`` given as ``until``, whether that is there or not; by default with the last one.
        """
        ...

    async def cut(self, entity: Entity, parts: int, *, least: int) -> list[Any]:
        """Give ``_id``s, in their order, that cut a collection into about so many parts of about as many records.

        ``least``: a part has so many at least, about; so there may be fewer parts, and no cut at all.
        """
        ...

    async def discard(self, entity: Entity, ids: Sequence[Any]) -> int:
        """Remove records of ours by ``_id``, whatever their version; how many there were.

        For an ``_id`` that no row can have any more, since the key is another one now. A record that lacks our fields
        stays.
        """
        ...

    async def ping(self) -> Mapping[str, Any]:
        """Reach the primary; return server facts (``version``, …)."""
        ...

    async def close(self) -> None:
        """Give back the connections."""
        ...


class ConfiguredTarget(Target, Protocol):
    """A target as the settings name it, with what is asked of it before the work begins. Asking changes nothing."""

    async def require_suitable(
        self, entities: Sequence[Entity], *, fields: Mapping[str, Sequence[str]] = ..., system: str = ...
    ) -> None:
        """Look whether the server, and the place of each entity's records, can be a target.

        Args:
            entities: whose records are to go there.
            fields: what a record holds, by the entity's name; of others nothing is known.
            system: which database of which running server the source is, if known: nothing is kept equal to itself.

        Raises:
            UnsuitableTargetError: at least one cannot; every one is named.
            PrivilegeError: the role lacks a right.

        """
        ...

    async def remarks(self, entities: Sequence[Entity]) -> list[str]:
        """Say what somebody should know before records of these entities come here for the first time."""
        ...

    async def release(self) -> None:
        """Forget that its tables or collections are this link's: others may write them."""
        ...

    async def require_sound_records(self) -> None:
        """Look at our own records.

        Raises:
            DamagedRecordError: somebody else has changed one of them.

        """
        ...
