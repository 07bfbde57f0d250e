"""What PostgreSQL's catalog says about tables: their shape, and whether it changed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from syncline.errors import MappingError
from syncline.model.entity import Column, Shape, TableName
from syncline.postgres.dialect import Dialect, dialect_of, statements


async def read_shape(conn: AsyncConnection[Any], table: TableName) -> Shape:
    """Read one table's shape.

    Raises:
        MappingError: there is no such table or view; the hint names similar ones.

    """
    return await shape_of(conn, table, await read_named(conn, [table]))


async def read_named(conn: AsyncConnection[Any], tables: Iterable[TableName]) -> dict[TableName, Shape]:
    """Read the shapes of these tables in one statement; those that do not exist are left out."""
    unique = list(dict.fromkeys(tables))
    if not unique:
        return {}
    found = await _shapes(conn, schemas=[t.schema for t in unique], names=[t.name for t in unique])
    return {shape.table: shape for shape in found}


async def shape_of(conn: AsyncConnection[Any], table: TableName, shapes: Mapping[TableName, Shape]) -> Shape:
    """Take a table's shape from those that have been read.

    Raises:
        MappingError: there is no such table or view; the hint names similar ones.

    """
    if table not in shapes:
        raise MappingError(f"there is no table {table}", hint=await _similar(conn, table))
    return shapes[table]


async def read_shapes(conn: AsyncConnection[Any], schemas: Sequence[str] | None = None) -> list[Shape]:
    """Read the shape of every table and view, ordered by name.

    Args:
        conn: any connection to the source.
        schemas: only these; ``None``: all but the system's and our own.

    """
    return await _shapes(conn, schemas=None if schemas is None else list(schemas), names=None)


async def fingerprint(conn: AsyncConnection[Any], tables: Sequence[TableName]) -> str:
    """Digest what the worker depends on; it changes with columns, keys, partitions, children, subscriptions.

    One statement on indexed catalogs, cheap enough for every few seconds.
    """
    async with conn.cursor() as cursor:
        await cursor.execute(*fingerprint_query(tables, dialect_of(conn)))
        row = await cursor.fetchone()
    return str(row[0] if not isinstance(row, dict) else next(iter(row.values()))) if row else ""


def fingerprint_query(
    tables: Sequence[TableName], dialect: Dialect = Dialect.POSTGRESQL
) -> tuple[str, dict[str, list[str]]]:
    """Give the statement of ``fingerprint`` and its values, for who sends it along with others."""
    return _sql("fingerprint", dialect), {"schemas": [t.schema for t in tables], "names": [t.name for t in tables]}


def _sql(name: str, dialect: Dialect = Dialect.POSTGRESQL) -> str:
    return statements("catalog.sql", dialect, "syncline.postgres")[name]


async def _shapes(conn: AsyncConnection[Any], *, schemas: list[str] | None, names: list[str] | None) -> list[Shape]:
    dialect = dialect_of(conn)
    async with conn.transaction(), conn.cursor(row_factory=dict_row) as cursor:
        if dialect is Dialect.POSTGRESQL:  # a session that reads by keys only would join hundreds of tables row by row
            await cursor.execute(_sql("any_plan"))
        await cursor.execute(_sql("shapes", dialect), {"schemas": schemas, "names": names})
        return [_shape(row) for row in await cursor.fetchall()]


def _shape(row: Mapping[str, Any]) -> Shape:
    keys = [(primary, tuple(columns)) for primary, columns in row["keys"]]
    return Shape(
        table=TableName(row["schema"], row["name"]),
        oid=row["oid"],
        kind=row["kind"],
        columns=tuple(Column(**column) for column in row["columns"]),
        primary_key=next((columns for primary, columns in keys if primary), ()),
        unique_keys=tuple(dict.fromkeys(columns for _, columns in keys)),
        is_partition=row["is_partition"],
        inherits=row["inherits"],
        has_children=row["has_children"],
        row_security=row["row_security"],
        estimated_rows=row["estimated_rows"],
    )


async def _similar(conn: AsyncConnection[Any], table: TableName) -> str:
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_sql("table_names", dialect_of(conn)))
        names = [TableName(row["schema"], row["name"]) for row in await cursor.fetchall()]
    near = get_close_matches(str(table), map(str, names), n=3, cutoff=0.5)
    same = [str(n) for n in names if n.name.lower() == table.name.lower()]
    found = list(dict.fromkeys([*same, *near]))[:3]
    return f"did you mean {' or '.join(found)}?" if found else "check the schema and the name; names are case-sensitive"
