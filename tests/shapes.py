"""Table shapes for tests: made by hand, or read from a database with the least SQL that does it."""

from __future__ import annotations

from typing import Any

import psycopg

from syncline.model.entity import Column, Shape, TableName

_COLUMNS = """
    WITH RECURSIVE base AS (
        SELECT a.attnum, a.attname, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull, a.atttypid AS oid,
               a.atttypmod AS mod, a.attcollation AS coll
        FROM pg_attribute a WHERE a.attrelid = %(table)s::regclass AND a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT b.attnum, b.attname, b.type, b.attnotnull, t.typbasetype, t.typtypmod, b.coll
        FROM base b JOIN pg_type t ON t.oid = b.oid WHERE t.typtype = 'd'
    )
    SELECT b.attname, b.type, b.attnotnull, b.oid::int8, b.mod, e.typname, e.typtype::text, t.typcategory = 'A',
           coalesce((SELECT collisdeterministic FROM pg_collation c WHERE c.oid = b.coll), true)
    FROM base b JOIN pg_type t ON t.oid = b.oid
    JOIN pg_type e ON e.oid = CASE WHEN t.typcategory = 'A' THEN t.typelem ELSE t.oid END
    WHERE t.typtype <> 'd' ORDER BY b.attnum
"""
_KINDS = {"e": "enum", "c": "composite", "r": "range", "m": "multirange"}


def column(name: str = "id", type_: str = "bigint", base: str = "int8", **more: Any) -> Column:
    return Column(name, type_, base, more.pop("oid", 0), **more)


def shape(*columns: Column, key: tuple[str, ...] = ("id",), name: str = "things") -> Shape:
    return Shape(TableName("public", name), 1, "r", columns, key, (key,) if key else ())


def read_shape(connection: psycopg.Connection[Any], table: str) -> Shape:
    name = TableName.parse(table)
    rows = connection.execute(_COLUMNS, {"table": str(name)}).fetchall()
    columns = tuple(_column(*row) for row in rows)
    found = connection.execute(
        "SELECT a.attname FROM pg_index i CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY k(n, o)"
        " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.n"
        " WHERE i.indisprimary AND i.indrelid = %s::regclass ORDER BY k.o",
        (str(name),),
    ).fetchall()
    key = tuple(row[0] for row in found)
    return Shape(name, 1, "r", columns, key, (key,) if key else ())


def _column(name, type_, not_null, oid, mod, base, kind, array, deterministic) -> Column:
    scale = ((mod - 4) & 0x7FF ^ 1024) - 1024 if base == "numeric" and mod >= 4 else None
    return Column(name, type_, _KINDS.get(kind, base), oid, array, not_null, scale, deterministic)
