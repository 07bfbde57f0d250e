"""``syncline schema check``: what the tables of documents lack, hold too little of, or hold for nothing. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from psycopg import sql

from syncline.engines.postgres.documents import definitions
from syncline.engines.postgres.documents.differences import (
    Fit,
    added,
    altered,
    fit,
    has_index,
    keyed,
    listed,
    relisted,
    retyped,
)
from syncline.engines.postgres.documents.inspection import There
from syncline.insight.checks.finding import Finding, critical, ok, warning
from syncline.model.documents import Column, DocumentMapping, Table
from syncline.model.documents.tables import OURS
from syncline.model.entity import Column as Live
from syncline.model.entity import TableName
from syncline.model.words import counted


def judge(mappings: Sequence[DocumentMapping], there: Mapping[TableName, There]) -> list[Finding]:
    """Compare what is declared with what is there."""
    found = [finding for mapping in mappings for finding in _collection(mapping, there)]
    found += _indexes(mappings, there)
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


def _key(table: Table, there: There) -> Iterator[Finding]:
    if table.key not in {there.shape.primary_key, *there.shape.unique_keys}:
        yield critical(
            "key",
            f"{table.name} has no primary key ({', '.join(table.key)})",
            why="rows are found by it, and written again under it",
            fix=keyed(table).as_string(None),
        )


def _column(table: Table, place: int, live: Live | None, there: There) -> Iterator[Finding]:
    column = table.columns[place]
    if live is None:
        yield critical(
            "columns",
            f"{table.name} has no column {column.name}{_of(column)}",
            why="no document is written",
            fix=added(table, place).as_string(None),
        )
        return
    yield from _type(table, column, live, there)
    if live.not_null and not definitions.is_required(table, place):
        yield warning(
            "required",
            f"{table.name}.{column.name} is NOT NULL{_of(column)}",
            why="a document without such a value is parked",
            fix=f"required = true, or: {_nullable(table, column.name)}",
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
    labels, fix = there.labels.get(column.name, ()), _script(retyped(table, column, live, there))
    match fit(column, live, labels):
        case Fit.WHOLE:
            yield from _values(table, column, there)
        case Fit.PARKS if live.base == "enum":
            missing = ", ".join(value for value in column.field.values if value not in labels)
            what = f"{named}, without {missing}" if missing else f"{named}; any text is declared"
            yield warning("types", what, why="documents with other values are parked", fix=fix)
        case Fit.PARKS:
            yield warning("types", f"{named}: too narrow for {wanted}", why="what does not fit is parked", fix=fix)
        case Fit.ROUNDS:
            why = "values change on their way, silently"
            yield critical("types", f"{named}: too narrow for {wanted}", why=why, fix=fix)
        case Fit.OTHER:
            yield critical("types", f"{named}, not {wanted}", why="values are refused, or become others", fix=fix)


def _values(table: Table, column: Column, there: There) -> Iterator[Finding]:
    if (found := listed(column, there)) is not None:
        yield warning(
            "values",
            f"{table.name}.{column.name} takes {', '.join(sorted(found[1]))} only ({found[0]})",
            why="documents with other values that are declared are parked",
            fix=_script(relisted(table, column, there)),
        )


def _script(statements: Iterable[sql.Composed]) -> str:
    return "; ".join(one.as_string(None) for one in statements)


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
                fix=f"declare it, or: {_nullable(table, live.name)}",
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


def _indexes(mappings: Sequence[DocumentMapping], there: Mapping[TableName, There]) -> Iterator[Finding]:
    for index in definitions.all_indexes(mappings):
        if index.table in there and not has_index(there[index.table], index):
            yield warning(
                "indexes",
                f"{index.table} has no {'unique ' if index.unique else ''}index on {', '.join(index.columns)}",
                why="values may be there twice" if index.unique else "queries by it read the whole table",
                fix=definitions.index(index).as_string(None).replace("INDEX IF NOT EXISTS", "INDEX CONCURRENTLY", 1),
            )


def _of(column: Column) -> str:
    return f" (of {column.path})" if column.path else ""


def _nullable(table: Table, column: str) -> str:
    return altered(table, sql.SQL("ALTER COLUMN {} DROP NOT NULL").format(sql.Identifier(column))).as_string(None)
