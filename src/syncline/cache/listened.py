"""Revocations by LISTEN and NOTIFY: heard in milliseconds, committed with the change; needs a direct connection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import psycopg

from syncline.cache.listener import INTERVAL, SILENCE, Listener
from syncline.cache.revocations import Heard
from syncline.clock import boottime
from syncline.config.urls import host_of, source_url, without_pooler
from syncline.errors import CacheUnavailableError, ConfigError, NotInstalledError, PoolerError
from syncline.postgres.lent import Pooling, SourceConnection
from syncline.postgres.poolers import examine
from syncline.postgres.sql import blocks

CHANNEL = "syncline_sessions"
_OTHERWISE = "give the server's own URL (such as PRIMARY_DIRECT_URL), or use PolledRevocations"


def queries() -> Mapping[str, str]:
    """Read the statements of the cache."""
    return blocks("revocations.sql", "syncline.cache")


def checked_url(url: str) -> tuple[str, bool]:
    """Check a URL; tell whether it says that a pooler is in between.

    Raises:
        ConfigError: it is not a URL of PostgreSQL.

    """
    try:
        return without_pooler(source_url(url))
    except ValueError as error:
        raise ConfigError(f"the URL of the session cache's database: {error}") from error


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[psycopg.AsyncConnection[Any]]:
    """Open a connection that leaves nothing behind on a pooler, and translate the driver's errors.

    Raises:
        CacheUnavailableError: the server cannot be reached, or refuses.
        NotInstalledError: ``setup_sql`` has not been run there.

    """
    try:
        async with asyncio.timeout(SILENCE):
            connection = await psycopg.AsyncConnection.connect(
                url, autocommit=True, prepare_threshold=None, application_name="syncline sessions"
            )
        async with connection:
            yield connection
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedFunction, psycopg.errors.InvalidSchemaName) as error:
        hint = "run syncline.cache.setup_sql() in this database once, best as a migration"
        raise NotInstalledError(f"the session cache is not set up at {host_of(url)}", hint=hint) from error
    except (psycopg.Error, TimeoutError) as error:
        reason = str(error).split("\n")[0] or "no answer"
        raise CacheUnavailableError(f"{host_of(url)}: {reason}") from error


async def tell(url: str, names: Sequence[bytes]) -> None:
    """Revoke in a transaction of its own.

    Raises:
        CacheUnavailableError: see ``connected``.

    """
    async with connected(url) as connection:
        await connection.execute(queries()["revoke"], [[name.hex() for name in names]])


class ListenedRevocations(Listener):
    """Hears what ``syncline_sessions.revoke`` tells, over one connection a process.

    Three times a second the server is asked whether this session still listens: what it told before it answers has
    arrived by then. Without an answer for a second the cache is not used.

    Args:
        url: of the server itself: a pooler in transaction mode passes no notifications on.

    Raises:
        ConfigError: the URL is not valid, or says ``pgbouncer=true``.

    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url, pooled = checked_url(url)
        if pooled:
            raise ConfigError("a transaction pooler passes no notifications on (pgbouncer=true)", hint=_OTHERWISE)

    async def listen(self, heard: Heard) -> None:
        """Listen on one connection until it ends."""
        opened = time.monotonic()
        async with connected(self._url) as connection:
            _, pooling = await examine(cast("SourceConnection", connection), opened)
            if pooling is not Pooling.NONE:
                where = host_of(self._url)
                raise PoolerError(f"{where}: a pooler is in between; it passes no notifications on", hint=_OTHERWISE)
            await connection.execute(f"LISTEN {CHANNEL}")
            heard(None)
            while await self._still_listens(connection):
                async for notice in connection.notifies(timeout=INTERVAL):
                    heard([bytes.fromhex(notice.payload)])

    async def revoke(self, names: Sequence[bytes]) -> None:
        """Revoke in a transaction of its own."""
        await tell(self._url, names)

    async def _still_listens(self, connection: psycopg.AsyncConnection[Any]) -> bool:
        asked = boottime()
        async with asyncio.timeout(SILENCE):
            row = await (await connection.execute(queries()["ping"])).fetchone()
        if row != (connection.info.backend_pid, True):
            return False
        self.proved(asked)
        return True
