"""What rows say of the way back, in the columns ``sync_status``, ``sync_error`` and ``last_sync_at``.

A trigger has each row that an application writes say PENDING, in the application's own statement. What became of it is
written after the acknowledgement: SYNCED, or FAILED with the reason.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from psycopg import AsyncConnection, sql
from psycopg.errors import LockNotAvailable

from syncline.engines.postgres.documents.coming_back import LINK
from syncline.engines.postgres.documents.definitions import named, quoted, type_sql
from syncline.engines.postgres.documents.keys import id_of
from syncline.engines.postgres.documents.session import OwnSession
from syncline.engines.postgres.target.session import translated
from syncline.errors import TableLockedError
from syncline.model.documents import DocumentMapping
from syncline.model.documents.ids import NO_ID
from syncline.model.link import entered
from syncline.postgres.connection import fetch_one
from syncline.postgres.sql import blocks

_PAGE = 500
_SECONDS = 300.0
"""Limit of a statement: one looks through a table."""
_PATIENCE = "2s"
"""So long a change of a trigger waits for those who write the table, and others behind it."""


class RowStates(OwnSession):
    """The states of a collection's rows.

    Args:
        url: the PostgreSQL.
        mapping: of the collection.
        gate: the name of the gate of its tables.

    """

    def __init__(self, url: str, mapping: DocumentMapping, gate: str) -> None:
        super().__init__(url, seconds=_SECONDS)
        self._mapping, self._sql = mapping, _composed(mapping)
        self._given = {"collection": mapping.collection.name, "gate": gate}

    async def settle(self, keys: Sequence[str]) -> list[str]:
        """Have rows say what became of them.

        Returns:
            The keys whose rows somebody is just writing: they are to be settled later.

        """
        known = [key for key in keys if id_of(self._mapping, key) is not NO_ID]
        left: list[str] = []
        for start in range(0, len(known), _PAGE):
            left += await self._settled(known[start : start + _PAGE])
        return left

    async def _settled(self, keys: list[str]) -> list[str]:
        async with self._inside() as connection:
            locked = await self._keys(connection, "lock", keys=keys)
            if locked:
                await connection.execute(self._sql["settle"], {**self._given, "keys": locked})
            skipped = sorted({*keys} - {*locked})
            return await self._keys(connection, "there", keys=skipped) if skipped else []

    async def unsettled(self) -> AsyncIterator[list[str]]:
        """Find the rows that do not say SYNCED, in the order of their keys, some at a time."""
        page: list[str] = []
        while True:
            connection = await self.session()
            with translated():
                after = page[-1] if page else None
                page = await self._keys(connection, "unsettled", after=after, limit=_PAGE)
            if page:
                yield page
            if len(page) < _PAGE:
                return

    async def forget(self) -> None:
        """Have rows say nothing of a way back that has ended."""
        async for keys in self.unsettled():
            async with self._inside() as connection:
                await connection.execute(self._sql["forget"], {**self._given, "keys": keys})

    @asynccontextmanager
    async def _inside(self) -> AsyncIterator[AsyncConnection[Any]]:
        """Lend the session in a transaction that is no application's."""
        connection = await self.session()
        with translated():
            async with connection.transaction():
                await connection.execute(self._sql["enter"], self._given)
                yield connection

    async def _keys(self, connection: AsyncConnection[Any], name: str, **given: Any) -> list[str]:
        return [row[0] for row in await (await connection.execute(self._sql[name], given)).fetchall()]


async def guard(connection: AsyncConnection[Any], mapping: DocumentMapping) -> None:
    """Have each row that an application writes from now on say PENDING; idempotent.

    Raises:
        TableLockedError: a transaction holds the table, and does not end; run it again.

    """
    _, guarded = await _look(connection, mapping)
    if not guarded:
        await _change(connection, mapping, "schema", "function", "trigger")


async def unguard(connection: AsyncConnection[Any], mapping: DocumentMapping) -> bool:
    """Have rows that are written say nothing of it any more; idempotent. Tells whether there is such a table.

    Raises:
        TableLockedError: as ``guard``.

    """
    there, guarded = await _look(connection, mapping)
    if guarded:
        await _change(connection, mapping, "drop")
    return there


async def _look(connection: AsyncConnection[Any], mapping: DocumentMapping) -> tuple[bool, bool]:
    table = mapping.tables[0].name
    given = {"table": sql.Identifier(table.schema, table.name).as_string(None)}
    there, guarded = await fetch_one(connection, _texts()["guarded"], given)
    return there, guarded


async def _change(connection: AsyncConnection[Any], mapping: DocumentMapping, *names: str) -> None:
    table = mapping.tables[0].name
    try:
        async with connection.transaction():
            await connection.execute(_texts()["patience"], [_PATIENCE])
            for name in names:
                statement = sql.SQL(_texts()[name]).format(table=sql.Identifier(table.schema, table.name))
                await connection.execute(statement)
    except LockNotAvailable:
        raise TableLockedError(f"{table} is in use by a transaction that does not end", hint="run it again") from None


def _texts() -> Mapping[str, str]:
    with entered(LINK):
        return blocks("row_states.sql", __package__ or "")


def _composed(mapping: DocumentMapping) -> Mapping[str, sql.Composed]:
    """Compose the statements that have parameters."""
    table = mapping.tables[0]
    key = table.columns[0]
    parts = {
        "table": named(table),
        "key": sql.SQL("{}.{}").format(sql.Identifier("t"), quoted(key.name)),
        "type": type_sql(table, key, percent="%%"),
    }
    names = ("unsettled", "enter", "lock", "there", "settle", "forget")
    return {name: sql.SQL(_texts()[name]).format(**parts) for name in names}
