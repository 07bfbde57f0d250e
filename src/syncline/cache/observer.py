"""What a cache tells about itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Event(StrEnum):
    """What happened at a read, or beside it."""

    HIT = "hit"
    MISS = "miss"
    """A load was waited for, its own or another reader's."""
    STALE = "stale"
    """The load failed, or took too long; an outdated value was given, marked so."""
    LOAD = "load"
    """A load was started: at most as many as misses."""
    ERROR = "error"
    """The store could not be asked or told."""
    BYPASS = "bypass"
    """Nothing could be kept: a session cache was not sure to hear of revocations."""
    REVOKE = "revoke"
    """A revocation was heard."""


class CacheObserver(Protocol):
    """Sees the life of caches; must be quick and must not raise."""

    def cache(self, name: str, event: Event) -> None:
        """Something happened at the cache of this name."""
        ...


@dataclass(slots=True)
class Counts:
    """Totals since the cache was opened."""

    hit: int = 0
    miss: int = 0
    stale: int = 0
    load: int = 0
    error: int = 0
    bypass: int = 0
    revoke: int = 0

    @property
    def hit_rate(self) -> float:
        """Share of reads that were answered at once with a fresh value; 0 before the first."""
        reads = self.hit + self.miss + self.stale
        return self.hit / reads if reads else 0.0

    @property
    def suppressed(self) -> int:
        """Reads that needed no load of their own: answered from what is kept, or by another reader's load."""
        return self.hit + self.miss + self.stale - self.load

    def add(self, event: Event) -> None:
        """Count one more."""
        setattr(self, event.value, getattr(self, event.value) + 1)
