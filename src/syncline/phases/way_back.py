"""The way back of a document link: what an application writes in PostgreSQL is brought to the collections.

Changes are marked by triggers on the collections' tables, as in any PostgreSQL that is a source; a worker reads the
rows of a marked key, composes the document that they are of, and writes it into the collection. It writes only under
the number that MongoDB's gate gives to it. See ``docs/explanation/phases.md``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection

from syncline.capture.postgres.install import InstallOptions, install, plan, uninstall
from syncline.config.documents import Documents
from syncline.config.settings import Settings, SourceSettings, TargetSettings, WorkerSettings
from syncline.config.urls import database_of, without_pooler
from syncline.ending import Group
from syncline.engines import opening
from syncline.engines.mongo.written_back import BackGate, DocumentTarget
from syncline.engines.postgres.documents import row_states
from syncline.engines.postgres.documents.coming_back import ABSENT, LINK, backlogs, statements
from syncline.engines.postgres.documents.records import DocumentRecords, entity_of, whole_documents
from syncline.engines.postgres.documents.row_states import RowStates
from syncline.engines.postgres.documents.session import CONNECT_SECONDS
from syncline.engines.postgres.target.session import translated
from syncline.errors import NotInstalledError, OvertakenError
from syncline.journal import resync
from syncline.model.entity import Entity
from syncline.model.link import entered
from syncline.phases.settling import Settling
from syncline.phases.switching.sides import gate_name
from syncline.ports import Plans, Source
from syncline.postgres.connection import fetch_one
from syncline.relay.worker import Worker
from syncline.telemetry.observer import LoggingObserver, Observer, Observers
from syncline.wiring.worker import background

SETTLE_SECONDS = 2.0
"""What a worker has acknowledged is said in the rows as it ends, if that takes no longer."""


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
        self.link = LINK

    @property
    def entities(self) -> Sequence[Entity]:
        """What is captured."""
        return [entity_of(mapping) for mapping in self._mappings.values()]

    @property
    def settings(self) -> Settings:
        """The link, as a worker is given it."""
        mongo = self._documents.url("source")
        target = TargetSettings(url=mongo, database=database_of(mongo), control_collection=self.link.control_collection)
        url, _ = without_pooler(self._documents.url("target"))
        source = SourceSettings(url=url).of_link(self.link)
        return Settings(source, target, self._worker, entities=tuple(self.entities))

    async def install(self) -> None:
        """Capture changes from now on, but for those that the link forward writes; idempotent.

        Other collections, which are captured already, stay so. Roles that may carry documents forward get what a worker
        needs here.

        Raises:
            SynclineError: the tables are not there, or the role lacks a right.

        """
        async with await self._connect() as connection:
            with entered(self.link):
                others = await self._captured(connection) - self._names
                for role in (None, *await self._workers(connection)):
                    options = InstallOptions(view_schema=None, leaving=frozenset(others), worker_role=role)
                    await install(connection, await plan(connection, self.entities, options))
            with translated():
                for mapping in self._mappings.values():
                    await row_states.guard(connection, mapping)

    async def _workers(self, connection: AsyncConnection[Any]) -> list[str]:
        cursor = await connection.execute(statements()["workers"])
        return [row[0] for row in await cursor.fetchall()]

    async def leave(self) -> None:
        """End the capture of these collections, and forget what is marked of them; others stay captured.

        Several may do it at once.
        """
        async with await self._connect() as connection:
            with entered(self.link):
                try:
                    await self._end_capture(connection)
                except (NotInstalledError, OvertakenError):
                    if self._names & await self._captured(connection):
                        raise
            await self._forget_states(connection)

    async def _forget_states(self, connection: AsyncConnection[Any]) -> None:
        states = self._states()
        try:
            for name, mapping in self._mappings.items():
                if await row_states.unguard(connection, mapping):
                    await states[name].forget()
        finally:
            for one in states.values():
                await one.close()

    def _states(self) -> dict[str, RowStates]:
        url = self._documents.url("target")
        return {name: RowStates(url, one, gate_name(name)) for name, one in self._mappings.items()}

    async def _end_capture(self, connection: AsyncConnection[Any]) -> None:
        there = await self._captured(connection)
        others = there - self._names
        if others == there:
            return
        if others:
            options = InstallOptions(view_schema=None, leaving=frozenset(others))
            await install(connection, await plan(connection, [], options))
        else:
            await uninstall(connection)

    @property
    def _names(self) -> set[str]:
        return {entity.name for entity in self.entities}

    async def _captured(self, connection: AsyncConnection[Any]) -> set[str]:
        try:
            cursor = await connection.execute(statements()["captured"])
            return {row[0] for row in await cursor.fetchall()}
        except ABSENT:
            return set()

    async def uninstall(self) -> None:
        """End the capture, and forget what is marked."""
        async with await self._connect() as connection:
            with entered(self.link):
                await uninstall(connection)

    async def bring_all(self, collections: Sequence[str]) -> None:
        """Have a worker bring every row of these collections back, and delete the documents of which there is none."""
        async with await self._connect() as connection:
            with entered(self.link):
                await resync.start(connection, names=collections)

    async def is_installed(self) -> bool:
        """Tell whether changes are captured.

        Raises:
            TargetUnavailableError: PostgreSQL does not answer.

        """
        async with await self._connect() as connection:
            (found,) = await fetch_one(connection, statements()["there"])
            return bool(found)

    async def captures(self, collection: str) -> bool:
        """Tell whether changes of a collection are captured.

        Raises:
            TargetUnavailableError: PostgreSQL does not answer.

        """
        async with await self._connect() as connection:
            return collection in await self._captured(connection)

    async def waiting(self, collections: Sequence[str] | None = None) -> int:
        """Count the records that MongoDB lacks, parked ones too; 0: drained. A tombstone to be removed is no change.

        Args:
            collections: of these alone.

        """
        async with await self._connect() as connection:
            found = backlogs(await (await connection.execute(statements()["counts"])).fetchall())
        counted = [one for name, one in found.items() if collections is None or name in collections]
        return sum(one.waiting + one.parked for one in counted)

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

        settling = Settling(self._states())

        async def beside(source: Source, plans: Plans) -> None:
            async with Group() as group:
                group.create_task(background(settings, target, source, plans))
                group.create_task(settling.run())

        told = Observers(observer or LoggingObserver(), settling)
        return _OfLink(settings, target, opened, compiled, told, background=beside, settling=settling)

    async def _connect(self) -> AsyncConnection[Any]:
        with translated():
            url, _ = without_pooler(self._documents.url("target"))
            return await AsyncConnection.connect(url, autocommit=True, connect_timeout=CONNECT_SECONDS)


class _OfLink(Worker):
    """A worker whose statements are the link's, whoever runs it."""

    def __init__(self, *given: Any, settling: Settling, **options: Any) -> None:
        super().__init__(*given, **options)
        self._settling = settling

    async def run(self) -> None:
        """Work until ``stop``; see ``Worker.run``."""
        try:
            with entered(self._settings.link):
                await super().run()
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_SECONDS):
                    await self._settling.close()
