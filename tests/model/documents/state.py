"""What the model of documents as a source knows at one moment: one ``_id``, in frozen tuples, as in ``tests.model.state``."""

from __future__ import annotations

from typing import Any, NamedTuple

FLOOR = 50
"""Versions below it were not drawn from a clock."""
CLOCK = 100
"""The clock shows CLOCK + 10 for each write that was done."""
NO_FIELD = -1


class Document(NamedTuple):
    """What MongoDB has."""

    v: int
    """NO_FIELD: somebody has written it who does not know of ours."""
    mark: int
    """0: none."""
    deleted: bool
    content: int
    """Ghost: the number of the write that made it."""
    noted: tuple[int, ...] = ()
    """The numbers of updates that the log of operations may lack."""


class Row(NamedTuple):
    """What PostgreSQL has: the key's record and, with it, the rows."""

    v: int
    mark: int
    deleted: bool
    content: int


class Carrier(NamedTuple):
    """Who brings a state over: a dual write's inline part, or a relay; after the first step nothing tells them apart."""

    stage: str
    """put: has a state to write; applied; refused; sweep: will delete a row in PostgreSQL (a mutant)."""
    link: int
    mark: int
    v: int
    deleted: bool
    content: int
    by: int = 0
    """The version by which it was refused."""
    noted: tuple[int, ...] = ()
    """As it was read."""


class Event(NamedTuple):
    """A change event that the reader has not been given yet."""

    gone: bool
    v: int = 0
    """Of the tombstone that was removed; 0: a document."""


class Budget(NamedTuple):
    """What may still happen."""

    writes: int
    foreign: int
    purges: int
    restores: int
    skew: int
    tokens: int
    deaths: int


class State(NamedTuple):
    """Everything."""

    document: Document | None
    row: Row | None
    link: int
    """The number in PostgreSQL's gate."""
    carriers: tuple[Carrier, ...]
    done: int
    duty: str
    """What a restore leaves to be done: number, then marks."""
    tampered: int
    """Somebody has changed what only verification finds; 2: while carriers were under way, it will look again."""
    events: tuple[Event, ...]
    budget: Budget
    backup: Any = None
    seen: int = 0
    """Ghost: the highest write that readers of PostgreSQL have seen."""
    drawn: int = 0
    """Marks that were drawn."""
    logged: tuple[int, ...] = ()
    """What the log of operations has of the updates that were noted."""
    owed: tuple[int, ...] = ()
    """Ghost: what it must have, or the document."""
    broken: str = ""


def marked(document: Document | None) -> bool:
    """Tell whether PostgreSQL may lack the document: it has a mark, or none of our fields."""
    return document is not None and (document.mark != 0 or document.v == NO_FIELD)


def entered(state: State, noted: tuple[int, ...]) -> State:
    """Write down what documents have noted; again, it changes nothing."""
    return state._replace(logged=tuple(sorted({*state.logged, *noted})))


def clock(state: State, skews: int) -> int:
    """What MongoDB's server draws at least."""
    return CLOCK + 10 * state.done - 20 * (skews - state.budget.skew)
