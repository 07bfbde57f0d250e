"""Rows of a collection that are written anew under another declaration, while PostgreSQL has the truth.

What they were is read by the declaration that was, so nobody needs the documents. It is one transaction that keeps
writers of these tables waiting: nobody writes by the old declaration what is read by the new one, and what is cut off
has changed nothing. Readers go on; who reads or writes by the old declaration afterwards is refused.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from types import MappingProxyType
from typing import Any

from psycopg import AsyncConnection, sql
from psycopg.errors import LockNotAvailable

from syncline.engines.postgres.documents.definitions import named as name_of
from syncline.engines.postgres.documents.definitions import quoted, type_sql
from syncline.engines.postgres.documents.rows import DocumentTables, other_declaration
from syncline.engines.postgres.documents.session import OwnSession
from syncline.engines.postgres.documents.texts import to_text
from syncline.engines.postgres.target.session import translated
from syncline.errors import MappingError, TableLockedError, UnmappableError
from syncline.model.documents import DocumentMapping, Rows
from syncline.postgres.sql import blocks

_PAGE = 200
_SECONDS = 6 * 3600.0
_PATIENCE = "2s"
"""So long the tables are waited for, and whoever wants to write them waits behind."""


class Remapping(OwnSession):
    """A change of a collection's declaration.

    Args:
        url: the PostgreSQL.
        was: the declaration under which its rows are written.
        now: the one under which they are to be.

    """

    _pins = MappingProxyType({"idle_in_transaction_session_timeout": "60s"})
    """A page of large documents takes its time between two statements."""

    def __init__(self, url: str, was: DocumentMapping, now: DocumentMapping) -> None:
        super().__init__(url, seconds=_SECONDS)
        self._was, self._now = DocumentTables(was), DocumentTables(now)
        self._sql = blocks("versions.sql", __package__ or "")

    async def run(self, told: Callable[[int], Awaitable[None]] | None = None) -> int:
        """Write every row anew, with a mark for the way back; idempotent.

        Args:
            told: is called with the number of documents that are done.

        Returns:
            How many documents there are.

        Raises:
            OtherDeclarationError: the rows are written under neither of both; or columns are missing.
            MappingError: a document cannot be rows of the new declaration; nothing is changed.
            TargetGateError: the collection changes sides.
            TableLockedError: a transaction holds a table, and does not end; run it again.

        """
        connection, done = await self.session(), 0
        with translated():
            async with connection.transaction():
                await self._hold(connection)
                if not await self._is_to_be_done(connection):
                    return 0
                await self._now.require_columns(connection)
                async for keys in self._keys(connection):
                    found = await self._was.read(connection, keys)
                    await self._now.write(connection, [self._anew(key, rows) for key, rows in found.items()])
                    done += len(found)
                    if told is not None:
                        await told(done)
                await connection.execute(self._sql["renumber"])
                for name in ("remap", "remarked", "of_declaration"):
                    await connection.execute(self._sql[name], self._now.named)
        return done

    async def _hold(self, connection: AsyncConnection[Any]) -> None:
        """Have nobody write the tables of either declaration, or lock a row, to the end of the transaction."""
        tables = {one.name for tables in (self._was, self._now) for one in tables.mapping.tables}
        names = [sql.Identifier(one.schema, one.name) for one in sorted(tables, key=str)]
        lock = sql.SQL("/* syncline */ LOCK TABLE {} IN EXCLUSIVE MODE").format(sql.SQL(", ").join(names))
        try:
            await connection.execute("SELECT pg_catalog.set_config('lock_timeout', %s, true)", [_PATIENCE])
            await connection.execute(self._sql["alone"])
            await connection.execute(lock)
        except LockNotAvailable:
            raise TableLockedError(
                f"the tables of {self._collection} are in use by a transaction that does not end", hint="run it again"
            ) from None

    @property
    def _collection(self) -> str:
        return self._now.mapping.collection.name

    async def _is_to_be_done(self, connection: AsyncConnection[Any]) -> bool:
        row = await (await connection.execute(self._sql["held_declaration"], self._now.named)).fetchone()
        fingerprint = row[0] if row else None
        if fingerprint not in (self._was.mapping.fingerprint, self._now.mapping.fingerprint):
            raise other_declaration(self._collection, "nor is the one that was given as what was")
        return bool(fingerprint == self._was.mapping.fingerprint)

    async def _keys(self, connection: AsyncConnection[Any]) -> AsyncIterator[list[Any]]:
        """Find all keys, in their order, some at a time."""
        table = self._was.mapping.tables[0]
        key = quoted(table.columns[0].name)
        page = sql.SQL(
            "/* syncline */ SELECT {key}::text FROM {table}"
            " WHERE %(after)s::text IS NULL OR {key} > %(after)s::text::{type} ORDER BY {key} LIMIT %(size)s"
        ).format(key=key, table=name_of(table), type=type_sql(table, table.columns[0], percent="%%"))
        after = None
        while True:
            rows = await (await connection.execute(page, {"after": after, "size": _PAGE})).fetchall()
            if rows:
                yield [row[0] for row in rows]
            if len(rows) < _PAGE:
                return
            after = rows[-1][0]

    def _anew(self, key: Any, rows: Rows) -> Rows:
        """Turn the rows of a document into those of the new declaration."""
        try:
            return self._now.mapping.rows(self._was.mapping.document(rows))
        except UnmappableError as error:
            raise MappingError(
                f"{self._collection} {to_text(key)}: {error.message}",
                hint="nothing is changed; correct the declaration, or that document, and run it again",
            ) from error
