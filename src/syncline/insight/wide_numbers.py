"""Which columns hold numbers that no Decimal128 holds: a look at some of their rows."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from syncline.errors import SourceUnavailableError, SynclineError
from syncline.insight import reach
from syncline.model.entity import Column, Shape
from syncline.model.key_types import MAX_DIGITS
from syncline.outbox.connection import Connection
from syncline.outbox.dialect import on_cockroach

ROWS = 100_000
"""So many rows are looked at, of a larger table at random places."""

_DIGITS = "length(btrim(replace(ltrim({}::text, '-'), '.', ''), '0')) > {}"
"""Zeros at either end move into the exponent."""


async def wide_numbers(connection: Connection, shape: Shape, columns: Sequence[Column] | None = None) -> frozenset[str]:
    """Look for numbers of more digits than a Decimal128 has, in columns whose declaration does not say.

    Args:
        connection: to the source.
        shape: the table.
        columns: only these.

    """
    free = [
        column
        for column in (shape.columns if columns is None else columns)
        if column.base == "numeric" and (column.precision is None or column.precision > MAX_DIGITS)
    ]
    if not free:
        return frozenset()
    try:
        (row,) = await reach.query(connection, _statement(connection, shape, free))
    except SourceUnavailableError:
        raise
    except SynclineError:  # rows that this role may not read, or that nobody can
        return frozenset()
    return frozenset(column.name for place, column in enumerate(free) if row[f"c{place}"])


def _statement(connection: Connection, shape: Shape, columns: Sequence[Column]) -> sql.Composed:
    sampled = shape.estimated_rows > ROWS and not on_cockroach(connection)
    return sql.SQL("/* syncline */ SELECT {} FROM (SELECT {} FROM {}{} LIMIT {}) AS _syncline_some").format(
        sql.SQL(", ").join(_test(place, column) for place, column in enumerate(columns)),
        sql.SQL(", ").join(
            sql.SQL("{} AS {}").format(sql.Identifier(column.name), sql.Identifier(f"c{place}"))
            for place, column in enumerate(columns)
        ),
        sql.Identifier(shape.table.schema, shape.table.name),
        sql.SQL(" TABLESAMPLE SYSTEM ({})").format(sql.Literal(100 * ROWS / shape.estimated_rows))
        if sampled
        else sql.SQL(""),
        sql.Literal(ROWS),
    )


def _test(place: int, column: Column) -> sql.Composed:
    name = sql.Identifier(f"c{place}")
    if column.array:
        wide = sql.SQL(_DIGITS).format(sql.SQL("_syncline_v"), sql.Literal(MAX_DIGITS))
        one = sql.SQL("EXISTS (SELECT FROM unnest({}) AS _syncline_v WHERE {})").format(name, wide)
    else:
        one = sql.SQL(_DIGITS).format(name, sql.Literal(MAX_DIGITS))
    return sql.SQL("coalesce(bool_or({}), false) AS {}").format(one, name)
