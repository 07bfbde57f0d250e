"""Marking many records in an SQL database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from psycopg import sql

from syncline.engines.postgres.condition import check_condition
from syncline.engines.postgres.key_sql import absent_keys, chosen_keys, key_statements
from syncline.engines.postgres.tasks import SqlTasks
from syncline.errors import SourceError
from syncline.model.mark import Hint
from syncline.ports import Absent, Chosen, Keys, Plan
from syncline.postgres.connection import Connection, fetch_one, translated
from syncline.postgres.retrying import in_transaction
from syncline.postgres.sql import blocks

T = TypeVar("T")


class SqlMarking:
    """See ``syncline.ports.Marking``.

    Args:
        connection: from ``syncline.postgres.connection.connect(url, keyed=True)``; it stays the caller's.
        worker: id of who claims (a UUID as text).
        ranges: leads to a replica, which may say where chunks end; without it ``connection`` says it.

    """

    def __init__(self, connection: Connection, worker: str, *, ranges: Connection | None = None) -> None:
        self.tasks = SqlTasks(connection, worker)
        self._connection, self._ranges = connection, ranges

    def keys(self, plan: Plan, *, where: str | None = None) -> Keys:
        """Give the keys of an entity."""
        return SqlKeys(self._connection, plan, where=where, ranges=self._ranges)

    async def together(self, act: Callable[[], Awaitable[T]]) -> T:
        """Do something in one transaction."""
        with translated():
            return await in_transaction(self._connection, act)

    async def check_condition(self, plan: Plan, where: str) -> None:
        """Have the database parse a condition and plan with it."""
        await check_condition(self._connection, plan, where)


class SqlKeys:
    """See ``syncline.ports.Keys``.

    Where a chunk ends a replica may say: chunks follow each other without a gap whatever it says, and what lies in them
    is looked up on the primary, where it is marked. One that fails is not asked again.
    """

    def __init__(
        self, connection: Connection, plan: Plan, *, where: str | None = None, ranges: Connection | None = None
    ) -> None:
        self._connection, self._ranges, self._plan = connection, ranges, plan
        self._statements = key_statements(plan, where=where)

    async def last(self) -> str | None:
        """Find the highest key."""
        return await self._key(self._connection, self._statements.last)

    async def count(self, most: int) -> int:
        """Count the rows, up to so many."""
        with translated():
            row = await (await self._connection.execute(self._statements.size, (most,))).fetchone()
        return int(row[0]) if row else 0

    async def boundary(self, after: str | None, last: str, size: int) -> str | None:
        """Find the key that ends a chunk; that none is left beyond it only the primary knows."""
        statement = self._statements.boundary if after is None else self._statements.boundary_after
        values = (*self._bounds(after), *self._bounds(last), size - 1)
        if self._ranges is not None:
            try:
                if (found := await self._key(self._ranges, statement, *values)) is not None:
                    return found
            except SourceError:
                self._ranges = None
        return await self._key(self._connection, statement, *values)

    async def mark_range(self, after: str | None, until: str, *, and_: Callable[[int], Awaitable[None]]) -> None:
        """Mark the rows inside the filter after one key, up to another."""
        mark = self._statements.mark if after is None else self._statements.mark_after

        async def marked() -> None:
            values = (Hint.BACKFILL.value, *self._bounds(after), *self._bounds(until))
            row = await (await self._connection.execute(mark, values)).fetchone()
            await and_(row[0] if row else 0)

        with translated():
            await in_transaction(self._connection, marked)

    async def chosen(self, after: str | None, until: str) -> Chosen:
        """Tell which of these rows are to be marked, where one statement for all of them fails."""
        bare = self._statements.bare if after is None else self._statements.bare_after
        with translated():
            cursor = await self._connection.execute(bare, (*self._bounds(after), *self._bounds(until)))
            keys = [key for (key,) in await cursor.fetchall()]
        return await chosen_keys(self._connection, self._plan, self._statements, keys)

    async def mark(self, keys: Sequence[str], hint: str, *, and_: Callable[[], Awaitable[None]]) -> None:
        """Mark keys, whether they have rows or not."""

        async def marked() -> None:
            if keys:
                values = {"entity": self._plan.id, "keys": list(keys), "hint": hint}
                await self._connection.execute(blocks("queries.sql")["mark"], values)
            await and_()

        with translated():
            await in_transaction(self._connection, marked)

    async def absent(self, keys: Sequence[str]) -> Absent:
        """Find the keys that have no row inside the entity's filter."""
        return await absent_keys(self._connection, self._plan, self._statements, keys)

    async def are_still_the_key(self) -> bool:
        """Tell whether the entity's key is the one that was compiled; changing it takes its tasks away."""
        key = self._plan.projection.key
        values = {
            "entity": self._plan.id,
            "columns": [column.name for column in key],
            "types": [column.type for column in key],
        }
        return await fetch_one(self._connection, blocks("tasks.sql")["same_key"], values) == (True,)

    def _bounds(self, key: str | None) -> tuple[str, ...]:
        return () if key is None else self._statements.bounds(self._plan.projection.codec.parse(key))

    @staticmethod
    async def _key(connection: Connection, statement: sql.Composed, *values: Any) -> str | None:
        with translated():
            row = await (await connection.execute(statement, values)).fetchone()
        return None if row is None else str(row[0])
