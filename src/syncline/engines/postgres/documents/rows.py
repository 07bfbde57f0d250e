"""The rows of documents, written and read: all tables of a collection, in the caller's transaction.

Each statement takes any number of documents: its parameters are arrays of texts, one a column.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg import AsyncConnection, sql

from syncline.engines.postgres.documents.definitions import is_required, named, quoted, type_sql
from syncline.engines.postgres.documents.texts import array, from_text, selected, texts_of, to_text
from syncline.errors import OtherDeclarationError
from syncline.model.documents import DocumentMapping, Rows, Table
from syncline.ports.documents import Outcome
from syncline.postgres.sql import blocks

_ROW = sql.Identifier("u")
_THERE = sql.Identifier("t")
Statement = tuple[sql.Composed, list[Any]]
"""With the values of its placeholders."""
_SYNCED = sql.SQL("sync_status = 'SYNCED', sync_error = NULL, last_sync_at = now()")


class DocumentTables:
    """The tables of a collection; every call is a part of the transaction that its connection is in.

    Raises:
        psycopg.Error: a call's statement was refused; nothing of the transaction stays.

    """

    def __init__(self, mapping: DocumentMapping) -> None:
        self.mapping = mapping
        self.named = {"collection": mapping.collection.name, "mapping": mapping.fingerprint}
        """The collection and its declaration, as statements of ``versions.sql`` are given them."""
        self._sql = blocks("versions.sql", __package__ or "")
        self._kept = False
        tables = mapping.tables
        self._upserts = [_upsert(table) for table in tables]
        self._insert = _insert(tables[0])
        self._removals = [_remove_others(table) for table in tables]
        self._deletes = [_delete(table) for table in tables]
        self._vacates = {place: _vacate(tables[0], place) for place in _unique_places(tables[0])}
        self._selects = [_select(table) for table in tables]
        self._reject = _reject(tables[0])
        self._state = _state(tables[0])

    async def write(self, connection: AsyncConnection[Any], documents: Sequence[Rows]) -> None:
        """Make the tables hold these documents' rows, and none else of the same keys: the child tables' too."""
        for statement, values in self.writing(documents):
            await connection.execute(statement, values)

    async def write_columns(self, connection: AsyncConnection[Any], tables: Sequence[Sequence[Sequence[Any]]]) -> None:
        """Do the same with rows that are given by table, by column."""
        for statement, values in self.writing_columns(tables):
            await connection.execute(statement, values)

    async def delete(self, connection: AsyncConnection[Any], keys: Iterable[Any]) -> None:
        """Delete the rows of documents, by the values of the key's column."""
        for statement, values in self.deletion(keys):
            await connection.execute(statement, values)

    def writing(self, documents: Sequence[Rows]) -> Iterator[Statement]:
        """Give the statements of ``write``, in their order."""
        tables = [[row for rows in documents for row in rows[table.number]] for table in self.mapping.tables]
        yield from self.writing_columns([[*zip(*rows, strict=True)] for rows in tables])

    def writing_columns(self, tables: Sequence[Sequence[Sequence[Any]]]) -> Iterator[Statement]:
        """Give the statements that write rows, given by table, by column; without rows a table may have no column."""
        if not tables[0]:
            return
        arrays = [_arrays(table, columns) for table, columns in zip(self.mapping.tables, tables, strict=True)]
        for table in reversed(self.mapping.tables[1:]):
            yield self._removals[table.number], [arrays[0][0], *arrays[table.number][: table.keys]]
        for place, statement in self._vacates.items():
            yield statement, [arrays[0][0], arrays[0][place]]
        for table in self.mapping.tables:
            if tables[table.number] and tables[table.number][0]:
                yield self._upserts[table.number], arrays[table.number]

    def deletion(self, keys: Iterable[Any]) -> Iterator[Statement]:
        """Give the statements of ``delete``, in their order."""
        texts = [to_text(key) for key in keys]
        if texts:
            for statement in reversed(self._deletes):
                yield statement, [array(texts)]

    def insert(self, rows: Rows) -> Statement:
        """Give the statement that adds a row to the collection's own table; it returns nothing if that is there."""
        return self._insert, _arrays(self.mapping.tables[0], [*zip(*rows[0], strict=True)])

    async def reject(self, connection: AsyncConnection[Any], rejected: Iterable[tuple[str, Outcome]]) -> None:
        """Say in the older rows of documents, where there are, that what came since was rejected, and why."""
        found = [(key, "FAILED" if one.given_up else "PENDING", one.reason) for key, one in rejected]
        if found:
            keys, states, reasons = map(list, zip(*found, strict=True))
            shown = [reason.replace("\0", "\\0") for reason in reasons]
            await connection.execute(self._reject, [keys, states, shown])

    async def synced_at(self, connection: AsyncConnection[Any], key: str | None) -> datetime | None:
        """Tell when the rows of a document were written last; None: there are none."""
        row = await (await connection.execute(self._state, [key])).fetchone()
        return row[0] if row else None

    async def is_there(self, connection: AsyncConnection[Any], key: str | None) -> bool:
        """Tell whether there is a row of a document."""
        return await (await connection.execute(self._state, [key])).fetchone() is not None

    async def read(self, connection: AsyncConnection[Any], keys: Iterable[Any]) -> dict[Any, Rows]:
        """Read the rows of documents, by their key; those that are not there are left out.

        What several statements read is one state only where the transaction sees one: REPEATABLE READ.

        Raises:
            OtherDeclarationError: one of them was written under another declaration, and not yet under this one.

        """
        texts = [to_text(key) for key in keys]
        if not texts:
            return {}
        versions = {**self.named, "ids": texts}
        kept = await self._is_kept(connection)
        async with connection.pipeline():  # one round trip
            others = await connection.execute(self._sql["of_another"], versions) if kept else None
            selected = [await connection.execute(select, [texts]) for select in self._selects]
        if others is not None:
            self._require_own_rows(await others.fetchone())
        found: dict[Any, Rows] = {}
        for table, cursor in zip(self.mapping.tables, selected, strict=True):
            types = [column.type for column in table.columns]
            for row in await cursor.fetchall():
                values = tuple(map(from_text, types, row))
                if table.parent is None:
                    found[values[0]] = tuple([] for _ in self.mapping.tables)
                if values[0] in found:
                    found[values[0]][table.number].append(values)
        return found

    async def _is_kept(self, connection: AsyncConnection[Any]) -> bool:
        """Tell whether the versions of rows are kept here; once they are, it is not asked again.

        A column that was added since, and is empty, would be taken for one that somebody has emptied.
        """
        if not self._kept:
            row = await (await connection.execute(self._sql["kept"])).fetchone()
            self._kept = bool(row and row[0])
        return self._kept

    def _require_own_rows(self, row: Sequence[Any] | None) -> None:
        fingerprint, another = row or (None, None)
        if another:
            raise other_declaration(self.mapping.collection.name, f"the rows of {another!r} are of another")
        self.require_own(fingerprint)

    def require_own(self, fingerprint: str | None) -> None:
        """See that a collection's declaration, if there is one in the database, is this one.

        Raises:
            OtherDeclarationError: it is not.

        """
        if fingerprint is not None and fingerprint != self.mapping.fingerprint:
            raise other_declaration(self.mapping.collection.name, "its rows are written under another")

    async def require_columns(self, connection: AsyncConnection[Any]) -> None:
        """See that every table has every column.

        Raises:
            OtherDeclarationError: it has not.

        """
        try:
            for statement in self._selects:
                await connection.execute(statement, [[]])
        except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedTable) as error:
            named = str(error).partition("\n")[0]
            raise other_declaration(self.mapping.collection.name, f"its tables are not made for it: {named}") from error


