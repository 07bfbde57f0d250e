"""The Observer is told what the worker does, once per batch; it must be quick and must not raise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

import structlog

from syncline.ports import Rejection

PARKED_LINES = 10
"""Lines about parked records for one batch: a thousand of them would hold up the worker."""


@dataclass(frozen=True, slots=True)
class BatchDone:
    """What became of the records of one batch and one entity, told after the acknowledgement."""

    entity: str
    collection: str
    marks: int
    """Marks that the batch acknowledged; several may concern one record."""
    applied: int
    """Records present in the source, written."""
    deleted: int = 0
    stale: int = 0
    """Records that carried a higher ticket already."""
    rejected: Sequence[Rejection] = ()
    """Records that are parked now."""
    took: timedelta = timedelta()
    """From reading the marks to the acknowledgement."""
    keys: Sequence[str] = ()
    """The keys, only for an observer that wants them."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A traced transaction of whose changes some, usually all, have just been applied (or parked)."""

    traceparent: str
    """W3C trace context of the span that wrote."""
    transaction: str
    captured_at: datetime
    """When the first of these changes was captured, by the source's clock."""
    entities: Sequence[str]
    marks: int


class Observer(Protocol):
    """Sees the worker's life."""

    wants_keys: bool
    """Whether ``BatchDone.keys`` is to be filled."""
    wants_traces: bool
    """Whether ``delivered`` is to be told; it costs a statement per acknowledgement."""

    def started(self, worker: str, settings: Mapping[str, Any]) -> None:
        """A worker starts, with these settings (secrets masked)."""
        ...

    def lanes(self, owned: int, total: int) -> None:
        """The number of lanes that this worker owns has changed."""
        ...

    def batch(self, done: BatchDone) -> None:
        """A batch is in the target, durably, and acknowledged."""
        ...

    def delivered(self, deliveries: Sequence[Delivery], took: timedelta) -> None:
        """Traced changes are acknowledged; ``took``: their batch, from reading the marks on."""
        ...

    def dropped(self, reason: str, marks: int) -> None:
        """A batch is given up unacknowledged (lease lost, too old); its marks will be read again."""
        ...

    def unavailable(self, side: str, error: BaseException, retry_in: timedelta) -> None:
        """``source`` or ``target`` cannot be used at present."""
        ...

    def notice(self, name: str, severity: str, message: str) -> None:
        """Something that an operator must know; it also stands in the source's notices."""
        ...

    def stopped(self, reason: str) -> None:
        """The worker ends and has given its lanes back."""
        ...


class NullObserver:
    """Sees nothing. A base for observers that care for some events only."""

    wants_keys = False
    wants_traces = False

    def started(self, worker: str, settings: Mapping[str, Any]) -> None:
        """Ignore it."""

    def lanes(self, owned: int, total: int) -> None:
        """Ignore it."""

    def batch(self, done: BatchDone) -> None:
        """Ignore it."""

    def delivered(self, deliveries: Sequence[Delivery], took: timedelta) -> None:
        """Ignore it."""

    def dropped(self, reason: str, marks: int) -> None:
        """Ignore it."""

    def unavailable(self, side: str, error: BaseException, retry_in: timedelta) -> None:
        """Ignore it."""

    def notice(self, name: str, severity: str, message: str) -> None:
        """Ignore it."""

    def stopped(self, reason: str) -> None:
        """Ignore it."""


class LoggingObserver:
    """Writes the log of ``syncline worker``: its settings, a line per batch, at debug a line per record."""

    wants_traces = False

    def __init__(self, log: Any | None = None, *, wants_keys: bool = False) -> None:
        self._log = log or structlog.get_logger("syncline")
        self.wants_keys = wants_keys

    def started(self, worker: str, settings: Mapping[str, Any]) -> None:
        """Log the settings."""
        self._log.info("worker started", name=worker, settings=dict(settings))

    def lanes(self, owned: int, total: int) -> None:
        """Log the share of the work."""
        self._log.info("lanes", owned=owned, total=total)

    def batch(self, done: BatchDone) -> None:
        """Log the batch, the first of its parked records and how many more there are, and at debug each record."""
        took = done.took / timedelta(milliseconds=1)
        self._log.info(
            "batch",
            collection=done.collection,
            marks=done.marks,
            applied=done.applied,
            deleted=done.deleted,
            stale=done.stale,
            parked=len(done.rejected),
            took_ms=round(took, 1),
        )
        for rejection in done.rejected[:PARKED_LINES]:
            self._log.warning(
                "parked", record=f"{done.collection}/{rejection.key}", code=rejection.code, error=rejection.message
            )
        if len(done.rejected) > PARKED_LINES:
            more = len(done.rejected) - PARKED_LINES
            self._log.warning("more parked", collection=done.collection, records=more, list="syncline parked list")
        for key in done.keys:
            self._log.debug(f"synced {done.collection}/{key} in {took:.0f} ms")

    def delivered(self, deliveries: Sequence[Delivery], took: timedelta) -> None:
        """Log each with its trace, at debug."""
        del took
        for one in deliveries:
            self._log.debug("delivered", trace=one.traceparent, transaction=one.transaction, marks=one.marks)

    def dropped(self, reason: str, marks: int) -> None:
        """Log it."""
        self._log.warning("batch dropped, its records will be read again", reason=reason, marks=marks)

    def unavailable(self, side: str, error: BaseException, retry_in: timedelta) -> None:
        """Log it."""
        self._log.warning(f"{side} unavailable", error=str(error), retry_in_seconds=round(retry_in.total_seconds(), 1))

    def notice(self, name: str, severity: str, message: str) -> None:
        """Log it, a critical one as an error."""
        write = {"info": self._log.info, "critical": self._log.error}.get(severity, self._log.warning)
        write(message, notice=name)

    def stopped(self, reason: str) -> None:
        """Log it."""
        self._log.info("worker stopped", reason=reason)


class Observers:
    """Tells several observers."""

    def __init__(self, *observers: Observer) -> None:
        self._all = observers
        self.wants_keys = any(one.wants_keys for one in observers)
        self.wants_traces = any(one.wants_traces for one in observers)

    def started(self, worker: str, settings: Mapping[str, Any]) -> None:
        """Tell all."""
        for one in self._all:
            one.started(worker, settings)

    def lanes(self, owned: int, total: int) -> None:
        """Tell all."""
        for one in self._all:
            one.lanes(owned, total)

    def batch(self, done: BatchDone) -> None:
        """Tell all."""
        for one in self._all:
            one.batch(done)

    def delivered(self, deliveries: Sequence[Delivery], took: timedelta) -> None:
        """Tell all."""
        for one in self._all:
            one.delivered(deliveries, took)

    def dropped(self, reason: str, marks: int) -> None:
        """Tell all."""
        for one in self._all:
            one.dropped(reason, marks)

    def unavailable(self, side: str, error: BaseException, retry_in: timedelta) -> None:
        """Tell all."""
        for one in self._all:
            one.unavailable(side, error, retry_in)

    def notice(self, name: str, severity: str, message: str) -> None:
        """Tell all."""
        for one in self._all:
            one.notice(name, severity, message)

    def stopped(self, reason: str) -> None:
        """Tell all."""
        for one in self._all:
            one.stopped(reason)
