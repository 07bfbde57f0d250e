"""The audit log: an operation is written down before it is done, and what became of it afterwards."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

from syncline.errors import RefusedDocumentError, SourceError, SynclineError
from syncline.ports.documents import (
    Action,
    Existing,
    Intent,
    IntentEnd,
    IntentLog,
    MarkedDocument,
    WritableDocuments,
    Write,
    Written,
)

_ACTOR: ContextVar[str | None] = ContextVar("syncline_actor", default=None)
_TOGETHER_SECONDS = 0.01
"""Outcomes are written so much later, together: nobody waits for them."""
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
        self._ending: asyncio.Task[None] | None = None

    def keeps_values(self, collection: str) -> bool:
        """Tell whether documents are read before they are written."""
        return self._rule(collection).values

    def _rule(self, collection: str) -> AuditRule:
        return self._rules.get(collection) or AuditRule()

    async def write(self, collection: str, write: Write) -> MarkedDocument | None:
        """Write one; see ``WritableDocuments.write``."""
        rule = self._rule(collection)
        for _ in range(_TRIES):
            over = await self._writes.existing(collection, write.id) if rule.values else None
            await self._log.begin([_intent(collection, write, rule, over)])
            done = await self._written(collection, replace(write, over=over.version if over else None))
            if done is not None or over is None or write.action is Action.CREATE:
                break  # otherwise somebody has written it since it was read
        self._end(write.mark, IntentEnd.DONE if done is not None else IntentEnd.NOT_DONE)
        return done

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
            if isinstance(one, SynclineError):
                self._end(write.mark, IntentEnd.REFUSED, one.message)
            else:
                self._end(write.mark, IntentEnd.NOT_DONE if one is None else IntentEnd.DONE)
        return told

    async def _one_of_many(self, collection: str, write: Write) -> Written | SynclineError | None:
        try:
            done = await self.write(collection, write)
        except RefusedDocumentError as error:
            return error
        return Written(done) if done is not None else None

    async def erase(self, collection: str, write: Write) -> bool:
        """Delete without a tombstone."""
        await self._log.begin([_intent(collection, write, AuditRule(), None)])
        done = await self._writes.erase(collection, write.id)
        self._end(write.mark, IntentEnd.DONE if done else IntentEnd.NOT_DONE)
        return done

    def _end(self, mark: str, end: IntentEnd, reason: str | None = None) -> None:
        self._ended[mark] = (end, reason)
        if self._ending is None or self._ending.done():
            self._ending = asyncio.create_task(self._end_soon())

    async def _end_soon(self) -> None:
        while self._ended:
            await asyncio.sleep(_TOGETHER_SECONDS)
            await self._end_some()

    async def _end_some(self) -> None:
        ended, self._ended = self._ended, {}
        with contextlib.suppress(SourceError):  # they stay open, and the worker finds out
            await self._log.end(ended)

    async def close(self) -> None:
        """Write down what has ended."""
        if self._ending is not None:
            self._ending.cancel()
            await asyncio.gather(self._ending, return_exceptions=True)
        if self._ended:
            await self._end_some()


def _intent(collection: str, write: Write, rule: AuditRule, over: Existing | None) -> Intent:
    names = list(write.fields)
    intent = Intent(write.mark, _ACTOR.get(), write.action, collection, write.id, names)
    if not rule.values:
        return intent
    before = _masked(over.fields, rule) if over is not None else None
    return replace(intent, before=before, after=_masked(write.fields, rule))


def _masked(fields: Mapping[str, Any], rule: AuditRule) -> dict[str, Any]:
    return {name: _MASKED if name in rule.masked else value for name, value in fields.items()}
