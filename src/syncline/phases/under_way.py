"""Writes that have passed MongoDB's gate and have not ended: a closing that a process hears of waits for them a moment.

Until the process has noted that it knows, whoever closes waits for it, as long as the lease of what it knew before. So
these writes are acknowledged by that lease, and new ones are refused already.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from syncline.clock import boottime
from syncline.engines.mongo.gates import APPLICATION, Gate

END_SECONDS = 0.25
"""So long a closing waits for them; what ends later is told that its outcome is unknown."""


@dataclass(frozen=True, slots=True)
class _Over:
    """A gate that was open until now."""

    number: int
    until: float
    """The end of the lease of the last answer that said so, on ``boottime``."""


class UnderWay:
    """Counts them, by collection and number."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, int]] = Counter()
        self._over: Mapping[str, _Over] = {}
        self._ended = threading.Condition()

    @contextmanager
    def writing(self, collection: str, number: int) -> Iterator[None]:
        """Count the writes of a block as one."""
        key = (collection, number)
        with self._ended:
            self._counts[key] += 1
        try:
            yield
        finally:
            with self._ended:
                self._counts[key] -= 1
                if not self._counts[key]:
                    del self._counts[key]
                    self._ended.notify_all()

    def heard(self, before: Mapping[str, Gate], now: Mapping[str, Gate], until: float) -> None:
        """Take in what gates say now; ``until`` is the end of the lease of what they said before."""
        opened = {name: gate.opened for name, gate in before.items() if gate.mode == APPLICATION}
        still = {name: gate.opened for name, gate in now.items() if gate.mode == APPLICATION}
        over = [
            name for name in now if (name in opened or name not in before) and still.get(name) != opened.get(name, 0)
        ]
        with self._ended:
            self._over = {**self._over, **{name: _Over(opened.get(name, 0), until) for name in over}}

    def holds(self, collection: str, number: int) -> bool:
        """Tell whether a write under a number that is over may still be acknowledged."""
        over = self._over.get(collection)
        return over is not None and over.number == number and boottime() < over.until

    def let_end(self) -> None:
        """Wait a moment for writes under numbers that are over; none is acknowledged by them from then on."""
        with self._ended:
            over = self._over.items()
            self._ended.wait_for(lambda: not any(self._counts[name, one.number] for name, one in over), END_SECONDS)
            self._over = {}
