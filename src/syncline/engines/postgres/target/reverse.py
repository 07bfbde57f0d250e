"""Whether a link's way back serves a table: its gate says so or, without one, the triggers that are there."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from syncline.model.entity import Entity, TableName
from syncline.ports.reverse import Serving
from syncline.postgres.sql import blocks

REMEMBERED_SECONDS = 1.0
Ask = Callable[[str, Mapping[str, Any]], Awaitable[list[dict[str, Any]]]]


class SqlReverse:
    """See ``syncline.ports.reverse.Reverse``.

    Where a move has put a gate before the table, it alone decides: applications cannot write there while a link can.
    Without one, the way back serves from its installation on: nobody can tell whether somebody writes there.
    """

    def __init__(self, ask: Ask, tag: str) -> None:
        self._ask = ask
        self._tag = tag
        self._seen: dict[TableName, tuple[float, Serving | None]] = {}

    async def serving(self, entity: Entity, *, fresh: bool = True) -> Serving | None:
        """Tell whether the way back serves an entity's table."""
        table = TableName.parse(entity.collection)
        at, seen = self._seen.get(table, (0.0, None))
        if not fresh and time.monotonic() - at < REMEMBERED_SECONDS:
            return seen
        found = await self._look(table)
        self._seen[table] = time.monotonic(), found
        return found

    async def _look(self, table: TableName) -> Serving | None:
        queries = blocks("reverse.sql", "syncline.engines.postgres.target")
        values = {"schema": table.schema, "name": table.name, "tag": self._tag}
        rows = await self._ask(queries["serving"], values)
        if gates := sorted({row["gate"] for row in rows if row["gate"] is not None}):
            open_ = {row["name"] for row in await self._ask(queries["open_gates"], {"gates": gates})}
            closed = [gate for gate in gates if gate not in open_]
            return Serving(str(table), None, closed[0]) if closed else None
        if not rows:
            return None
        return Serving(str(table), rows[0]["schema"].removeprefix("syncline").removeprefix("_"))
