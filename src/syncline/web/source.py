"""What admin calls do at the source: on a connection of their own, and an answer in time even when it hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from syncline.config import Settings
from syncline.errors import SourceUnavailableError
from syncline.insight import reach
from syncline.insight.patience import Patience
from syncline.postgres.connection import Connection

T = TypeVar("T")

DEADLINE = timedelta(seconds=10)


class SourceCalls:
    """Runs pieces of work on the source, a connection for each. It belongs to one event loop at a time."""

    def __init__(self, settings: Settings, *, deadline: timedelta = DEADLINE) -> None:
        self.settings = settings
        self._source = settings.source
        self._deadline = deadline
        self._loop: asyncio.AbstractEventLoop | None = None
        self._patience = Patience[Any](deadline.total_seconds())

    async def run(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Do the work, within the deadline.

        Raises:
            SourceUnavailableError: the source does not answer in time, or not at all.
            NotInstalledError, VersionError: it has no Syncline, or another version's.

        """
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop, self._patience = loop, Patience(self._deadline.total_seconds())
        try:
            found: T = await self._patience.within(lambda: self._do(work))
        except TimeoutError:
            raise SourceUnavailableError(
                f"the source did not answer within {self._deadline.total_seconds():g} s"
            ) from None
        return found

    async def _do(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        async with reach.source(self._source, purpose="admin") as connection:
            return await work(connection)
