"""Connections to the side that may serve next: opened while a move is known, not by the first requests afterwards."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Sequence
from typing import Protocol

from syncline.errors import NamedDatabaseError


class Pools(Protocol):
    """Pools of connections that lead to several servers."""

    def keep(self, side: str, like: str) -> None:
        """Have as many connections open to one server as there are to another, of each kind that is in use there.

        Called by a thread of its own; it may take its time.

        Raises:
            NamedDatabaseError: none can be opened.

        """
        ...

    def release(self) -> None:
        """Let go what nobody has asked for."""
        ...


class Standby:
    """Keeps the other side of each move at hand."""

    def __init__(self, pools: Sequence[Pools]) -> None:
        self._pools = pools
        self._keeps = False

    def look(self, serving: str, sides: Collection[str]) -> None:
        """Keep the sides of a move that do not serve; one that is away is looked at again with the next call."""
        for side in sides:
            for pools in self._pools if side != serving else ():
                self._keeps = True
                with contextlib.suppress(NamedDatabaseError):
                    pools.keep(side, serving)

    def over(self) -> None:
        """Note that nothing moves any more."""
        if self._keeps:
            self._keeps = False
            for pools in self._pools:
                pools.release()
