"""The pools that lead to one address, sync and async, made on first use. In single mode all databases share them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from syncline.errors import ConfigError, NamedDatabaseUnavailableError
from syncline.split.address import Address
from syncline.split.checked import CheckedAsyncConnection, CheckedConnection, Look
from syncline.split.connecting import connect, probe

try:
    from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout
except ImportError:  # pragma: no cover  named where it is needed
    raise ConfigError("psycopg_pool is not installed", hint="pip install 'syncline[split]'") from None


class Server:
    """The pools of one address."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._lock = threading.Lock()
        self._pool: ConnectionPool[CheckedConnection] | None = None
        self._async_pool: AsyncConnectionPool[CheckedAsyncConnection] | None = None
        self._opening = asyncio.Lock()

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
            if self._async_pool is None:
                await asyncio.to_thread(probe, self.address)
                options = {**self._options(), "reset": CheckedAsyncConnection.restore}
                pool = AsyncConnectionPool(open=False, connection_class=CheckedAsyncConnection, **options)
                await pool.open()
                self._async_pool = pool
            return self._async_pool

    @contextmanager
    def connection(self, look: Look) -> Iterator[CheckedConnection]:
        """Lend a connection whose statements are looked at; it is committed at the end, or rolled back.

        Raises:
            NamedDatabaseUnavailableError: none is free in time.

        """
        pool = self.open()
        try:
            connection = pool.getconn()
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
            connection = await pool.getconn()
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
            self._pool = None

    async def aclose(self) -> None:
        """Close both pools."""
        self.close()
        if self._async_pool is not None:
            await self._async_pool.close()
            self._async_pool = None
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
