"""Tells the observer which traced transactions were delivered; does nothing while nobody wants to know."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta

from syncline.errors import SourceUnavailableError, SynclineError
from syncline.outbox import traces
from syncline.outbox.source import PostgresSource
from syncline.ports import Traced
from syncline.telemetry.observer import Delivery, Observer

FORGET_SECONDS = 60.0


class Traces:
    """Looks up traces beside the acknowledgement, on its connection. Trouble with them costs links, never changes."""

    def __init__(self, source: PostgresSource, observer: Observer) -> None:
        self._source = source
        self._observer = observer
        self._wanted = observer.wants_traces
        self._checked = False
        self._forgotten: float | None = None

    async def of(self, seqs: Sequence[int]) -> list[Traced]:
        """Find the traces of marks that are about to be acknowledged.

        Raises:
            SourceUnavailableError: the session is over.

        """
        if not self._wanted or not seqs:
            return []
        try:
            if not self._checked:
                await self._check()
            return await traces.traced(self._source.acker, seqs) if self._wanted else []
        except SourceUnavailableError:
            raise
        except SynclineError as error:
            self._wanted = False
            self._observer.notice("TracingStopped", "warning", f"traces cannot be read: {error.message}")
            return []

    def delivered(self, found: Sequence[Traced], took: timedelta) -> None:
        """Tell that these are in the target now."""
        if found:
            self._observer.delivered(
                [Delivery(one.traceparent, one.transaction, one.captured_at, one.entities, one.marks) for one in found],
                took,
            )

    async def tidy(self) -> None:
        """Forget old traces, now and then."""
        now = time.monotonic()
        if self._wanted and (self._forgotten is None or now - self._forgotten > FORGET_SECONDS):
            self._forgotten = now
            try:
                await traces.forget_old(self._source.acker)
            except SourceUnavailableError:
                raise
            except SynclineError as error:
                self._wanted = False
                self._observer.notice("TracingStopped", "warning", f"traces cannot be tidied: {error.message}")

    async def _check(self) -> None:
        self._checked = True
        if not await traces.is_on(self._source.acker):
            self._wanted = False
            self._observer.notice(
                "TracingStopped", "warning", "traces are not remembered in this source: run `syncline tracing on`"
            )
