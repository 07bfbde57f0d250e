"""Which tables and collections a document link writes: noted for other links to heed, and theirs are heeded."""

from __future__ import annotations

import pymongo

from syncline.documents.opening import DocumentLink
from syncline.engines.mongo.claims import Claim as InMongoDB
from syncline.engines.mongo.claims import Claims
from syncline.engines.mongo.marked import translated as of_source
from syncline.engines.postgres.documents.schema import NAME
from syncline.engines.postgres.target import claims
from syncline.engines.postgres.target.session import Connection, translated

LINK = "documents"
_SECONDS = 10.0


class Claiming:
    """What a link writes on both sides: tables forward, and the collections on the way back.

    Args:
        link: both sides.
        connection: with PostgreSQL.
        source: who the MongoDB is.
        target: who the PostgreSQL is.

    """

    def __init__(self, link: DocumentLink, connection: Connection, source: str | None, target: str | None) -> None:
        tables = {claims.quoted(t.name): one.collection.name for one in link.mappings for t in one.tables}
        self._connection = connection
        self._tables = claims.Claim(LINK, source or "", tables)
        self._collections = InMongoDB(LINK, target or "", link.collections)
        self._in_mongodb = Claims(link.database, NAME)

    async def is_noted(self) -> bool:
        """Tell whether others know already.

        Raises:
            UnsuitableTargetError: another link writes one of these tables or collections.

        """
        with of_source(), pymongo.timeout(_SECONDS):
            await self._in_mongodb.require_free(self._collections)
            there = await self._in_mongodb.noted()
        with translated():
            await claims.require_free(self._connection, self._tables, NAME)
            here = (await claims.claims(self._connection)).get(NAME)
        return here is not None and here.tables == self._tables.tables and there == self._collections.collections

    async def note(self) -> None:
        """Have others know, once who both sides are is said.

        Raises:
            UnsuitableTargetError: another link writes one of these tables or collections.

        """
        with translated():
            await claims.note(self._connection, self._tables, NAME)
        with of_source(), pymongo.timeout(_SECONDS):
            await self._in_mongodb.take(self._collections)


async def forget(link: DocumentLink) -> None:
    """Let other links write the collections; the tables' claim goes with the schema."""
    with of_source(), pymongo.timeout(_SECONDS):
        await Claims(link.database, NAME).release()
