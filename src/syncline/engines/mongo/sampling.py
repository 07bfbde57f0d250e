"""A bounded look at the documents of a database: some of each collection, at random places, as they are stored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pymongo
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from syncline.config.urls import database_of
from syncline.engines.mongo.errors import translated
from syncline.errors import ConfigError, TargetError

BYTES = 64 * 1024 * 1024
"""So many bytes of a collection are read at most."""
SECONDS = 10.0
"""Limit for finding the server, and for each command."""
_RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
_SYSTEM = "system."


class Samples:
    """The collections of a database."""

    def __init__(self, client: AsyncMongoClient[Any], database: str, seconds: float) -> None:
        self._database = client.get_database(database)
        self._seconds = seconds

    async def names(self) -> list[str]:
        """List the collections, sorted; views and the server's own are left out."""
        with translated(), pymongo.timeout(self._seconds):
            cursor = await self._database.list_collections(filter={"type": "collection"})
            return sorted([one["name"] async for one in cursor if not one["name"].startswith(_SYSTEM)])

    async def estimated(self, name: str) -> int:
        """Tell how many documents a collection has, roughly."""
        with translated(), pymongo.timeout(self._seconds):
            return await self._database[name].estimated_document_count()

    async def documents(self, name: str, size: int) -> AsyncIterator[bytes]:
        """Read some documents of a collection, bounded by their number and their bytes."""
        collection = self._database.get_collection(name, codec_options=_RAW)
        read = 0
        with translated():
            with pymongo.timeout(self._seconds):
                cursor = await collection.aggregate([{"$sample": {"size": size}}], batchSize=100, allowDiskUse=True)
            async with cursor:
                while read < BYTES:
                    with pymongo.timeout(self._seconds):
                        found = await anext(cursor, None)
                    if found is None:
                        return
                    read += len(found.raw)
                    yield found.raw


@asynccontextmanager
async def open_samples(url: str) -> AsyncIterator[Samples]:
    """Connect to a database.

    Args:
        url: a MongoDB connection string that ends with the database's name.

    Raises:
        ConfigError: the URL names no database.
        TargetError: it is not usable.

    """
    name = database_of(url)
    if not name:
        raise ConfigError("which database?", hint="end the URL in /NAME: mongodb://user@host:27017/database")
    limit = int(SECONDS * 1000)
    try:
        client: AsyncMongoClient[Any] = AsyncMongoClient(
            url, appname="syncline init", serverSelectionTimeoutMS=limit, connectTimeoutMS=limit
        )
    except PyMongoError as error:
        raise TargetError(f"this is not a usable MongoDB URL: {error}") from error
    try:
        yield Samples(client, name, SECONDS)
    finally:
        await client.close()
