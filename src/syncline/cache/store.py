"""What a cache keeps its values in. A value is good while the stamps of its tags are those of when its load began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Stamp:
    """The versions of some tags at one moment. Equal stamps: nothing was invalidated between the two moments."""

    current: tuple[object, ...]
    """Another after every invalidation or removal."""
    removed: tuple[object, ...]
    """Another after every removal."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A value that is kept."""

    value: Any
    age: timedelta
    """Since it was loaded."""
    fresh: bool
    """Within its time to live, and not invalidated. Otherwise it may be shown, marked stale, when a load fails."""
    left: timedelta = timedelta()
    """Of its time to live."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a store knows of a key."""

    stamp: Stamp
    entry: Entry | None = None


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a value is kept, counted from the beginning of its load."""

    fresh: timedelta
    stale: timedelta
    """How much longer it may be shown, marked stale."""

    @property
    def total(self) -> timedelta:
        """When it is gone."""
        return self.fresh + self.stale


class Store(Protocol):
    """Keeps values. Each method may raise ``CacheUnavailableError``, soon."""

    async def look(self, key: str, tags: Sequence[str]) -> Look:
        """Find a value, and the stamp that a load which begins now must carry."""
        ...

    async def write(self, key: str, tags: Sequence[str], stamp: Stamp, value: Any, life: Lifetime) -> None:
        """Keep a value that was loaded under this stamp; one whose tags were invalidated since is never fresh."""
        ...

    async def invalidate(self, tags: Sequence[str], *, remove: bool) -> None:
        """Make every value with one of these tags outdated, or remove it. Takes effect later when the store is down."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
