"""The way back of a document link: what an application writes in PostgreSQL is brought to the collections.

Changes are marked by triggers on the collections' tables, as in any PostgreSQL that is a source; a worker reads the
rows of a marked key, composes the document that they are of, and writes it into the collection. It writes only under
the number that MongoDB's gate gives to it. See ``docs/explanation/phases.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection

from syncline.capture.postgres.install import InstallOptions, install, plan, uninstall
from syncline.config.documents import Documents
from syncline.config.settings import Settings, SourceSettings, TargetSettings, WorkerSettings
from syncline.config.urls import database_of
from syncline.engines import opening
from syncline.engines.mongo.written_back import BackGate, DocumentTarget
from syncline.engines.postgres.documents.records import DocumentRecords, entity_of, whole_documents
from syncline.engines.postgres.documents.versions import TAG
from syncline.model.entity import Entity
from syncline.model.link import Link, entered
from syncline.ports import Plans, Source
from syncline.postgres.connection import fetch_one
from syncline.relay.worker import Worker
from syncline.telemetry.observer import LoggingObserver, Observer

NAME = "back"
"""Of the link: its tables are in the schema ``syncline_back``, its records in MongoDB's collection of that name."""


def tombstone_age(worker: WorkerSettings) -> timedelta:
    """Say how old a tombstone is when it may go: longer than a write is under way, and less than the relay waits."""
    return worker.grace / 2


class WayBack:
    """The way back of declared collections.

    Args:
        documents: the declaration.
        gate: says under which number MongoDB may be written.
        worker: leases and pace.

    """

    def __init__(self, documents: Documents, gate: BackGate, *, worker: WorkerSettings | None = None) -> None:
        self._documents, self._gate = documents, gate
        self._worker = worker or WorkerSettings()
        self._mappings = {mapping.collection.name: mapping for mapping in documents.mappings}
        self.link = Link(NAME, reverse=TAG)

    @property
    def entities(self) -> Sequence[Entity]:
        """What is captured."""
        return [entity_of(mapping) for mapping in self._mappings.values()]

    @property
    def settings(self) -> Settings:
        """The link, as a worker is given it."""
        mongo = self._documents.url("source")
        target = TargetSettings(url=mongo, database=database_of(mongo), control_collection=self.link.control_collection)
        source = SourceSettings(url=self._documents.url("target")).of_link(self.link)
        return Settings(source, target, self._worker, entities=tuple(self.entities))

    async def install(self) -> None:
        """Capture changes from now on, but for those that the link forward writes; idempotent.

        Raises:
            SynclineError: the tables are not there, or the role lacks a right.

        """
        async with await self._connect() as connection:
            with entered(self.link):
                await install(connection, await plan(connection, self.entities, InstallOptions(view_schema=None)))

    async def uninstall(self) -> None:
        """End the capture, and forget what is marked."""
        async with await self._connect() as connection:
            with entered(self.link):
                await uninstall(connection)

    async def waiting(self) -> int:
        """Count the changes that MongoDB lacks, parked ones too; 0: drained. A tombstone to be removed is no change."""
        async with await self._connect() as connection:
            each = [f"(SELECT count(*) FROM {self.link.schema}.{table})" for table in ("outbox", "parked")]  # noqa: S608
            (count,) = await fetch_one(connection, f"SELECT {' + '.join(each)}")
            return int(count)

    def target(self) -> DocumentTarget:
        """Make the side that is written. Close it when done."""
        settings = self.settings.target
        return DocumentTarget(
            settings.url,
            settings.database,
            self._gate,
            age=tombstone_age(self._worker),
            control=settings.control_collection,
            timeout=settings.timeout,
            connect_timeout=settings.connect_timeout,
        )

    def worker(self, target: DocumentTarget, *, observer: Observer | None = None) -> Worker:
        """Make a worker; several may run."""
        settings = self.settings

        async def opened(url: str, **options: Any) -> Source:
            source = await opening.open_source(url, **options)
            return replace(source, records=DocumentRecords(source.connections, self._mappings.values()))

        async def compiled(source: Source) -> Plans:
            plans = await source.compile(settings.entities, differs=lambda _: None)
            return whole_documents(plans, self._mappings)

        return _OfLink(settings, target, opened, compiled, observer or LoggingObserver())

    async def _connect(self) -> AsyncConnection[Any]:
        return await AsyncConnection.connect(self._documents.url("target"), autocommit=True)


class _OfLink(Worker):
    """A worker whose statements are the link's, whoever runs it."""

    async def run(self) -> None:
        """Work until ``stop``; see ``Worker.run``."""
        with entered(self._settings.link):
            await super().run()
