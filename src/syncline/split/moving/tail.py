"""What was written last, compared row by row while nobody writes: a last look before a side opens."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from psycopg.sql import SQL, Composed, Identifier, Placeholder

from syncline.engines.postgres.projection_sql import named, table_of
from syncline.model.entity import TableName
from syncline.model.link import Link, entered
from syncline.postgres.sql import blocks
from syncline.split.moving.tables import PACKAGE
from syncline.split.switching.gate import Gate, both

KEYS = 200
"""So many of the newest changes are looked at: few enough to cost a few milliseconds of the pause."""


async def differing(source: Gate, target: Gate, link: Link) -> list[str]:
    """Name the records that are not equal, among those that a link has carried over last.

    Raises:
        NamedDatabaseUnavailableError: a side is away.

    """
    with entered(link):
        statement = blocks("link.sql", PACKAGE)["tail"]
    names, asked = [], []
    for name, columns, types, keys in await source.session.rows(statement, {"limit": KEYS}):
        texts = [[key] if len(columns) == 1 else json.loads(key) for key in keys]
        arrays = [list(column) for column in zip(*texts, strict=True)]
        names.append(name)
        asked.append((_query(TableName.parse(name), columns, types), arrays))
    here, there = await both(_rows(source, asked), _rows(target, asked))
    return [
        f"{name} {key}"
        for name, ours, theirs in zip(names, here, there, strict=True)
        for key in sorted(ours.keys() | theirs.keys())
        if ours.get(key) != theirs.get(key)
    ]


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


async def _rows(gate: Gate, asked: Sequence[tuple[Composed, Sequence[list[str]]]]) -> list[dict[str, Any]]:
    """Read the sums of all tables' rows, in one round trip; values look the same on both sides within it."""
    pinned = (blocks("link.sql", PACKAGE)["pinned"], None)
    _, *found = await gate.session.together(pinned, *asked) if asked else ([],)
    return [{json.dumps(key): value for key, value in rows} for rows in found]
