"""What a worker tells about its life: events, one call each, and who is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Literal, Protocol, assert_never

import structlog

from syncline.model.notice import Notice
from syncline.ports import Rejection

PARKED_LINES = 10
"""Lines about parked records for one batch: a thousand of them would hold up the worker."""


class Drop(StrEnum):
    """Why a batch is given up unacknowledged."""

    LEASE_LOST = "lease_lost"
    """Another worker owns its lanes."""
    FAILED = "failed"
    """The target did not take it, or it grew too old."""
    GATE = "gate"
    """The gate of a move did not let it in."""


@dataclass(frozen=True, slots=True)
class Started:
    """A worker starts, with these settings (secrets masked)."""

    worker: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class LanesChanged:
    """The number of lanes that this worker owns has changed."""

    owned: int
    total: int


@dataclass(frozen=True, slots=True)
class BatchDone:
    """What became of the records of one batch and one entity: durable in the target, and acknowledged."""

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


@dataclass(frozen=True, slots=True)
class Delivered:
    """Traced changes are acknowledged."""

    deliveries: Sequence[Delivery]
    took: timedelta
    """Of their batch, from reading the marks on."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A batch is given up unacknowledged; its marks are read again."""

    reason: Drop
    message: str
    marks: int


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A side cannot be used at present."""

    side: Literal["source", "target"]
    error: BaseException
    retry_in: timedelta


@dataclass(frozen=True, slots=True)
class Noticed:
    """Something that an operator must know; most of it also stands in the source's notices."""

    name: Notice
    severity: str
    message: str


@dataclass(frozen=True, slots=True)
class Stopped:
    """The worker ends and has given its lanes back."""

    reason: str


Event = Started | LanesChanged | BatchDone | Delivered | Dropped | Unavailable | Noticed | Stopped


class Observer(Protocol):
    """Is told of a worker's life, a few times a batch; must be quick and must not raise."""

    wants_keys: bool
    """Whether ``BatchDone.keys`` is to be filled."""
    wants_traces: bool
    """Whether ``Delivered`` is to be told; it costs a statement per acknowledgement."""

    def tell(self, event: Event) -> None:
        """Take in an event."""
        ...


class NullObserver:
    """Sees nothing. A base for observers that care for some events only."""

    wants_keys = False
    wants_traces = False

    def tell(self, event: Event) -> None:
        """Ignore it."""


class Observers:
    """Tells several observers."""

    def __init__(self, *observers: Observer) -> None:
        self._all = observers
        self.wants_keys = any(one.wants_keys for one in observers)
        self.wants_traces = any(one.wants_traces for one in observers)

    def tell(self, event: Event) -> None:
        """Tell all."""
        for one in self._all:
            one.tell(event)


class LoggingObserver:
    """Writes the log of ``syncline worker``: its settings, a line per batch, at debug a line per record."""

    wants_traces = False

    def __init__(self, log: Any | None = None, *, wants_keys: bool = False) -> None:
        self._log = log or structlog.get_logger("syncline")
        self.wants_keys = wants_keys

    def tell(self, event: Event) -> None:
        """Log it: what is not well as a warning, a critical notice as an error."""
        match event:
            case BatchDone():
                self._batch(event)
            case Started(worker, settings):
                self._log.info("worker started", name=worker, settings=dict(settings))
            case LanesChanged(owned, total):
                self._log.info("lanes", owned=owned, total=total)
            case Delivered(deliveries):
                for one in deliveries:
                    self._log.debug("delivered", trace=one.traceparent, transaction=one.transaction, marks=one.marks)
            case Dropped(reason, message, marks):
                write = self._log.info if reason is Drop.GATE else self._log.warning
                write("batch dropped, its records will be read again", reason=message, marks=marks)
            case Unavailable(side, error, retry_in):
                seconds = round(retry_in.total_seconds(), 1)
                self._log.warning(f"{side} unavailable", error=str(error), retry_in_seconds=seconds)
            case Noticed(name, severity, message):
                write = {"info": self._log.info, "critical": self._log.error}.get(severity, self._log.warning)
                write(message, notice=name.value)
            case Stopped(reason):
                self._log.info("worker stopped", reason=reason)
            case _:
                assert_never(event)

    def _batch(self, done: BatchDone) -> None:
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
        for key in done.keys if self.wants_keys else ():  # others may want them
            self._log.debug(f"synced {done.collection}/{key} in {took:.0f} ms")
