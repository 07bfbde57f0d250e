"""How seldom a session may renew its leases, where a process serves many links and nobody else serves this one.

*At work* it renews every few seconds. *At rest*, when nothing has happened for a while and writers wake it (it holds
the wake lock), it does so every half minute, and a writer ends that. A worker that finds its lanes taken calls: it
shortens the leases that are longer than usual (``Lanes.call``) and notifies. Who lives renews at once, whatever its
rhythm, and the lanes of the dead are free as soon as ever.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from syncline.config.settings import WorkerSettings
from syncline.ports import Plans, Source
from syncline.relay.leases import Leases
from syncline.relay.pump import Pump

WORK_PAUSE: Final = timedelta(seconds=5)
"""Between two renewals at work."""
QUIET: Final = timedelta(seconds=30)
"""For so long nothing has happened before a rest begins."""
PAUSE: Final = timedelta(seconds=30)
"""Between two renewals at rest."""
LEASES = 3
"""A lease is so many pauses."""
DEFERRED_SECONDS = 5.0
"""After its grace a second delete has been marked, and seen, within so long."""


@dataclass(frozen=True, slots=True)
class Rhythm:
    """Renewals that are fewer than usual."""

    pause: float
    """Seconds between two."""
    lease: timedelta
    """How long a lease is that is given in it."""


class Rest:
    """Tells how seldom a session may renew.

    Args:
        source: who writes there wakes this worker.
        plans: what is not served for a problem is looked at as often as ever.
        leases: all lanes are to be ours.
        pump: for a rest it is to have had nothing to do.
        settings: for how long a delete may have to be done again, and the usual rhythm.
        allowed: else it is always the usual rhythm.

    """

    def __init__(
        self, source: Source, plans: Plans, leases: Leases, pump: Pump, settings: WorkerSettings, *, allowed: bool
    ) -> None:
        self._waker, self._plans, self._leases, self._pump = source.waker, plans, leases, pump
        self._allowed = allowed
        self._quiet = max(QUIET, settings.grace + timedelta(seconds=DEFERRED_SECONDS)).total_seconds()
        self._marks = 0
        self._since = time.monotonic()
        self.at_work = _rhythm(WORK_PAUSE, settings)
        self.at_rest = _rhythm(PAUSE, settings)

    def interrupt(self) -> None:
        """Take in that somebody has notified."""
        self._since = time.monotonic()

    def rhythm(self) -> Rhythm | None:
        """Look how seldom renewals may be; ``None``: as usual."""
        marks = self._pump.totals["marks"]
        if marks != self._marks or not self._pump.is_idle:
            self._marks = marks
            self.interrupt()
        if not (self._allowed and self._leases.alone and self._waker is not None and self._waker.can_listen):
            return None
        if self._plans.problems or self._plans.pending:
            return None
        quiet = time.monotonic() - self._since >= self._quiet
        return self.at_rest if quiet and self._waker.holds and self.at_rest is not None else self.at_work


def _rhythm(pause: timedelta, settings: WorkerSettings) -> Rhythm | None:
    if settings.renew >= pause:
        return None
    return Rhythm(pause.total_seconds(), max(LEASES * pause, settings.lease))
