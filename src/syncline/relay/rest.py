"""A session at rest: nothing has happened for a while and nobody else is there, so it renews its leases seldom.

Writers wake it, for it holds the wake lock. So does a worker that finds its lanes taken: it shortens the lease of
whoever rests to the usual length (``Lanes.call``) and notifies. Who lives renews at once, the lanes of the dead are
free as soon as ever.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Final

from syncline.config.settings import WorkerSettings
from syncline.ports import Plans, Source
from syncline.relay.leases import Leases
from syncline.relay.pump import Pump

QUIET: Final = timedelta(seconds=30)
"""For so long nothing has happened before a rest begins."""
PAUSE: Final = timedelta(seconds=30)
"""Between two renewals at rest."""
LEASES = 3
"""A lease at rest is so many of these."""
DEFERRED_SECONDS = 5.0
"""After its grace a second delete has been marked, and seen, within so long."""


class Rest:
    """Tells whether a session may rest.

    Args:
        source: who writes there wakes this worker.
        plans: what is not served for a problem is looked at as often as ever.
        leases: all lanes are to be ours.
        pump: is to have had nothing to do.
        settings: for how long a delete may have to be done again, and the usual rhythm.
        allowed: else it never rests.

    """

    def __init__(
        self, source: Source, plans: Plans, leases: Leases, pump: Pump, settings: WorkerSettings, *, allowed: bool
    ) -> None:
        self._waker, self._plans, self._leases, self._pump = source.waker, plans, leases, pump
        self._allowed = allowed and settings.renew < PAUSE
        self._quiet = max(QUIET, settings.grace + timedelta(seconds=DEFERRED_SECONDS)).total_seconds()
        self._marks = 0
        self._since = time.monotonic()
        self.pause = PAUSE.total_seconds()
        """Seconds between two renewals at rest."""
        self.lease = max(LEASES * PAUSE, settings.lease)
        """How long a lease is that is given at rest."""

    def interrupt(self) -> None:
        """Take in that somebody has called."""
        self._since = time.monotonic()

    def may_begin(self) -> bool:
        """Look whether nothing is left that needs a frequent look."""
        marks = self._pump.totals["marks"]
        if marks != self._marks or not self._pump.is_idle:
            self._marks = marks
            self.interrupt()
        return (
            self._allowed
            and time.monotonic() - self._since >= self._quiet
            and self._waker is not None
            and self._waker.holds
            and self._leases.alone
            and not (self._plans.problems or self._plans.pending)
        )
