"""Operations while PostgreSQL is the truth, each in one transaction with its entry in the log.

MongoDB gets them by the way back.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from syncline.engines.postgres.documents.session import as_kept, session
from syncline.engines.postgres.target.lent import TargetConnection
from syncline.engines.postgres.target.refusals import is_of_rows
from syncline.engines.postgres.target.session import is_over
from syncline.errors import (
    AlreadyThereError,
    RefusedDocumentError,
    RepositoryError,
    SynclineError,
    TargetError,
    UnmappableError,
)
from syncline.model.documents import DocumentMapping
from syncline.model.documents.exact_json import to_json
from syncline.model.documents.ids import shown_key
from syncline.model.strict_bson import PLAIN
from syncline.phases.dual_write.audit import AuditRule, actor, masked
from syncline.phases.dual_write.operations import Operation
from syncline.phases.repositories.abstract import Document
from syncline.phases.repositories.postgres import PostgresRepository, translated
from syncline.phases.repositories.steps import Program, arun_together
from syncline.phases.repositories.stored import changes_as_stored
from syncline.ports.document_writes import Action, IntentEnd
from syncline.postgres.sql import blocks

SECONDS = 10.0
"""Limit of a statement."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """What the log has of an operation."""

    operation: Operation
    outcome: IntentEnd = IntentEnd.DONE
    reason: str | None = None
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None

    def columns(self) -> dict[str, Any]:
        """Give the values of a row."""
        one = self.operation
        told = {"actor": actor(), "action": one.action.value, "collection": one.collection, "id": shown_key(one.id)}
        values = {"before": _json(self.before), "after": _json(self.after)}
        return {**told, **values, "fields": list(one.data), "outcome": self.outcome.value, "reason": self.reason}


class _Sessions:
    """So many sessions, each lent for a transaction: what a repository asks of a pool."""

    def __init__(self, url: str, size: int) -> None:
        self._url, self._free = url, asyncio.Semaphore(size)
        self._idle: list[TargetConnection] = []

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[TargetConnection]:
        """Lend one for a transaction."""
        async with self._free:
            there = self._idle.pop() if self._idle else None
            one = await session(self._url, seconds=SECONDS) if there is None or is_over(there) else there
            try:
                async with one.transaction():
                    yield one
            finally:
                self._idle.append(one)

    async def close(self) -> None:
        """End all of them."""
        while self._idle:
            await self._idle.pop().close()


class _Rows(PostgresRepository):
    """The tables of a collection, and the log."""

    def __init__(self, sessions: _Sessions, mapping: DocumentMapping, rule: AuditRule) -> None:
        super().__init__(sessions, mapping, codec_options=PLAIN)
        self._rule, self._sql = rule, blocks("audit.sql", __package__ or "")

    async def do(self, one: Operation) -> bool:
        """Do an operation, and write it down, at once."""
        return bool(await self._run(self._done(one)))

    async def do_together(self, several: Sequence[Operation]) -> list[bool | SynclineError]:
        """Do operations on different documents, and write all of them down, at once; of each what ``told`` gives.

        Raises:
            TargetError: PostgreSQL does not take one, or does not answer; none is done.

        """
        with translated(self.mapping):
            async with self.pool.connection() as connection:
                return await arun_together([self._told(one) for one in several], connection)

    def _told(self, one: Operation) -> Program[bool | SynclineError]:
        try:
            if (yield from self._done(one)):
                return True
        except AlreadyThereError:
            pass
        except (UnmappableError, RepositoryError) as error:
            yield from self._noted(_Entry(one, IntentEnd.REFUSED, error.message))
            return refusal(one, error)
        yield from self._noted(_Entry(one, IntentEnd.NOT_DONE))
        return False

    async def note(self, entry: _Entry) -> None:
        """Write down what was not done."""
        await self._run(self._noted(entry))

    def _done(self, one: Operation) -> Program[bool]:
        before = None
        if self._rule.values and one.action is not Action.CREATE:
            key = self._places.key.value(one.id)
            if not (yield from self._locked(key)):  # so that it stays what the log has
                return False
            before = yield from self._first({"_id": key})
        if not (yield from self._written(one, before)):
            return False
        yield from self._noted(self._entry(one, before))
        return True

    def _written(self, one: Operation, before: Document | None) -> Program[bool]:
        if one.action is Action.CREATE:
            fields = {name: value for name, value in one.data.items() if name != "_id"}
            yield from self._created({"_id": one.id, **fields})
            return True
        if one.action is Action.UPDATE:
            fields = {name: value for name, value in one.data.items() if name != "_id"}
            if before is not None:
                return bool((yield from self._changed(before, fields)))
            return (yield from self._updated(one.id, fields)) is not None
        return (yield from self._deleted(one.id))

    def _entry(self, one: Operation, before: Mapping[str, Any] | None) -> _Entry:
        if not self._rule.values:
            return _Entry(one)
        after = masked(changes_as_stored(one.data, PLAIN), self._rule)
        return _Entry(one, before=masked(before, self._rule) if before is not None else None, after=after)

    def _noted(self, entry: _Entry) -> Program[None]:
        yield lambda connection: connection.execute(self._sql["write"], entry.columns())


class RowWrites:
    """Writes documents to their tables.

    Args:
        url: the PostgreSQL.
        mappings: of the collections.
        rules: what the log keeps, by collection.
        sessions: with PostgreSQL, for all calls of the process.

    """

    def __init__(
        self, url: str, mappings: Sequence[DocumentMapping], rules: Mapping[str, AuditRule], *, sessions: int
    ) -> None:
        self._sessions = _Sessions(url, sessions)
        self._rows = {
            one.collection.name: _Rows(self._sessions, one, rules.get(one.collection.name) or AuditRule())
            for one in mappings
        }

    async def do(self, one: Operation) -> bool:
        """Do an operation; False: there is such a document (create), or none.

        Raises:
            RefusedDocumentError: PostgreSQL, or the mapping, does not take it; nothing is written.
            TargetUnavailableError: PostgreSQL does not answer; it may have written.
            NotInstalledError: the log is not there.

        """
        rows = self._rows[one.collection]
        refused = None
        try:
            if await rows.do(one):
                return True
        except (RepositoryError, TargetError) as error:
            if not _is_there_already(one, error):
                if isinstance(error.__cause__, psycopg.errors.UndefinedTable):
                    raise as_kept(error.__cause__) from error
                if not _is_of_document(error):
                    raise
                refused = refusal(one, error)
        await self._tell(rows, one, refused)
        if refused is not None:
            raise refused
        return False

    async def together(self, several: Sequence[Operation]) -> Sequence[bool | SynclineError] | None:
        """Do operations on different documents of a collection, in one transaction; of each what ``told`` gives.

        Returns:
            ``None``: PostgreSQL does not take one of them, and none is done.

        Raises:
            TargetUnavailableError, NotInstalledError: as ``do``.

        """
        rows = self._rows[several[0].collection]
        in_order = sorted(several, key=lambda one: shown_key(one.id))  # so that two batches do not wait for each other
        try:
            done = await rows.do_together(in_order)
        except (RepositoryError, TargetError) as error:
            cause = error.__cause__
            if isinstance(cause, psycopg.errors.UndefinedTable):
                raise as_kept(cause) from error
            if _is_of_document(error) or isinstance(cause, psycopg.errors.DeadlockDetected):
                return None
            raise
        found = dict(zip(map(id, in_order), done, strict=True))
        return [found[id(one)] for one in several]

    async def told(self, one: Operation) -> bool | SynclineError:
        """Do an operation of several; where ``do`` would raise that it is refused, the error is the answer."""
        try:
            return await self.do(one)
        except RefusedDocumentError as error:
            return error

    async def _tell(self, rows: _Rows, one: Operation, refusal: SynclineError | None) -> None:
        entry = _Entry(one, IntentEnd.NOT_DONE)
        if refusal is not None:
            entry = _Entry(one, IntentEnd.REFUSED, refusal.message)
        with contextlib.suppress(TargetError):  # nothing was written: the entry is all that is missing
            await rows.note(entry)

    async def close(self) -> None:
        """End the sessions."""
        await self._sessions.close()


def refusal(one: Operation, error: SynclineError) -> RefusedDocumentError:
    """Say that PostgreSQL, or the mapping, does not take a document."""
    refused = RefusedDocumentError(f"{one.collection}: {error.message}", hint=error.hint)
    refused.__cause__ = error
    return refused


def _is_there_already(one: Operation, error: SynclineError) -> bool:
    return one.action is Action.CREATE and isinstance(error, AlreadyThereError) and error.field == "_id"


def _is_of_document(error: SynclineError) -> bool:
    """Tell whether the document is the reason, and not the server."""
    cause = error.__cause__
    return isinstance(error, RepositoryError) or (isinstance(cause, psycopg.Error) and is_of_rows(cause))


def _json(fields: Mapping[str, Any] | None) -> Jsonb | None:
    return None if fields is None else Jsonb({name: to_json(value) for name, value in fields.items()})
