"""What one exploration of the switch allows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tests.model.search import Told
from tests.model.switch.state import State

Step = tuple[Told, State]
Action = Iterator[Step]


@dataclass(frozen=True, kw_only=True)
class SwitchScope:
    """One exploration. The defaults are the design, with one crash or freeze of a coordinator."""

    about: str = ""
    processes: int = 2
    writes: int = 2
    faults: int = 1
    goals: int = 1
    """How often the operator wants the other side."""
    spurious: int = 0
    """Marks without a change, as verify and repair make them."""
    # -- the mechanisms
    gate: str = "locked"
    """locked: a writer holds the lock to its end. unlocked: the row alone is read; snapshot: by the snapshot of the
    transaction. early: locked, and what a transaction has read when it began counts; refused: and it is refused then."""
    numbers: bool = True
    """A gate takes no change of a lower number."""
    numbers_other_side: bool = True
    """The side that is not to serve notes the number, before the other one opens."""
    new_number_to_turn_back: bool = True
    looks_at_lease: bool = True
    takeover: bool = True
    closes_first: bool = True
    """The queue is looked at after the closing."""
    drains: bool = True
    opened_tells: bool = True
    """Which side was opened last tells where the truth is."""
    closed_to_link: bool = True
    """A side that is closed takes no link's writes either."""
    link_asks: str = "mode and number"
    """What the link is asked at the gate: mode and number; mode; or nothing."""
    captured: bool = True
    """Writes on the new side are captured before it opens."""
    is_links: str = "as numbered"
    """When the goal counts as the link's already, and is not changed: by what its gate said as it took the number
    (as numbered) or before that, when the lease was taken (as read); or also where nobody may write (or closed)."""
    sequences: str = "after closing"
    tagged: bool = True
    """What a link writes is not captured."""
    livelocks: bool = True
    limit: int = 1_500_000
