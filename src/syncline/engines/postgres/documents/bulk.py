"""Rows of many new documents by COPY: with their versions, under the link's number, and how far the copy is.

A key that is there already is refused by the table of versions (its COPY fails), and nothing of the transaction stays:
then who copies asks for the keys, and has the others written as a pump has. So a later version is never written over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, auto
from typing import Any

import psycopg
from psycopg import sql

from syncline.engines.postgres.documents.copy_text import lines
from syncline.engines.postgres.documents.rows import DocumentTables, entered
from syncline.engines.postgres.documents.session import OwnSession, as_kept
from syncline.engines.postgres.target.refusals import is_of_rows
from syncline.engines.postgres.target.session import Connection, as_ours, is_over, translated
from syncline.errors import CopyError
from syncline.model.documents import DocumentMapping, Table
from syncline.postgres.sql import blocks

_DEADLOCK = "40P01"
_VERSIONS = sql.SQL(
    "COPY syncline_documents.key_version (collection, mongo_id, version, mark, deleted, mapping) FROM STDIN"
)
_PACKAGE = __package__ or ""


@dataclass(slots=True)
class Chunk:
    """Documents whose rows are known."""

    ids: list[str] = field(default_factory=list)
    """Their keys, as text."""
    versions: list[int] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    """Empty: the document is not marked."""
    tables: Sequence[list[list[Any]]] = ()
    """By table, by column."""
    lines: Sequence[bytes] = ()
    """What is sent, once ``BulkRows.write_down`` has made it: the versions, then by table."""


@dataclass(frozen=True, slots=True)
class Position:
    """How far the copy of a collection is."""

    attempt: int
    after: bytes | None
    """The last ``_id`` that is done, as a document of BSON."""
    documents: int
    left: int
    done: bool
    noted: bool = True
    """With what is written; else whoever has asked for it notes it."""


class Written(Enum):
    """What became of a chunk."""

    WHOLE = auto()
    NOT = auto()
    """A key is there already, or a row is refused: nothing is written."""
    LATE = auto()
    """The link has another number; nothing is written."""


class BulkRows(OwnSession):
    """COPY into the tables of collections, over one session.

    Args:
        url: the PostgreSQL.
        mappings: of the collections.
        seconds: limit of a statement.

    """

    def __init__(self, url: str, mappings: Iterable[DocumentMapping], *, seconds: float = 60.0) -> None:
        super().__init__(url, seconds=seconds)
        self._tables = {mapping.collection.name: DocumentTables(mapping) for mapping in mappings}
        self._copies = {name: [*map(_copy, one.mapping.tables)] for name, one in self._tables.items()}
        self._gated = False
        self._sql: Mapping[str, str] = {**blocks("versions.sql", _PACKAGE), **blocks("copying.sql", _PACKAGE)}

    async def prepare(self) -> None:
        """Make the table of copies; idempotent."""
        connection = await self.session()
        with translated():
            await connection.execute(self._sql["copy"])

    async def number(self) -> int:
        """Read the link's number; before the documents are read that are written under it."""
        row = await self._one("number", {})
        self._gated = bool(row and row[1])
        return int(row[0]) if row else 0

    async def begin(self, collection: str, *, total: int, anew: bool = False) -> Position:
        """Take the copy of a collection over, or begin it; who was at it loses it."""
        given = {**self._tables[collection].named, "total": total, "anew": anew}
        row = await self._one("begin", given)
        return Position(*(row or (0, None, 0, 0, False)))

    async def end(self, collection: str, position: Position) -> None:
        """Note that a copy is done.

        Raises:
            CopyError: somebody else has taken it over.

        """
        _require(await self._one("done", {"collection": collection, "attempt": position.attempt}), collection)

    async def known(self, collection: str, ids: Sequence[str], versions: Sequence[int]) -> dict[str, bool]:
        """Tell which keys are there, and whether under a version that is as high."""
        given = {"collection": collection, "ids": ids, "versions": versions}
        connection = await self.session()
        with translated():
            return dict(await (await connection.execute(self._sql["known"], given)).fetchall())

    async def write(self, collection: str, chunk: Chunk, number: int, position: Position) -> Written:
        """Write rows of documents of which there are none, and note the position, in one transaction.

        Raises:
            CopyError: somebody else has taken the copy over.
            OtherDeclarationError: the collection is written under another declaration.
            TargetUnavailableError: the database does not answer; all is written or nothing.

        """
        connection = await self.session()
        try:
            async with connection.transaction():
                if not await self._entered(connection, collection, number):
                    return Written.LATE
                await self._note(connection, collection, position)
                if not any(chunk.marks):
                    # A crash takes the position back with the rows, and nothing outside says that they are there.
                    await connection.execute("SET LOCAL synchronous_commit = off")
                if chunk.ids:
                    await self._copy(connection, collection, chunk)
        except psycopg.Error as error:
            if (is_of_rows(error) or error.sqlstate == _DEADLOCK) and not is_over(connection):
                return Written.NOT
            raise as_ours(error) from error
        return Written.WHOLE

    def write_down(self, collection: str, chunk: Chunk) -> None:
        """Make what is sent, before its turn: the database is at work on the chunk before it."""
        count, named = len(chunk.ids), self._tables[collection].named
        versions: list[Sequence[Any]] = [
            *([named["collection"]] * count, chunk.ids, chunk.versions, chunk.marks),
            *([False] * count, [named["mapping"]] * count),
        ]
        now = datetime.now(UTC).isoformat()
        own, *others = chunk.tables
        chunk.lines = [lines(versions), lines([*own, [now] * count]), *map(lines, others)]

    async def pass_on(self, collection: str, position: Position) -> None:
        """Note the position alone: its documents were written otherwise."""
        connection = await self.session()
        with translated():
            await self._note(connection, collection, position)

    async def _entered(self, connection: Connection, collection: str, number: int) -> bool:
        tables = self._tables[collection]
        await connection.execute(self._sql["enter_gated" if self._gated else "enter"])
        row = await (await connection.execute(self._sql["entered"], tables.named)).fetchone()
        return entered(tables, row) == number

    async def _note(self, connection: Connection, collection: str, position: Position) -> None:
        given = {
            "collection": collection,
            "attempt": position.attempt,
            "after": position.after,
            "documents": position.documents,
            "left": position.left,
        }
        statement = self._sql["passed" if position.noted else "ours"]
        _require(await (await connection.execute(statement, given)).fetchone(), collection)

    async def _copy(self, connection: Connection, collection: str, chunk: Chunk) -> None:
        if not chunk.lines:
            self.write_down(collection, chunk)
        statements: list[sql.SQL | sql.Composed] = [_VERSIONS, *self._copies[collection]]
        for statement, data in zip(statements, chunk.lines, strict=True):
            if data:
                await _sent(connection, statement, data)

    async def _one(self, name: str, given: Mapping[str, Any]) -> Any:
        connection = await self.session()
        try:
            return await (await connection.execute(self._sql[name], given)).fetchone()
        except psycopg.Error as error:
            raise as_kept(error) from error


async def _sent(connection: Connection, statement: sql.SQL | sql.Composed, data: bytes) -> None:
    async with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for start in range(0, len(data), _PIECE):
            await copy.write(data[start : start + _PIECE])


_PIECE = 256 * 1024


def _copy(table: Table) -> sql.Composed:
    names = [column.name for column in table.columns] + (["last_sync_at"] if table.parent is None else [])
    return sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name.schema, table.name.name), sql.SQL(", ").join(map(sql.Identifier, names))
    )


def _require(row: Any, collection: str) -> None:
    if row is None:
        raise CopyError(
            f"{collection}: somebody else has taken its copy over",
            hint="one at a time copies a collection; let it go on",
        )
