"""What is known of single documents in PostgreSQL, and of what was rejected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from syncline.engines.postgres.documents.texts import to_text
from syncline.engines.postgres.documents.versions import VersionedRows
from syncline.engines.postgres.target.session import translated
from syncline.model.documents.ids import shown_id, shown_key
from syncline.ports.documents import Failure, Known, Trouble
from syncline.postgres.sql import blocks


class DocumentFailures:
    """Asks over the session of a ``VersionedRows``, which is nobody else's."""

    def __init__(self, rows: VersionedRows) -> None:
        self._rows = rows
        self._sql: Mapping[str, str] = blocks("failures.sql", __package__ or "")

    async def failures(self, collections: Sequence[str], limit: int) -> Sequence[Failure]:
        """List what is rejected, the newest first."""
        connection = await self._rows.session()
        given = {"collections": list(collections), "limit": limit}
        with translated():
            found = await (await connection.execute(self._sql["failures"], given)).fetchall()
        return [Failure(row[0], shown_id(self._rows.tables(row[0]).mapping, row[1]), *row[2:]) for row in found]

    async def counts(self) -> Mapping[str, Trouble]:
        """Count what is rejected, by collection."""
        connection = await self._rows.session()
        with translated():
            found = await (await connection.execute(self._sql["counts"])).fetchall()
        return {row[0]: Trouble(row[1], row[2], frozenset(zip(row[3], row[4], strict=True))) for row in found}

    async def known(self, collection: str, id_: Any) -> Known:
        """Tell what PostgreSQL knows of a document."""
        connection = await self._rows.session()
        key = to_text(self._rows.tables(collection).mapping.key_of(id_))
        given = {"collection": collection, "key": key, "shown": shown_key(id_)}
        with translated():
            row = await (await connection.execute(self._sql["known"], given)).fetchone()
            at = await self._rows.tables(collection).synced_at(connection, key)
        written, rejected, reason, attempts, given_up = row or (None, None, None, None, None)
        return Known(written, rejected, reason, attempts, given_up, at)

    async def again(self, collections: Sequence[str], id_: Any = None) -> int:
        """Let rejected documents be tried at once, with all attempts before them."""
        connection = await self._rows.session()
        given = {"collections": list(collections), "shown": None if id_ is None else shown_key(id_)}
        with translated():
            return (await connection.execute(self._sql["again"], given)).rowcount
