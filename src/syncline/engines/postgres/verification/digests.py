"""Sums and hashes of a table's rows, for a target that is a table too."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from psycopg import sql

from syncline.engines.postgres.projection_sql import (
    bound,
    column_of,
    commas,
    condition_of,
    table_of,
    value_of,
    where_of,
)
from syncline.engines.postgres.row_hash import row_hash, row_sum
from syncline.engines.postgres.verification.pages import again
from syncline.model.key_types import key_type
from syncline.ports import Plan, Stretch, Sum
from syncline.postgres.connection import Connection, translated
from syncline.postgres.sql import identifier


class SqlDigests:
    """See ``syncline.ports.SourceDigests``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def boundary(self, plan: Plan, stretch: Stretch, size: int) -> str | None:
        """Find the key behind so many rows, whatever the filter says of them."""
        # Whatever stands beside OFFSET is computed for the rows that it passes over, too.
        text = (
            "SELECT {key_of_names} FROM (SELECT {columns} FROM {table}{where} ORDER BY {columns} OFFSET %s LIMIT 1)"
            " AS _syncline_end({names})"
        )
        found = await self._run(plan, text, stretch, size, filtered=False)
        return str(found[0][0]) if found else None

    async def sum(self, plan: Plan, stretch: Stretch, *, keys_only: bool) -> Sum:
        """Sum up a stretch."""
        text = "SELECT {sum} FROM {table}{where}"
        ((records, digest),) = await self._run(plan, text, stretch, keys_only=keys_only)
        return Sum(records, int(digest))

    async def hashes(
        self, plan: Plan, stretch: Stretch, *, keys_only: bool, limit: int | None = None
    ) -> list[tuple[str, int]]:
        """Hash the rows of a stretch."""
        text = "SELECT {key}, {hash} FROM {table}{where} ORDER BY {columns} LIMIT %s"
        return [(key, hash_) for key, hash_ in await self._run(plan, text, stretch, limit, keys_only=keys_only)]

    async def _run(
        self, plan: Plan, text: str, stretch: Stretch, *values: object, keys_only: bool = False, filtered: bool = True
    ) -> Sequence[tuple[Any, ...]]:
        codec = plan.projection.codec
        keys = [text for key in (stretch.first, stretch.end) if key is not None for text in codec.parse(key)]
        query = _compose(plan, text, stretch, keys_only=keys_only, filtered=filtered)

        async def read() -> Sequence[tuple[Any, ...]]:
            with translated():
                async with self._connection.cursor(binary=True) as cursor:
                    await cursor.execute(query, [*keys, *values])
                    return await cursor.fetchall()

        return await again(read)


def _compose(plan: Plan, text: str, stretch: Stretch, *, keys_only: bool, filtered: bool) -> sql.Composed:
    projection = plan.projection
    table = projection.shape.table
    columns = [column_of(table, column.name) for column in projection.key]
    casts = [key_type(column).sql for column in projection.key]
    conditions: list[sql.Composable] = []
    if stretch.first is not None:
        conditions.append(bound(columns, casts, ">" if stretch.passed else ">="))
    if stretch.end is not None:
        conditions.append(bound(columns, casts, "<"))
    if filtered:
        conditions += condition_of(plan.entity.where)
    hashed = row_hash(columns if keys_only else [value_of(table, item) for item in projection.selected])
    names = [sql.Identifier(f"_syncline_{number}") for number in range(len(columns))]
    function = identifier(f"key_{plan.id}")
    return sql.SQL("/* syncline: digest */ " + text).format(
        key=sql.SQL("{}({})").format(function, commas(columns)),
        key_of_names=sql.SQL("{}({})").format(function, commas(names)),
        names=commas(names),
        sum=row_sum(hashed),
        hash=hashed,
        table=table_of(table),
        columns=commas(columns),
        where=where_of(conditions),
    )