def entered(tables: DocumentTables, row: Sequence[Any] | None) -> int:
    """Give the link's number out of what ``entered`` of ``versions.sql`` has read.

    Raises:
        OtherDeclarationError: the collection is written under another declaration.

    """
    number, fingerprint = row or (0, None)
    if fingerprint != tables.mapping.fingerprint:
        known = "its rows are written under another" if fingerprint else "none is known there: call prepare()"
        raise other_declaration(tables.mapping.collection.name, known)
    return int(number)


def other_declaration(collection: str, what: str) -> OtherDeclarationError:
    """Refuse a declaration, by the collection's name."""
    return OtherDeclarationError(
        f"the declaration of {collection} is not the one of its tables: {what}",
        hint="`syncline schema sql --changes | psql`, then `syncline install`, which has every document written anew;"
        " or run with the declaration that was",
    )


def _arrays(table: Table, columns: Sequence[Sequence[Any]]) -> list[str]:
    return [array(texts_of(column)) for column in columns] if columns else ["{}"] * len(table.columns)


def _cast(table: Table, place: int) -> sql.Composed:
    column = table.columns[place]
    return sql.SQL("{}.{}::{}").format(_ROW, _alias(place), type_sql(table, column, percent="%%"))


def _alias(place: int) -> sql.Identifier:
    return sql.Identifier(f"c{place}")


def _given(places: Sequence[int]) -> sql.Composed:
    """``unnest(…) AS u (c0, …)``: the parameters are one array a column."""
    arrays = sql.SQL(", ").join([sql.SQL("%s::text[]")] * len(places))
    return sql.SQL("unnest({}) AS {} ({})").format(arrays, _ROW, sql.SQL(", ").join(map(_alias, places)))


