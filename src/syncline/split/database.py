"""One named database, as an application asks for it: connections, engines, and the way past its pooler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any

import psycopg

from syncline.config.databases import NamedDatabase
from syncline.errors import NamedDatabaseError
from syncline.split import connecting
from syncline.split.address import Address, address_of
from syncline.split.checked import CheckedAsyncConnection, CheckedConnection
from syncline.split.routing import Ledger, Routing
from syncline.split.server import Server
from syncline.split.statements import Placeholders
from syncline.split.switching.following import Following

if TYPE_CHECKING:
    from sqlalchemy import Engine
    from sqlalchemy.ext.asyncio import AsyncEngine

    from syncline.split.engines import Engines


class Database:
    """One named database. In single mode it is the same server as the others; what is refused is its own."""

    def __init__(
        self,
        configured: NamedDatabase,
        servers: Mapping[str, Server],
        routing: Routing,
        engines: Callable[[], Engines],
        following: Following,
    ) -> None:
        self.name = configured.name
        self._configured = configured
        self._server = servers[configured.name]
        self._servers = servers
        self._following = following
        self._routing = routing
        self._engines = engines

    @property
    def address(self) -> Address:
        """How the application reaches it."""
        return self._server.address

    @property
    def direct_address(self) -> Address:
        """How it is reached past a pooler: for migrations, dumps, ``LISTEN``, locks of a session.

        Raises:
            NamedDatabaseError: there is a pooler in between, and no URL that leads past it.

        """
        address = address_of(self._configured, direct=True, split=self._routing.split)
        if address.pooled:
            variable = f"{self.name.upper()}_DIRECT_URL" if self._routing.split else "DIRECT_URL"
            raise NamedDatabaseError(
                f"{self.name}: this needs a session of its own, and {address.called} leads through a pooler",
                hint=f"set {variable} to a URL that leads past the pooler",
            )
        return address

    def connection(self) -> AbstractContextManager[CheckedConnection]:
        """Lend a connection of the pool for a block, committed at its end. It refuses other databases' statements.

        While its tables move, it leads to the side that serves them.
        """
        return self._servers[self._following.serving(self.name)].connection(self._look)

    @asynccontextmanager
    async def aconnection(self) -> AsyncIterator[CheckedAsyncConnection]:
        """Lend a connection of the pool, for asyncio."""
        if self._following.stale(self.name):
            await asyncio.to_thread(self._following.serving, self.name)
        async with self._servers[self._following.serving(self.name)].aconnection(self._look) as connection:
            yield connection

    def direct(self, **options: Any) -> psycopg.Connection[Any]:
        """Open a connection past the pooler; it is the caller's to close.

        Raises:
            NamedDatabaseError: there is no way past it, or no connection.

        """
        return connecting.connect(self.direct_address, **options)

    @property
    def engine(self) -> Engine:
        """SQLAlchemy's engine; statements of another database are refused."""
        return self._engines().named(self.name)

    @property
    def async_engine(self) -> AsyncEngine:
        """The same for asyncio."""
        return self._engines().async_named(self.name)

    def _look(self, sql: str, placeholders: Placeholders, ledger: Ledger) -> None:
        self._routing.look(sql, placeholders, database=self.name, ledger=ledger)
