"""Rows of collections as they are, for comparing: of a range of keys, of some keys, and which keys there are."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

import psycopg

from syncline.engines.postgres.documents import comparing
from syncline.engines.postgres.documents.coming_back import ComingBack, OnItsWay
from syncline.engines.postgres.documents.comparing import Stretch, Texts
from syncline.engines.postgres.documents.copy_out import copied_out
from syncline.engines.postgres.documents.rows import DocumentTables
from syncline.engines.postgres.documents.session import OwnSession, as_kept, of_tables
from syncline.engines.postgres.documents.texts import from_text, to_text
from syncline.engines.postgres.target.session import translated
from syncline.model.documents import DocumentMapping, Rows
from syncline.postgres.sql import blocks

KEEP = 1000
"""Certificates of a collection."""
_PACKAGE = __package__ or ""


@dataclass(slots=True)
class Record:
    """All that PostgreSQL has of a key, at one moment."""

    texts: list[set[Texts]]
    """Its rows, by table."""
    version: tuple[int, str, bool] | None = None
    """Of the key: version, mark, deleted."""
    rows: Rows | None = field(default=None, compare=False)
    """Its rows as values; ``None``: the collection's own table has none."""

    @property
    def there(self) -> bool:
        """Whether any table has a row of it."""
        return any(self.texts)


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a full pass over a collection has proved."""

    as_of: datetime
    documents: int
    verdict: str
    counts: Mapping[str, int]


class RowsSeen(OwnSession):
    """Reads the tables of collections, over one session.

    Args:
        url: the PostgreSQL.
        mappings: of the collections.
        seconds: limit of a statement.

    """

    _pins = MappingProxyType({"enable_seqscan": "off"})  # a table without statistics would be read whole for each page

    def __init__(self, url: str, mappings: Iterable[DocumentMapping], *, seconds: float = 60.0) -> None:
        super().__init__(url, seconds=seconds)
        self._tables = {mapping.collection.name: DocumentTables(mapping) for mapping in mappings}
        self._sql: Mapping[str, str] = {**blocks("versions.sql", _PACKAGE), **blocks("verifying.sql", _PACKAGE)}

    async def between(self, collection: str, stretch: Stretch, *, keys_only: bool = False) -> list[bytes]:
        """Read the rows of a stretch of keys; or the keys alone, of the collection's own table.

        Returns:
            Of each table the lines that COPY writes, in the order of its key as a rule.

        """
        connection = await self.session()
        tables = self._tables[collection].mapping.tables
        try:
            async with connection.transaction() if connection.bare else nullcontext():
                return [
                    await copied_out(connection, comparing.copied(table, stretch, keys_only=keys_only))
                    for table in (tables[:1] if keys_only else tables)
                ]
        except psycopg.Error as error:
            raise of_tables(collection, error, "reading") from error

    async def of(self, collection: str, keys: Sequence[str], *, keys_only: bool = False) -> list[list[Texts]]:
        """Read the rows of these keys; or the keys alone, of the collection's own table."""
        tables, given = self._tables[collection].mapping.tables, {"keys": [*keys]}
        return [
            await self._of(collection, comparing.of(table, keys_only=keys_only), given)
            for table in (tables[:1] if keys_only else tables)
        ]

    async def keys(self, collection: str, size: int, *, after: str | None = None) -> AsyncIterator[Sequence[str]]:
        """Walk the keys that any of the tables has a row of, from behind one."""
        tables = self._tables[collection].mapping.tables
        while True:
            statement = comparing.keys(tables, begun=after is not None)
            found = [row[0] for row in await self._of(collection, statement, {"after": after, "size": size})]
            if found:
                yield found
            if len(found) < size:
                return
            after = found[-1]

    async def sample(self, collection: str, size: int) -> list[str]:
        """Choose keys that the collection's own table has a row of, at random."""
        table = self._tables[collection].mapping.tables[0]
        return [row[0] for row in await self._of(collection, comparing.sample(table), {"size": size})]

    async def records(self, collection: str, keys: Sequence[str]) -> dict[str, Record]:
        """Read all that there is of keys, as of one moment.

        Raises:
            OtherDeclarationError: one of them was written under another declaration, and not yet under this one.

        """
        connection, tables = await self.session(), self._tables[collection]
        found = {key: Record([set() for _ in tables.mapping.tables]) for key in keys}
        given = {"collection": collection, "ids": [*keys]}
        with translated():
            async with connection.snapshot():
                for number, rows in enumerate(await self.of(collection, keys)):
                    for row in rows:
                        found[row[0] or ""].texts[number].add(row)
                for key, version, mark, deleted in await self._rows(self._sql["versions"], given):
                    found[key].version = (version, mark, deleted)
                values = await tables.read(connection, [_value(tables, key) for key in keys])
                for value, rows_of in values.items():
                    found[to_text(value) or ""].rows = rows_of
        return found

    async def rejected(self, collection: str, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
        """Give the mark and the reason of documents that are rejected, by what is shown of their ``_id``."""
        rows = await self._rows(self._sql["rejections"], {"collection": collection, "ids": [*ids]})
        return {row[0]: (row[1], row[2]) for row in rows}

    async def coming(self, collection: str, keys: Sequence[str]) -> frozenset[str]:
        """Give those of these keys whose rows are on their way back to MongoDB, or were not taken there."""
        return await ComingBack(self.session).waiting(collection, keys)

    async def coming_of(self, collection: str, key: str) -> OnItsWay | None:
        """Tell how far the rows of a key are on their way back; ``None``: there is no way back."""
        return await ComingBack(self.session).of(collection, key)

    async def certify(self, collection: str, certificate: Certificate) -> None:
        """Keep what a full pass has proved, forget the oldest, and that it failed before."""
        given = {"collection": collection, "mapping": self._tables[collection].mapping.fingerprint}
        given |= {name: getattr(certificate, name) for name in ("as_of", "documents", "verdict")}
        connection = await self.session()
        with translated():
            await connection.execute(self._sql["certify"], {**given, "counts": json.dumps(certificate.counts)})
            await connection.execute(self._sql["forget_certificates"], {"collection": collection, "keep": KEEP})
            await connection.execute(self._sql["went_through"], {"collection": collection})

    async def _of(self, collection: str, statement: Any, given: Mapping[str, Any]) -> list[Any]:
        """Read tables of a collection."""
        connection = await self.session()
        try:
            return await (await connection.execute(statement, given)).fetchall()
        except psycopg.Error as error:
            raise of_tables(collection, error, "reading") from error

    async def _rows(self, statement: Any, given: Mapping[str, Any]) -> list[Any]:
        """Read tables of ours."""
        connection = await self.session()
        try:
            return await (await connection.execute(statement, given)).fetchall()
        except psycopg.Error as error:
            raise as_kept(error) from error


def _value(tables: DocumentTables, key: str) -> Any:
    return from_text(tables.mapping.tables[0].columns[0].type, key)
