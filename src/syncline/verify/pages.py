"""Walking the source in the order of its keys, ahead of who compares."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from syncline.model.mark import ticket
from syncline.model.values import EPOCH
from syncline.outbox.connection import Connection, translated
from syncline.outbox.key_sql import KeyStatements
from syncline.outbox.states import Plan, States, ambiguous, read_range, snapshot
from syncline.ports import Document

T = TypeVar("T")

ROWS = 2000
"""Rows of a page, at most."""
BYTES = 4 * 1024 * 1024
"""About so much of a page's documents at most, encoded: pages of wide rows have fewer."""
TICKET = ticket(1, 0)
"""In place of the ticket: any that takes 64 bits."""


@dataclass(slots=True)
class Page:
    """Records of the source from one snapshot."""

    documents: list[Document]
    keys: list[str]
    twice: set[str]
    """Keys that several rows have."""


class SourcePages:
    """Reads one entity's records page by page, each in a snapshot of its own.

    ``size`` may be changed while it runs.
    """

    def __init__(self, connection: Connection, plan: Plan, source_name: str) -> None:
        self._connection = connection
        self._plan = plan
        self._source = source_name
        self._duplicates = plan.projection.shape.has_children
        self.size = ROWS

    async def contents(self) -> AsyncGenerator[Page, None]:
        """Read whole records."""
        after: str | None = None
        while True:
            size = self.size
            states = await self._read(after, size)
            keys: list[str] = [row[-1] for row in states.rows]
            full = len(keys) == size
            if self._duplicates and full:
                states, keys = self._without_last_key(states, keys)
            if keys:
                yield Page(documents_of(states, self._source), keys, ambiguous(states))
            if not full:
                return
            after = keys[-1]

    async def keys(self, statements: KeyStatements) -> AsyncGenerator[Page, None]:
        """Read keys alone; the documents have nothing but their ``_id``."""
        codec = self._plan.projection.codec
        after: str | None = None
        while True:
            with translated():
                if after is None:
                    cursor = await self._connection.execute(statements.page, (ROWS,))
                else:
                    cursor = await self._connection.execute(statements.page_after, (*codec.parse(after), ROWS))
                keys = [key for (key,) in await cursor.fetchall()]
            if keys:
                yield Page([{"_id": codec.document_id(key)} for key in keys], keys, set())
            if len(keys) < ROWS:
                return
            after = keys[-1]

    async def _read(self, after: str | None, size: int) -> States:
        if not self._plan.embeds:
            return await read_range(self._connection, self._plan, after=after, until=None, limit=size)
        with translated():
            async with snapshot(self._connection):
                return await read_range(self._connection, self._plan, after=after, until=None, limit=size)

    @staticmethod
    def _without_last_key(states: States, keys: list[str]) -> tuple[States, list[str]]:
        """Leave the last key to the next page: more rows of it may follow."""
        end = next((place for place, key in enumerate(keys) if key == keys[-1]), 0)
        if end == 0:  # one key fills the page
            return states, keys
        return States(states.plan, states.rows[:end], states.children), keys[:end]


def documents_of(states: States, source_name: str) -> list[Document]:
    """Turn states into documents as the relay writes them, but for time and ticket."""
    when: datetime = EPOCH
    return states.documents(source=source_name, synced_at=when, ticket=TICKET)


async def ahead(pages: AsyncIterator[T], depth: int = 2) -> AsyncGenerator[T, None]:
    """Read ahead of who iterates, in a task of its own. Close it (``aclosing``) when leaving early."""
    queue: asyncio.Queue[T | Exception | None] = asyncio.Queue(depth)

    async def fill() -> None:
        try:
            async for page in pages:
                await queue.put(page)
            await queue.put(None)
        except Exception as error:  # noqa: BLE001  raised where the pages are wanted
            await queue.put(error)

    filler = asyncio.create_task(fill())
    try:
        while (page := await queue.get()) is not None:
            if isinstance(page, Exception):
                raise page
            yield page
    finally:
        filler.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await filler
