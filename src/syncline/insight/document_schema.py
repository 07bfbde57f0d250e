"""``syncline schema check``: what the tables of documents lack, hold too little of, or hold for nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import LiteralString

from psycopg import sql

from syncline.engines.postgres.documents import definitions
from syncline.engines.postgres.documents.inspection import There
from syncline.insight.checks.finding import Finding, critical, ok, warning
from syncline.model.documents import Column, DocumentMapping, Table
from syncline.model.documents.tables import OURS
from syncline.model.entity import Column as Live
from syncline.model.entity import TableName
from syncline.model.words import counted

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
"""Types that refuse what is too large for them; any other narrow type rounds or pads."""
_ROUNDS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"bpchar"}),
    "integer": frozenset({"numeric"}),
    "bigint": frozenset({"numeric"}),
    "double precision": frozenset({"float4"}),
    "numeric": frozenset({"numeric"}),
    "timestamptz(3)": frozenset({"timestamptz"}),
}


def judge(mappings: Sequence[DocumentMapping], there: Mapping[TableName, There]) -> list[Finding]:
    """Compare what is declared with what is there."""
    found = [finding for mapping in mappings for finding in _collection(mapping, there)]
    tables = counted(sum(len(mapping.tables) for mapping in mappings), "table")
    return found or [ok("tables", f"{tables} as declared")]


def _collection(mapping: DocumentMapping, there: Mapping[TableName, There]) -> Iterator[Finding]:
    for table in mapping.tables:
        if (one := there.get(table.name)) is None:
            yield critical(
                "tables",
                f"there is no table {table.name}",
                why="no document is written",
                fix="syncline schema sql | psql",
            )
            continue
        yield from _key(table, one)
        live = {column.name: column for column in one.shape.columns}
        for place, column in enumerate(table.columns):
            yield from _column(table, place, live.get(column.name), one)
        yield from _others(table, one)
    yield from _indexes(mapping, there)


def _key(table: Table, there: There) -> Iterator[Finding]:
    if table.key not in {there.shape.primary_key, *there.shape.unique_keys}:
        yield critical(
            "key",
            f"{table.name} has no primary key ({', '.join(table.key)})",
            why="rows are found by it, and written again under it",
            fix=_alter(table, sql.SQL("ADD PRIMARY KEY ({})").format(_names(table.key))),
        )


def _column(table: Table, place: int, live: Live | None, there: There) -> Iterator[Finding]:
    column = table.columns[place]
    if live is None:
        type_ = definitions.type_sql(table, column)
        change = sql.SQL("ADD COLUMN {} {}").format(sql.Identifier(column.name), type_)
        yield critical(
            "columns",
            f"{table.name} has no column {column.name}{_of(column)}",
            why="no document is written",
            fix=_alter(table, change),
        )
        return
    yield from _type(table, column, live, there)
    if live.not_null and not definitions.is_required(table, place):
        yield warning(
            "required",
            f"{table.name}.{column.name} is NOT NULL{_of(column)}",
            why="a document without such a value is parked",
            fix=f"required = true, or: {_alter(table, _change(column.name, 'DROP NOT NULL'))}",
        )
    if column.name in there.empty and place != table.rest:
        yield warning(
            "filled",
            f"{table.name}.{column.name} is empty in all {counted(there.rows, 'row')}",
            why=f"no document has {column.path or column.name} as {column.type.name}: a wrong path, or another type",
            fix="look into the rest, and correct the path or the type in the declaration",
        )


def _type(table: Table, column: Column, live: Live, there: There) -> Iterator[Finding]:
    wanted, named = column.type.sql, f"{table.name}.{column.name} is {live.type}"
    fix = _alter(
        table,
        sql.SQL("ALTER COLUMN {} TYPE {}").format(sql.Identifier(column.name), definitions.type_sql(table, column)),
    )
    if live.base == "enum":
        missing = [value for value in column.field.values if value not in there.labels.get(column.name, ())]
        if missing or not column.field.values:
            what = f"{named}, without {', '.join(missing)}" if missing else f"{named}; any text is declared"
            yield warning("types", what, why="documents with other values are parked", fix=fix)
    elif not live.array and live.base in _WIDE[wanted] and not _limited(live):
        return
    elif not live.array and live.base in _PARKS.get(wanted, ()):
        yield warning("types", f"{named}: too narrow for {wanted}", why="what does not fit is parked", fix=fix)
    elif not live.array and live.base in _ROUNDS.get(wanted, ()):
        yield critical(
            "types", f"{named}: too narrow for {wanted}", why="values change on their way, silently", fix=fix
        )
    else:
        yield critical("types", f"{named}, not {wanted}", why="values are refused, or become others", fix=fix)


def _limited(live: Live) -> bool:
    if live.base == "timestamptz":
        return "(" in live.type and int(live.type.partition("(")[2].partition(")")[0]) < 3
    return live.precision is not None or "(" in live.type


def _others(table: Table, there: There) -> Iterator[Finding]:
    """Look at columns that no field fills."""
    known = {column.name for column in table.columns} | (set(OURS) if table.parent is None else set())
    for live in there.shape.columns:
        if live.name in known or live.name in there.filled:
            continue
        if live.not_null:
            yield critical(
                "filled",
                f"{table.name}.{live.name} is NOT NULL without a default, and no field fills it",
                why="no document is written",
                fix=f"declare it, or: {_alter(table, _change(live.name, 'DROP NOT NULL'))}",
            )
        else:
            yield warning(
                "filled", f"no field fills {table.name}.{live.name}", why="it stays empty", fix="declare it, or drop it"
            )
    if table.parent is None:
        missing = [name for name in OURS if there.shape.column(name) is None]
        if missing:
            yield critical(
                "columns",
                f"{table.name} has no column {', '.join(missing)}",
                why="each write says there how it went",
                fix="syncline schema sql shows their definitions",
            )


def _indexes(mapping: DocumentMapping, there: Mapping[TableName, There]) -> Iterator[Finding]:
    for index in definitions.indexes(mapping):
        one = there.get(index.table)
        if one is None:
            continue
        known = one.unique if index.unique else {columns[: len(index.columns)] for columns in one.indexes}
        if index.columns not in known:
            yield warning(
                "indexes",
                f"{index.table} has no {'unique ' if index.unique else ''}index on {', '.join(index.columns)}",
                why="values may be there twice" if index.unique else "queries by it read the whole table",
                fix=definitions.index(index).as_string(None).replace("INDEX IF", "INDEX CONCURRENTLY IF"),
            )


def _of(column: Column) -> str:
    return f" (of {column.path})" if column.path else ""


def _change(column: str, what: LiteralString) -> sql.Composed:
    return sql.SQL("ALTER COLUMN {} {}").format(sql.Identifier(column), sql.SQL(what))


def _alter(table: Table, change: sql.Composable) -> str:
    name = sql.Identifier(table.name.schema, table.name.name)
    return sql.SQL("ALTER TABLE {} {}").format(name, change).as_string(None)


def _names(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))
