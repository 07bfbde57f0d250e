"""The values that planning, carrying out and comparing hand to each other."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, NamedTuple

Key = tuple[str, int]
"""What a catalog calls a thing: the catalog's name and an oid. Only good in the database in which it was read."""


class Phase(StrEnum):
    """When a step is due."""

    BEFORE = "before"
    """Before rows come: what rows need to be stored, checked and found by their key."""
    AFTER = "after"
    """When the rows are there: what is made faster then, or what rows that come in any order may not meet yet."""
    OPENING = "opening"
    """When the new side is about to take writes: what must not act on rows that are carried over."""


class Address(NamedTuple):
    """What a thing is called in every database, as ``pg_get_object_address`` takes it."""

    type: str
    names: tuple[str, ...]
    args: tuple[str, ...] = ()

    def state(self, word: str) -> Address:
        """Name a state of the thing, such as ``validated``, which a later step brings about."""
        return Address(f"{self.type}: {word}", self.names, self.args)


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction on the other side; it is done when its address is there."""

    phase: Phase
    kind: str
    name: str
    """For people."""
    done: Address
    statements: tuple[str, ...]
    undo: tuple[str, ...] = ()
    """Of the opening: the statements that take it back."""

    def as_dict(self) -> dict[str, Any]:
        """Write it for JSON."""
        return {"phase": str(self.phase), "kind": self.kind, "name": self.name, "statements": list(self.statements)}


class Level(StrEnum):
    """What a notice means for the move."""

    OBSTACLE = "obstacle"
    """Nothing is done before it is removed."""
    NOTE = "note"
    """The move goes on; this is left out, or otherwise over there."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that cannot move, or not as it is."""

    level: Level
    id: str
    message: str
    remedy: str

    def as_dict(self) -> dict[str, Any]:
        """Write it for JSON."""
        return {"level": str(self.level), "id": self.id, "message": self.message, "remedy": self.remedy}


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence that gives a moving table its numbers; its value is raised when the sides change places."""

    name: str
    """As SQL writes it, with its schema."""
    type: str
    start: int
    increment: int
    minimum: int
    maximum: int
    cycle: bool
    cache: int
    owner: str | None
    """The column that owns it, as SQL writes it."""
    identity: bool
    """The owner is an identity column."""
    users: tuple[str, ...]
    """The columns whose defaults draw from it; there may be several."""

    def as_dict(self) -> dict[str, Any]:
        """Write it for JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Size:
    """How large a moving table is, as far as the server knows without counting."""

    table: str
    rows: int
    bytes: int
