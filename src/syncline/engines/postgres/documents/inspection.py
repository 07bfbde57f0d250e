"""What is there of the tables that documents are written to, read from a live database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow, dict_row

from syncline.model.documents import DocumentMapping, Table
from syncline.model.entity import Shape, TableName
from syncline.postgres.catalog import read_named
from syncline.postgres.connection import translated
from syncline.postgres.sql import blocks

ROWS = 100_000
"""So many rows of a table are looked at for columns that nothing fills."""
_PACKAGE = "syncline.engines.postgres.documents"


@dataclass(frozen=True, slots=True)
class There:
    """A table as it is."""

    shape: Shape
    filled: frozenset[str] = frozenset()
    """Columns that have a default, or are generated: an INSERT need not name them."""
    indexes: frozenset[tuple[str, ...]] = frozenset()
    """Columns of its whole indexes."""
    unique: frozenset[tuple[str, ...]] = frozenset()
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Of columns of an enum type: its values."""
    checks: Mapping[str, tuple[str, frozenset[str]]] = field(default_factory=dict)
    """Of columns with a CHECK on a list of values: its name, and the list."""
    rows: int = 0
    """How many were looked at for what is empty."""
    empty: frozenset[str] = frozenset()
    """Columns that were NULL in all of these."""


async def look(
    connection: AsyncConnection[TupleRow], mappings: Sequence[DocumentMapping], *, rows: int = ROWS
) -> dict[TableName, There]:
    """Look at the collections' tables; those that are not there are left out.

    Raises:
        SourceError: the catalog, or a table, cannot be read.

    """
    wanted = [table for mapping in mappings for table in mapping.tables]
    with translated():
        shapes = await read_named(connection, [table.name for table in wanted])
        facts = await _facts(connection, [table.name for table in wanted])
        return {
            table.name: await _there(connection, table, shapes[table.name], facts, rows)
            for table in wanted
            if table.name in shapes
        }


async def _facts(connection: AsyncConnection[TupleRow], tables: Sequence[TableName]) -> _Facts:
    given = {"schemas": [one.schema for one in tables], "names": [one.name for one in tables]}
    found: _Facts = {}
    async with connection.cursor(row_factory=dict_row) as cursor:
        for name, statement in blocks("inspection.sql", _PACKAGE).items():
            await cursor.execute(statement, given)
            for row in await cursor.fetchall():
                found.setdefault((name, TableName(row["schema"], row["name"])), []).append(row)
    return found


async def _there(connection: AsyncConnection[TupleRow], table: Table, shape: Shape, facts: _Facts, rows: int) -> There:
    indexes = [(tuple(row["columns"] or ()), row["unique"]) for row in facts.get(("indexes", table.name), ())]
    names = {column.name for column in shape.columns}
    columns = [column.name for column in table.columns[table.keys :] if column.name in names]
    looked, empty = await _empty(connection, table.name, columns, rows)
    return There(
        shape=shape,
        filled=frozenset(row["column"] for row in facts.get(("filled_by_themselves", table.name), ())),
        indexes=frozenset(columns for columns, _ in indexes),
        unique=frozenset(columns for columns, unique in indexes if unique),
        labels={row["column"]: tuple(row["labels"]) for row in facts.get(("labels", table.name), ())},
        checks=dict(_lists(facts.get(("checks", table.name), ()))),
        rows=looked,
        empty=empty,
    )


def _lists(found: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, tuple[str, frozenset[str]]]]:
    """Read the lists of values in CHECKs; others say something else."""
    for row in found:
        if _LIST.search(row["definition"]):
            values = (value.replace("''", "'") for value in _VALUE.findall(row["definition"]))
            yield row["column"], (row["constraint"], frozenset(values))


_LIST = re.compile(r"= ANY \(\(?ARRAY\[|= '")
_VALUE = re.compile(r"'((?:[^']|'')*)'::")


async def _empty(
    connection: AsyncConnection[TupleRow], table: TableName, columns: Sequence[str], rows: int
) -> tuple[int, frozenset[str]]:
    """Find the columns that are NULL in every row of those that are looked at."""
    if not rows:
        return 0, frozenset()
    counts = [sql.SQL("count({})").format(sql.Identifier(name)) for name in columns]
    inner = sql.SQL("SELECT * FROM {} LIMIT {}").format(sql.Identifier(table.schema, table.name), sql.Literal(rows))
    statement = sql.SQL("/* syncline */ SELECT {} FROM ({}) AS t").format(
        sql.SQL(", ").join([sql.SQL("count(*)"), *counts]), inner
    )
    row = await (await connection.execute(statement)).fetchone()
    looked, *filled = row or (0,)
    return looked, frozenset(name for name, count in zip(columns, filled, strict=False) if not count and looked)


_Facts = dict[tuple[str, TableName], list[dict[str, Any]]]
