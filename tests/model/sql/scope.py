"""What one exploration of the SQL fence allows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.model.search import Told
from tests.model.sql.state import State

Content = tuple[int, int] | None
"""A row's unique value and reference (0: NULL); ``None``: it is deleted."""
Write = tuple[int, Content]
PLAIN: Content = (0, 0)
Step = tuple[Told, State]

FENCES = {
    "lock, then read": ("locks", "read", "items", "commit"),
    "share": ("share", "items", "commit"),
    "no lock": ("read", "items", "commit"),
    "lock and read at once": ("read", "locks", "items", "commit"),
    "record last": ("items", "record", "commit"),
    "nothing": ("items", "commit"),
}
"""What a batch's transaction does. ``read`` looks at the lanes' epochs with a snapshot of its own."""


@dataclass(frozen=True, kw_only=True)
class SqlScope:
    """One exploration. The defaults are the design with nothing going wrong."""

    about: str = ""
    keys: int = 1
    lanes: int = 1
    workers: int = 2
    owners: tuple[int, ...] = ()
    """Who has each lane at the start; empty: worker 0."""
    begin_with: tuple[Content, ...] = ()
    script: tuple[tuple[Write, ...], ...] = ()
    """Transactions of the application; each is atomic."""
    batches: int = 1
    """How many a worker may have under way."""
    faults: int = 0
    kinds: str = "ect"
    """e: a lease runs out under a living worker; c: a worker crashes; t: an answer is lost or late."""
    groups: tuple[tuple[int, ...], ...] = ()
    """Which keys come together in a batch; empty: any of the marked ones."""
    tables: tuple[int, ...] = ()
    """Which table each key is of: a batch has keys of one. Empty: all are of one."""
    detector: bool = False
    """The server ends one transaction of those that wait for each other."""
    queues: bool = False
    """Who waits for an exclusive lock keeps out later shared ones; and no transactions must wait for each other."""
    readers: int = 2
    """Workers above this number only take lanes over."""
    cascades: bool = False
    """The target's foreign key deletes children with their parent."""
    target_only: bool = False
    """The source does not have the constraints: conflicts may be real."""
    ordered: bool = True
    """Readers must not see a key go back."""
    # -- the mechanisms
    fence: str = "lock, then read"
    sorted_locks: bool = True
    unknown_costs_epoch: bool = True
    announces: bool = True
    reads_after_announcing: bool = True
    marks_before_states: bool = True
    one_batch_a_key: bool = True
    lease_for_acknowledging: bool = True
    awaits_batches: bool = True
    """A batch that is on its way is waited for, although one of its lanes is lost."""
    together: bool = True
    """A batch's rows are written by one statement and deleted by one, so that foreign keys are checked at its end."""
    gives_way: str = "clear"
    """What a record does that waits for a value or a reference in a circle: clear, remove, or nothing."""
    lets_go: bool = True
    """A row that is to be deleted, and waits for one that refers to it, gives its own reference up."""
    keeps_children: str = "locks, then looks"
    """What a delete does about rows that the target would delete with it: locks, then looks; looks, then locks; looks once; or nothing."""
    settles: str = "looks"
    """looks at the source before it parks; parks at once; or only waits."""
    copies: bool = False
    """The target is empty at the start, and the table is copied."""
    marks_wait: bool = True
    """Until the table is declared copied."""
    captured_first: bool = True
    """Changes leave marks before the copy reads."""
    copy_fences: bool = True
    """Lanes are taken from their workers when the copy begins."""
    range_entered: bool = True
    """A range's transaction locks its row, under the number of its attempt."""
    limit: int = 4_000_000
    livelocks: bool = True


Action = Iterator[Step]
