"""Read-your-writes: wait until a transaction's changes have reached the target, or say that they have not.

An answer always comes, within the given time: with the worker stopped, with the source down, with a connection that
takes too long. ``False`` means: read from the primary, or answer stale and say so.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import psycopg
import structlog
from psycopg.rows import tuple_row

from syncline.capture.token import parse
from syncline.errors import NotInstalledError, PrivilegeError
from syncline.outbox.sql import blocks

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

DEPTH = 20_000
"""How many of the newest marks are looked through."""
SHORTEST, LONGEST = 0.001, 0.05
"""Seconds between two looks; doubled from the one to the other."""
IDLE = 4
"""Connections that are kept open when ``Freshness`` makes its own."""

AT_ONCE = 16
"""Looks at the same time, those included that nobody waits for any more: a source that hangs is not flooded."""

Pool = Callable[[], AbstractAsyncContextManager[psycopg.AsyncConnection[Any]]]
"""Gives a connection for the time of a block, e.g. ``psycopg_pool.AsyncConnectionPool.connection``."""


class _Answer(NamedTuple):
    installation: str
    standby: bool
    parked: bool
    pending: bool


class Freshness:
    """Tells whether a token's changes have reached the target.

    It reads the outbox of the primary (never of a replica, which may not have the marks yet). It keeps no state in a
    database session, so a transaction pooler in between is fine. It belongs to one event loop. Close it at the end.

        freshness = Freshness(settings.database_url)
        if await freshness.synced(request.headers.get("syncline-token"), timeout=0.2):
            ...  # the target has it
    """

    def __init__(self, source: str | AsyncEngine | Pool) -> None:
        """Prepare; nothing connects before the first question.

        Args:
            source: the primary: a libpq URL (a few connections of its own are made), the application's ``AsyncEngine``,
                or a function that gives psycopg connections from a pool.

        """
        self._source = source
        self._own = _OwnConnections(source) if isinstance(source, str) else None
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._left: set[asyncio.Future[_Answer]] = set()
        self._background: _Background | None = None
        self._starting = threading.Lock()

    async def synced(self, token: str | None, timeout: float | timedelta = 0.5) -> bool:  # noqa: ASYNC109  it is the answer
        """Wait until all changes of the token's transactions have been applied.

        Args:
            token: from ``session.info["syncline_token"]``; empty or ``None`` asks for nothing and is true at once.
            timeout: how long to wait at most, in seconds; with 0 one look is taken, for as long as ``LONGEST`` allows.

        Returns:
            True: a read of the target sees them. False: the time is over, or they were parked, or the token is of
            another installation, or the source is a standby or does not answer (that is logged).

        Raises:
            TokenError: the token is malformed.
            NotInstalledError: the source has no Syncline.
            PrivilegeError: the role may not read Syncline's tables.

        """
        wanted = parse(token or "")
        if not wanted:
            return True
        if len(wanted) > 1:
            return False
        ((installation, transactions),) = wanted.items()
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        return await self._wait(installation, [str(number) for number in transactions], max(seconds, 0.0))

    def synced_blocking(self, token: str | None, timeout: float | timedelta = 0.5) -> bool:
        """Wait like ``synced``, for callers without an event loop; the work is done on a thread of its own.

        An ``AsyncEngine`` or a pool is then used from that thread: give one that nobody else uses, or a URL.
        """
        with self._starting:
            if self._background is None:
                self._background = _Background(Freshness(self._source))
        return self._background.synced(token, timeout)

    async def close(self) -> None:
        """Close the connections that were made here; engines and pools belong to others."""
        await asyncio.gather(*self._left, return_exceptions=True)
        if self._own is not None:
            await self._own.close()
        if self._background is not None:
            await asyncio.to_thread(self._background.close)
            self._background = None

    async def _wait(self, installation: str, transactions: list[str], seconds: float) -> bool:
        now = time.monotonic()
        deadline, patience = now + seconds, now + max(seconds, LONGEST)
        pause = SHORTEST
        while True:
            answer = await self._look_before(patience, transactions)
            if isinstance(answer, _Answer):
                if answer.installation != installation or answer.standby or answer.parked:
                    return False
                if not answer.pending:
                    return True
            if time.monotonic() + pause >= deadline:
                if isinstance(answer, str):
                    _log().warning("the source did not say whether a token is synced; answered no", error=answer)
                return False
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST)

    async def _look_before(self, deadline: float, transactions: list[str]) -> _Answer | str:
        """Look, or say why not. What does not end in time is left behind: a frozen server delays even cancelling."""
        look = asyncio.ensure_future(self._look(transactions))
        try:
            await asyncio.wait({look}, timeout=max(deadline - time.monotonic(), 0))
        finally:
            if not look.done():
                self._left.add(look)
                look.add_done_callback(self._forget)
                look.cancel()
        if not look.done():
            return "no answer in time"
        try:
            return look.result()
        except (OSError, psycopg.OperationalError, psycopg.InterfaceError) as error:
            return str(error) or type(error).__name__

    def _forget(self, look: asyncio.Future[_Answer]) -> None:
        self._left.discard(look)
        if not look.cancelled():
            look.exception()

    async def _look(self, transactions: list[str]) -> _Answer:
        async with self._slots:
            return await self._ask(transactions)

    async def _ask(self, transactions: list[str]) -> _Answer:
        values = {"txs": "{" + ",".join(transactions) + "}", "depth": DEPTH}
        try:
            if isinstance(self._source, str) or callable(self._source):
                connect = self._own.connection if self._own is not None else cast("Pool", self._source)
                async with connect() as connection, connection.cursor(row_factory=tuple_row) as cursor:
                    await cursor.execute(_statement(), values)
                    row = await cursor.fetchone()
            else:
                row = await _ask_engine(self._source, values)
        except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
            raise NotInstalledError(hint="run `syncline install`") from error
        except psycopg.errors.InsufficientPrivilege as error:
            raise PrivilegeError(
                f"PostgreSQL: {str(error).splitlines()[0]}",
                hint="GRANT USAGE ON SCHEMA syncline and SELECT ON ALL TABLES IN SCHEMA syncline to this role",
            ) from error
        assert row is not None  # noqa: S101  a SELECT without FROM has one row
        return _Answer(*row)


class _OwnConnections:
    """A handful of connections for one event loop. More are opened when all are in use, and closed afterwards."""

    def __init__(self, url: str) -> None:
        self._url = url
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


class _Background:
    """One thread with an event loop, and a ``Freshness`` that lives there."""

    def __init__(self, freshness: Freshness) -> None:
        self._freshness = freshness
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="syncline-freshness", daemon=True)
        self._thread.start()

    def synced(self, token: str | None, timeout: float | timedelta) -> bool:
        return asyncio.run_coroutine_threadsafe(self._freshness.synced(token, timeout), self._loop).result()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._freshness.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def _statement() -> str:
    return blocks("freshness.sql", "syncline.capture")["freshness"]


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


def _log() -> Any:
    return structlog.get_logger("syncline.freshness")
