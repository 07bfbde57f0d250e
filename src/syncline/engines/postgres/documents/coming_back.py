"""What MongoDB lacks while PostgreSQL is the truth, and what it does not take: asked of the marks of the way back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import AsyncConnection

from syncline.engines.postgres.documents.versions import TAG
from syncline.engines.postgres.target.session import translated
from syncline.model.link import Link, entered
from syncline.ports.documents import Failure
from syncline.postgres.sql import blocks

LINK = Link("back", reverse=TAG)
"""The way back of a document link: its tables are in the schema ``syncline_back``."""
ABSENT = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)
"""What a statement says where no way back is installed."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What of a collection is still to come back."""

    waiting: int = 0
    oldest_seconds: float = 0.0
    parked: int = 0


@dataclass(frozen=True, slots=True)
class OnItsWay:
    """How far a record is on its way back."""

    waits: bool
    error: str | None = None
    """Why MongoDB, or the mapping, did not take it."""
    attempts: int = 0


def statements() -> Mapping[str, str]:
    """Give the statements, of the link's schema."""
    with entered(LINK):
        return blocks("coming_back.sql", __package__ or "")


def backlogs(rows: Sequence[Sequence[Any]]) -> dict[str, Backlog]:
    """Give what ``counts`` has read, by collection."""
    return {name: Backlog(*figures) for name, *figures in rows}


class ComingBack:
    """Asks over a session that others lend.

    Args:
        session: gives the session, with autocommit.

    Where no way back is installed, nothing is on its way: ``None`` is the answer, or nothing.

    """

    def __init__(self, session: Callable[[], Awaitable[AsyncConnection[Any]]]) -> None:
        self._session, self._sql = session, statements()

    async def counts(self) -> Mapping[str, Backlog] | None:
        """Count what waits and what is parked, by collection."""
        found = await self._asked("counts")
        return None if found is None else backlogs(found)

    async def of(self, collection: str, key: str) -> OnItsWay | None:
        """Tell how far a record is, by its key's text."""
        found = await self._asked("of_key", collection=collection, key=key)
        return OnItsWay(found[0][0], found[0][1], found[0][2] or 0) if found else None

    async def waiting(self, collection: str, keys: Sequence[str]) -> frozenset[str]:
        """Give those of these keys that are on their way, or parked there."""
        return frozenset(row[0] for row in await self._asked("keys", collection=collection, keys=[*keys]) or ())

    async def failures(self, collections: Sequence[str], limit: int) -> Sequence[Failure]:
        """List what is parked, the newest first."""
        found = await self._asked("failures", collections=[*collections], limit=limit)
        return [
            Failure(name, key, reason, attempts, first, last, None, given_up=True)
            for name, key, reason, attempts, first, last in found or ()
        ]

    async def again(self, collections: Sequence[str], key: str | None) -> int:
        """Have what is parked tried once more; tell how much."""
        found = await self._asked("again", collections=[*collections], key=key)
        return int(found[0][0]) if found else 0

    async def _asked(self, name: str, **given: Any) -> list[Any] | None:
        connection = await self._session()
        with translated():
            try:
                return await (await connection.execute(self._sql[name], given)).fetchall()
            except ABSENT:
                return None
