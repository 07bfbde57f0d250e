"""What a place says of the phases: MongoDB and PostgreSQL both do, and of two the higher number is right."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from syncline.errors import PhaseError
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
class Change:
    """Where collections go from where they are."""

    was: Standings
    becomes: Standings
    missed: str | None = None
    """Why the journal does not have it yet, once it is made; the next change brings it there."""

    @property
    def number(self) -> int:
        """Of the change; of one that is only planned, it may become another one."""
        return max(one.number for one in self.becomes.values())

    @property
    def goal(self) -> Standing:
        """The phase of all of them."""
        return next(iter(self.becomes.values()))

    @property
    def switches(self) -> bool:
        """Whether the truth changes sides: the gates say who writes, and not the phases alone."""
        return any(
            one.phase.postgresql_is_truth is not self.goal.phase.postgresql_is_truth for one in self.was.values()
        )

    def see_that_it_begins(self, now: Standings) -> None:
        """See that its collections are where it was planned from.

        Raises:
            PhaseError: somebody else has changed one of them meanwhile.

        """
        for name, was in self.was.items():
            at = now.get(name)
            if (at.number if at else 0) != was.number:
                raise PhaseError(
                    f"somebody else has changed a phase meanwhile: {name} is in {at}, not in {was}",
                    hint="look at `syncline phase status`",
                )


@dataclass(frozen=True, slots=True)
class Entry:
    """A change of a phase, as the history has it."""

    number: int
    collection: str
    at: datetime
    was: Phase | None
    phase: Phase
    percent: float
    by: str | None
    """Who wrote it into the history: a role of PostgreSQL; ``None``: nobody has yet."""
    reason: str | None
    against: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Process:
    """A process that routes by the phases."""

    name: str
    number: int
    """The highest change that it goes by."""
    seconds: float
    """How long its lease still holds."""
    gate: int = 0
    """The change of MongoDB's gates that it goes by, where that was asked."""
    knows_validators: bool = False
    """It can read a gate that has a validator, which releases before this cannot."""


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
