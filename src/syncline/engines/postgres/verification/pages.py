"""Pages of a table, in the order of its key; perhaps from a standby."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import psycopg

from syncline.engines.postgres.states import read_page, read_states, snapshot
from syncline.engines.postgres.verification.page_sql import Bounds, PageStatements, page_statements
from syncline.errors import SourceUnavailableError
from syncline.ports import Plan, States, Stretch
from syncline.postgres.connection import Connection, translated

R = TypeVar("R")
TRIES, AGAIN_SECONDS = 10, 0.5
"""For pages that a standby cancels."""


class SqlPages:
    """See ``syncline.ports.Pages``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._composed: tuple[Plan, PageStatements] | None = None

    async def rows(self, plan: Plan, stretch: Stretch, limit: int) -> States:
        """Read whole records."""
        query = self._of(plan).contents[_bounds(stretch)]
        return await again(lambda: self._rows(plan, query, _keys(stretch), limit))

    async def ids(self, plan: Plan, stretch: Stretch, limit: int) -> list[Any]:
        """Read the only key column."""
        return await self._few(plan, self._of(plan).ids[_bounds(stretch)], stretch, limit)

    async def keys(self, plan: Plan, stretch: Stretch, limit: int, *, filtered: bool = True) -> list[str]:
        """Read key texts."""
        statements = self._of(plan)
        return await self._few(
            plan, (statements.keys if filtered else statements.bare)[_bounds(stretch)], stretch, limit
        )

    async def read(self, plan: Plan, keys: Sequence[str]) -> States:
        """Read the records of keys."""
        return await read_states(self._connection, plan, keys)

    async def _rows(self, plan: Plan, query: str, keys: Sequence[str], limit: int) -> States:
        if not plan.projection.embeds:
            return await read_page(self._connection, plan, query, keys, limit)
        with translated():
            async with snapshot(self._connection):
                return await read_page(self._connection, plan, query, keys, limit)

    async def _few(self, plan: Plan, query: str, stretch: Stretch, limit: int) -> list[Any]:
        codec = plan.projection.codec
        values = [text for key in _keys(stretch) for text in codec.parse(key)]

        async def read() -> list[Any]:
            with translated():
                async with self._connection.cursor(binary=True) as cursor:
                    await cursor.execute(query, (*values, limit))
                    return [row[0] for row in await cursor.fetchall()]

        return await again(read)

    def _of(self, plan: Plan) -> PageStatements:
        """Compose the statements once; one entity is walked after the other."""
        if self._composed is None or self._composed[0] is not plan:
            self._composed = plan, page_statements(plan, self._connection)
        return self._composed[1]


def _bounds(stretch: Stretch) -> Bounds:
    lower = "" if stretch.first is None else ">" if stretch.passed else ">="
    return lower, stretch.end is not None


def _keys(stretch: Stretch) -> list[str]:
    return [key for key in (stretch.first, stretch.end) if key is not None]


async def again(read: Callable[[], Awaitable[R]]) -> R:
    """Read a page once more when a standby has cancelled it: it replays what removes rows that the page could see."""
    for _ in range(TRIES - 1):
        try:
            return await read()
        except SourceUnavailableError as error:
            if not isinstance(error.__cause__, psycopg.errors.SerializationFailure):
                raise
            await asyncio.sleep(AGAIN_SECONDS)
    return await read()
