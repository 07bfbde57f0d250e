"""Repositories over the tables of a collection in PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from inspect import iscoroutinefunction
from typing import Any

import bson
import psycopg
from bson.codec_options import CodecOptions
from psycopg import sql

from syncline.engines.postgres.documents.definitions import Index
from syncline.engines.postgres.documents.rows import DocumentTables
from syncline.engines.postgres.documents.texts import from_text
from syncline.errors import AlreadyThereError, RepositoryError, TargetError, TargetUnavailableError, UnmappableError
from syncline.model.documents import DocumentMapping, Rows
from syncline.phases.repositories import statements
from syncline.phases.repositories.abstract import Document, Documents, checked_page
from syncline.phases.repositories.conditions import Where
from syncline.phases.repositories.places import Places
from syncline.phases.repositories.programmed import ProgrammedRepository
from syncline.phases.repositories.statements import Part
from syncline.phases.repositories.steps import Program, arun, run
from syncline.phases.repositories.stored import as_stored, changes_as_stored
from syncline.postgres.sql import blocks

DEFAULT_OPTIONS: CodecOptions[Any] = bson.DEFAULT_CODEC_OPTIONS


class PostgresRepository(ProgrammedRepository):
    """Over a pool of connections (``psycopg_pool``): each call is a transaction of its own.

    Args:
        pool: a ``ConnectionPool`` or an ``AsyncConnectionPool``, or what has such a ``connection()``.
        mapping: of the collection.
        codec_options: as those of the collection: whether dates have a time zone, what UUIDs are.

    """

    def __init__(
        self, pool: Any, mapping: DocumentMapping, *, codec_options: CodecOptions[Any] = DEFAULT_OPTIONS
    ) -> None:
        self.pool, self.mapping = pool, mapping
        self.is_async = iscoroutinefunction(getattr(pool, "close", None))
        self._places, self.codec_options = Places(mapping), codec_options
        self._tables = DocumentTables(mapping)
        self._declared: bool | None = None
        """Whether the database knows under which declaration documents are written; ``None``: not asked yet."""

    def _at_once(self, program: Program[Any]) -> Any:
        with translated(self.mapping), self.pool.connection() as connection:
            return run(program, connection)

    async def _awaited(self, program: Program[Any]) -> Any:
        with translated(self.mapping):
            async with self.pool.connection() as connection:
                return await arun(program, connection)

    def count(self, where: Where = None) -> Any:
        self._note(where)
        return self._run(self._value(statements.counting, where))

    def exists(self, where: Where = None) -> Any:
        self._note(where)
        return self._run(self._value(statements.asking, where))

    def _listed(self, where: Where, sort: Sequence[str], limit: int | None, offset: int) -> Program[Documents]:
        checked_page(limit, offset)
        declared = yield from self._is_declared()
        asked = statements.listing(self.mapping, self._places, where, sort, limit, offset, declared=declared)
        rows = yield from _rows(asked)
        if declared:
            self._tables.require_own(rows[0][-1] if rows else (yield from _one(statements.declaration(self.mapping))))
            rows = [row[:-1] for row in rows]
        return [bson.decode(self.mapping.document(self._of(row)), self.codec_options) for row in rows]

    def _value(self, asking: Callable[..., Part], where: Where) -> Program[Any]:
        declared = yield from self._is_declared()
        (row,) = yield from _rows(asking(self.mapping, self._places, where, declared=declared))
        if declared:
            self._tables.require_own(row[1])
        return row[0]

    def _is_declared(self) -> Program[bool]:
        if self._declared is None:
            asked = blocks("versions.sql", "syncline.engines.postgres.documents")["declared"]
            self._declared = bool((yield from _one(Part(sql.SQL(asked)))))
        return self._declared

    def _locked(self, key: Any) -> Program[bool]:
        """Lock a document's row, of the declaration that it has then; false: there is none.

        Whoever goes over to another declaration keeps all tables from being locked: so it stays to the end.
        """
        declared = yield from self._is_declared()
        rows = yield from _rows(statements.locking(self.mapping, self._places, key, declared=declared))
        if rows and declared:
            self._tables.require_own(rows[0][1])
        return bool(rows)

    def _of(self, row: Sequence[Any]) -> Rows:
        top, *children = self.mapping.tables
        width = len(top.columns)
        found: Rows = ([tuple(from_text(one.type, text) for one, text in zip(top.columns, row, strict=False))],)
        for table, there in zip(children, row[width:], strict=True):
            types = [one.type for one in table.columns]
            found = (*found, [tuple(map(from_text, types, each)) for each in there])
        return found

    def _created(self, document: Document) -> Program[Document]:
        raw = as_stored(document, self._places, self.codec_options)
        rows = self.mapping.rows(raw)
        declared = yield from self._is_declared()
        statement, values = self._tables.insert(rows)
        inserted = statements.and_declaration(self.mapping, statement) if declared else statement
        added = yield from _rows(Part(inserted, tuple(values)))
        if added == []:
            raise AlreadyThereError("_id")
        if declared:
            self._tables.require_own(added[0][-1])
        yield from self._write(rows)
        stored: Document = bson.decode(raw, self.codec_options)
        return stored

    def _updated(self, id_: Any, changes: Document) -> Program[Document | None]:
        key = self._places.key.value(id_)
        if key is None or not (yield from self._locked(key)):
            return None
        found = yield from self._first({"_id": key})
        return None if found is None else (yield from self._changed(found, changes))

    def _changed(self, found: Document, changes: Document) -> Program[Document]:
        """Change a document as it was found; its row is locked."""
        if not changes:
            return found
        fields = changes_as_stored(changes, self.codec_options)
        raw = as_stored({**found, **fields}, self._places, self.codec_options)
        yield from self._write(self.mapping.rows(raw))
        stored: Document = bson.decode(raw, self.codec_options)
        return stored

    def _deleted(self, id_: Any) -> Program[bool]:
        key = self._places.key.value(id_)
        if key is None or not (yield from self._locked(key)):
            return False
        for statement, values in self._tables.deletion([self._places.key.shown(key)]):
            yield from _rows(Part(statement, tuple(values)))
        return True

    def _write(self, rows: Rows) -> Program[None]:
        for statement, values in self._tables.writing([rows]):
            yield from _rows(Part(statement, tuple(values)))


def _rows(asked: Part) -> Program[list[Any]]:
    cursor = yield lambda connection: connection.execute(asked.text, asked.values)
    return (yield lambda _: cursor.fetchall()) if cursor.description else []


def _one(asked: Part) -> Program[Any]:
    return (yield from _rows(asked))[0][0]


@contextmanager
def translated(mapping: DocumentMapping) -> Iterator[None]:
    """Turn errors of the driver, and of the mapping, into ours."""
    try:
        yield
    except UnmappableError as error:
        raise RepositoryError(error.message, hint=error.hint) from error
    except psycopg.errors.UniqueViolation as error:
        raise AlreadyThereError(_field(mapping, error.diag.constraint_name)) from error
    except psycopg.OperationalError as error:
        raise TargetUnavailableError(f"PostgreSQL does not answer: {_line(error)}") from error
    except psycopg.Error as error:
        raise TargetError(f"PostgreSQL: {_line(error)}") from error


def _field(mapping: DocumentMapping, constraint: str | None) -> str | None:
    for table in mapping.tables:
        for one in table.columns:
            if one.field.unique and Index(table.name, (one.name,), True).name == constraint:
                return one.path
    return "_id" if constraint == f"{mapping.tables[0].name.name}_pkey" else None


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
