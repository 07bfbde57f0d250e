"""What was written last, compared row by row while nobody writes: a last look before a side opens."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from psycopg.sql import SQL, Composed, Identifier, Placeholder

from syncline.engines.postgres.projection_sql import named, table_of
from syncline.model.entity import TableName
from syncline.model.link import Link, entered
from syncline.postgres.sql import blocks
from syncline.split.moving.tables import PACKAGE
from syncline.split.switching.gate import Gate

KEYS = 200
"""So many of the newest changes are looked at: few enough to cost a few milliseconds of the pause."""


async def differing(source: Gate, target: Gate, link: Link) -> list[str]:
    """Name the records that are not equal, among those that a link has carried over last.

    Raises:
        NamedDatabaseUnavailableError: a side is away.

    """
    with entered(link):
        statement = blocks("link.sql", PACKAGE)["tail"]
    found = []
    for name, columns, types, keys in await source.session.rows(statement, {"limit": KEYS}):
        table = TableName.parse(name)
        texts = [[key] if len(columns) == 1 else json.loads(key) for key in keys]
        query = _query(table, columns, types)
        arrays = [list(column) for column in zip(*texts, strict=True)]
        here, there = await _both(source, target, query, arrays)
        found += [f"{name} {key}" for key in sorted(here.keys() | there.keys()) if here.get(key) != there.get(key)]
    return found


def _query(table: TableName, columns: Sequence[str], types: Sequence[str]) -> Composed:
    places = [f"k{number}" for number in range(len(columns))]
    one = SQL("pg_catalog.unnest({}::pg_catalog.text[])")
    same = [
        SQL("t.{} = k.{}::{}").format(named(column), Identifier(place), SQL(type_.replace("%", "%%")))
        for column, place, type_ in zip(columns, places, types, strict=True)
    ]
    text = blocks("link.sql", PACKAGE, comment=False)["rows"]
    return SQL(text).format(
        key=SQL("pg_catalog.jsonb_build_array({})").format(
            SQL(", ").join(SQL("t.{}::text").format(named(column)) for column in columns)
        ),
        table=table_of(table),
        arrays=SQL(", ").join(one.format(Placeholder()) for _ in columns),
        names=SQL(", ").join(map(Identifier, places)),
        same=SQL(" AND ").join(same),
    )


async def _both(
    source: Gate, target: Gate, query: Composed, arrays: Sequence[list[str]]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read both sides at the same time; none is still at it when this has ended."""
    reading = (_rows(gate, query, arrays) for gate in (source, target))
    here, there = await asyncio.gather(*reading, return_exceptions=True)
    if isinstance(here, BaseException):
        raise here
    if isinstance(there, BaseException):
        raise there
    return here, there


async def _rows(gate: Gate, query: Composed, arrays: Sequence[list[str]]) -> dict[str, Any]:
    async with gate.session.connected() as connection, connection.transaction():
        await connection.execute(blocks("link.sql", PACKAGE)["pinned"])
        cursor = await connection.execute(query, arrays)
        return {json.dumps(key): value for key, value in await cursor.fetchall()}