def _upsert(table: Table) -> sql.Composed:
    names = [quoted(column.name) for column in table.columns]
    changed = names[table.keys :]
    sets = sql.SQL(", ").join([sql.SQL("{} = excluded.{}").format(name, name) for name in changed])
    there = sql.SQL(", ").join([sql.SQL("{}.{}").format(_THERE, name) for name in changed])
    new = sql.SQL(", ").join([sql.SQL("excluded.{}").format(name) for name in changed])
    then: sql.Composable = sql.SQL("DO NOTHING")
    if table.parent is None:
        then = sql.SQL("DO UPDATE SET {}").format(sql.SQL(", ").join([sets, _SYNCED] if changed else [_SYNCED]))
    elif changed:  # what is as it was is not written again: no trigger fires for it, and no index grows
        then = sql.SQL("DO UPDATE SET {} WHERE ({}) IS DISTINCT FROM ({})").format(sets, there, new)
    return _inserted(table, then)


def _insert(table: Table) -> sql.Composed:
    return _inserted(table, sql.SQL("DO NOTHING RETURNING {}").format(quoted(table.columns[0].name)))


def _inserted(table: Table, then: sql.Composable) -> sql.Composed:
    places = range(len(table.columns))
    names = [quoted(column.name) for column in table.columns]
    return sql.SQL("/* syncline */ INSERT INTO {} AS {} ({}{}) SELECT {}{} FROM {} ON CONFLICT ({}) {}").format(
        named(table),
        _THERE,
        sql.SQL(", ").join(names),
        sql.SQL(", last_sync_at" if table.parent is None else ""),
        sql.SQL(", ").join([_cast(table, place) for place in places]),
        sql.SQL(", now()" if table.parent is None else ""),
        _given(places),
        sql.SQL(", ").join(names[: table.keys]),
        then,
    )


def _reject(table: Table) -> sql.Composed:
    return sql.SQL(
        "/* syncline */ UPDATE {} AS {} SET sync_status = u.state, sync_error = u.reason"
        " FROM unnest(%s::text[], %s::text[], %s::text[]) AS u (id, state, reason) WHERE {}.{} = u.id::{}"
    ).format(
        named(table), _THERE, _THERE, quoted(table.columns[0].name), type_sql(table, table.columns[0], percent="%%")
    )


def _state(table: Table) -> sql.Composed:
    key = table.columns[0]
    return sql.SQL("/* syncline */ SELECT last_sync_at FROM {} AS {} WHERE {}.{} = %s::text::{}").format(
        named(table), _THERE, _THERE, quoted(key.name), type_sql(table, key, percent="%%")
    )


def _unique_places(table: Table) -> list[int]:
    """Give the unique columns of the collection's own table that may be empty for a moment."""
    columns = enumerate(table.columns)
    return [place for place, one in columns if one.field.unique and not is_required(table, place)]


def _vacate(table: Table, place: int) -> sql.Composed:
    """Empty a unique column where its value changes: values may be exchanged, and rows are checked singly."""
    names = (quoted(table.columns[one].name) for one in (0, place))
    key, column = (sql.SQL("{}.{}").format(_THERE, name) for name in names)
    return sql.SQL(
        "/* syncline */ UPDATE {} AS {} SET {} = NULL FROM {}"
        " WHERE {} = {} AND {} IS NOT NULL AND {} IS DISTINCT FROM {}"
    ).format(
        named(table),
        _THERE,
        quoted(table.columns[place].name),
        _given([0, place]),
        key,
        _cast(table, 0),
        column,
        column,
        _cast(table, place),
    )


def _of_keys(table: Table) -> sql.Composed:
    key = table.columns[0]
    return sql.SQL("{}.{} = ANY(%s::text[]::{}[])").format(_THERE, quoted(key.name), type_sql(table, key, percent="%%"))


def _remove_others(table: Table) -> sql.Composed:
    """Delete the rows of these documents that are not among those given."""
    places = range(table.keys)
    if any(column.field.unique for column in table.columns):  # values may change places: all are written anew
        return sql.SQL("/* syncline */ DELETE FROM {} AS {} WHERE {} AND ({}) IS NOT NULL").format(
            named(table),
            _THERE,
            _of_keys(table),
            sql.SQL(", ").join([sql.SQL("%s::text[]")] * table.keys),
        )
    same = [
        sql.SQL("{}.{} = {}").format(_THERE, quoted(table.columns[place].name), _cast(table, place)) for place in places
    ]
    return sql.SQL("/* syncline */ DELETE FROM {} AS {} WHERE {} AND NOT EXISTS (SELECT FROM {} WHERE {})").format(
        named(table), _THERE, _of_keys(table), _given(places), sql.SQL(" AND ").join(same)
    )


def _delete(table: Table) -> sql.Composed:
    return sql.SQL("/* syncline */ DELETE FROM {} AS {} WHERE {}").format(named(table), _THERE, _of_keys(table))


def _select(table: Table) -> sql.Composed:
    columns = [selected(column.type, sql.SQL("{}.{}").format(_THERE, quoted(column.name))) for column in table.columns]
    return sql.SQL("/* syncline */ SELECT {} FROM {} AS {} WHERE {}").format(
        sql.SQL(", ").join(columns), named(table), _THERE, _of_keys(table)
    )
