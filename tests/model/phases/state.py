"""What the model of the phases knows at one moment: one ``_id``, in frozen tuples, as in ``tests.model.state``.

A content is the set of writes (bits) that it stands for, deletes included; it is a ghost, and stays where a document is gone.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.model.switch.state import Coordinator, Gate, Journal, put

MONGO, POSTGRES = 0, 1
SIDES = ("MongoDB", "PostgreSQL")
MARK_ONLY = 1
"""The bit of a mark without a write."""

__all__ = ["MARK_ONLY", "MONGO", "POSTGRES", "SIDES", "Coordinator", "Gate", "Journal", "put"]


class Document(NamedTuple):
    """What MongoDB has."""

    there: bool = False
    v: int = 0
    """0: not drawn."""
    mark: int = 0
    deleted: bool = False
    number: int = 0
    """What the gate said to whoever wrote it."""
    ticket: int = 0
    """Of the link back; an application's write drops it."""
    content: int = 0

    @property
    def alive(self) -> bool:
        """Whether readers see it."""
        return self.there and not self.deleted


class Row(NamedTuple):
    """What PostgreSQL has: the rows, and the key's record."""

    alive: bool = False
    content: int = 0
    v: int = 0
    mark: int = 0


class Process(NamedTuple):
    """An application's process at MongoDB: it has read the gate, it has written, it looks again."""

    stage: str = "idle"
    number: int = 0
    """What the gate said before the write."""
    ident: int = 0
    lease: int = 0
    """What the gate said last, while the lease of that holds; 0: none holds."""


class Reader(NamedTuple):
    """A process that reads the side which the journal names, as long as its lease holds."""

    side: int = MONGO
    number: int = 0
    lease: bool = True
    stage: str = "idle"
    base: int = 0
    """Ghost: what was acknowledged before."""
    content: int = 0


class Carrier(NamedTuple):
    """Who brings a document to PostgreSQL."""

    stage: str
    link: int
    mark: int
    v: int
    deleted: bool
    content: int
    by: int = 0


class Back(NamedTuple):
    """Who brings rows to MongoDB: marked, read, written, or on its way to remove its tombstone."""

    stage: str
    link: int
    ticket: int
    marks: int = 0
    alive: bool = False
    content: int = 0


class Budget(NamedTuple):
    """What may still happen."""

    writes: int
    faults: int
    goals: int
    spurious: int
    reads: int
    rescues: int = 0


class State(NamedTuple):
    """Everything."""

    gates: tuple[Gate, ...]
    document: Document
    row: Row
    queue: int
    """Writes in PostgreSQL that the link back has not acknowledged."""
    processes: tuple[Process, ...]
    readers: tuple[Reader, ...]
    carriers: tuple[Carrier, ...]
    backs: tuple[Back, ...]
    coordinators: tuple[Coordinator, ...]
    journal: Journal
    reads: tuple[int, int]
    """Which side is to be read, and the number of the coordinator that said so."""
    announced: bool
    """That was changed, and no side has been opened since."""
    committed: int
    """Ghost: acknowledged writes."""
    written: int
    """How many writes have begun."""
    budget: Budget
    broken: str = ""
