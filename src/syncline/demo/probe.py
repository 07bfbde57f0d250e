"""Measures the time from commit to visible, as a reader of MongoDB sees it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection

from syncline.postgres.connection import Connection
from syncline.postgres.sql import blocks

PERIOD_SECONDS = 0.05
FIRST_PAUSE_SECONDS = 0.0005
LONGEST_PAUSE_SECONDS = 0.02

Documents = AsyncCollection[Mapping[str, Any]]


class Probe:
    """Commits a record every 50 ms and looks for it in MongoDB until it is there.

    The clock of a record starts when its commit has returned and stops when a read has found it. A record is committed
    on time even while others are still missing, so that an outage counts in all the records that it delays, not in one.
    A look is late by a tenth of the time waited or 0.5 ms, whichever is more (20 ms at most): it errs on the slow side.
    """

    def __init__(self, connection: Connection, documents: Documents) -> None:
        self._connection = connection
        self._documents = documents
        self._missing: dict[int, float] = {}
        self._seen: list[tuple[float, float]] = []
        self._something = asyncio.Event()
        self.committed = 0

    @property
    def waiting(self) -> list[float]:
        """Ages in seconds of the records that are not visible yet."""
        now = time.monotonic()
        return [round(now - since, 4) for since in self._missing.values()]

    def take(self) -> list[tuple[float, float]]:
        """Hand over what is new: when each was committed (monotonic), and seconds to visible."""
        seen, self._seen = self._seen, []
        return seen

    async def commit(self, stop: asyncio.Event) -> None:
        """Commit records until stopped."""
        due = time.monotonic()
        while not stop.is_set():
            due += PERIOD_SECONDS
            row = await (await self._connection.execute(blocks("demo.sql", "syncline.demo")["probe"])).fetchone()
            assert row is not None  # noqa: S101 - RETURNING
            self._missing[row[0]] = time.monotonic()
            self._something.set()
            self.committed += 1
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def look(self) -> None:
        """Look for what is missing, until cancelled."""
        while True:
            await self._something.wait()
            async for document in self._documents.find({"_id": {"$in": list(self._missing)}}, {"_id": 1}):
                since = self._missing.pop(document["_id"])
                self._seen.append((since, round(time.monotonic() - since, 5)))
            if self._missing:
                youngest = time.monotonic() - max(self._missing.values())
                await asyncio.sleep(min(max(youngest / 10, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS))
            else:
                self._something.clear()
