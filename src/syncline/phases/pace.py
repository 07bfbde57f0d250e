"""When the threads that follow the phases ask again: rarely, often before something changes, at once when it has."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Mapping

from syncline.engines.mongo.gates import Gate

_OFTEN_SECONDS, _MOST_SECONDS, _AFTER_SECONDS = 0.02, 30.0, 1.0
"""Between two questions while a gate is about to change; for how long at most; how long after it has."""


class Pace:
    """The pauses of a process's threads, one for each place.

    Args:
        places: their names.
        rarely: seconds between two questions as a rule.

    """

    def __init__(self, places: Collection[str], rarely: float) -> None:
        self._rarely, self._due = rarely, {name: threading.Event() for name in places}
        self._change, self._until = 0, 0.0

    def hurry(self, seconds: float) -> None:
        """Ask often for so long, at least."""
        self._until = max(self._until, time.monotonic() + seconds)

    def heard(self, gates: Mapping[str, Gate]) -> None:
        """Ask often while a gate is about to change: writers wait for every process to know."""
        change = max((one.change for one in gates.values() if one.hurries), default=0)
        if change > self._change:
            self._change, self._until = change, time.monotonic() + _MOST_SECONDS
        elif self._change and not change:
            self._change, self._until = 0, time.monotonic() + _AFTER_SECONDS

    def rest(self, name: str, *, idle: bool) -> None:
        """Rest until the next question; ``idle``: what changes does not come from this place, and it has heard all."""
        hurries = not idle and time.monotonic() < self._until
        self._due[name].wait(min(_OFTEN_SECONDS, self._rarely) if hurries else self._rarely)
        self._due[name].clear()

    def wake(self, *, but: str = "") -> None:
        """End the pauses, of all places but one."""
        for name in self._due.keys() - {but}:
            self._due[name].set()
