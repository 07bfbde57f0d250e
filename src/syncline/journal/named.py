"""Our named statements on one connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg.rows import TupleRow

from syncline.errors import NotInstalledError
from syncline.postgres.connection import Connection, translated


class Statements:
    """Runs named statements; ``values`` are parameters that all of them are given."""

    def __init__(self, connection: Connection, queries: Mapping[str, str], **values: Any) -> None:
        self.connection = connection
        self._queries = queries
        self._values = values

    async def run(self, name: str, /, **values: Any) -> int:
        """Run a statement; give the number of rows that it touched."""
        with translated():
            return (await self.connection.execute(self._queries[name], self._values | values)).rowcount

    async def all(self, name: str, /, **values: Any) -> list[TupleRow]:
        """Run a statement and give its rows, if it has any."""
        with translated():
            cursor = await self.connection.execute(self._queries[name], self._values | values)
            return await cursor.fetchall() if cursor.description else []

    async def row(self, name: str, /, **values: Any) -> TupleRow | None:
        """Run a statement that gives a row, or none."""
        with translated():
            return await (await self.connection.execute(self._queries[name], self._values | values)).fetchone()

    async def one(self, name: str, /, **values: Any) -> TupleRow:
        """Run a statement that gives a row.

        Raises:
            NotInstalledError: it gives none: our tables are empty.

        """
        row = await self.row(name, **values)
        if row is None:
            raise NotInstalledError("Syncline's tables are empty", hint="run: syncline install")
        return row
