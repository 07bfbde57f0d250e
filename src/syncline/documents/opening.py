"""Opening a document link: the one place where its engines are chosen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from pymongo import AsyncMongoClient, ReadPreference
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from syncline.config.documents import Documents
from syncline.config.dual_write import DualWriteSettings
from syncline.config.urls import database_of
from syncline.engines.mongo.intents import MongoIntentLog
from syncline.engines.mongo.marked import MongoMarkedDocuments
from syncline.engines.postgres.documents.versions import VersionedRows
from syncline.errors import ConfigError, SynclineError
from syncline.model.documents import DocumentMapping
from syncline.model.strict_bson import AS_STORED
from syncline.relay.documents.pump import BATCH, DocumentPump, Tally

CONNECT_SECONDS = 5.0
"""Limit for finding MongoDB's server; a session with PostgreSQL has as long."""


@dataclass(frozen=True, slots=True)
class DocumentLink:
    """Both sides of the declared collections.

    Nothing connects before it is asked for something, so a side that is away raises where it is used
    (``SourceUnavailableError``: MongoDB; ``TargetUnavailableError``: PostgreSQL), and after an outage the same object
    goes on. ``rows`` is one session with PostgreSQL, for one task at a time; who works side by side takes ``apart()``.
    ``source`` and ``database`` may be used by many tasks of one event loop.
    """

    documents: Documents
    """The declaration: mappings, the file, both URLs."""
    database: AsyncDatabase[Any]
    """MongoDB's, bare: not wrapped, read at its primary, and what a majority has. UUIDs are ``Binary``, dates beyond
    Python's years ``DatetimeMS``."""
    source: MongoMarkedDocuments
    """Implements ``ports.documents.MarkedDocuments``."""
    rows: VersionedRows
    """Implements ``ports.documents.DocumentRows``; ``prepare()`` is for who installs."""

    @property
    def mappings(self) -> tuple[DocumentMapping, ...]:
        """Give the mappings of the collections, in the order of the file."""
        return self.documents.mappings

    @property
    def collections(self) -> tuple[str, ...]:
        """Give the names of the collections, likewise."""
        return tuple(mapping.collection.name for mapping in self.mappings)

    def mapping(self, collection: str) -> DocumentMapping:
        """Give the mapping of a collection.

        Raises:
            ConfigError: it is not declared.

        """
        return self.documents.only([collection]).mappings[0]

    def pump(
        self, *, batch: int = BATCH, told: Callable[[Tally | SynclineError], None] = lambda _: None
    ) -> DocumentPump:
        """Make a pump over all collections; it uses ``rows``."""
        log = MongoIntentLog(self.database)
        return DocumentPump(self.source, self.rows, self.collections, batch=batch, told=told, log=log)

    @asynccontextmanager
    async def apart(self) -> AsyncIterator[DocumentLink]:
        """Give the same link with a session of its own to PostgreSQL, for a block."""
        rows = _rows(self.documents)
        try:
            yield replace(self, rows=rows)
        finally:
            await rows.close()


@asynccontextmanager
async def opened(documents: Documents) -> AsyncIterator[DocumentLink]:
    """Open both sides of a link for a block; neither needs to answer yet.

    Raises:
        ConfigError: a URL is missing, or leads to another kind of database, or names no database.

    """
    url = documents.url("source")
    rows = _rows(documents)
    name = database_of(url)
    if not name:
        raise ConfigError("`url` in [source] names no database", hint="end it in /NAME: mongodb://host:27017/shop")
    client = _client(url)
    try:
        # What the URL says of reading is for who may see what is rolled back, or old: rows of that would stay.
        database = client.get_database(name, AS_STORED, ReadPreference.PRIMARY, read_concern=ReadConcern("majority"))
        yield DocumentLink(documents, database, MongoMarkedDocuments(database), rows)
    finally:
        await rows.close()
        await client.close()


def _rows(documents: Documents) -> VersionedRows:
    retries = DualWriteSettings.from_environment().retries
    return VersionedRows(documents.url("target"), documents.mappings, retries=retries)


def _client(url: str) -> AsyncMongoClient[Any]:
    limit = int(CONNECT_SECONDS * 1000)
    try:
        return AsyncMongoClient(
            url,
            appname="syncline documents",
            retryWrites=False,  # what was cut off is done again from its mark
            serverSelectionTimeoutMS=limit,
            connectTimeoutMS=limit,
        )
    except (PyMongoError, OSError, ValueError) as error:
        raise ConfigError(f"`url` in [source] is not a usable MongoDB URL: {error}") from error
