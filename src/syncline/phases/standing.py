"""What a place says of the phases: MongoDB and PostgreSQL both do, and of two the higher number is right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from syncline.phases.phase import Phase


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a collection has come."""

    phase: Phase
    percent: float = 0.0
    """Of the reads that a ramp brings to PostgreSQL."""
    number: int = 0
    """Of the change that put it there; 0: none has."""
    since: datetime | None = None
    """By MongoDB's clock; ``None``: from now on."""

    def __str__(self) -> str:
        return f"{self.phase} ({self.percent:g} %)" if self.phase is Phase.RAMP else str(self.phase)


Standings = Mapping[str, Standing]


@dataclass(frozen=True, slots=True)
class Process:
    """A process that routes by the phases."""

    name: str
    number: int
    """The highest change that it goes by."""
    seconds: float
    """How long its lease still holds."""


class Place(Protocol):
    """A database that keeps the phases; its errors are ``SynclineError``. Where it keeps none yet, nothing is found."""

    def read(self) -> Standings:
        """Give what it says, all of one moment."""
        ...

    def put(self, standings: Standings) -> None:
        """Keep these beside the others, each unless a higher number is there, all at once."""
        ...

    def beat(self, process: str, number: int, lease_seconds: float) -> None:
        """Note what a process goes by, and until when."""
        ...

    def processes(self) -> Sequence[Process]:
        """List those whose lease holds."""
        ...

    def leave(self, process: str) -> None:
        """Forget a process that ends."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


def highest(found: Iterable[Standings]) -> dict[str, Standing]:
    """Of several places, take what was changed last, for each collection."""
    said: dict[str, Standing] = {}
    for standings in found:
        for collection, standing in standings.items():
            if collection not in said or standing.number > said[collection].number:
                said[collection] = standing
    return said
