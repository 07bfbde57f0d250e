"""Connections whose server session is lent to us for one transaction at a time, as poolers in transaction mode do.

Nothing may be set there for longer than that: the next client would meet it. And nothing that was set, prepared or
locked before is there any more. So every statement runs in a transaction that sets what our work needs, for itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import TupleRow, tuple_row

from syncline.errors import PoolerError
from syncline.postgres import pins

DIRECT = "set direct_url in [source], or SYNCLINE_DIRECT_URL, to a URL that leads past the pooler"
"""What to do about a pooler that is in the way."""


class Pooling(StrEnum):
    """What stands between a connection and its server."""

    NONE = "none"
    SESSION = "session"
    """A pooler that lends a session for as long as the connection lives: as good as none."""
    TRANSACTION = "transaction"
    STATEMENT = "statement"


_RESET_SECONDS = 1.0
_SERVER = "(SELECT system_identifier FROM pg_catalog.pg_control_system()), pg_catalog.pg_postmaster_start_time()"


class SourceConnection(psycopg.AsyncConnection[TupleRow]):
    """A connection to the source. ``lend`` says that its session is not ours."""

    pooling = Pooling.NONE
    """What is known to stand in between."""
    _settings: sql.Composed | None = None
    _pinned: Mapping[str, str] = MappingProxyType({})
    _server: TupleRow | None = None

    @property
    def lent(self) -> bool:
        """Whether the next transaction may meet another session."""
        return self._settings is not None

    def lend(self, settings: Mapping[str, str]) -> None:
        """Set these in each transaction from now on, and nothing for longer."""
        self._pinned = dict(settings)
        self._settings = pins.statement(settings, local=True)
        self.prepare_threshold = None
        self.cursor_factory = LentCursor

    async def pin(self, name: str, value: str) -> None:
        """Set one more: in each transaction where the session is lent, else for as long as it lives."""
        if self.lent:
            self.lend({**self._pinned, name: value})
        else:
            await self.execute(pins.statement({name: value}, local=False))

    async def begin(self, statement: sql.SQL | sql.Composed | None = None) -> None:
        """Begin a transaction, by this statement if one is given.

        Raises:
            psycopg.OperationalError: the pooler leads to another server than before; the connection is closed.
            PoolerError: it allows no transactions.

        """
        begin = statement or sql.SQL("BEGIN ISOLATION LEVEL READ COMMITTED READ {}").format(
            sql.SQL("ONLY" if self.read_only else "WRITE")
        )
        if self._settings is None:
            await self.execute(begin)
            return
        cursor = psycopg.AsyncCursor(self, row_factory=tuple_row)
        query = sql.SQL("{}; {}, {}").format(begin, self._settings, sql.SQL(_SERVER))
        try:
            await cursor.execute(query)  # one message: a round trip less
        except psycopg.errors.ProtocolViolation as error:
            raise refusal(error) from error
        cursor.nextset()
        row = await cursor.fetchone()
        server = None if row is None else row[-2:]
        if self._server is not None and server != self._server:
            await self.close()
            raise psycopg.OperationalError("the pooler leads to another server than before")
        self._server = server

    @asynccontextmanager
    async def transaction(self, savepoint_name: str | None = None, force_rollback: bool = False) -> AsyncIterator[Any]:
        """Run a block in a transaction, or within one in a savepoint."""
        if not self.lent or self.info.transaction_status is not TransactionStatus.IDLE:
            async with super().transaction(savepoint_name, force_rollback) as transaction:
                yield transaction
            return
        await self.begin()
        try:
            yield None
        except BaseException:
            await self._roll_back()
            raise
        await self.execute("ROLLBACK" if force_rollback else "COMMIT")

    async def close(self) -> None:
        """Close the connection; a session that a pooler has lent for so long is given back as it was."""
        if self.pooling is Pooling.SESSION and not self.closed:
            with suppress(psycopg.Error, TimeoutError):
                async with asyncio.timeout(_RESET_SECONDS):
                    await self.execute("DISCARD ALL")  # as PgBouncer does, unless its server_reset_query is empty
        await super().close()

    async def _roll_back(self) -> None:
        with suppress(psycopg.Error):  # what went wrong before is the news
            if not self.closed and self.info.transaction_status is not TransactionStatus.IDLE:
                await self.execute("ROLLBACK")


class LentCursor(psycopg.AsyncCursor[Any]):
    """A cursor that runs a statement in a transaction of its own, where it is in none."""

    async def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        """Run a statement."""
        if self.connection.info.transaction_status is not TransactionStatus.IDLE:
            return await super().execute(query, params, **options)
        async with self.connection.transaction():
            return await super().execute(query, params, **options)

    async def stream(self, query: Any, params: Any = None, **options: Any) -> AsyncIterator[Any]:
        """Run a statement and yield its rows as they come. Read them to the end."""
        if self.connection.info.transaction_status is not TransactionStatus.IDLE:
            async for row in super().stream(query, params, **options):
                yield row
            return
        async with self.connection.transaction():
            async for row in super().stream(query, params, **options):
                yield row


def refusal(error: psycopg.Error) -> psycopg.Error | PoolerError:
    """Name a pooler in statement mode, where that is what the error says."""
    if "statement pooling mode" not in str(error):
        return error
    return PoolerError(
        "the source URL leads through a pooler in statement mode, which allows no transactions", hint=DIRECT
    )
