"""The phases, in their order, and what asks for the one of a collection."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol, assert_never

from syncline.errors import PhaseError

BUCKETS = 10_000
"""A ramp may be as fine as a hundredth of a percent."""
_SHARED = "shared"
"""Hashed in front of each key, and the same for every flag: who is among 10 % of one is among 20 % of another."""


class Phase(StrEnum):
    """How far a collection has come; compared by their order, not as texts."""

    OFF = "off"
    """MongoDB alone."""
    DUAL_WRITE = "dual_write"
    """PostgreSQL is written too; MongoDB is read, and is the truth."""
    SHADOW = "shadow"
    """As before; reads are compared with PostgreSQL's."""
    RAMP = "ramp"
    """A part of the reads is PostgreSQL's; MongoDB is the truth."""
    LIVE = "live"
    """PostgreSQL serves and is the truth; a link still writes MongoDB."""
    COMPLETE = "complete"
    """PostgreSQL alone; nobody writes MongoDB."""

    @property
    def order(self) -> int:
        """Count the phases before this one."""
        return list(Phase).index(self)

    @property
    def next(self) -> Phase | None:
        """The phase after this one; the last has none."""
        return list(Phase)[self.order + 1] if self is not Phase.COMPLETE else None

    @property
    def before(self) -> Phase | None:
        """The phase before this one; the first has none."""
        return list(Phase)[self.order - 1] if self is not Phase.OFF else None

    @property
    def postgresql_is_truth(self) -> bool:
        """Whether writes go to PostgreSQL, and MongoDB follows or rests."""
        return self >= Phase.LIVE

    def __lt__(self, other: str) -> bool:
        return self.order < Phase(other).order

    def __le__(self, other: str) -> bool:
        return self.order <= Phase(other).order

    def __gt__(self, other: str) -> bool:
        return self.order > Phase(other).order

    def __ge__(self, other: str) -> bool:
        return self.order >= Phase(other).order


def phase_named(text: str) -> Phase:
    """Read a phase's name as people write it.

    Raises:
        PhaseError: there is none of that name.

    """
    try:
        return Phase(text.strip().lower().replace("-", "_"))
    except ValueError:
        raise PhaseError(f"there is no phase {text!r}", hint=f"phases, in their order: {', '.join(Phase)}") from None


def bucket(key: str) -> int:
    """Put a key into one of 10,000 buckets: the same in every process, for every flag and every collection."""
    digest = hashlib.sha256(f"{_SHARED}{key}".encode(errors="surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % BUCKETS


def ramped(key: str, percent: float) -> bool:
    """Tell whether a key is among the percent; whoever is stays so when the percentage rises."""
    return bucket(key) < percent * BUCKETS / 100


def reads_by(phase: Phase, percent: float, key: str) -> bool:
    """Tell whether a read by this key is PostgreSQL's."""
    match phase:
        case Phase.OFF | Phase.DUAL_WRITE | Phase.SHADOW:
            return False
        case Phase.RAMP:
            return ramped(key, percent)
        case Phase.LIVE | Phase.COMPLETE:
            return True
        case _:
            assert_never(phase)


class Phases(Protocol):
    """What says how far each collection has come. It asks no server: the answers are kept in the process."""

    def of(self, collection: str) -> Phase:
        """Give the phase of a collection.

        Raises:
            PhaseError: nothing is known of it.

        """
        ...

    def reads_postgresql(self, collection: str, key: str) -> bool:
        """Tell whether a read is PostgreSQL's; the same for the same key as long as the phase and its percentage stay.

        Args:
            collection: whose documents are read.
            key: what the ramp goes by: a user's id, say, so that each sees one side.

        """
        ...


class FixedPhases:
    """Phases that nothing changes: for tests, and where there is no journal.

    Args:
        default: the phase of collections that are not named.
        collections: the phases of others.
        percent: how much of a ramp reads PostgreSQL.

    """

    def __init__(
        self,
        default: Phase | str = Phase.OFF,
        collections: Mapping[str, Phase | str] = MappingProxyType({}),
        *,
        percent: float = 0.0,
    ) -> None:
        if not 0 <= percent <= 100:
            raise PhaseError(f"a ramp reads between 0 and 100 percent, not {percent:g}")
        self._default = phase_named(default)
        self._collections = {name: phase_named(phase) for name, phase in collections.items()}
        self._percent = percent

    def of(self, collection: str) -> Phase:
        """Give the phase of a collection."""
        return self._collections.get(collection, self._default)

    def reads_postgresql(self, collection: str, key: str) -> bool:
        """Tell whether a read is PostgreSQL's."""
        return reads_by(self.of(collection), self._percent, key)
