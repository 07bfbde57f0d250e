"""The sessions of a target: few, lent for a bounded time, and kept while they are whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from syncline.engines.postgres.target.session import Connection, connect, is_over
from syncline.errors import TargetUnavailableError

SLACK_SECONDS = 2.0
"""So much later than the server's own limit a call is given up."""
TO_CONTROL = 2
"""Beside those for rows: writes that wait for somebody's lock do not keep out a takeover."""


class Sessions:
    """Lends them.

    Args:
        url: the server.
        connect_seconds: limit of connecting.
        timeout_seconds: limit of a statement.
        most: for rows, at a time.

    """

    def __init__(self, url: str, connect_seconds: int, timeout_seconds: float, most: int) -> None:
        self.url = url
        self._connect_seconds = connect_seconds
        self._timeout_seconds = timeout_seconds
        self._places, self._places_to_control = asyncio.Semaphore(most), asyncio.Semaphore(TO_CONTROL)
        self._idle: list[Connection] = []

    @asynccontextmanager
    async def lent(self, *, patient: int = 0, control: bool = False) -> AsyncIterator[Connection]:
        """Lend one; what has not come back whole is closed.

        Args:
            patient: how many locks may be waited for beside what a call takes.
            control: for our own records.

        Raises:
            TargetUnavailableError: the server has not answered in time.

        """
        limit = self._timeout_seconds + SLACK_SECONDS + self._connect_seconds + patient * SLACK_SECONDS
        async with self._places_to_control if control else self._places:
            connection = await self._take()
            whole = False
            try:
                async with asyncio.timeout(limit):
                    yield connection
                whole = True
            except TimeoutError as error:
                raise TargetUnavailableError("the target has not answered in time") from error
            except (TargetUnavailableError, GeneratorExit, asyncio.CancelledError):
                raise
            except Exception:
                whole = True
                raise
            finally:
                if whole and not is_over(connection) and connection.info.transaction_status == 0:
                    self._idle.append(connection)
                else:
                    await connection.close()

    async def _take(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not is_over(connection):
                return connection
        return await connect(self.url, connect_seconds=self._connect_seconds, statement_seconds=self._timeout_seconds)

    async def close(self) -> None:
        """Close those that are not lent."""
        idle, self._idle = self._idle, []
        for connection in idle:
            await connection.close()
