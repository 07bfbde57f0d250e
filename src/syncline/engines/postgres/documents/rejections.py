"""What PostgreSQL does not take, kept with its reason until it is written; each call in its caller's session."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from syncline.engines.postgres.documents.keys import key_text
from syncline.engines.postgres.documents.rows import DocumentTables
from syncline.engines.postgres.documents.texts import array
from syncline.engines.postgres.target.session import Connection
from syncline.model.documents.ids import shown_key
from syncline.model.retries import Retries
from syncline.ports.documents import Fate, MarkedDocument, Outcome
from syncline.postgres.sql import blocks

MADE = ("rejected", "rejected_later", "rejected_waits", "settled_failure")
"""Statements that make what is kept here, each of which may be run again."""
_ENDLESS = 2**31 - 1


class Rejections:
    """The rejected documents of collections.

    Raises:
        psycopg.Error: a call's statement was refused.

    """

    def __init__(self, tables: Mapping[str, DocumentTables], retries: Retries) -> None:
        self._tables, self._retries = tables, retries
        self._sql = blocks("rejections.sql", __package__ or "")

    async def prepare(self, connection: Connection) -> None:
        """Make what is kept of them; idempotent."""
        for name in MADE:
            await connection.execute(self._sql[name])

    async def due(
        self, connection: Connection, collection: str, documents: Sequence[MarkedDocument]
    ) -> Sequence[MarkedDocument]:
        """Leave out those that wait after a rejection under their mark, or were given up under it."""
        marks = list({one.mark for one in documents})
        given = {"collection": collection, "marks": marks, "longest": self._retries.longest}
        resting = set(await (await connection.execute(self._sql["resting"], given)).fetchall())
        return [one for one in documents if (one.mark, shown(one)) not in resting] if resting else documents

    async def settle(self, connection: Connection, collection: str, outcomes: Sequence[Outcome]) -> None:
        """Put what is written now among what was settled."""
        if any(one.fate is Fate.APPLIED for one in outcomes):
            await connection.execute(*self.settling(collection, outcomes))

    def settling(self, collection: str, outcomes: Sequence[Outcome]) -> tuple[str, Mapping[str, object]]:
        """Give the statement that puts what is written among what was settled."""
        ids = [shown(one.document) for one in outcomes if one.fate is Fate.APPLIED]
        return self._sql["settled"], {"collection": collection, "ids": array(ids)}

    async def noted(self, connection: Connection, collection: str, outcomes: Sequence[Outcome]) -> Sequence[Outcome]:
        """Keep what was rejected where people look: with its reason, and in the row that it has.

        Returns:
            The outcomes, with the attempts that were made.

        """
        async with connection.transaction():
            await self.settle(connection, collection, outcomes)
            rejected = await self._newest(connection, collection, outcomes)
            if not rejected:
                return outcomes
            noted = await (await connection.execute(self._sql["reject"], self._given(collection, rejected))).fetchall()
            known = {id_: replace(rejected[id_][1], attempts=count, given_up=up) for id_, count, up in noted}
            rows = [(key, one) for id_, one in known.items() if (key := rejected[id_][0]) is not None]
            await self._tables[collection].reject(connection, rows)
        return [known.get(shown(one.document), one) if one.fate is Fate.REJECTED else one for one in outcomes]

    async def _newest(
        self, connection: Connection, collection: str, outcomes: Sequence[Outcome]
    ) -> dict[str, tuple[str | None, Outcome]]:
        """Find the rejections, with their keys, of which nothing newer is written."""
        mapping = self._tables[collection].mapping
        rejected = {
            shown(one.document): (key_text(mapping, one.document.id), one)
            for one in outcomes
            if one.fate is Fate.REJECTED
        }
        given = {"collection": collection, "keys": [key for key, _ in rejected.values() if key is not None]}
        found = await (await connection.execute(self._sql["hold"], given)).fetchall() if rejected else []
        there: dict[str | None, int] = {row[0]: row[1] for row in found}
        return {id_: (key, one) for id_, (key, one) in rejected.items() if there.get(key, -1) < one.document.version}

    def _given(self, collection: str, rejected: Mapping[str, tuple[str | None, Outcome]]) -> dict[str, object]:
        return {
            "collection": collection,
            "ids": list(rejected),
            "marks": [one.document.mark for _, one in rejected.values()],
            "reasons": [one.reason.replace("\0", "\\0") for _, one in rejected.values()],
            "keys": [key for key, _ in rejected.values()],
            "versions": [one.document.version for _, one in rejected.values()],
            "waits": [one.waits for _, one in rejected.values()],
            "limit": self._retries.attempts or _ENDLESS,
            "delay": self._retries.delay,
            "longest": self._retries.longest,
        }


def shown(document: MarkedDocument) -> str:
    """Say a document's ``_id``."""
    return shown_key(document.id)
