"""The pools that lead to one address, sync and async, made on first use. In single mode all databases share them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from syncline.errors import ConfigError, NamedDatabaseError, NamedDatabaseUnavailableError
from syncline.forking import after_fork, leave_to_parent
from syncline.split.address import Address
from syncline.split.checked import CheckedAsyncConnection, CheckedConnection, Look
from syncline.split.closed import is_open
from syncline.split.connecting import connect, probe

try:
    from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout
except ImportError:  # pragma: no cover  named where it is needed
    raise ConfigError("psycopg_pool is not installed", hint="pip install 'syncline[split]'") from None


class Server:
    """The pools of one address."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._begin()
        self._closings = 0
        after_fork(self._begin_anew)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._pool: ConnectionPool[CheckedConnection] | None = None
        self._async_pool: AsyncConnectionPool[CheckedAsyncConnection] | None = None
        self._opening = asyncio.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._kept = self._async_kept = 0
        """Connections that each pool keeps open although nobody may have asked for them."""

    def _begin_anew(self) -> None:
        """In a forked process: the parent's pools have no threads here, and on its connections answers would mix."""
        leave_to_parent((self._pool, self._async_pool, self._loop))
        self._begin()

    def open(self) -> ConnectionPool[CheckedConnection]:
        """Give the pool; the first time, see that there is something behind it.

        Raises:
            NamedDatabaseError: there is not.

        """
        with self._lock:
            if self._pool is None:
                probe(self.address)
                options = {**self._options(), "reset": CheckedConnection.restore}
                self._pool = ConnectionPool(open=True, connection_class=CheckedConnection, **options)
            return self._pool

    async def aopen(self) -> AsyncConnectionPool[CheckedAsyncConnection]:
        """Give the pool for asyncio; the first time, see that there is something behind it.

        Raises:
            NamedDatabaseError: there is not.

        """
        async with self._opening:
            return await self._aopened()

    async def _aopened(self) -> AsyncConnectionPool[CheckedAsyncConnection]:
        if self._async_pool is None:
            await asyncio.to_thread(probe, self.address)
            options = {**self._options(), "reset": CheckedAsyncConnection.restore}
            pool = AsyncConnectionPool(open=False, connection_class=CheckedAsyncConnection, **options)
            await pool.open()
            self._async_pool, self._loop = pool, asyncio.get_running_loop()
        return self._async_pool

    def keep(self, like: Server) -> None:
        """Have as many connections open as another server's pools have; called by a thread that may wait.

        Raises:
            NamedDatabaseError: none can be opened.

        """
        if like._pool is not None and (wanted := self._wanted(like._pool)) > self._kept:
            self.open().resize(wanted, self.address.pool_size)
            self._kept = wanted
        if like._async_pool is not None and (wanted := self._wanted(like._async_pool)) > self._async_kept:
            self._in_loop(like._loop, self._akeep(wanted, self._closings))

    def release(self) -> None:
        """Let connections be closed that nobody has asked for."""
        if self._kept and self._pool is not None:
            self._pool.resize(0, self.address.pool_size)
        self._kept = 0
        if self._async_kept:
            self._in_loop(self._loop, self._akeep(0, self._closings))

    def _wanted(self, like: ConnectionPool[Any] | AsyncConnectionPool[Any]) -> int:
        return min(like.get_stats().get("pool_size", 0), self.address.pool_size)

    async def _akeep(self, count: int, closings: int) -> None:
        with contextlib.suppress(NamedDatabaseError):
            async with self._opening:
                if closings == self._closings:
                    await (await self._aopened()).resize(count, self.address.pool_size)
                    self._async_kept = count

    @staticmethod
    def _in_loop(loop: asyncio.AbstractEventLoop | None, doing: Coroutine[None, None, None]) -> None:
        """Have the application's event loop do something; one that has ended does nothing any more."""
        try:
            assert loop is not None  # noqa: S101  there is a pool of it
            asyncio.run_coroutine_threadsafe(doing, loop)
        except RuntimeError:
            doing.close()

    @contextmanager
    def connection(self, look: Look) -> Iterator[CheckedConnection]:
        """Lend a connection whose statements are looked at; it is committed at the end, or rolled back.

        Raises:
            NamedDatabaseUnavailableError: none is free in time.

        """
        pool = self.open()
        try:
            while not is_open(connection := pool.getconn()):
                pool.putconn(connection)  # which opens another one
        except PoolTimeout:
            raise self._none_free(pool.get_stats()) from None
        _lend(connection, look)
        try:
            with connection:  # commits, or rolls back; the pool keeps it open
                yield connection
        finally:
            connection.look = None
            pool.putconn(connection)

    @asynccontextmanager
    async def aconnection(self, look: Look) -> AsyncIterator[CheckedAsyncConnection]:
        """Lend a connection, for asyncio; it is committed at the end, or rolled back.

        Raises:
            NamedDatabaseUnavailableError: none is free in time.

        """
        pool = await self.aopen()
        try:
            while not is_open(connection := await pool.getconn()):
                await pool.putconn(connection)
        except PoolTimeout:
            raise self._none_free(pool.get_stats()) from None
        _lend(connection, look)
        try:
            async with connection:
                yield connection
        finally:
            connection.look = None
            await pool.putconn(connection)

    def close(self) -> None:
        """Close the pool."""
        if self._pool is not None:
            self._pool.close()
            self._pool, self._kept = None, 0

    async def aclose(self) -> None:
        """Close both pools."""
        self.close()
        async with self._opening:
            self._closings += 1  # what is yet to be opened for a switch is not opened any more
            if self._async_pool is not None:
                await self._async_pool.close()
                self._async_pool, self._async_kept = None, 0
        self._opening = asyncio.Lock()  # another event loop may follow

    def _options(self) -> dict[str, Any]:
        return {
            "conninfo": self.address.conninfo,
            "kwargs": self.address.arguments(),
            "min_size": 0,
            "max_size": self.address.pool_size,
            "timeout": self.address.pool_timeout,
            "name": self.address.called,
        }

    def _none_free(self, stats: dict[str, int]) -> NamedDatabaseUnavailableError:
        """Say whether all connections are in use, or none can be opened."""
        if stats.get("pool_size", 0) < self.address.pool_size or stats.get("connections_errors", 0):
            connect(self.address).close()  # raises what keeps them from being opened
        return NamedDatabaseUnavailableError(
            f"{self.address.called}: no connection was free in {self.address.pool_timeout:g} s; "
            f"all {self.address.pool_size} are in use",
            hint="hold connections for shorter, or raise connection_limit=… (pool_size)",
        )


def _lend(connection: CheckedConnection | CheckedAsyncConnection, look: Look) -> None:
    connection.look = look
    connection.ledger.clear()  # its last transaction was another one's, and this one may be begun without a statement
