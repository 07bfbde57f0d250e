"""Table shapes for tests: made by hand, or read from a database."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.rows import dict_row

from syncline.model.entity import Column, Shape, TableName
from syncline.postgres import catalog


def column(name: str = "id", type_: str = "bigint", base: str = "int8", **more: Any) -> Column:
    return Column(name, type_, base, more.pop("oid", 0), **more)


def shape(*columns: Column, key: tuple[str, ...] = ("id",), name: str = "things") -> Shape:
    return Shape(TableName("public", name), 1, "r", columns, key, (key,) if key else ())


def read_shape(connection: psycopg.Connection[Any], table: str) -> Shape:
    """What ``catalog.read_shape`` reads, for tests that are not asynchronous."""
    name = TableName.parse(table)
    with psycopg.connect(connection.info.dsn) as plain, plain.cursor(row_factory=dict_row) as cursor:
        cursor.execute(catalog._sql("shapes"), {"schemas": [name.schema], "names": [name.name]})
        (row,) = cursor.fetchall()
    return catalog._shape(row)
