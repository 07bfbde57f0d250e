"""The audit log: an operation is written down before it is done, and what became of it afterwards.

An update whose values are not kept is noted in its document, by the write that does it, and written down soon after.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, TypeVar

from syncline.errors import RefusedDocumentError, SourceError, SynclineError, UnknownOutcomeError, UnmarkableError
from syncline.ports.document_writes import (
    Action,
    Existing,
    Intent,
    IntentEnd,
    IntentLog,
    WritableDocuments,
    Write,
    Written,
)
from syncline.ports.documents import MarkedDocument, Noted

T = TypeVar("T")
LOG = logging.getLogger("syncline.phases.dual_write")
_ACTOR: ContextVar[str | None] = ContextVar("syncline_actor", default=None)
_TOGETHER_SECONDS = 0.25
"""So much later outcomes are written, and what is noted in documents, together: nobody waits for them; one by one they
cost as much as the write."""
_TRIES = 100
_MASKED = "***"


@contextlib.contextmanager
def acting_as(actor: str | None) -> Iterator[None]:
    """Say who does what is done in a block, in this thread or task."""
    token = _ACTOR.set(actor)
    try:
        yield
    finally:
        _ACTOR.reset(token)


def actor() -> str | None:
    """Tell who does what is done here."""
    return _ACTOR.get()


@dataclass(frozen=True, slots=True)
class AuditRule:
    """What of a collection's operations is kept, besides who did what when to which document, and the fields' names."""

    values: bool = False
    """The document before, and what was set. Operations of a batch are done one by one then."""
    masked: frozenset[str] = frozenset()
    """Fields at the top whose values are not kept."""


class AuditedWrites:
    """Writes that are in the log, whatever becomes of them.

    Args:
        writes: the writes themselves.
        log: where they are written down.
        rules: by collection; others have the default one.

    """

    def __init__(self, writes: WritableDocuments, log: IntentLog, rules: Mapping[str, AuditRule]) -> None:
        self._writes, self._log, self._rules = writes, log, rules
        self._ended: dict[str, tuple[IntentEnd, str | None]] = {}
        self._noted: defaultdict[str, list[tuple[Any, Noted]]] = defaultdict(list)
        """By collection, updates that were done and are noted in their documents, with the document's ``_id``."""
        self._unknown: list[tuple[str, Any, Noted]] = []
        """Those that may be done."""
        self._ending: asyncio.Task[None] | None = None
        self._closed = self._hindered = False

    def keeps_values(self, collection: str) -> bool:
        """Tell whether documents are read before they are written."""
        return self._rule(collection).values

    def _rule(self, collection: str) -> AuditRule:
        return self._rules.get(collection) or AuditRule()

    async def write(self, collection: str, write: Write) -> MarkedDocument | None:
        """Write one; see ``WritableDocuments.write``.

        Raises:
            RefusedDocumentError: also where others wrote the document between each reading of it and its writing.

        """
        return await self._over_what_was_read(collection, write, self._written)

    async def write_carried(self, collection: str, write: Write) -> MarkedDocument | None:
        """Write one that is carried now; whoever does enters what is noted in it, or has it done by ``enter``."""
        done = None
        if (noted := self._note(collection, write)) is not None:
            try:
                done = await self._writes.update_noted(collection, write, noted)
            except (RefusedDocumentError, UnmarkableError):
                pass  # nothing is written: the log has it then, with the reason
            except (SourceError, UnknownOutcomeError, asyncio.CancelledError):
                self._unknown.append((collection, write.id, noted))
                self._soon()
                raise
        return done if done is not None else await self.write(collection, write)

    def enter(self, collection: str, document: MarkedDocument) -> None:
        """Have what is noted in a document entered soon: nobody else does it by now."""
        if document.noted:
            self._noted[collection] += [(document.id, one) for one in document.noted]
            self._soon()

    async def write_alone(self, collection: str, write: Write) -> MarkedDocument | None:
        """Write one that nobody carries now: only its key and its mark are told of what is there then."""
        rule, done = self._rule(collection), None
        if not rule.values:
            try:
                first = self._log.beginning(_intent(collection, write, rule, None))
                done = await self._writes.write_behind(collection, write, first)
            except RefusedDocumentError as error:
                self._end(write.mark, IntentEnd.REFUSED, error.message)
                raise
        if done is None:
            return await self.write_carried(collection, write)
        self._end(write.mark, IntentEnd.DONE if done else IntentEnd.NOT_DONE)
        return MarkedDocument(write.id, write.mark, 0, write.action is Action.DELETE) if done else None

    def _note(self, collection: str, write: Write) -> Noted | None:
        """Say what an update notes in its document; None: the log is to have it before."""
        if write.action is not Action.UPDATE or self.keeps_values(collection):
            return None
        return Noted(write.mark, actor(), [*write.fields], datetime.now(UTC))

    async def _over_what_was_read(
        self, collection: str, write: Write, do: Callable[[str, Write], Awaitable[T | None]]
    ) -> T | None:
        """Do it over the very document that the log has as ``before``; None: there is none, or one to be created is."""
        rule = self._rule(collection)
        for _ in range(_TRIES):
            over = await self._writes.existing(collection, write.id) if rule.values else None
            await self._log.begin([_intent(collection, write, rule, over)])
            if over is None and rule.values and write.action is not Action.CREATE:
                done = None  # one that is created now is not what was to be written over
            else:
                done = await do(collection, replace(write, over=over.version if over else None))
            if done is not None or over is None or write.action is Action.CREATE:
                self._end(write.mark, IntentEnd.DONE if done is not None else IntentEnd.NOT_DONE)
                return done
        raise self._lost(collection, write)

    def _lost(self, collection: str, write: Write) -> RefusedDocumentError:
        error = RefusedDocumentError(
            f"{collection}: others wrote the document {write.id!r} between its reading and its writing, {_TRIES} times",
            hint="do it again when fewer write this document at once",
        )
        self._end(write.mark, IntentEnd.NOT_DONE, error.message)
        return error

    async def _written(self, collection: str, write: Write) -> MarkedDocument | None:
        try:
            return await self._writes.write(collection, write)
        except RefusedDocumentError as error:
            self._end(write.mark, IntentEnd.REFUSED, error.message)
            raise

    async def write_many(self, collection: str, writes: Sequence[Write]) -> Sequence[Written | SynclineError | None]:
        """Write many; see ``WritableDocuments.write_many``."""
        if self.keeps_values(collection):
            return [await self._one_of_many(collection, one) for one in writes]
        await self._log.begin([_intent(collection, one, self._rule(collection), None) for one in writes])
        told = await self._writes.write_many(collection, writes)
        for write, one in zip(writes, told, strict=True):
            if isinstance(one, RefusedDocumentError):
                self._end(write.mark, IntentEnd.REFUSED, one.message)
            elif not isinstance(one, SynclineError):  # of those that may be written the worker finds out
                self._end(write.mark, IntentEnd.NOT_DONE if one is None else IntentEnd.DONE)
        return told

    async def _one_of_many(self, collection: str, write: Write) -> Written | SynclineError | None:
        try:
            done = await self.write(collection, write)
        except RefusedDocumentError as error:
            return error
        return Written(done) if done is not None else None

    async def erase(self, collection: str, write: Write) -> bool:
        """Delete without a tombstone; see ``write``."""
        return bool(await self._over_what_was_read(collection, write, self._erased))

    async def _erased(self, collection: str, write: Write) -> bool | None:
        """Erase it when nothing is noted in it any more."""
        looks = 2  # when nothing is noted: somebody may have taken it out since
        while not (done := await self._writes.erase(collection, write.id, over=write.over)):
            found = await self._writes.noted(collection, write.id)
            looks = 2 if found else looks - 1
            if found is None or not looks:
                break
            noted = [(write.id, one) for one in found]
            await self._log.enter(collection, noted)
            await self._writes.forget_noted(collection, noted)
        return done or None

    def _end(self, mark: str, end: IntentEnd, reason: str | None = None) -> None:
        self._ended[mark] = (end, reason)
        self._soon()

    def _soon(self) -> None:
        if not self._closed and (self._ending is None or self._ending.done()):
            self._ending = asyncio.create_task(self._tell_soon())

    @property
    def _has_some(self) -> bool:
        return bool(self._ended or self._noted or self._unknown)

    async def _tell_soon(self) -> None:
        while self._has_some:
            await asyncio.sleep(_TOGETHER_SECONDS)
            await self._tell_some()

    async def _tell_some(self) -> None:
        """Write down what is known."""
        ended, noted, unknown = self._ended, self._noted, self._unknown
        self._ended, self._noted, self._unknown = {}, defaultdict(list), []
        try:
            if ended:
                await self._log.end(ended)
            for collection, id_, one in unknown:
                await self._log.enter(collection, [(id_, one)], done=False)
            for collection, some in noted.items():
                await self._log.enter(collection, some)
                await self._writes.forget_noted(collection, some)
        except SourceError:
            return  # they stay open, or noted, and the worker finds out
        except SynclineError as error:
            if not self._hindered:
                LOG.log(logging.ERROR, "what becomes of operations is left to the worker to write down: %s", error)
            self._hindered = True
        except asyncio.CancelledError:  # whoever closes does it again
            self._ended = ended | self._ended
            self._unknown += unknown
            for collection, some in noted.items():
                self._noted[collection] += some
            raise

    async def close(self) -> None:
        """Write down what has ended; what ends later stays open, or noted."""
        self._closed = True
        if self._ending is not None:
            self._ending.cancel()
            await asyncio.gather(self._ending, return_exceptions=True)
        if self._has_some:
            await self._tell_some()


def _intent(collection: str, write: Write, rule: AuditRule, over: Existing | None) -> Intent:
    names = list(write.fields)
    intent = Intent(write.mark, actor(), write.action, collection, write.id, names)
    if not rule.values:
        return intent
    before = masked(over.fields, rule) if over is not None else None
    return replace(intent, before=before, after=masked(write.fields, rule))


def masked(fields: Mapping[str, Any], rule: AuditRule) -> dict[str, Any]:
    """Leave out the values that a rule masks."""
    return {name: _MASKED if name in rule.masked else value for name, value in fields.items()}
