"""What the model of the switch knows at one moment: frozen tuples, as in ``tests.model.state``.

There is one record. Its content on a side is the set of writes (bits) that it holds: an application's write adds its id under the
row's lock, a link's write replaces it.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeVar

OLD, NEW = 0, 1
SIDES = ("OLD", "NEW")
NOBODY = -1
T = TypeVar("T")


class Gate(NamedTuple):
    """The row of a side."""

    mode: str
    number: int = 0
    opened: int = 0
    link: int = 0
    base: int = 0
    """Ghost: what was committed when it was opened, where scopes look at what transactions have read."""


class Process(NamedTuple):
    """An application's process, with one transaction at a time."""

    side: int = OLD
    stage: str = "idle"
    """idle, begun, wrote (not committed)."""
    ident: int = 0
    seen: Any = ""
    """What its snapshot says of the gate; or the content that it has read, and who had opened the side then."""


class Relay(NamedTuple):
    """The link in one direction: asks, reads, writes, acknowledges."""

    stage: str = "idle"
    link: int = 0
    marks: int = 0
    record: int = 0


class Coordinator(NamedTuple):
    """One of two: one is in charge, one may be frozen."""

    step: int = 0
    number: int = 0
    goal: int = 0
    note: int = 0
    mode: str = ""
    """What the goal's gate said, for as long as it counts whether it is the link's already."""


class Journal(NamedTuple):
    """Where the lease is."""

    number: int = 0
    holder: int = NOBODY
    goal: int = OLD
    phase: int = OLD
    phase_number: int = 0


class State(NamedTuple):
    """Everything."""

    gates: tuple[Gate, ...]
    content: tuple[int, ...]
    marks: tuple[int, ...]
    """Per side: writes that the link leaving it has not acknowledged; bit 0: a mark without a change."""
    sequences: tuple[int, ...]
    committed: int
    processes: tuple[Process, ...]
    relays: tuple[Relay, ...]
    coordinators: tuple[Coordinator, ...]
    journal: Journal
    writes: int
    faults: int
    goals: int
    spurious: int
    broken: str = ""
    """What the last step has broken."""


def put(items: tuple[T, ...], place: int, item: T) -> tuple[T, ...]:
    """Replace one item."""
    return (*items[:place], item, *items[place + 1 :])
