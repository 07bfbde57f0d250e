"""SQLAlchemy's engines for a named database, made from the same declaration as psycopg's pools."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from syncline.errors import NamedDatabaseError
from syncline.forking import after_fork
from syncline.split.address import Address
from syncline.split.closed import is_open
from syncline.split.connecting import told
from syncline.split.routing import Ledger, Routing
from syncline.split.statements import Placeholders
from syncline.split.switching.following import Following

DATABASE = "syncline_database"
"""Execution option: the name under which statements are sent; without it, to the one database of single mode."""
LEDGER = "syncline_ledger"
"""Execution option: the ledger of the session's transaction."""
_URL = "postgresql+psycopg://"


class Engines:
    """The engines, made on first use: in single mode one for all databases, else one for each."""

    def __init__(
        self,
        addresses: Mapping[str, Address],
        routing: Routing,
        options: Mapping[str, Any],
        following: Following,
    ) -> None:
        self.routing = routing
        self._following = following
        self._addresses = addresses
        self._options = options
        self._engines: dict[str | None, Engine] = {}
        self._derived: dict[tuple[Engine, str | None, bool], Engine] = {}
        """With other options, over the same pool: making one takes longer than asking by it."""
        self._async_engines: dict[str | None, AsyncEngine] = {}
        self._lock = threading.Lock()
        self._loops: dict[str | None, asyncio.AbstractEventLoop] = {}
        self._warming: set[asyncio.Task[None]] = set()
        after_fork(self._begin_anew)

    def _begin_anew(self) -> None:
        """In a forked process: engines are kept, as they were handed out; their connections are the parent's."""
        self._lock = threading.Lock()
        for engine in (*self._engines.values(), *(each.sync_engine for each in self._async_engines.values())):
            engine.dispose(close=False)
        self._loops.clear()
        self._warming.clear()

    def named(self, database: str) -> Engine:
        """Give the engine that refuses other databases' statements, on the side that serves its tables now."""
        return self._base(self._known(database)).execution_options(**{DATABASE: database})

    def async_named(self, database: str) -> AsyncEngine:
        """Give the same for asyncio."""
        return self._async_base(self._known(database)).execution_options(**{DATABASE: database})

    def of_sessions(self, database: str, *, asynchronous: bool = False, reading: bool = False) -> Engine:
        """Give the engine by which a session reaches a database; in single mode the same for all.

        While its tables move, it is the engine of the side that serves them.

        Args:
            database: the name.
            asynchronous: the one under the engine for asyncio.
            reading: each statement is a transaction of its own.

        """
        serving = self._following.serving(database)
        engine = self._async_base(serving).sync_engine if asynchronous else self._base(serving)
        name = None if serving == database else database
        if name is None and not reading:
            return engine
        wanted = (engine, name, reading)
        if wanted not in self._derived:
            options: dict[str, Any] = {"isolation_level": "AUTOCOMMIT"} if reading else {}
            self._derived[wanted] = engine.execution_options(**options, **({DATABASE: name} if name else {}))
        return self._derived[wanted]

    def _known(self, database: str) -> str:
        """Ask the gates; where no server answers, connecting says why."""
        try:
            return self._following.serving(database)
        except NamedDatabaseError:
            return database

    def _base(self, serving: str) -> Engine:
        key = serving if self.routing.split else None
        with self._lock:  # a second one would be a second pool
            if key not in self._engines:
                self._engines[key] = make_engine(self._addresses[serving], self.routing, key, **self._options)
            return self._engines[key]

    def _async_base(self, serving: str) -> AsyncEngine:
        key = serving if self.routing.split else None
        with self._lock:
            if key not in self._async_engines:
                engine = make_async_engine(self._addresses[serving], self.routing, key, **self._options)
                self._async_engines[key] = engine
                with contextlib.suppress(RuntimeError):
                    self._loops[key] = asyncio.get_running_loop()
            return self._async_engines[key]

    def keep(self, side: str, like: str) -> None:
        """Have as many connections open to one server as there are to another, of each kind that is in use there."""
        if like in self._engines:
            with contextlib.suppress(DBAPIError):
                _fill(self._base(side), _open(self._engines[like]))
        loop = self._loops.get(like)
        if loop is not None and not loop.is_closed():
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(self._warm, side, like)

    def _warm(self, side: str, like: str) -> None:
        if like in self._async_engines and not self._warming:
            task = asyncio.ensure_future(_afill(self._async_base(side), _open(self._async_engines[like].sync_engine)))
            self._warming.add(task)
            task.add_done_callback(self._warming.discard)

    def close(self) -> None:
        """Close the pools of the engines without asyncio."""
        for engine in self._engines.values():
            engine.dispose()

    async def aclose(self) -> None:
        """Close all pools."""
        self.close()
        warming = list(self._warming)
        for task in warming:
            task.cancel()
        await asyncio.gather(*warming, return_exceptions=True)
        engines = list(self._async_engines.values())
        self._async_engines.clear()
        self._derived.clear()
        self._loops.clear()
        for engine in engines:
            await engine.dispose()


def make_engine(address: Address, routing: Routing, database: str | None, **options: Any) -> Engine:
    """Make an engine whose statements are looked at before they are sent."""
    engine = create_engine(_URL, **_pool(address), **options)
    return _armed(engine, address, routing, database)


def make_async_engine(address: Address, routing: Routing, database: str | None, **options: Any) -> AsyncEngine:
    """Make the same for asyncio."""
    engine = create_async_engine(_URL, **_pool(address), **options)
    _armed(engine.sync_engine, address, routing, database)
    return engine


def _pool(address: Address) -> dict[str, Any]:
    return {"pool_size": address.pool_size, "max_overflow": 0, "pool_timeout": address.pool_timeout}


def _open(engine: Engine) -> int:
    """Count the connections of a pool."""
    pool: Any = engine.pool
    return int(pool.checkedin() + pool.checkedout())


def _missing(engine: Engine, wanted: int) -> int:
    """Say how many connections have to be lent at once so that there are so many."""
    pool: Any = engine.pool
    missing = min(wanted, pool.size()) - _open(engine)
    return int(missing + pool.checkedin()) if missing > 0 else 0


def _fill(engine: Engine, wanted: int) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(_missing(engine, wanted)):
            stack.enter_context(engine.connect())


async def _afill(engine: AsyncEngine, wanted: int) -> None:
    with contextlib.suppress(NamedDatabaseError, DBAPIError):
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(_missing(engine.sync_engine, wanted)):
                await stack.enter_async_context(engine.connect())


def _armed(engine: Engine, address: Address, routing: Routing, database: str | None) -> Engine:
    if database is not None:
        engine.update_execution_options(**{DATABASE: database})

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _: Any, __: Any, given: dict[str, Any]) -> Any:
        with told(address):
            return dialect.connect(address.conninfo, **{**address.arguments(), **given})

    @event.listens_for(engine, "checkout")
    def lend(_: Any, record: Any, __: Any) -> None:
        if not is_open(record.driver_connection):
            raise DisconnectionError  # the pool opens another one

    @event.listens_for(engine, "before_cursor_execute")
    def look(connection: Any, _: Any, statement: str, *__: Any) -> None:
        options = connection.get_execution_options()
        ledger: Ledger | None = options.get(LEDGER)
        routing.look(statement, Placeholders.PERCENT, database=options.get(DATABASE), ledger=ledger)

    return engine
