"""Both sides of a dual write for tests: a collection with a unique field, its tables, and what stands in them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import timedelta
from typing import Any

import bson
import psycopg
import pytest
from pymongo import AsyncMongoClient

from syncline.capture.documents import wrap
from syncline.config.documents import Documents
from syncline.engines.mongo.document_writes import MongoDocumentWrites
from syncline.engines.mongo.marked import MongoMarkedDocuments
from syncline.engines.postgres.documents.definitions import schema
from syncline.engines.postgres.documents.rows import DocumentTables
from syncline.engines.postgres.documents.versions import VersionedRows
from syncline.model.documents import Array, Collection, DocumentMapping, Field, Part
from syncline.model.retries import Retries
from syncline.phases.dual_write.inline import InlinePart
from syncline.ports.document_writes import Action, Write
from syncline.ports.documents import MarkedDocument, Outcome
from syncline.relay.documents.pump import DocumentPump

TASKS = DocumentMapping(
    Collection(
        "tasks",
        part=Part(
            columns={"title": Field("text", unique=True), "n": Field("integer", required=False)},
            arrays={"labels": Array(value=Field("text"))},
        ),
    )
)


def declared(mongo_url: str, mongo_db: str, target: str) -> Documents:
    """Give a link from a database of a MongoDB to a PostgreSQL."""
    address, _, query = mongo_url.partition("?")
    source = f"{address.rstrip('/')}/{mongo_db}{f'?{query}' if query else ''}"
    return Documents((TASKS,), None, {"source": source, "target": target})


class DualStage:
    """A collection, its tables, and everybody who writes or carries."""

    def __init__(self, client: AsyncMongoClient[Any], database: str, url: str) -> None:
        self.database, self.url = client[database], url
        self.tasks = wrap(self.database["tasks"])
        self.source = MongoMarkedDocuments(self.database)
        self.writes = MongoDocumentWrites(self.database)
        self.rejections: list[Outcome] = []
        self._closing: list[Callable[[], Any]] = []

    async def prepare(self) -> None:
        await self.tasks.prepare_marks()
        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in schema([TASKS], foreign_keys=True):
                connection.execute(statement)
        await self.rows().prepare()

    async def close(self) -> None:
        for close in reversed(self._closing):
            await close()

    def rows(self, url: str = "", **options: Any) -> VersionedRows:
        rows = VersionedRows(url or self.url, [TASKS], **options)
        self._closing.append(rows.close)
        return rows

    def inline(self, url: str = "", *, deadline: float = 5.0, sessions: int = 2, **options: Any) -> InlinePart:
        opened = [self.rows(url, **options) for _ in range(sessions)]
        for rows in opened:
            rows.at_once = True
        made = InlinePart(
            self.source,
            opened,
            deadline=timedelta(seconds=deadline),
            rejected=self.rejected,
        )
        self._closing.append(made.close)
        return made

    def pump(self, **retries: Any) -> DocumentPump:
        rows = self.rows(retries=Retries(**{"delay": timedelta(0)} | retries))
        return DocumentPump(self.source, rows, ["tasks"], rejected=self.rejected)

    def rejected(self, _collection: str, outcomes: Sequence[Outcome]) -> None:
        self.rejections.extend(outcomes)

    async def write(self, action: Action, id_: Any, **fields: Any) -> MarkedDocument | None:
        return await self.writes.write("tasks", Write(action, id_, self.writes.new_mark(), fields))

    async def written(self, action: Action, id_: Any, **fields: Any) -> MarkedDocument:
        found = await self.write(action, id_, **fields)
        assert found is not None
        return found

    async def marks(self) -> int:
        return await self.database["tasks"].count_documents({"_sync.mark": {"$exists": True}})

    async def documents(self) -> dict[Any, Any]:
        return {one["_id"]: one async for one in self.tasks.find()}

    async def there(self) -> dict[Any, Any]:
        """What PostgreSQL has, as documents."""
        tables = DocumentTables(TASKS)
        async with await psycopg.AsyncConnection.connect(self.url) as connection:
            keys = [
                row[0] for row in await (await connection.execute("SELECT mongo_id FROM postgres_tasks")).fetchall()
            ]
            found = await tables.read(connection, keys)
        documents = [bson.decode(TASKS.document(rows)) for rows in found.values()]
        return {one["_id"]: one for one in documents}

    def asked(self, query: str, *given: Any) -> list[Any]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query, given).fetchall()


async def unmarked(stage: DualStage) -> None:
    """Wait until the marks are cleared: nobody waits for that in a call."""
    async with asyncio.timeout(30):
        while await stage.marks():
            await asyncio.sleep(0.005)


async def waiting(stage: DualStage, sessions: int) -> None:
    """Wait until so many sessions of the stage's PostgreSQL wait for a lock."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(30):
        while stage.asked(waits) != [(sessions,)]:
            await asyncio.sleep(0.005)


@pytest.fixture(name="stage")
async def dual_stage(mongo_url: str, mongo_db: str, database: str) -> AsyncIterator[DualStage]:
    """Both sides, ready; whoever imports it has it."""
    async with AsyncMongoClient(mongo_url) as client:
        made = DualStage(client, mongo_db, database)
        await made.prepare()
        yield made
        await made.close()
