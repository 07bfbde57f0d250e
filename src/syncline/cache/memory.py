"""Values in this process: bounded, least recently used ones go first."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from syncline.cache.store import Entry, Lifetime, Look, Stamp

TAGS_PER_ENTRY = 4
"""Invalidated tags that are remembered, per entry that fits in."""


class Versions:
    """A number for each tag that grows when it is invalidated; bounded.

    What is forgotten takes the number of the newest tag that was forgotten with it: at worst values are loaded again.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._clock = 0
        self._forgotten = 0
        self._known: OrderedDict[Hashable, int] = OrderedDict()

    @property
    def now(self) -> int:
        """The newest number that was given."""
        return self._clock

    def of(self, tags: Sequence[Hashable]) -> tuple[int, ...]:
        """Give the numbers of some tags."""
        return tuple(self._known.get(tag, self._forgotten) for tag in tags)

    def advance(self, tags: Sequence[Hashable]) -> None:
        """Give these tags a new number."""
        self._clock += 1
        for tag in tags:
            self._known[tag] = self._clock
            self._known.move_to_end(tag)
        if len(self._known) > self._limit:
            for _ in range(len(self._known) - self._limit // 2):
                _, self._forgotten = self._known.popitem(last=False)


@dataclass(frozen=True, slots=True)
class _Kept:
    stamp: Stamp
    value: Any
    began: float
    fresh_until: float
    until: float


class MemoryStore:
    """Keeps values in this process; hands out the very objects that were loaded, so treat them as read-only.

    Args:
        size: how many values.
        clock: seconds that only grow; for tests.

    """

    def __init__(self, size: int = 10_000, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._current = Versions(size * TAGS_PER_ENTRY)
        self._removed = Versions(size * TAGS_PER_ENTRY)

    def __len__(self) -> int:
        return len(self._kept)

    async def look(self, key: str, tags: Sequence[str]) -> Look:
        """Find a value."""
        stamp, now = self._stamp(tags), self._clock()
        kept = self._kept.get(key)
        if kept is None:
            return Look(stamp)
        if now >= kept.until or kept.stamp.removed != stamp.removed:
            del self._kept[key]
            return Look(stamp)
        self._kept.move_to_end(key)
        fresh = now < kept.fresh_until and kept.stamp.current == stamp.current
        left = timedelta(seconds=kept.fresh_until - now)
        return Look(stamp, Entry(kept.value, timedelta(seconds=now - kept.began), fresh, left))

    async def write(self, key: str, tags: Sequence[str], stamp: Stamp, value: Any, life: Lifetime) -> None:
        """Keep a value, unless its tags were invalidated while it was loaded."""
        if stamp != self._stamp(tags):
            return
        now = self._clock()
        ends = (now + life.fresh.total_seconds(), now + life.total.total_seconds())
        self._kept[key] = _Kept(stamp, value, now, *ends)
        self._kept.move_to_end(key)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)

    async def invalidate(self, tags: Sequence[str], *, remove: bool) -> None:
        """Advance the tags' versions."""
        self._current.advance(tags)
        if remove:
            self._removed.advance(tags)

    async def close(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def _stamp(self, tags: Sequence[str]) -> Stamp:
        return Stamp(self._current.of(tags), self._removed.of(tags))
