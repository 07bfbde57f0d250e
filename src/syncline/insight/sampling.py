"""Which columns hold values that hurt: a look at some of their rows."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from syncline.errors import SourceUnavailableError, SynclineError
from syncline.insight import reach
from syncline.model.entity import Column, Shape
from syncline.model.key_types import MAX_DIGITS
from syncline.postgres.connection import Connection
from syncline.postgres.dialect import on_cockroach

ROWS = 100_000
"""So many rows are looked at, of a larger table at random places."""

_WIDE = sql.SQL("length(btrim(replace(ltrim({value}::text, '-'), '.', ''), '0')) > {digits}")
"""Zeros at either end move into the exponent."""
_FAR = sql.SQL("({value} >= '10000-01-01' OR {value} < '0001-01-01')")


async def wide_numbers(connection: Connection, shape: Shape, columns: Sequence[Column], *, rows: int) -> list[str]:
    """Look for numbers of more digits than a Decimal128 has, in columns whose declaration does not say.

    Args:
        connection: to the source.
        shape: the table.
        columns: those that are looked at, where they may hold such numbers.
        rows: how many are looked at.

    """
    free = [c for c in columns if c.base == "numeric" and (c.precision is None or c.precision > MAX_DIGITS)]
    return await _holding(connection, shape, free, _WIDE, rows)


async def far_dates(connection: Connection, shape: Shape, columns: Sequence[Column], *, rows: int) -> list[str]:
    """Look for ``infinity`` and years outside of 1 to 9999; the arguments are those of ``wide_numbers``."""
    dated = [c for c in columns if c.base in {"date", "timestamp", "timestamptz"}]
    return await _holding(connection, shape, dated, _FAR, rows)


async def _holding(
    connection: Connection, shape: Shape, columns: Sequence[Column], test: sql.SQL, rows: int
) -> list[str]:
    if not columns:
        return []
    try:
        (row,) = await reach.query(connection, _statement(connection, shape, columns, test, rows))
    except SourceUnavailableError:
        raise
    except SynclineError:  # rows that this role may not read, or that nobody can
        return []
    return [column.name for place, column in enumerate(columns) if row[f"c{place}"]]


def _statement(
    connection: Connection, shape: Shape, columns: Sequence[Column], test: sql.SQL, rows: int
) -> sql.Composed:
    sampled = shape.estimated_rows > rows and not on_cockroach(connection)
    share = sql.Literal(min(100.0, 200 * rows / max(1, shape.estimated_rows)))
    names = [sql.Identifier(f"c{place}") for place in range(len(columns))]
    return sql.SQL("/* syncline */ SELECT {} FROM (SELECT {} FROM {}{} LIMIT {}) AS _syncline_some").format(
        sql.SQL(", ").join(_tested(name, column, test) for name, column in zip(names, columns, strict=True)),
        sql.SQL(", ").join(
            sql.SQL("{} AS {}").format(sql.Identifier(column.name), name)
            for name, column in zip(names, columns, strict=True)
        ),
        sql.Identifier(shape.table.schema, shape.table.name),
        sql.SQL(" TABLESAMPLE SYSTEM ({})").format(share) if sampled else sql.SQL(""),
        sql.Literal(rows),
    )


def _tested(name: sql.Identifier, column: Column, test: sql.SQL) -> sql.Composed:
    one = test.format(value=name, digits=sql.Literal(MAX_DIGITS))
    if column.array:
        each = test.format(value=sql.SQL("_syncline_v"), digits=sql.Literal(MAX_DIGITS))
        one = sql.SQL("EXISTS (SELECT FROM unnest({}) AS _syncline_v WHERE {})").format(name, each)
    return sql.SQL("coalesce(bool_or({}), false) AS {}").format(one, name)
