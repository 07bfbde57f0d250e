"""The definitions of the tables that documents become: types, tables, indexes, foreign keys. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from psycopg import sql

from syncline.engines.postgres.documents.texts import to_text
from syncline.model.documents import Column, DocumentMapping, Table
from syncline.model.entity import TableName

_LONGEST = 63
_STATES = ("SYNCED", "PENDING", "FAILED")


@dataclass(frozen=True, slots=True)
class Index:
    """An index that a declaration asks for."""

    table: TableName
    columns: tuple[str, ...]
    unique: bool = False
    apart: bool = False
    """Another one is called after the same words: ``a`` (``b_c``) and ``a_b`` (``c``)."""

    @property
    def name(self) -> str:
        """Name it after the table and its columns."""
        name = f"{self.table.name}_{'_'.join(self.columns)}_{'key' if self.unique else 'idx'}"
        if len(name.encode()) <= _LONGEST and not self.apart:
            return name
        digest = _digest(repr((str(self.table), self.columns, self.unique)))
        return f"{name.encode()[:48].decode(errors='ignore')}_{digest}"


def schema(mappings: Sequence[DocumentMapping], *, foreign_keys: bool = False) -> list[sql.Composed]:
    """Give the statements that make every table, in their order; what is there already is left.

    Args:
        mappings: of the collections.
        foreign_keys: also between collections, not validated: documents may refer to what is not there.

    """
    found = [*types(mappings)]
    for mapping in mappings:
        found += [table(mapping, one) for one in mapping.tables]
    found += [index(one) for one in all_indexes(mappings)]
    return found + ([*references(mappings)] if foreign_keys else [])


def types(mappings: Iterable[DocumentMapping]) -> Iterator[sql.Composed]:
    """Make the enum types."""
    enums = {
        TableName(one.name.schema, column.field.enum): column.field.values
        for one, column in _columns(mappings)
        if column.field.enum
    }
    for name, values in enums.items():
        labels = sql.SQL(", ").join(map(sql.Literal, values))
        yield _unless_there(sql.SQL("CREATE TYPE {} AS ENUM ({})").format(_name(name), labels))


def _unless_there(statement: sql.Composed) -> sql.Composed:
    """Run what has no IF NOT EXISTS: types, constraints."""
    block = f"BEGIN {statement.as_string(None)}; EXCEPTION WHEN duplicate_object THEN NULL; END"
    return sql.SQL("DO {}").format(sql.Literal(block))


def table(mapping: DocumentMapping, one: Table) -> sql.Composed:
    """Make a table."""
    lines = [column(one, place) for place in range(len(one.columns))]
    if one.parent is None:
        lines += states()
    lines.append(sql.SQL("PRIMARY KEY ({})").format(_names(one.key)))
    if one.parent is not None:
        parent = mapping.tables[one.parent]
        lines.append(
            sql.SQL("FOREIGN KEY ({}) REFERENCES {} ({}) ON DELETE CASCADE").format(
                _names(one.key[: parent.keys]), _name(parent.name), _names(parent.key)
            )
        )
    body = sql.SQL(",\n    ").join(lines)
    return sql.SQL("CREATE TABLE IF NOT EXISTS {} (\n    {}\n)").format(_name(one.name), body)


def states() -> list[sql.Composed]:
    """Define the columns that say how a row came there."""
    known = sql.SQL(", ").join(map(sql.Literal, _STATES))
    return [
        sql.SQL("sync_status text NOT NULL DEFAULT 'SYNCED' CHECK (sync_status IN ({}))").format(known),
        sql.SQL("sync_error text").format(),
        sql.SQL("last_sync_at timestamptz").format(),
    ]


def indexes(mapping: DocumentMapping) -> list[Index]:
    """List the indexes that a collection's declaration asks for."""
    top = mapping.tables[0]
    wanted = [Index(top.name, columns) for columns in mapping.collection.indexes]
    wanted += [
        Index(one.name, (column.name,), column.field.unique)
        for one, column in _columns([mapping])
        if column.field.unique or column.field.index or column.field.references
    ]
    return list(dict.fromkeys(wanted))


