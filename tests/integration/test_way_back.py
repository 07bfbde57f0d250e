"""While PostgreSQL is the truth, what an application writes in the tables comes back to the collections."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import bson
import psycopg
import pytest
from bson import ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient

from syncline.capture.documents import wrap
from syncline.config.documents import Documents
from syncline.config.settings import TargetSettings, WorkerSettings
from syncline.ending import end
from syncline.engines.mongo.marked import MongoMarkedDocuments
from syncline.engines.mongo.written_back import DocumentTarget
from syncline.engines.postgres.documents.definitions import schema
from syncline.engines.postgres.documents.rows import DocumentTables
from syncline.engines.postgres.documents.versions import VersionedRows
from syncline.model.documents import Array, Collection, DocumentMapping, Field, Part
from syncline.phases.way_back import WayBack, tombstone_age
from syncline.ports import Absence, Batch, Report, State
from syncline.relay import recovery
from syncline.relay.documents.pump import DocumentPump
from tests.programs import DOCUMENT_LINKS
from tests.relay import PATIENCE, QUICK, Recorder, until
from tests.way_back import Gate

pytestmark = DOCUMENT_LINKS

TASKS = DocumentMapping(
    Collection(
        "tasks",
        id="objectid",
        part=Part(
            columns={"title": Field("text", unique=True), "n": Field("integer")},
            arrays={
                "labels": Array(value=Field("text")),
                "steps": Array(part=Part(columns={"what": Field("text")}, arrays={"who": Array(value=Field("text"))})),
            },
        ),
    )
)

UNDER_WAY = "SELECT EXISTS (SELECT FROM syncline_back.deferred) OR EXISTS (SELECT FROM syncline_back.outbox)"


class Stage:
    """A collection whose rows are the truth, and what brings them back."""

    def __init__(self, client: AsyncMongoClient[Any], name: str, mongo_url: str, url: str) -> None:
        self.bare, self.url = client[name]["tasks"], url
        self.tasks = wrap(self.bare)
        urls = {"source": mongo_url.replace("/?", f"/{name}?"), "target": url}
        self.gate, self.seen = Gate(), Recorder()
        self.back = WayBack(Documents((TASKS,), None, urls), self.gate, worker=WorkerSettings(**QUICK))

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        target = self.back.target()
        worker = self.back.worker(target, observer=self.seen)
        running = asyncio.create_task(worker.run())
        try:
            yield
        finally:
            worker.stop()
            await running
            await target.close()

    def sql(self, query: str, *values: Any) -> list[Any]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(query, values or None)
            return cursor.fetchall() if cursor.description else []

    async def truth(self) -> dict[Any, Any]:
        async with await psycopg.AsyncConnection.connect(self.url) as connection:
            keys = [key for (key,) in self.sql("SELECT mongo_id FROM postgres_tasks")]
            found = await DocumentTables(TASKS).read(connection, keys)
        documents = [bson.decode(TASKS.document(rows)) for rows in found.values()]
        return {one["_id"]: one for one in documents}

    async def equal(self, *, tombstones: int | None = 0) -> None:
        """Wait until the collection has what the tables have, and nothing is under way."""
        for _ in range(6000):
            # In one statement: a second delete that is due goes from there to the marks, which ``waiting`` leaves out.
            if self.sql(UNDER_WAY) == [(False,)] and await self.back.waiting() == 0:
                break
            await asyncio.sleep(0.01)
        there = {one["_id"]: one async for one in self.tasks.find()}
        assert there == await self.truth()
        if tombstones is not None:
            assert await self.bare.count_documents({"_sync.deleted": True}) == tombstones
        assert await self.bare.count_documents({"_sync.mark": {"$exists": True}}) == 0


@pytest.fixture
async def stage(mongo_url: str, mongo_db: str, database: str) -> AsyncIterator[Stage]:
    """Five documents have been carried to their rows; since then PostgreSQL is the truth."""
    async with AsyncMongoClient(mongo_url) as client:
        made = Stage(client, mongo_db, mongo_url, database)
        await made.tasks.prepare_marks()
        for statement in schema([TASKS], foreign_keys=True):
            made.sql(statement)
        rows = VersionedRows(database, [TASKS])
        await rows.prepare()
        await made.back.install()
        await made.tasks.insert_many(
            [
                {
                    "_id": ObjectId(f"{number:024x}"),
                    "title": f"t{number}",
                    "labels": ["a", "b"],
                    "steps": [{"what": "first", "who": ["x", "y"]}],
                    "more": {"x": number},
                }
                for number in range(5)
            ]
        )
        await DocumentPump(MongoMarkedDocuments(client[mongo_db]), rows, ["tasks"]).walk()
        await rows.close()
        yield made


async def test_what_the_link_forward_writes_is_not_captured(stage):
    assert stage.sql("SELECT count(*) FROM postgres_tasks") == [(5,)]
    assert await stage.back.waiting() == 0


async def test_writes_of_every_kind_come_back_without_a_mark_and_deletes_leave_nothing(stage):
    stage.sql("UPDATE postgres_tasks SET title = 'new', n = 3 WHERE mongo_id = %s", f"{0:024x}")
    stage.sql("UPDATE postgres_tasks_labels SET labels = 'z' WHERE mongo_id = %s AND position = 1", f"{1:024x}")
    stage.sql("DELETE FROM postgres_tasks_steps_who WHERE mongo_id = %s AND position = 1", f"{2:024x}")
    stage.sql("DELETE FROM postgres_tasks WHERE mongo_id = %s", f"{3:024x}")
    stage.sql("INSERT INTO postgres_tasks (mongo_id, title) VALUES (%s, 'born here')", "f" * 24)
    before = {one["_id"]: one["_sync"]["v"] async for one in stage.bare.find()}
    async with stage.worker():
        await stage.equal()
    there = {one["_id"]: one async for one in stage.bare.find()}
    assert there[ObjectId("f" * 24)]["title"] == "born here"
    assert there[ObjectId(f"{1:024x}")]["labels"] == ["a", "z"]
    assert there[ObjectId(f"{2:024x}")]["steps"] == [{"what": "first", "who": ["x"]}]
    for number in (0, 1, 2):
        one = there[ObjectId(f"{number:024x}")]
        assert one["_sync"]["v"] > before[one["_id"]]
        assert one["_sync"]["c"] == 5
    untouched = there[ObjectId(f"{4:024x}")]
    assert untouched["_sync"] == {"v": before[untouched["_id"]]}


async def test_a_row_that_comes_again_after_a_delete_is_there(stage):
    key = f"{0:024x}"
    async with stage.worker():
        stage.sql("DELETE FROM postgres_tasks WHERE mongo_id = %s", key)
        await until(lambda: stage.sql("SELECT count(*) FROM syncline_back.deferred") == [(1,)])
        assert await stage.bare.count_documents({"_id": ObjectId(key), "_sync.deleted": True}) == 1
        stage.sql("INSERT INTO postgres_tasks (mongo_id, title) VALUES (%s, 'again')", key)
        await stage.equal()
    assert (await stage.tasks.find_one({"_id": ObjectId(key)}))["title"] == "again"


async def test_rows_that_exchange_a_unique_value_come_back(stage):
    await stage.bare.create_index("title", unique=True, partialFilterExpression={"title": {"$exists": True}})
    stage.sql("DROP INDEX postgres_tasks_title_key")
    with psycopg.connect(stage.url) as connection:
        for title, number in (("swap", 0), ("t0", 1), ("t1", 0)):
            connection.execute("UPDATE postgres_tasks SET title = %s WHERE mongo_id = %s", (title, f"{number:024x}"))
    async with stage.worker():
        await stage.equal()
    assert stage.sql("SELECT count(*) FROM syncline_back.parked") == [(0,)]


async def test_rows_that_are_of_no_document_are_parked_and_hold_up_no_other(stage):
    first, second = (f"{number:024x}" for number in range(2))
    stage.sql("INSERT INTO postgres_tasks (mongo_id) VALUES ('nobody''s'), ('another''s')")
    stage.sql("DELETE FROM postgres_tasks WHERE mongo_id = 'another''s'")
    stage.sql("UPDATE postgres_tasks SET rest = '[1]' WHERE mongo_id = %s", first)
    stage.sql("UPDATE postgres_tasks SET n = 7 WHERE mongo_id = %s", second)
    parked = "SELECT key FROM syncline_back.parked ORDER BY key"
    async with stage.worker():
        await until(lambda: stage.sql(parked) == [(first,), ("another's",), ("nobody's",)])
        await until(lambda: stage.sql("SELECT count(*) FROM syncline_back.outbox") == [(0,)])
    assert await stage.back.waiting() == 3
    assert (await stage.bare.find_one({"_id": ObjectId(second)}))["n"] == 7
    assert "more" in await stage.bare.find_one({"_id": ObjectId(first)})


async def test_under_a_closed_gate_nothing_is_written_and_nothing_lost(stage):
    stage.gate.number = None
    async with stage.worker():
        stage.sql("UPDATE postgres_tasks SET title = 'held' WHERE mongo_id = %s", f"{0:024x}")
        asked = stage.gate.asked
        await until(lambda: stage.gate.asked > asked + 1)
        assert (await stage.tasks.find_one({"_id": ObjectId(f"{0:024x}")}))["title"] == "t0"
        assert await stage.back.waiting() == 1
        stage.gate.number = 6
        await stage.equal()
    assert (await stage.bare.find_one({"_id": ObjectId(f"{0:024x}")}))["_sync"]["c"] == 6


async def test_a_second_delete_that_comes_due_after_the_way_back_is_done_and_waits_for_nobody(stage):
    key = f"{0:024x}"
    target = stage.back.target()
    await written(stage, target, 1, None)
    await target.close()
    await stage.bare.update_one({"_id": ObjectId(key)}, {"$inc": {"_sync.v": -60_000}})  # a minute ago
    stage.sql("DELETE FROM postgres_tasks WHERE mongo_id = %s", key)
    stage.sql("DELETE FROM syncline_back.outbox")
    stage.sql("SELECT syncline_back.mark(id, ARRAY[%s], 'G') FROM syncline_back.entity WHERE name = 'tasks'", key)
    stage.gate.number = None
    async with stage.worker():
        await stage.equal()
    assert not stage.sql("SELECT FROM syncline_back.notice WHERE name = 'WaitsAtGate'")


async def test_a_worker_that_waits_at_the_gate_does_second_deletes_that_come_due_meanwhile(stage, monkeypatch):
    """It was turned back by a closing; what it had read, whoever changes sides has brought back itself."""
    monkeypatch.setattr(recovery, "TRY_PAUSE", timedelta(seconds=0.3))
    stage.gate.number = None
    async with stage.worker():
        stage.sql("UPDATE postgres_tasks SET title = 'held' WHERE mongo_id = %s", f"{0:024x}")
        await until(lambda: stage.seen.notices)
        stage.sql("DELETE FROM syncline_back.outbox")
        due = ["f" * 24, f"{1:024x}"]  # a row of the second one is there again: it was carried here
        stage.sql("SELECT syncline_back.mark(id, %s, 'G') FROM syncline_back.entity WHERE name = 'tasks'", due)
        await until(lambda: stage.sql(UNDER_WAY) == [(False,)])


async def test_a_document_that_was_written_under_a_higher_number_is_not_written_over(stage):
    id_ = ObjectId(f"{0:024x}")
    await stage.bare.update_one({"_id": id_}, {"$set": {"_sync.c": 9, "title": "opened again"}})
    async with stage.worker():
        stage.sql("UPDATE postgres_tasks SET title = 'late' WHERE mongo_id = %s", f"{0:024x}")
        asked = stage.gate.asked
        await until(lambda: stage.gate.asked > asked + 2)
    assert (await stage.tasks.find_one({"_id": id_}))["title"] == "opened again"
    assert await stage.back.waiting() == 1


async def written(
    stage: Stage, target: DocumentTarget, ticket: int, title: str | None, *, again: bool = False
) -> Report:
    """Write one record, or that it is gone, as a worker does."""
    key = f"{0:024x}"
    if title is None:
        batch = Batch(
            stage.back.entities[0], deletes=[Absence(key, ObjectId(key), ticket, again)], admission='{"tasks": 5}'
        )
    else:
        body = RawBSONDocument(bson.encode({"_id": ObjectId(key), "title": title}))
        batch = Batch(
            stage.back.entities[0], upserts=[State(key, ObjectId(key), ticket, body)], admission='{"tasks": 5}'
        )
    return await target.apply(batch)


async def test_a_late_write_of_an_older_ticket_changes_nothing(stage):
    target = stage.back.target()
    await written(stage, target, 20, "newer")
    late = await written(stage, target, 10, "older")
    assert (late.stale, late.outranked) == (1, {f"{0:024x}": 20})
    assert (await stage.tasks.find_one({"_id": ObjectId(f"{0:024x}")}))["title"] == "newer"
    await written(stage, target, 30, None)
    await written(stage, target, 25, "older")
    assert await stage.tasks.find_one({"_id": ObjectId(f"{0:024x}")}) is None
    await target.close()


async def test_a_young_tombstone_stays(stage):
    target = stage.back.target()
    target._age = 60_000
    await written(stage, target, 10, None)
    await written(stage, target, 20, None, again=True)  # of an earlier delete: this one's own comes later
    assert await stage.bare.count_documents({"_sync.deleted": True}) == 1
    target._age = -1000
    await written(stage, target, 30, None, again=True)
    assert await stage.bare.count_documents({"_sync.deleted": True}) == 0
    await target.close()


async def test_a_second_delete_leaves_no_tombstone_where_there_is_nothing(stage):
    target = stage.back.target()
    target._age = -1000
    for ticket in (10, 20, 30):
        await written(stage, target, ticket, None, again=ticket > 10)
        assert await stage.bare.count_documents({"_id": ObjectId(f"{0:024x}")}) == (ticket == 10)
    await target.close()


async def test_any_history_of_two_workers_that_are_cut_off_ends_equal(stage):
    chance = random.Random(7)

    async def writes() -> None:
        for _ in range(150):
            key = f"{chance.randrange(8):024x}"
            with contextlib.suppress(psycopg.errors.IntegrityError):
                match chance.randrange(4):
                    case 0:
                        stage.sql("INSERT INTO postgres_tasks (mongo_id, n) VALUES (%s, 1)", key)
                    case 1:
                        stage.sql("DELETE FROM postgres_tasks WHERE mongo_id = %s", key)
                    case 2:
                        stage.sql("UPDATE postgres_tasks SET n = coalesce(n, 0) + 1 WHERE mongo_id = %s", key)
                    case _:
                        stage.sql("DELETE FROM postgres_tasks_labels WHERE mongo_id = %s AND position = 1", key)
            await asyncio.sleep(0.005)

    writing = asyncio.create_task(writes())
    while not writing.done():
        target = stage.back.target()
        cut = asyncio.create_task(stage.back.worker(target, observer=stage.seen).run())
        await asyncio.sleep(0.3 + chance.random() / 2)
        assert not await end(cut, seconds=PATIENCE)
        await target.close()
    await writing
    async with stage.worker():
        await stage.equal()


def test_a_tombstone_outlives_every_write_that_may_be_under_way_and_is_old_enough_at_the_second_delete():
    given = WorkerSettings()
    assert TargetSettings(url="mongodb://localhost/x").timeout < tombstone_age(given) < given.grace


async def test_collections_are_captured_and_left_one_by_one(mongo_url: str, mongo_db: str, database: str) -> None:
    """A group goes to live, and later another one; what is captured already stays so."""
    notes = DocumentMapping(Collection("notes", part=Part(columns={"text": Field("text")})))
    urls = {"source": mongo_url.replace("/?", f"/{mongo_db}?"), "target": database}
    ways = [WayBack(Documents((one,), None, urls), Gate()) for one in (TASKS, notes)]
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in schema([TASKS, notes]):
            connection.execute(statement)
        rows = VersionedRows(database, [TASKS, notes])
        await rows.prepare()
        await rows.close()

        def marked() -> list[Any]:
            query = "SELECT e.name FROM syncline_back.outbox AS o JOIN syncline_back.entity AS e ON e.id = o.entity"
            return sorted({name for (name,) in connection.execute(query)})

        for way in ways:
            await way.install()
        for table in ("postgres_tasks", "postgres_notes"):
            connection.execute(f"INSERT INTO {table} (mongo_id) VALUES (%s)", ["0" * 24])
        assert marked() == ["notes", "tasks"]
        await ways[0].leave()
        assert marked() == ["notes"]
        connection.execute("UPDATE postgres_tasks SET title = 'unseen'")
        assert marked() == ["notes"]
        await ways[1].leave()
        assert not await ways[1].is_installed()


async def test_a_role_that_carries_documents_forward_may_bring_rows_back(stage):
    role = f"worker_{stage.sql('SELECT current_database()')[0][0]}"
    stage.sql(f'CREATE ROLE "{role}"')
    stage.sql(f'GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA syncline_documents TO "{role}"')
    try:
        await stage.back.install()
        asked = "SELECT has_schema_privilege(%s, 'syncline_back', 'USAGE'), has_table_privilege(%s, %s, 'DELETE')"
        assert stage.sql(asked, role, role, "syncline_back.outbox") == [(True, True)]
    finally:
        stage.sql(f'DROP OWNED BY "{role}"')
        stage.sql(f'DROP ROLE "{role}"')
