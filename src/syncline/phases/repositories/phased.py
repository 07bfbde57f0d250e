"""One repository of two: for each call the phase says which side is asked."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta
from functools import partial
from inspect import isawaitable
from typing import Any, Protocol, TypeVar, cast

from syncline.breaker import CircuitBreaker
from syncline.capture.documents import MarkedCollection
from syncline.capture.documents.gate import WriteGate
from syncline.errors import TargetError
from syncline.phases.phase import Phase, Phases
from syncline.phases.repositories.abstract import AbstractRepository, reading
from syncline.phases.repositories.programmed import ProgrammedRepository
from syncline.phases.repositories.written import DocumentWriter, written_by
from syncline.phases.shadow import Read
from syncline.phases.shadow.report import Report
from syncline.phases.switching.running import arun, run

R = TypeVar("R", bound=AbstractRepository)
Ask = Callable[[], Any]
_LOG = logging.getLogger("syncline.phases.repositories")
_ramp_key: ContextVar[str | None] = ContextVar("syncline_ramp_key", default=None)
_of_truth: ContextVar[bool] = ContextVar("syncline_of_truth", default=False)
REST = timedelta(seconds=5)
"""How long PostgreSQL is left alone after it has failed, while MongoDB still is the truth."""


class ShadowReader(Protocol):
    """Reads the other side beside the truth: ``BlockingShadowReads`` of ``phases.shadow``; awaited, ``ShadowReads``."""

    def read(self, what: Read, truth: Ask, other: Ask) -> Any:
        """Give the truth's answer."""
        ...


@contextmanager
def ramp_key(key: str) -> Iterator[None]:
    """Have all reads of a block go by one key of a ramp, a user's say, so that each user sees one side.

    Without it they go by what is asked for: the record of ``get``, the arguments of others.
    """
    token = _ramp_key.set(key)
    try:
        yield
    finally:
        _ramp_key.reset(token)


@contextmanager
def from_truth() -> Iterator[None]:
    """Have all reads of a block answered by the truth, in a ramp too: what somebody may do, say.

    Elsewhere a ramp's answer may lack what other processes have written and the worker has not carried yet.
    """
    token = _of_truth.set(True)
    try:
        yield
    finally:
        _of_truth.reset(token)


def phased(
    mongodb: R,
    postgresql: R,
    phases: Phases,
    *,
    shadow: ShadowReader | None = None,
    writer: DocumentWriter | None = None,
    breaker: CircuitBreaker | None = None,
) -> R:
    """Make one repository of both sides'; each call asks the phase of the collection.

    Writes go to MongoDB until PostgreSQL is the truth. Reads are the truth's, but in a ramp for a part of the keys;
    while MongoDB is the truth, PostgreSQL's failure to answer a read is logged, and MongoDB answers, as it does while
    PostgreSQL lacks what the writer has written.

    Args:
        mongodb: over the collection.
        postgresql: over its tables.
        phases: say how far the collection has come.
        shadow: compares reads in the phase ``shadow`` and in a ramp.
        writer: makes ``create``, ``update`` and ``delete`` on both sides, those of methods of your own as well.
        breaker: has PostgreSQL left alone for a while after a failure; repositories of one database share it.

    """
    return cast(
        "R", _Phased(mongodb, postgresql, phases, shadow, writer, breaker or CircuitBreaker(REST.total_seconds()))
    )


