"""One phase for all reads of a request: a change that comes meanwhile waits for it, or for a moment at most."""

from __future__ import annotations

import threading
import time
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, TypeVar

from syncline.phases.phase import Phase
from syncline.phases.standing import Standing

V = TypeVar("V")
HOLD_SECONDS = 1.0
"""So long a change that has come waits for requests that began before it; then they go by it, too."""
_ALIKE = frozenset({Phase.DUAL_WRITE, Phase.SHADOW, Phase.RAMP})
"""Phases that differ by who is read alone: MongoDB is the truth, and both sides are written."""
_request: ContextVar[Epoch | None] = ContextVar("syncline_epoch", default=None)


@dataclass(slots=True, eq=False)
class Taken:
    """What one source of phases said when the request first asked it."""

    number: int
    standings: Mapping[str, Standing]
    default: Standing
    ends: float | None = None
    """On the monotonic clock; ``None``: nothing has changed since."""

    def of(self, collection: str) -> Standing:
        """Give how a collection stood."""
        return self.standings.get(collection, self.default)

    def holds(self) -> bool:
        """Tell whether the request still goes by it."""
        return self.ends is None or time.monotonic() < self.ends


@dataclass(slots=True, eq=False)
class Epoch:
    """What a request goes by; filled by its first questions."""

    taken: dict[Epochs, Taken] = field(default_factory=dict)
    kept: dict[Hashable, Any] = field(default_factory=dict)

    @property
    def number(self) -> int | None:
        """The newest change of a phase that it knows; ``None``: it has not asked."""
        return max((one.number for one in self.taken.values()), default=None)


@contextmanager
def one_epoch() -> Iterator[Epoch]:
    """Have all reads of a block go by the phases, and percentages of ramps, that its first one finds.

    Whoever changes a phase waits for blocks that began before, a second at most. Where the truth changes sides, or
    begins or ends to be written twice, nothing waits: reads go by that at once.
    """
    if (outer := _request.get()) is not None:
        yield outer
        return
    epoch = Epoch()
    token = _request.set(epoch)
    try:
        yield epoch
    finally:
        _request.reset(token)
        for epochs, taken in epoch.taken.items():
            epochs.end(taken)


def kept(name: Hashable, value: V) -> V:
    """Give what the request was first told under a name; outside of one, what is told now."""
    epoch = _request.get()
    return value if epoch is None else epoch.kept.setdefault(name, value)


class Epochs:
    """The epochs of a process's requests, for one source of phases."""

    def __init__(self) -> None:
        self._open: set[Taken] = set()
        self._lock = threading.Lock()
        self._standings: Mapping[str, Standing] = {}

    def standing(self, collection: str, now: Standing, default: Standing) -> Standing:
        """Give how a collection stands for the request that asks, if it is one.

        Args:
            collection: its name.
            now: how it stands.
            default: how those stand that nobody has changed.

        """
        if (epoch := _request.get()) is None:
            return now
        if (taken := epoch.taken.get(self)) is None:
            taken = epoch.taken[self] = self._begun(default)
        then = taken.of(collection)
        return then if then.phase in _ALIKE and now.phase in _ALIKE and taken.holds() else now

    def _begun(self, default: Standing) -> Taken:
        with self._lock:
            number = max((one.number for one in self._standings.values()), default=0)
            taken = Taken(number, self._standings, default)
            self._open.add(taken)
            return taken

    def learn(self, standings: Mapping[str, Standing]) -> None:
        """Go by these from here on; requests that began before do so in a moment."""
        ends = time.monotonic() + HOLD_SECONDS
        with self._lock:
            self._standings = standings
            for taken in self._open:
                if taken.ends is None and _read_otherwise(taken, standings):
                    taken.ends = ends

    def known(self, number: int) -> int:
        """Give the newest change, up to this one, that all requests go by."""
        with self._lock:
            held = [one.number for one in self._open if one.ends is not None and one.holds()]
        return min([number, *held])

    def end(self, taken: Taken) -> None:
        """Note that a request is over."""
        taken.ends = 0.0
        with self._lock:
            self._open.discard(taken)


def _read_otherwise(taken: Taken, now: Mapping[str, Standing]) -> bool:
    """Tell whether it makes a difference for reads that wait for each other."""
    changed = {name: (taken.of(name), one) for name, one in now.items() if taken.of(name) != one}
    return any(then.phase in _ALIKE and one.phase in _ALIKE for then, one in changed.values())
