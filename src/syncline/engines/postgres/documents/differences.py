"""From tables as they are to tables as declared: which types hold too little, the statements that fixes it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from enum import Enum, auto

from psycopg import sql

from syncline.engines.postgres.documents import definitions
from syncline.engines.postgres.documents.inspection import There
from syncline.model.documents import Column, DocumentMapping, Table
from syncline.model.documents.tables import OURS
from syncline.model.entity import Column as Live
from syncline.model.entity import TableName


class Fit(Enum):
    """How a column's type does for what is declared."""

    WHOLE = auto()
    """It holds every value."""
    PARKS = auto()
    """It refuses what is too large for it."""
    ROUNDS = auto()
    """It makes other values of some, and says nothing."""
    OTHER = auto()
    """It is another type."""


_WIDE: Mapping[str, frozenset[str]] = {
    "text": frozenset({"text", "varchar"}),
    "boolean": frozenset({"bool"}),
    "integer": frozenset({"int4", "int8", "numeric"}),
    "bigint": frozenset({"int8", "numeric"}),
    "double precision": frozenset({"float8"}),
    "numeric": frozenset({"numeric"}),
    "timestamptz(3)": frozenset({"timestamptz"}),
    "date": frozenset({"date"}),
    "uuid": frozenset({"uuid"}),
    "bytea": frozenset({"bytea"}),
    "jsonb": frozenset({"jsonb"}),
}
"""Types that hold every value of a column's, where they have no limit of their own."""
_PARKS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"varchar"}),
    "integer": frozenset({"int2"}),
    "bigint": frozenset({"int4", "int2"}),
}
_ROUNDS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"bpchar"}),
    "integer": frozenset({"numeric"}),
    "bigint": frozenset({"numeric"}),
    "double precision": frozenset({"float4"}),
    "numeric": frozenset({"numeric"}),
    "timestamptz(3)": frozenset({"timestamptz"}),
}


def fit(column: Column, live: Live, labels: Sequence[str] = ()) -> Fit:
    """Judge a column's type; ``labels`` are the values of an enum type."""
    wanted = column.type.sql
    if live.base == "enum":
        values = column.field.values
        return Fit.WHOLE if values and set(values) <= {*labels} else Fit.PARKS
    if live.array:
        return Fit.OTHER
    if live.base in _WIDE[wanted] and not _limited(live):
        return Fit.WHOLE
    if live.base in _PARKS.get(wanted, ()):
        return Fit.PARKS
    return Fit.ROUNDS if live.base in _ROUNDS.get(wanted, ()) else Fit.OTHER


def _limited(live: Live) -> bool:
    if live.base == "timestamptz":
        return "(" in live.type and int(live.type.partition("(")[2].partition(")")[0]) < 3
    return live.precision is not None or "(" in live.type


def differences(mappings: Sequence[DocumentMapping], there: Mapping[TableName, There]) -> list[sql.Composed]:
    """Give the statements after which tables are as declared; none takes anything away.

    A column that is added may be empty even where it is declared ``required``: rows that are there have no value yet.
    """
    found = [statement for mapping in mappings for statement in _collection(mapping, there)]
    found += [
        definitions.index(one) for one in definitions.all_indexes(mappings) if not has_index(there.get(one.table), one)
    ]
    return [*definitions.types(mappings), *found] if found else []


def _collection(mapping: DocumentMapping, there: Mapping[TableName, There]) -> Iterator[sql.Composed]:
    for table in mapping.tables:
        one = there.get(table.name)
        if one is None:
            yield definitions.table(mapping, table)
        else:
            yield from _table(table, one)


def has_index(there: There | None, index: definitions.Index) -> bool:
    """Tell whether a table has an index that serves."""
    if there is None:
        return False
    if index.unique:
        return index.columns in there.unique
    return index.columns in {columns[: len(index.columns)] for columns in there.indexes}


def _table(table: Table, there: There) -> Iterator[sql.Composed]:
    live = {column.name: column for column in there.shape.columns}
    for place, column in enumerate(table.columns):
        one = live.get(column.name)
        if one is None:
            yield added(table, place)
        elif fit(column, one, there.labels.get(column.name, ())) is not Fit.WHOLE:
            yield from retyped(table, column, one, there)
        elif listed(column, there) is not None:
            yield from relisted(table, column, there)
        if one is not None and one.not_null and not definitions.is_required(table, place):
            yield altered(table, sql.SQL("ALTER COLUMN {} DROP NOT NULL").format(sql.Identifier(column.name)))
    if table.parent is None:
        for name, definition in zip(OURS, definitions.states(), strict=True):
            if name not in live:
                yield altered(table, sql.SQL("ADD COLUMN {}").format(definition))
    if table.key not in {there.shape.primary_key, *there.shape.unique_keys}:
        yield keyed(table)


def added(table: Table, place: int) -> sql.Composed:
    """Add a column."""
    return altered(table, sql.SQL("ADD COLUMN {}").format(definitions.column(table, place, required=False)))


def retyped(table: Table, column: Column, live: Live, there: There) -> list[sql.Composed]:
    """Give a column its declared type, or its enum type the values that it lacks."""
    type_, name = definitions.type_sql(table, column), sql.Identifier(column.name)
    enum = f"{table.name.schema}.{column.field.enum}"
    if column.field.enum and live.type.replace('"', "") == enum.replace('"', ""):
        lacking = [value for value in column.field.values if value not in there.labels.get(column.name, ())]
        add = sql.SQL("ALTER TYPE {} ADD VALUE IF NOT EXISTS {}")
        return [add.format(type_, sql.Literal(value)) for value in lacking]
    how = sql.SQL("{}::text::{}" if column.field.enum else _IN_UTC.get((live.base, column.type.name), "{}::{}"))
    using = how.format(name, type_)
    return [altered(table, sql.SQL("ALTER COLUMN {} TYPE {} USING {}").format(name, type_, using))]


_IN_UTC = {
    ("timestamp", "timestamptz"): "({} AT TIME ZONE 'UTC')::{}",
    ("date", "timestamptz"): "({}::timestamp AT TIME ZONE 'UTC')::{}",
    ("timestamptz", "date"): "({} AT TIME ZONE 'UTC')::{}",
}
"""Conversions that else go by the time zone of whoever runs them."""


def listed(column: Column, there: There) -> tuple[str, frozenset[str]] | None:
    """Find a CHECK that lists other values than are declared: its name, and its values."""
    found = there.checks.get(column.name)
    if found is None or column.field.enum or found[1] == {*column.field.values}:
        return None
    return found


def relisted(table: Table, column: Column, there: There) -> Iterator[sql.Composed]:
    """Put the declared values into a CHECK."""
    found = listed(column, there)
    if found is not None:
        name, text = sql.Identifier(found[0]), sql.Identifier(column.name)
        yield altered(table, sql.SQL("DROP CONSTRAINT {}").format(name))
        if column.field.values:
            values = sql.SQL(", ").join(map(sql.Literal, column.field.values))
            yield altered(table, sql.SQL("ADD CONSTRAINT {} CHECK ({} IN ({}))").format(name, text, values))


def keyed(table: Table) -> sql.Composed:
    """Give a table its primary key."""
    names = sql.SQL(", ").join(map(sql.Identifier, table.key))
    return altered(table, sql.SQL("ADD PRIMARY KEY ({})").format(names))


def altered(table: Table, change: sql.Composable) -> sql.Composed:
    """Alter a table."""
    return sql.SQL("ALTER TABLE {} {}").format(sql.Identifier(table.name.schema, table.name.name), change)
