"""Read-your-writes: wait until a transaction's changes have reached the target, or say that they have not.

An answer always comes, within the given time: with the worker stopped, with the source down, with a connection that
takes too long. ``False`` means: read from the primary, or answer stale and say so.
"""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import psycopg
import structlog

from syncline.model.link import enter, link_called
from syncline.tokens.outlook import Answer, Outlook, Pool
from syncline.tokens.token import parse

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

DEPTH = 20_000
"""How many of the newest marks are looked through."""
SHORTEST, LONGEST = 0.001, 0.05
"""Seconds between two looks; doubled from the one to the other."""
AT_ONCE = 16
"""Looks at the same time, those included that nobody waits for any more: a source that hangs is not flooded."""


class Freshness:
    """Tells whether a token's changes have reached the target.

    It reads the outbox of the primary (never of a replica, which may not have the marks yet). It keeps no state in a
    database session, so a transaction pooler in between is fine. It belongs to one event loop. Close it at the end.

        freshness = Freshness(settings.database_url)
        if await freshness.synced(request.headers.get("syncline-token"), timeout=0.2):
            ...  # the target has it
    """

    def __init__(self, source: str | AsyncEngine | Pool, *, link: str = "") -> None:
        """Prepare; nothing connects before the first question.

        Args:
            source: the primary: a libpq URL (a few connections of its own are made), the application's ``AsyncEngine``,
                or a function that gives psycopg connections from a pool.
            link: of which link; what a token says of others is not looked at.

        """
        self._source, self._link = source, link_called(link)
        self._outlook = Outlook(source)
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._left: set[asyncio.Future[Answer]] = set()
        self._background: _Background | None = None
        self._starting = threading.Lock()

    async def synced(self, token: str | None, timeout: float | timedelta = 0.5) -> bool:  # noqa: ASYNC109  it is the answer
        """Wait until all changes of the token's transactions have been applied.

        Args:
            token: from ``session.info["syncline_token"]``; empty or ``None`` asks for nothing and is true at once.
            timeout: how long to wait at most, in seconds; with 0 one look is taken, for as long as ``LONGEST`` allows.

        Returns:
            True: a read of the target sees them. False: the time is over, or they were parked, or the token is of
            another installation or link, or the source is a standby or does not answer (that is logged).

        Raises:
            TokenError: the token is malformed.
            NotInstalledError: the source has no Syncline.
            PrivilegeError: the role may not read Syncline's tables.

        """
        wanted = parse(token or "")
        if not wanted:
            return True
        ours = {origin: found for origin, found in wanted.items() if origin.rpartition(".")[0] == self._link.name}
        if len(ours) != 1:
            return False
        ((origin, transactions),) = ours.items()
        installation = origin.rpartition(".")[2]
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        return await self._wait(installation, [str(number) for number in transactions], max(seconds, 0.0))

    def synced_blocking(self, token: str | None, timeout: float | timedelta = 0.5) -> bool:
        """Wait like ``synced``, for callers without an event loop; the work is done on a thread of its own.

        An ``AsyncEngine`` or a pool is then used from that thread: give one that nobody else uses, or a URL.
        """
        with self._starting:
            if self._background is None:
                self._background = _Background(Freshness(self._source, link=self._link.name))
        return self._background.synced(token, timeout)

    async def close(self) -> None:
        """Close the connections that were made here; engines and pools belong to others."""
        await asyncio.gather(*self._left, return_exceptions=True)
        await self._outlook.close()
        if self._background is not None:
            await asyncio.to_thread(self._background.close)
            self._background = None

    async def _wait(self, installation: str, transactions: list[str], seconds: float) -> bool:
        now = time.monotonic()
        deadline, patience = now + seconds, now + max(seconds, LONGEST)
        pause = SHORTEST
        while True:
            answer = await self._look_before(patience, transactions)
            if isinstance(answer, Answer):
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

    async def _look_before(self, deadline: float, transactions: list[str]) -> Answer | str:
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

    def _forget(self, look: asyncio.Future[Answer]) -> None:
        self._left.discard(look)
        if not look.cancelled():
            look.exception()

    async def _look(self, transactions: list[str]) -> Answer:
        async with self._slots:
            enter(self._link)  # of this task alone
            return await self._outlook.ask(transactions, DEPTH)


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


def _log() -> Any:
    return structlog.get_logger("syncline.freshness")
