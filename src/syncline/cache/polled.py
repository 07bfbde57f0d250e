"""Revocations by polling a table, one poller a host: for databases behind a transaction pooler."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from syncline.cache.listened import checked_url, connected, queries, tell
from syncline.cache.listener import SILENCE, Listener
from syncline.cache.revocations import DELAY, Heard
from syncline.cache.sharing import Meeting, News, followed, led
from syncline.clock import boottime

INTERVAL = DELAY / 2
"""Seconds between two polls."""
FORGOTTEN = 300.0
"""Seconds between two polls after which one may be gone that was never read; ten minutes are kept."""


class PolledRevocations(Listener):
    """Hears what ``syncline_sessions.revoke`` wrote, at most a second after it was committed.

    The processes of a host share one poller: the first one polls twice a second and passes on what it reads over a
    Unix socket; when it ends, another one takes over. While nothing comes, the cache is not used.

    Args:
        url: of the database, through a pooler or not.
        folder: where the processes meet; by default one of this user's own.

    Raises:
        ConfigError: the URL is not valid, or the folder is somebody else's.

    """

    def __init__(self, url: str, *, folder: Path | None = None) -> None:
        super().__init__()
        self._url, _ = checked_url(url)
        self._meeting = Meeting.of(self._url, folder)

    async def listen(self, heard: Heard) -> None:
        """Poll for the host, or follow the process that does, until that ends."""
        with contextlib.ExitStack() as stack:
            if stack.enter_context(self._meeting.leading()):
                await self._lead(heard)
            else:
                await self._follow(heard)

    async def revoke(self, names: Sequence[bytes]) -> None:
        """Revoke in a transaction of its own."""
        await tell(self._url, names)

    async def _lead(self, heard: Heard) -> None:
        async with connected(self._url) as connection, led(self._meeting) as followers:
            poll = Poll()
            while True:
                asked = boottime()
                async with asyncio.timeout(SILENCE):
                    row = await (await connection.execute(queries()["newer"], {"floor": poll.floor})).fetchone()
                assert row is not None  # noqa: S101  a SELECT without FROM has one row
                names = poll.read(asked, *row)
                self._take(News(asked, names), heard)
                followers.tell(News(asked, names))
                await asyncio.sleep(max(0.0, asked + INTERVAL - boottime()))

    async def _follow(self, heard: Heard) -> None:
        async with followed(self._meeting) as news:
            heard(None)
            async for one in news:
                self._take(one, heard)

    def _take(self, news: News, heard: Heard) -> None:
        if news.names is None or news.names:
            heard(news.names)
        self.proved(news.asked)


class Poll:
    """What the last poll has seen.

    Transactions commit in another order than they begin: every revocation of a transaction that was still running, or
    not begun, is read again, and passed over when it is known (the low-water mark is the snapshot's ``xmin``).
    """

    def __init__(self) -> None:
        self.floor = 2**62
        self._asked = 0.0
        self._known: set[int] = set()

    def read(self, asked: float, floor: int, ids: Sequence[int], names: Sequence[str]) -> list[bytes] | None:
        """Take the answer of a poll; give the names that are new, ``None`` where some may be missing.

        Args:
            asked: ``boottime()`` before it.
            floor: the snapshot's low-water mark of transaction ids.
            ids: of the rows at or above the last floor.
            names: their names, as hexadecimal text.

        """
        whole = self.floor <= floor and asked - self._asked < FORGOTTEN
        new = [bytes.fromhex(name) for number, name in zip(ids, names, strict=True) if number not in self._known]
        self.floor, self._asked, self._known = floor, asked, set(ids)
        return new if whole else None
