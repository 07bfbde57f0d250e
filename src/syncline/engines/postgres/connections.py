"""The connections of a session, one an activity, so that none waits for another."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping

from syncline.engines.postgres.floor import Drawn
from syncline.errors import SourceChangedError, SourceUnavailableError
from syncline.ports import Identity
from syncline.postgres.connection import Connection, connect, identify
from syncline.postgres.loaders import register_loaders
from syncline.postgres.path import pin_path

SETTINGS: Mapping[str, Mapping[str, str]] = {
    # States are read from users' tables: one that is being altered must not hold up the others.
    "reader": {"lock_timeout": "250ms"},
    # It joins thousands of marks with what became of them.
    "acker": {"enable_hashjoin": "on"},
    "control": {},
}
"""What each connection needs beside what all need."""
_APART = {"lock_timeout": "1s"}
"""What is read apart waits for a lock in turn with others that are read so."""


class Connections:
    """A ``reader`` (marks, then states), an ``acker``, a ``control`` (leases, housekeeping), a ``listener`` if wanted.

    One more is opened the first time that records are found which cannot be read: those are looked for apart. When one
    of them fails the session is over.
    """

    def __init__(
        self,
        url: str,
        identity: Identity,
        reader: Connection,
        acker: Connection,
        control: Connection,
        listener: Connection | None = None,
        *,
        wait: float = 5,
    ) -> None:
        self.url = url
        self._wait = wait
        self.identity = identity
        self.reader, self.acker, self.control, self.listener = reader, acker, control, listener
        self.drawn = Drawn()
        self.reading = asyncio.Lock()
        """A snapshot of parent and children spans statements: nothing comes between."""
        self._reading_apart = asyncio.Lock()
        self._apart: Connection | None = None

    async def close(self) -> None:
        """Close every connection."""
        for connection in (self.reader, self.acker, self.control, self.listener, self._apart):
            if connection is not None:
                await connection.close()

    @contextlib.asynccontextmanager
    async def reading_on(self, *, apart: bool) -> AsyncIterator[Connection]:
        """Have one of the connections that read states for oneself."""
        if not (apart and await self._can_read_apart()):
            async with self.reading:
                yield self.reader
            return
        async with self._reading_apart:
            assert self._apart is not None  # noqa: S101  it is there for good
            yield self._apart

    async def _can_read_apart(self) -> bool:
        async with self._reading_apart:
            if self._apart is None:
                with contextlib.suppress(SourceUnavailableError):  # no room for one more: then where all read
                    self._apart = await self._opened_apart()
        return self._apart is not None

    async def _opened_apart(self) -> Connection:
        connection = await connect(
            self.url, keyed=True, application="syncline apart", settings=_APART, timeout_seconds=self._wait
        )
        try:
            await require_same(connection, self.identity)
            await prepare(connection)
        except BaseException:
            await connection.close()
            raise
        return connection


async def prepare(connection: Connection) -> None:
    """Fit a connection for what it reads and evaluates."""
    register_loaders(connection.adapters)
    await pin_path(connection)


async def require_same(connection: Connection, known: Identity | None) -> Identity:
    """See that the server is the known one, and say which it is.

    Raises:
        SourceChangedError: another server answers (restart, failover, restore).

    """
    found = await identify(connection)
    if known is not None and found != known:
        names = [name for name in ("system", "timeline", "started") if getattr(known, name) != getattr(found, name)]
        difference = ", ".join(f"{name} {getattr(known, name)} → {getattr(found, name)}" for name in names)
        raise SourceChangedError(f"the source is not the server it was: {difference}")
    return found
