"""The named databases of an application: what it opens, asks for by name, and closes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from syncline.config.databases import NamedDatabase, NamedDatabases, load_databases
from syncline.errors import ConfigError
from syncline.split import connecting
from syncline.split.address import Address, address_of
from syncline.split.database import Database
from syncline.split.examination import compare, look, see_that_none_is_elsewhere
from syncline.split.guard import Guard
from syncline.split.ownership import Ownership, Rules
from syncline.split.pools import OfEngines, OfServers
from syncline.split.reports import Reports
from syncline.split.routing import Routing
from syncline.split.server import Server
from syncline.split.switching import running
from syncline.split.switching.following import Following
from syncline.split.switching.running import DEADLINE, Handle, Result
from syncline.split.switching.seen import SeenMove
from syncline.split.switching.standby import Standby

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker
    from sqlalchemy.orm import Session, sessionmaker

    from syncline.split.engines import Engines


class Databases:
    """All named databases.

    >>> databases = Databases.from_environment()
    >>> databases.declare("primary", PrimaryBase)
    >>> with databases.primary.connection() as connection:
    ...     connection.execute("SELECT * FROM users")
    """

    def __init__(self, configured: NamedDatabases, **engine_options: Any) -> None:
        """Take the configuration; nothing is connected to.

        Args:
            configured: see ``load_databases``.
            engine_options: for ``create_engine``, such as ``echo``.

        Raises:
            ConfigError: a URL cannot be used.

        """
        self.configured = configured
        self.split = configured.split
        addresses = {each.name: address_of(each, split=self.split) for each in configured.databases}
        servers = {name: Server(address) for name, address in addresses.items()}
        if not self.split:
            servers = dict.fromkeys(servers, next(iter(servers.values())))
        rules = {each.name: _rules(each, addresses[each.name]) for each in configured.databases}
        versions = tuple(each.version_table for each in configured.databases)
        everywhere = (*configured.settings.everywhere, *versions)
        self.routing = Routing(Ownership(rules, everywhere=everywhere), split=self.split)
        self.guard = Guard(self.routing, configured.settings)
        self._addresses = addresses
        standby = Standby([OfServers(servers), OfEngines(lambda: self.__dict__.get("_engines"))])
        known = addresses if self.split else dict(list(addresses.items())[:1])
        reports = Reports(known, self.guard, self.mode)
        self._following = Following(addresses, split=self.split, standby=standby, beside=reports.look)
        self._engine_options = engine_options
        self._databases = {
            each.name: Database(each, servers, self.routing, lambda: self._engines, self._following)
            for each in configured.databases
        }
        self._servers = set(servers.values())

    @property
    def mode(self) -> str:
        """Say ``single`` or ``split``: for health routes and logs."""
        return "split" if self.split else "single"

    @cached_property
    def _engines(self) -> Engines:
        from syncline.split.engines import Engines  # SQLAlchemy is optional

        return Engines(self._addresses, self.routing, self._engine_options, self._following)

    @classmethod
    def from_environment(
        cls, path: Path | None = None, env: Mapping[str, str] = os.environ, *, dotenv: Path | None = Path(".env")
    ) -> Self:
        """Read ``syncline.toml``, ``.env`` and the environment.

        Raises:
            ConfigError: a variable is missing, or a URL cannot be used.

        """
        return cls(load_databases(path, env, dotenv=dotenv))

    def __getitem__(self, name: str) -> Database:
        """Find a database by its name."""
        if name not in self._databases:
            raise ConfigError(f"there is no database {name!r}", hint=f"there are: {', '.join(self._databases)}")
        return self._databases[name]

    def __getattr__(self, name: str) -> Database:
        """Find a database by its name, as ``databases.primary``."""
        if name.startswith("_") or name not in self.__dict__.get("_databases", {}):
            raise AttributeError(f"there is no database {name!r}")
        return self._databases[name]

    def __iter__(self) -> Iterator[Database]:
        """Go through them in the order of the configuration."""
        return iter(self._databases.values())

    def declare(self, database: str, *models: object) -> None:
        """Say that models live in a database: declarative bases, models, ``MetaData`` or ``Table`` objects.

        Raises:
            ConfigError: there is no such database.

        """
        for each in models:
            self.routing.declare(database, each)

    def check(self) -> None:
        """Connect to each, and see that in split mode they are different databases, each with its own tables.

        For the start of an application. It blocks; ``await asyncio.to_thread(databases.check)`` does not.

        Raises:
            NamedDatabaseError: it says which variable is wrong, and how.
            MovedError: this is single mode, and tables are in a database of their own.

        """
        for address in {id(server): server.address for server in self._servers}.values():
            connecting.probe(address)
        for each in self:
            self._following.serving(each.name)
        if self.split:
            seen = {each.name: look(each.address) for each in self}
            compare(seen, self.routing.ownership)
            see_that_none_is_elsewhere(seen, self.routing.ownership)

    def session_factory(self, **options: Any) -> sessionmaker[Session]:
        """Make a ``sessionmaker`` whose sessions go to all databases; ``class_`` must be a ``RoutedSession``.

        ``reading=True``: for sessions that only read. Each statement is a transaction of its own, which saves two round
        trips; what one writes all the same is committed at once.
        """
        from sqlalchemy.orm import sessionmaker

        from syncline.split.sessions import RoutedSession, listening

        given = {**options, "class_": listening(options.get("class_", RoutedSession))}
        return sessionmaker(**given, databases=self._engines)

    def async_session_factory(self, **options: Any) -> async_sessionmaker[AsyncSession]:
        """Make an ``async_sessionmaker`` whose sessions go to all databases; see ``session_factory``."""
        from sqlalchemy.ext.asyncio import async_sessionmaker

        from syncline.split.sessions import RoutedSession, listening

        given = {**options, "sync_session_class": listening(options.get("sync_session_class", RoutedSession))}
        return async_sessionmaker(**given, databases=self._engines, asynchronous=True)

    def serving(self, name: str) -> str:
        """Say whose server has a database's tables at present; another one's only while they move.

        Raises:
            MovedError: this process is in single mode, and they are in a database of their own.

        """
        return self._following.serving(self[name].name)

    def moves(self) -> dict[str, SeenMove]:
        """Say what this process has seen of moves, by database: for health routes and metrics. Nobody is asked."""
        return self._following.seen()

    def run(
        self,
        work: Callable[[Handle], Result],
        using: Callable[[], AbstractContextManager[Handle]],
        *,
        deadline: timedelta = DEADLINE,
    ) -> Result:
        """Run a whole transaction, and again where its tables are changing sides, or where it cannot be serialized.

        >>> databases.run(lambda connection: connection.execute(INSERT), databases.data.connection)
        >>> databases.run(lambda session: session.add(Carrier(name="post")), sessions.begin)

        Args:
            work: takes what ``using`` gives; all that the transaction reads and writes. It may be called several times.
            using: opens the transaction: a database's ``connection``, or ``begin`` of a session factory.
            deadline: how long to try.

        Raises:
            GateClosedError: no side has accepted it in time; nothing is written.
            UnknownOutcomeError: the connection was lost while committing. It is not run again: it may be written.
            MovedError: this process is in single mode, and the tables are in a database of their own.

        """
        return running.run(self._following, work, using, deadline)

    async def arun(
        self,
        work: Callable[[Handle], Awaitable[Result]],
        using: Callable[[], AbstractAsyncContextManager[Handle]],
        *,
        deadline: timedelta = DEADLINE,
    ) -> Result:
        """Do the same for asyncio: with ``aconnection``, or ``begin`` of an async session factory."""
        return await running.arun(self._following, work, using, deadline)

    def close(self) -> None:
        """Close what was opened without asyncio."""
        self._following.close()
        for server in self._servers:
            server.close()
        if "_engines" in self.__dict__:
            self._engines.close()

    async def aclose(self) -> None:
        """Close everything."""
        await asyncio.to_thread(self._following.close)
        for server in self._servers:
            await server.aclose()
        if "_engines" in self.__dict__:
            await self._engines.aclose()

    def __enter__(self) -> Self:
        """Use them for a block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close them."""
        self.close()

    async def __aenter__(self) -> Self:
        """Use them for a block."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close them."""
        await self.aclose()


def _rules(database: NamedDatabase, address: Address) -> Rules:
    settings = database.settings
    return Rules(address.schema, settings.tables, settings.schemas, settings.rest)
