"""Sessions of a target that a pooler may lend for one transaction at a time.

Nothing may be set there for longer: the next client would meet it. So each transaction sets what our work needs, and a
statement that is in none gets one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

import psycopg
from psycopg import IsolationLevel, sql
from psycopg.rows import TupleRow

from syncline.postgres import pins


class TargetConnection(psycopg.AsyncConnection[TupleRow]):
    """A connection to a target. ``lend`` says that its session is not ours."""

    _pinned: Mapping[str, str] | None = None
    _pins: sql.Composed | None = None
    _inside = False

    async def lend(self, settings: Mapping[str, str]) -> None:
        """Set these in each transaction from now on, and nothing for longer."""
        self.prepare_threshold = None
        self.cursor_factory = _LentCursor
        # The statement that pins already takes a snapshot where a role's default is another level.
        await self.set_isolation_level(IsolationLevel.READ_COMMITTED)
        await self.set_read_only(False)
        self._pin(settings)

    async def pin(self, name: str, value: str) -> None:
        """Set one more: in each transaction where the session is lent, else for as long as it lives."""
        if self._pinned is None:
            await self.execute(pins.statement({name: value}, local=False))
        else:
            self._pin({**self._pinned, name: value})

    def _pin(self, settings: Mapping[str, str]) -> None:
        self._pinned = settings
        self._pins = pins.statement(settings, local=True)

    @property
    def bare(self) -> bool:
        """Whether a statement would run in a session that is lent, and in no transaction of ours."""
        return self._pins is not None and not self._inside

    @asynccontextmanager
    async def transaction(self, savepoint_name: str | None = None, force_rollback: bool = False) -> AsyncIterator[Any]:
        """Run a block in a transaction, or within one in a savepoint."""
        if self._pins is None or self._inside:
            async with super().transaction(savepoint_name, force_rollback) as transaction:
                yield transaction
            return
        self._inside = True
        try:
            async with super().transaction(savepoint_name, force_rollback) as transaction:
                await self.execute(self._pins)
                yield transaction
        finally:
            self._inside = False

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[None]:
        """Run a block in a transaction that only reads, all of it as of one moment."""
        level, read_only = self.isolation_level, self.read_only
        await self.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        await self.set_read_only(True)
        try:
            async with self.transaction():
                yield
        finally:
            with suppress(psycopg.Error):  # it has ended, then
                await self.set_isolation_level(level)
                await self.set_read_only(read_only)


class _LentCursor(psycopg.AsyncCursor[Any]):
    async def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        """Run a statement, in a transaction of its own where it is in none."""
        connection = self.connection
        if not (isinstance(connection, TargetConnection) and connection.bare):
            return await super().execute(query, params, **options)
        async with connection.transaction():
            return await super().execute(query, params, **options)