def all_indexes(mappings: Iterable[DocumentMapping]) -> Iterator[Index]:
    """List the indexes of collections, each under a name of its own."""
    names: set[tuple[str, str]] = set()
    for mapping in mappings:
        for one in indexes(mapping):
            named = replace(one, apart=(one.table.schema, one.name) in names)
            names.add((named.table.schema, named.name))
            yield named


def index(one: Index) -> sql.Composed:
    """Make an index."""
    return sql.SQL("CREATE {} IF NOT EXISTS {} ON {} ({})").format(
        sql.SQL("UNIQUE INDEX" if one.unique else "INDEX"),
        sql.Identifier(one.name),
        _name(one.table),
        _names(one.columns),
    )


def references(mappings: Sequence[DocumentMapping]) -> Iterator[sql.Composed]:
    """Make the foreign keys between collections; those that are there are left."""
    tops = {mapping.collection.name: mapping.tables[0] for mapping in mappings}
    for one, column in _columns(mappings):
        if parent := tops.get(column.field.references):
            named = f"{one.name.name}_{column.name}_fkey"
            if len(named.encode()) > _LONGEST:
                named = f"{named.encode()[:48].decode(errors='ignore')}_{_digest(named)}"
            add = sql.SQL("ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({}) NOT VALID")
            key, to = _names([column.name]), _names(parent.key)
            yield _unless_there(add.format(_name(one.name), sql.Identifier(named), key, _name(parent.name), to))


def type_sql(one: Table, column: Column, *, percent: str = "%") -> sql.Composable:
    """Write a column's type; ``percent`` is how a statement spells that sign in names."""
    if column.field.enum:
        names = (name.replace("%", percent) for name in (one.name.schema, column.field.enum))
        return sql.Identifier(*names)
    return _TYPES[column.type.sql]


def is_required(one: Table, place: int) -> bool:
    """Tell whether a column is never empty: the key, values of an array, what is declared so."""
    value_of_array = one.rest is None and one.parent is not None and one.columns[place].path.endswith("[]")
    return place < one.keys or value_of_array or one.columns[place].field.required


def column(one: Table, place: int, *, required: bool = True) -> sql.Composed:
    """Define a column; ``required``: NOT NULL where it is declared so."""
    declared = one.columns[place]
    name = sql.Identifier(declared.name)
    parts: list[sql.Composable] = [name, type_sql(one, declared)]
    if is_required(one, place) and (required or declared.default is not None):
        parts.append(sql.SQL("NOT NULL"))
    if declared.default is not None:
        parts.append(sql.SQL("DEFAULT {}").format(sql.Literal(to_text(declared.default))))
    if declared.field.values and not declared.field.enum:
        values = sql.SQL(", ").join(map(sql.Literal, declared.field.values))
        parts.append(sql.SQL("CHECK ({} IN ({}))").format(name, values))
    return sql.SQL(" ").join(parts)


def _columns(mappings: Iterable[DocumentMapping]) -> Iterator[tuple[Table, Column]]:
    for mapping in mappings:
        for one in mapping.tables:
            yield from ((one, column) for column in one.columns)


def quoted(name: str) -> sql.Identifier:
    """Quote a name in a statement with parameters: the driver halves percent signs."""
    return sql.Identifier(name.replace("%", "%%"))


def named(one: Table) -> sql.Identifier:
    """Quote a table's name in a statement with parameters."""
    return sql.Identifier(*(part.replace("%", "%%") for part in (one.name.schema, one.name.name)))


def _name(name: TableName) -> sql.Identifier:
    return sql.Identifier(name.schema, name.name)


def _names(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


_TYPES = {name: sql.SQL(name) for name in ("text", "boolean", "integer", "bigint", "double precision", "numeric")} | {
    name: sql.SQL(name) for name in ("timestamptz(3)", "date", "uuid", "bytea", "jsonb")
}
