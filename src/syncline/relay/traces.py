"""Tells the observer which traced transactions were delivered; does nothing while nobody wants to know."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta

from syncline import ports
from syncline.errors import SourceUnavailableError, SynclineError
from syncline.model.mark import Mark
from syncline.model.notice import Notice
from syncline.ports import Traced
from syncline.telemetry.observer import Delivered, Delivery, Noticed, Observer

FORGET_SECONDS = 60.0


class Traces:
    """Looks up traces beside the acknowledgement, on its connection. Trouble with them costs links, never changes."""

    def __init__(self, traces: ports.Traces | None, observer: Observer) -> None:
        self._traces = traces
        self._observer = observer
        self._wanted = observer.wants_traces
        self._checked = False
        self._forgotten: float | None = None

    async def of(self, marks: Sequence[Mark]) -> list[Traced]:
        """Find the traces of marks that are about to be acknowledged.

        Raises:
            SourceUnavailableError: the session is over.

        """
        if not self._wanted or not marks:
            return []
        try:
            if not self._checked:
                await self._check()
            if self._traces is None or not self._wanted:
                return []
            return await self._traces.of(marks)
        except SourceUnavailableError:
            raise
        except SynclineError as error:
            self._stop(f"traces cannot be read: {error.message}")
            return []

    def delivered(self, found: Sequence[Traced], took: timedelta) -> None:
        """Tell that these are in the target now."""
        if found:
            deliveries = [
                Delivery(one.traceparent, one.transaction, one.captured_at, one.entities, one.marks) for one in found
            ]
            self._observer.tell(Delivered(deliveries, took))

    async def tidy(self) -> None:
        """Forget old traces, now and then."""
        now = time.monotonic()
        due = self._forgotten is None or now - self._forgotten > FORGET_SECONDS
        if self._traces is not None and self._wanted and due:
            self._forgotten = now
            try:
                await self._traces.forget_old()
            except SourceUnavailableError:
                raise
            except SynclineError as error:
                self._stop(f"traces cannot be tidied: {error.message}")

    async def _check(self) -> None:
        self._checked = True
        if self._traces is None or not await self._traces.are_kept():
            self._stop("traces are not remembered in this source: run `syncline tracing on`")

    def _stop(self, why: str) -> None:
        self._wanted = False
        self._observer.tell(Noticed(Notice.TRACING_STOPPED, "warning", why))
