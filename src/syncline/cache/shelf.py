"""Values by key and by name, for a time: bounded, the least recently used one goes first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple


class Kept(NamedTuple):
    """A value, until when it may be given, and the digests of the names that revoke it."""

    value: Any
    until: float
    names: tuple[bytes, ...]


class Shelf:
    """Keeps values that can be removed by any of their names.

    Args:
        size: how many values.
        clock: seconds that only grow.

    """

    def __init__(self, size: int, clock: Callable[[], float]) -> None:
        self._size = size
        self._clock = clock
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._named: dict[bytes, set[str]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: str) -> Kept | None:
        """Find a value whose time is not over."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        if self._clock() >= kept.until:
            self._drop(key)
            return None
        self._kept.move_to_end(key)
        return kept

    def put(self, key: str, kept: Kept) -> None:
        """Keep a value instead of the one that is there."""
        self._drop(key)
        self._kept[key] = kept
        for name in kept.names:
            self._named.setdefault(name, set()).add(key)
        if len(self._kept) > self._size:
            self._drop(next(iter(self._kept)))

    def revoke(self, names: Iterable[bytes]) -> None:
        """Remove whatever has one of these names."""
        for name in names:
            for key in tuple(self._named.get(name, ())):
                self._drop(key)

    def expire(self) -> None:
        """Remove what is over."""
        now = self._clock()
        for key in [key for key, kept in self._kept.items() if now >= kept.until]:
            self._drop(key)

    def clear(self) -> None:
        """Remove everything."""
        self._kept.clear()
        self._named.clear()

    def _drop(self, key: str) -> None:
        kept = self._kept.pop(key, None)
        if kept is None:
            return
        for name in kept.names:
            keys = self._named[name]
            keys.discard(key)
            if not keys:
                del self._named[name]
