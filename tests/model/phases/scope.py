"""What one exploration of the phases allows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.model.phases.state import State
from tests.model.search import Told

Step = tuple[Told, State]
Action = Iterator[Step]


@dataclass(frozen=True, kw_only=True)
class PhaseScope:
    """One exploration. The defaults are the design: there, two writes, nothing goes wrong."""

    about: str = ""
    writes: int = 2
    kinds: str = "pd"
    """p: an insert, update or replacement; d: a delete."""
    faults: int = 0
    goals: int = 1
    """How often the operator wants the other side."""
    begins: int = 0
    """The side that serves at first."""
    spurious: int = 0
    """Marks without a change, in PostgreSQL."""
    reads: int = 0
    late: bool = False
    """A process has sent a write to MongoDB under an older number, long ago."""
    processes: int = 1
    carriers: int = 1
    backs: int = 1
    # -- the mechanisms
    gate: str = "validator"
    """What stops late writers at MongoDB. validator: MongoDB itself. lease: nothing; they look at their lease.
    both: they look at their lease, and MongoDB refuses some of them."""
    looks_again: bool = True
    """lease: a write is acknowledged only if the lease that was read before it still holds after it."""
    waits_for_leases: bool = True
    """lease: who closes MongoDB waits until every lease of before has run out."""
    writes_strays_over: bool = True
    """lease: marks in MongoDB while PostgreSQL serves make the link back write the record."""
    forward_asks: str = "mode and number"
    """What PostgreSQL's gate asks of a carrier: mode and number; mode; nothing."""
    adopts: bool = True
    """A marked document that was written under an older number of the gate gets the present one first."""
    clearing_says: bool = True
    """validator, both: who clears a mark says the number that the validator admits, and no lower one."""
    clears_marked: bool = True
    """Clearing compares the mark."""
    tickets: bool = True
    """The link back writes only over a lower ticket of its own."""
    numbers: bool = True
    """The link back writes over no document that was written under a higher number of the gate."""
    draws: str = "draws"
    """Which version the link back leaves: draws a higher one, keeps what is there, or none."""
    marks: bool = False
    """The link back sets a mark."""
    deletes: str = "tombstone"
    """How the link back deletes: by a tombstone that is removed later; filtered: at once, what has lower numbers; plain."""
    removes: str = "own"
    """Which tombstone is removed later: own: the very one; any."""
    grace: bool = True
    """A tombstone is removed when nothing with a lower ticket is under way."""
    tombstones_wait: bool = True
    """lease: an application's tombstone is removed when no write of the link back from before can still arrive."""
    sweeps: str = "carried"
    """Which tombstones of applications are removed later: carried: those without a mark; any."""
    drains: bool = True
    second_deletes_wait: bool = False
    """The drain waits for tombstones to be removed, too."""
    barrier: str = "after drain"
    """When readers have to have acknowledged the side that will serve: after drain, before drain, never."""
    rescues: int = 0
    """How often somebody opens MongoDB again without asking PostgreSQL: it is away."""
    rescue_asks: str = "announced and phase"
    """What has to be so: nothing is announced since MongoDB served, and the phase says that it has the truth; phase; nothing."""
    rescue_supersedes: bool = True
    """A coordinator of a lower number announces nothing any more."""
    rescue_number: str = "far"
    """far: no coordinator has it; next: the one after MongoDB's."""
    reader_leases: bool = True
    """A read begins only while the reader's lease holds."""
    livelocks: bool = True
    limit: int = 1_500_000
