"""One look at the source: what became of some transactions? Over our own connections, an engine's or a pool's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import psycopg
from psycopg.rows import tuple_row

from syncline.config.urls import source_url, without_pooler
from syncline.errors import NotInstalledError, PrivilegeError
from syncline.postgres.dialect import Dialect, on_cockroach
from syncline.postgres.sql import blocks, ours

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

IDLE = 4
"""Connections that are kept open when they are our own."""

Pool = Callable[[], AbstractAsyncContextManager[psycopg.AsyncConnection[Any]]]
"""Gives a connection for the time of a block, e.g. ``psycopg_pool.AsyncConnectionPool.connection``."""


class Answer(NamedTuple):
    """What the source knows of some transactions."""

    installation: str
    """The first eight digits of its id."""
    standby: bool
    parked: bool
    pending: bool


_CANNOT_TELL = Answer(installation="", standby=False, parked=False, pending=True)
"""CockroachDB has no transaction ids to ask for: no token is of such an installation."""


class Outlook:
    """Asks one source."""

    def __init__(self, source: str | AsyncEngine | Pool) -> None:
        """Prepare; nothing connects before the first question."""
        self._source = source
        self._own = _OwnConnections(source) if isinstance(source, str) else None

    async def ask(self, transactions: list[str], depth: int) -> Answer:
        """Ask for transactions (``xid8``, as text), among the newest ``depth`` marks.

        Raises:
            NotInstalledError: the source has no Syncline.
            PrivilegeError: the role may not read our tables.
            psycopg.OperationalError: the source cannot be reached, whatever the driver.

        """
        values = {"txs": "{" + ",".join(transactions) + "}", "depth": depth}
        try:
            if isinstance(self._source, str) or callable(self._source):
                connect = self._own.connection if self._own is not None else cast("Pool", self._source)
                async with connect() as connection, connection.cursor(row_factory=tuple_row) as cursor:
                    if on_cockroach(connection):
                        return _CANNOT_TELL
                    await cursor.execute(_statement(), values)
                    row = await cursor.fetchone()
            elif self._source.dialect.name == Dialect.COCKROACHDB:
                return _CANNOT_TELL
            else:
                row = await _ask_engine(self._source, values)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            raise NotInstalledError(hint="run `syncline install`") from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise PrivilegeError(
                f"PostgreSQL: {str(error).splitlines()[0]}",
                hint=ours("GRANT USAGE ON SCHEMA syncline and SELECT ON ALL TABLES IN SCHEMA syncline to this role"),
            ) from error
        assert row is not None  # noqa: S101  a SELECT without FROM has one row
        return Answer(*row)

    async def close(self) -> None:
        """Close the connections that were made here."""
        if self._own is not None:
            await self._own.close()


class _OwnConnections:
    """A handful of connections for one event loop. More are opened when all are in use, and closed afterwards."""

    def __init__(self, url: str) -> None:
        self._url, _ = without_pooler(source_url(url) if "://" in url else url)
        self._idle: list[psycopg.AsyncConnection[Any]] = []
        self._closed = False

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
        connection = self._idle.pop() if self._idle else await self._connect()
        try:
            yield connection
        except BaseException:
            await connection.close()
            raise
        if self._closed or connection.closed or len(self._idle) >= IDLE:
            await connection.close()
        else:
            self._idle.append(connection)

    async def close(self) -> None:
        self._closed = True
        while self._idle:
            await self._idle.pop().close()

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        # prepare_threshold: behind a transaction pooler the next statement may meet another server session.
        return await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, application_name="syncline freshness", prepare_threshold=None
        )


def _statement() -> str:
    return blocks("freshness.sql", "syncline.tokens")["freshness"]


async def _ask_engine(engine: AsyncEngine, values: dict[str, Any]) -> Any:
    from sqlalchemy import bindparam, text
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.exc import TimeoutError as NoneFree

    named = _statement().replace("%(txs)s", "CAST(:txs AS text)").replace("%(depth)s", "CAST(:depth AS bigint)")
    clause = text(named).bindparams(*(bindparam(name, value) for name, value in values.items()))
    try:
        async with engine.connect() as connection:
            return (await connection.execute(clause)).one()
    except DBAPIError as error:
        raise _as_psycopg(error) from error
    except NoneFree as error:
        raise psycopg.OperationalError("no connection of the pool is free") from error


def _as_psycopg(error: Any) -> psycopg.Error:
    """Name another driver's error as psycopg does, by its SQLSTATE; without one the server was not reached."""
    state = getattr(error.orig, "sqlstate", None)
    kind = psycopg.errors.lookup(state) if state else psycopg.OperationalError
    return kind(str(error.orig))