class _Phased:
    def __init__(
        self,
        mongodb: Any,
        postgresql: Any,
        phases: Phases,
        shadow: ShadowReader | None,
        writer: DocumentWriter | None,
        breaker: CircuitBreaker,
    ) -> None:
        _gated(mongodb, phases)
        self.mongodb, self.postgresql, self.phases = mongodb, postgresql, phases
        self.collection_name: str = mongodb.collection_name
        self._writing = [one if writer is None else written_by(one, writer, self._get) for one in (mongodb, postgresql)]
        self._shadow, self._writer, self._breaker = shadow, writer, breaker
        report = getattr(shadow, "report", None)
        if isinstance(report, Report):
            declaration = getattr(getattr(postgresql, "mapping", None), "fingerprint", None)
            report.declare(self.collection_name, self._reading_methods(), declaration=declaration)
            for one in (mongodb, postgresql):
                if isinstance(one, ProgrammedRepository):
                    one.asked = report.asked

    def _get(self, id_: Any) -> Any:
        """Read a document where the truth is."""
        truth = self.postgresql if self.phases.of(self.collection_name).postgresql_is_truth else self.mongodb
        return truth.get(id_)

    def _reading_methods(self) -> list[str]:
        kind = type(self.mongodb)
        names = [name for name in dir(kind) if not name.startswith("_") and callable(getattr(kind, name))]
        return [name for name in names if not _is_write(name, getattr(kind, name))]

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.mongodb, name)
        if name.startswith("_") or not callable(method):
            return method
        if _is_write(name, method):
            return partial(self._write, name)
        return partial(self._read, name)

    def _write(self, name: str, *args: Any, **named: Any) -> Any:
        """Do it where the truth is; while that changes sides, again: nothing of it was written then."""

        def write(phase: Phase) -> Any:
            return getattr(self._writing[phase.postgresql_is_truth], name)(*args, **named)

        if self.mongodb.is_async:
            return arun(self.phases, self.collection_name, write)
        return run(self.phases, self.collection_name, write)

    def _read(self, name: str, *args: Any, **named: Any) -> Any:
        """Every read of the collection comes through here."""
        phase = self.phases.of(self.collection_name)
        given = [*args, *named.values()]
        record = str(given[0]) if name == "get" and given else None
        mongodb = partial(_asked, self.mongodb, name, args, named)
        postgresql = partial(_asked, self.postgresql, name, args, named)
        if phase.postgresql_is_truth:
            return postgresql()
        key = _ramp_key.get() or record or repr((name, given))
        if not _of_truth.get() and self.phases.reads_postgresql(self.collection_name, key):
            return self._ramped(postgresql, mongodb)
        if self._shadow is not None and phase >= Phase.SHADOW:
            return self._shadow.read(Read(self.collection_name, name, record), mongodb, postgresql)
        return mongodb()

    def _ramped(self, postgresql: Ask, mongodb: Ask) -> Any:
        if self.mongodb.is_async:
            return self._awaited(postgresql, mongodb)
        if self._breaker.refuses() or (self._writer is not None and self._writer.is_behind(self.mongodb)):
            return mongodb()
        try:
            answer = postgresql()
        except TargetError as error:
            self._failed(error)
            return mongodb()
        self._breaker.succeeded()
        return answer

    async def _awaited(self, postgresql: Ask, mongodb: Ask) -> Any:
        behind = self._writer.is_behind(self.mongodb) if self._writer is not None else False
        if self._breaker.refuses() or (await behind if isawaitable(behind) else behind):
            return await mongodb()
        try:
            answer = await postgresql()
        except TargetError as error:
            self._failed(error)
            return await mongodb()
        self._breaker.succeeded()
        return answer

    def _failed(self, error: TargetError) -> None:
        if self._breaker.failed():
            _LOG.error("%s is read from MongoDB, PostgreSQL failed: %s", self.collection_name, error)


def _gated(mongodb: Any, phases: Phases) -> None:
    """Have writes in MongoDB ask its gate, where whoever has wrapped the collection did not say so."""
    collection = getattr(mongodb, "collection", None)
    if isinstance(collection, MarkedCollection) and collection.gate is None and isinstance(phases, WriteGate):
        mongodb.collection = type(collection)(collection.bare, phases)


def _is_write(name: str, method: object) -> bool:
    return any(hasattr(one, "syncline_writes") for one in (method, getattr(AbstractRepository, name, None)))


def _asked(repository: Any, name: str, args: Any, named: Any) -> Any:
    with reading():
        answer = getattr(repository, name)(*args, **named)
    return _awaited(answer) if isawaitable(answer) else answer


async def _awaited(answer: Awaitable[Any]) -> Any:
    with reading():
        return await answer
