"""Marked documents reach PostgreSQL, whoever stops where, however late: equal in the end, and never backwards."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import bson
import psycopg
import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient, MongoClient
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure

from syncline.capture.documents import wrap
from syncline.ending import end
from syncline.engines.mongo.document_writes import MongoDocumentWrites
from syncline.engines.mongo.marked import MongoMarkedDocuments
from syncline.engines.mongo.marked_database import MarkedDatabase
from syncline.engines.postgres.documents.definitions import schema
from syncline.engines.postgres.documents.differences import differences
from syncline.engines.postgres.documents.inspection import look
from syncline.engines.postgres.documents.rows import DocumentTables
from syncline.engines.postgres.documents.versions import VersionedRows
from syncline.errors import OtherDeclarationError, PrivilegeError, SourceError, SourceUnavailableError
from syncline.model.documents import Array, Collection, DocumentMapping, Field, Part
from syncline.ports.documents import Fate
from syncline.postgres.sql import blocks
from syncline.relay.documents.pump import DocumentPump
from syncline.relay.documents.recovery import forget, remapped, restored, sweep
from tests.cases.odd_bson import POINTER, field, insert_stored, int32, sub, symbol, text
from tests.programs import DOCUMENT_LINKS
from tests.relay import PATIENCE

pytestmark = DOCUMENT_LINKS

TASKS = DocumentMapping(
    Collection(
        "tasks",
        id="any",
        part=Part(
            columns={"title": Field("text", unique=True), "n": Field("integer")},
            arrays={"labels": Array(value=Field("text"))},
        ),
    )
)


class Stage:
    """A collection, its tables, and pumps between them."""

    def __init__(self, client: AsyncMongoClient[Any], database: str, url: str) -> None:
        self.database, self.url = client[database], url
        self.tasks = wrap(self.database["tasks"])
        self.source = MongoMarkedDocuments(self.database)
        self.opened: list[VersionedRows] = []
        self.mongo_url = ""

    def rows(self) -> VersionedRows:
        self.opened.append(VersionedRows(self.url, [TASKS]))
        return self.opened[-1]

    def pump(self, **options: Any) -> DocumentPump:
        return DocumentPump(
            options.pop("source", self.source), options.pop("rows", None) or self.rows(), ["tasks"], **options
        )

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

    async def require_settled(self) -> None:
        """Nothing is marked, no tombstone is left, both sides are equal."""
        assert await self.database["tasks"].count_documents({"_sync.mark": {"$exists": True}}) == 0
        assert await self.database["tasks"].count_documents({"_sync.deleted": True}) == 0
        assert await self.there() == await self.documents()


@pytest.fixture(name="stage")
async def pumped_stage(mongo_url: str, mongo_db: str, database: str) -> AsyncIterator[Stage]:
    async with AsyncMongoClient(mongo_url) as client:
        made = Stage(client, mongo_db, database)
        made.mongo_url = mongo_url.replace("/?", f"/{mongo_db}?")
        await made.tasks.prepare_marks()
        with psycopg.connect(database, autocommit=True) as connection:
            for statement in schema([TASKS], foreign_keys=True):
                connection.execute(statement)
        await made.rows().prepare()
        yield made
        for each in made.opened:
            await each.close()


def asked(url: str, query: str) -> list[Any]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


async def test_documents_of_all_kinds_of_writes_become_rows_and_deletes_delete_them(stage):
    await stage.tasks.insert_many(
        [{"_id": n, "title": f"t{n}", "labels": ["a", "b"], "more": {"x": n}} for n in range(5)]
    )
    await stage.tasks.update_many({}, {"$set": {"n": 1}, "$push": {"labels": "c"}})
    await stage.tasks.replace_one({"_id": 1}, {"title": "new", "odd": 1.5})
    await stage.tasks.delete_one({"_id": 2})
    await stage.tasks.update_one({"_id": ObjectId()}, {"$set": {"title": "upserted"}}, upsert=True)
    tally = await stage.pump().walk()
    assert (tally.applied, tally.rejected) == (6, 0)
    await stage.require_settled()
    await stage.tasks.delete_many({})
    await stage.pump().walk()
    await stage.require_settled()
    assert asked(stage.url, "SELECT count(*) FROM syncline_documents.key_version WHERE deleted") == [(6,)]


async def test_more_documents_of_one_mark_than_a_batch_are_all_carried_in_one_walk(stage):
    await stage.tasks.insert_many([{"_id": n} for n in range(25)])
    await stage.tasks.update_many({}, {"$set": {"n": 7}})
    assert (await stage.pump(batch=10).walk()).applied == 25
    await stage.require_settled()


async def test_a_writer_who_does_not_know_of_the_field_is_heard(stage):
    await stage.tasks.insert_one({"_id": 1, "title": "a"})
    await stage.pump().walk()
    bare = stage.database["tasks"]
    await bare.replace_one({"_id": 1}, {"title": "b"})
    await bare.insert_one({"_id": 2, "title": "c"})
    await stage.tasks.update_one({"_id": 1}, {"$set": {"n": 4}})
    await stage.pump().walk()
    await stage.require_settled()
    assert (await stage.there())[1] == {"_id": 1, "title": "b", "n": 4}


async def test_a_low_version_is_drawn_before_it_is_carried(stage):
    await stage.tasks.update_one({"_id": 1}, [{"$set": {"title": "old"}}], upsert=True)
    rows = stage.rows()
    number = await rows.number()
    [late] = [one async for page in stage.source.pages("tasks", 10) for one in page]
    await stage.database["tasks"].replace_one({"_id": 1}, {"title": "foreign"})
    await stage.tasks.update_one({"_id": 1}, {"$set": {"title": "new"}})
    assert (await stage.database["tasks"].find_one({"_id": 1}))["_sync"]["v"] == 1
    await stage.pump().walk()
    assert [one.fate for one in await rows.put("tasks", [late], number)] == [Fate.REFUSED]
    await stage.require_settled()


async def test_without_the_indexes_of_marks_it_says_what_to_call(stage):
    await stage.database["tasks"].drop_indexes()
    with pytest.raises(SourceError, match="lacks the indexes") as refused:
        await stage.pump().walk()
    assert "prepare_marks" in refused.value.hint


class Killed(BaseException):
    """A carrier ends: a kill, as far as both databases can tell."""


class Dying:
    """A side of a pump, whose carrier dies before or after one of all its calls."""

    def __init__(self, under: Any, calls: Any, at: int, *, after: bool) -> None:
        self._under, self._calls, self._at, self._after = under, calls, at, after

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._under, name)
        if name == "pages":
            return lambda *args: self._pages(method(*args))

        async def call(*args: Any) -> Any:
            dies = next(self._calls) == self._at
            if dies and not self._after:
                raise Killed
            result = await method(*args)
            if dies:
                raise Killed
            return result

        return call

    async def _pages(self, pages: Any) -> Any:
        async for page in pages:
            if next(self._calls) == self._at:
                raise Killed
            yield page


@pytest.mark.parametrize("after", [False, True])
async def test_a_carrier_may_die_at_any_call(stage, after):
    died = 0
    for at in itertools.count():
        await stage.tasks.update_one({"_id": 1}, {"$inc": {"n": 1}, "$set": {"title": f"one {at}"}}, upsert=True)
        await stage.tasks.replace_one({"_id": 2}, {"title": f"two {at}"}, upsert=True)
        await stage.tasks.delete_one({"_id": 3})
        if at % 2:
            await stage.tasks.insert_one({"_id": 3})
        with psycopg.connect(stage.url) as connection:  # one of them is refused, and raised
            connection.execute(
                "UPDATE syncline_documents.key_version SET version = version + 10 ^ 13, mark = '' WHERE mongo_id = '2'"
            )
        calls = itertools.count()
        rows = stage.rows()
        dying = [Dying(side, calls, at, after=after) for side in (stage.source, rows)]
        try:
            await stage.pump(source=dying[0], rows=dying[1]).walk()
        except Killed:
            died += 1
        else:
            break
        for _ in range(3):
            await stage.pump().walk()
        await stage.require_settled()
    assert died >= 5  # number, page, put, clear, raise


async def test_a_late_carrier_brings_back_nothing(stage):
    await stage.tasks.insert_one({"_id": 1, "title": "old"})
    rows = stage.rows()
    number = await rows.number()
    [late] = [one async for page in stage.source.pages("tasks", 10) for one in page]
    await stage.tasks.update_one({"_id": 1}, {"$set": {"title": "new"}})
    await stage.pump().walk()
    [outcome] = await rows.put("tasks", [late], number)
    assert outcome.fate is Fate.REFUSED
    await stage.source.clear("tasks", [late])
    await stage.source.raise_above("tasks", [outcome])
    await stage.require_settled()
    await stage.tasks.delete_one({"_id": 1})
    await stage.pump().walk()
    assert [one.fate for one in await rows.put("tasks", [late], number)] == [Fate.REFUSED]
    await stage.require_settled()


@pytest.mark.parametrize("beside", [0, 2])
async def test_a_mark_that_came_after_the_reading_is_not_cleared(stage, beside):
    """Nor where it is that of another document that is cleared together with it: an update of many has one mark."""
    await stage.tasks.insert_many([{"_id": n, "n": 0} for n in range(1 + beside)])
    [before] = [page async for page in stage.source.pages("tasks", 10)]
    await stage.tasks.update_many({"_id": {"$lt": 2}}, {"$set": {"n": 1}})
    [after] = [page async for page in stage.source.pages("tasks", 10)]
    by_id = {one.id: one for one in after} | {one.id: one for one in before if one.id == 0}
    rows = stage.rows()
    await rows.put("tasks", [*by_id.values()], await rows.number())
    await stage.source.clear("tasks", [*by_id.values()])
    marked = {"_sync.mark": {"$exists": True}}
    assert [one["_id"] async for one in stage.database["tasks"].find(marked)] == [0]
    await stage.pump().walk()
    await stage.require_settled()


async def test_a_version_that_came_back_is_raised_and_not_taken_for_done(stage):
    await stage.tasks.insert_one({"_id": 1, "title": "a"})
    await stage.pump().walk()
    version = asked(stage.url, "SELECT version FROM syncline_documents.key_version")[0][0]
    await stage.tasks.update_one({"_id": 1}, {"$set": {"title": "b"}})
    await stage.database["tasks"].update_one({"_id": 1}, {"$set": {"_sync.v": version}})
    tally = await stage.pump().walk()
    assert (tally.applied, tally.raised) == (0, 1)
    await stage.pump().walk()
    await stage.require_settled()


async def test_under_another_number_of_the_link_nothing_is_written(stage):
    await stage.tasks.insert_one({"_id": 1, "title": "a"})
    rows = stage.rows()
    number = await rows.number()
    read = [one async for page in stage.source.pages("tasks", 10) for one in page]
    assert await stage.rows().renumber() == number + 1
    assert [one.fate for one in await rows.put("tasks", read, number)] == [Fate.LATE]
    assert await stage.there() == {}
    await stage.pump().walk()
    await stage.require_settled()


async def test_a_delete_past_the_wrapper_is_found_by_the_sweep(stage):
    await stage.tasks.insert_many([{"_id": n} for n in range(6)])
    await stage.tasks.insert_one({"_id": ObjectId()})
    await stage.pump().walk()
    await stage.database["tasks"].delete_many({"_id": {"$gt": 2}})
    await stage.tasks.insert_one({"_id": 5, "title": "back"})
    rows = stage.rows()
    assert await sweep(stage.source, rows, "tasks", size=2) == 2
    await stage.pump().walk()
    await stage.require_settled()
    assert await sweep(stage.source, rows, "tasks") == 0


@pytest.mark.parametrize("side", ["PostgreSQL", "MongoDB"])
async def test_after_a_restore_of_either_side_all_is_marked_and_swept(stage, side):
    await stage.tasks.insert_many([{"_id": n, "title": f"t{n}"} for n in range(4)])
    await stage.pump().walk()
    bare = stage.database["tasks"]
    backup = await bare.find().to_list()
    read = []
    await stage.tasks.update_one({"_id": 1}, {"$set": {"title": "changed"}})
    await stage.tasks.delete_one({"_id": 2})
    await stage.tasks.insert_one({"_id": 9})
    rows = stage.rows()
    number = await rows.number()
    read = [one async for page in stage.source.pages("tasks", 10) for one in page]
    await stage.pump().walk()
    if side == "MongoDB":
        await bare.delete_many({})
        await bare.insert_many(backup)
    else:
        with psycopg.connect(stage.url) as connection:
            connection.execute("DELETE FROM postgres_tasks WHERE mongo_id IN ('1', '9')")
            connection.execute("DELETE FROM syncline_documents.key_version WHERE mongo_id IN ('1', '2', '9')")
    assert await restored(stage.source, stage.rows(), ["tasks"]) == 4
    assert {one.fate for one in await rows.put("tasks", read, number)} == {Fate.LATE}
    for _ in range(2):
        await stage.pump().walk()
    await stage.require_settled()


async def test_deleted_keys_are_forgotten_under_a_new_number(stage):
    await stage.tasks.insert_many([{"_id": 1}, {"_id": 2}])
    rows = stage.rows()
    number = await rows.number()
    late = [one async for page in stage.source.pages("tasks", 10) for one in page if one.id == 1]
    await stage.pump().walk()
    await stage.tasks.delete_one({"_id": 1})
    await stage.pump().walk()
    versions = dict(asked(stage.url, "SELECT mongo_id, version FROM syncline_documents.key_version"))
    assert await rows.forget("tasks", {"1": versions["1"] - 1}) == 0
    assert await rows.forget("tasks", versions) == 1  # the other one is not deleted
    assert await rows.number() == number + 2
    assert [one.fate for one in await rows.put("tasks", late, number)] == [Fate.LATE]
    assert set(await stage.there()) == {2}


async def test_a_new_number_waits_for_who_has_entered_under_the_old_one(stage):
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()"
    statements = blocks("versions.sql", "syncline.engines.postgres.documents")
    async with await psycopg.AsyncConnection.connect(stage.url) as entered:
        await entered.execute(statements["enter"])
        renumbered = asyncio.create_task(stage.rows().renumber())
        while asked(stage.url, waits) != [(1,)]:
            assert not renumbered.done()
            await asyncio.sleep(0.01)
        await entered.commit()
    assert await renumbered == 2
    async with await psycopg.AsyncConnection.connect(stage.url) as alone:
        await alone.execute(statements["alone"])
        await stage.tasks.insert_one({"_id": 1})
        walked = asyncio.create_task(stage.pump().walk())
        while asked(stage.url, waits) != [(1,)]:
            assert not walked.done()
            await asyncio.sleep(0.01)
        await alone.commit()
    assert (await walked).applied == 1


async def test_another_type_of_ids_leaves_no_rows_under_the_keys_of_before(stage):
    as_text = DocumentMapping(replace(TASKS.collection, id="text"))
    before = VersionedRows(stage.url, [as_text])
    stage.opened.append(before)
    await remapped(stage.source, before, ["tasks"])
    await stage.tasks.insert_many([{"_id": "a", "title": "one of a kind"}, {"_id": "5"}, {"_id": "gone"}])
    await stage.pump(rows=before).walk()
    await stage.tasks.delete_one({"_id": "gone"})
    await stage.pump(rows=before).walk()
    assert asked(stage.url, "SELECT mongo_id FROM postgres_tasks ORDER BY 1") == [("5",), ("a",)]
    rows = stage.rows()
    await remapped(stage.source, rows, ["tasks"])
    assert await sweep(stage.source, rows, "tasks") == 1  # of 5, which was a text and would be a number now
    for _ in range(2):
        await stage.pump().walk()
    assert asked(stage.url, "SELECT mongo_id FROM postgres_tasks ORDER BY 1") == [('"5"',), ('"a"',)]
    await stage.require_settled()


async def test_a_rejected_document_keeps_none_back_that_has_the_same_mark(stage):
    await stage.tasks.insert_many([{"_id": n, "title": f"t{n}"} for n in range(6)])
    await stage.pump().walk()
    await stage.tasks.update_many({}, {"$set": {"n": 7}})
    await stage.database["tasks"].update_one({"_id": 0}, {"$set": {"title": "t5"}})
    assert len(await stage.database["tasks"].distinct("_sync.mark")) == 1
    pump = stage.pump(batch=2)
    assert (await pump.walk()).rejected == 1
    await pump.walk()
    assert [(await stage.there())[n].get("n") for n in range(6)] == [None, 7, 7, 7, 7, 7]


async def test_lag_is_that_of_what_waits_beside_a_rejected_document_of_the_same_mark_and_beside_what_others_wrote(
    stage,
):
    await stage.tasks.insert_many([{"_id": n, "title": f"t{n}"} for n in range(3)])
    await stage.pump().walk()
    await stage.database["tasks"].update_one({"_id": 0}, {"$set": {"title": "t1"}})
    old = ObjectId.from_datetime(datetime.now(UTC) - timedelta(hours=1))
    await stage.database["tasks"].update_many({}, {"$set": {"_sync.mark": old}})
    await stage.database["tasks"].insert_many([{"_sync": {"mark": one}} for one in ("x", 5, [ObjectId()], [])])
    await stage.database["tasks"].insert_one({"_sync": [{"mark": ObjectId()}]})
    held = {(str(old), "0")}
    told = await MarkedDatabase(stage.database).waiting("tasks", held)
    pending, lag = await MongoDocumentWrites(stage.database).waiting("tasks", held)
    assert told.documents == pending == 2 + 5
    assert told.oldest > timedelta(minutes=59)
    assert lag > 59 * 60
    everybody = held | {(str(old), str(n)) for n in (1, 2)}
    assert (await MarkedDatabase(stage.database).waiting("tasks", everybody)).oldest == timedelta()


async def test_a_rejected_document_is_kept_with_its_reason_and_holds_up_nobody(stage):
    await stage.tasks.insert_many([{"_id": n, "title": f"t{n}"} for n in range(7)])
    await stage.tasks.insert_one({"_id": "twin", "title": "t3"})
    pump = stage.pump()
    tally = await pump.walk()
    assert (tally.applied, tally.rejected) == (7, 1)
    [(id_, reason, attempts)] = asked(stage.url, "SELECT mongo_id, reason, attempts FROM syncline_documents.rejected")
    assert (id_, attempts) == ('"twin"', 1)
    assert "duplicate key value" in reason
    assert (await pump.walk()).rejected == 0  # it waits
    await stage.tasks.update_one({"_id": "twin"}, {"$set": {"title": "other"}})
    assert (await pump.walk()).applied == 1
    assert asked(stage.url, "SELECT count(*) FROM syncline_documents.rejected") == [(0,)]
    await stage.require_settled()


async def test_writers_of_all_kinds_beside_pumps_that_are_killed_end_equal(stage):
    chance = random.Random(7)
    stop = asyncio.Event()

    async def write(number: int) -> None:
        for step in range(60):
            key = chance.randrange(6)
            kind = chance.randrange(6)
            match kind:
                case 0:
                    await stage.tasks.update_one(
                        {"_id": key}, {"$set": {"n": step}, "$push": {"labels": str(step)}}, upsert=True
                    )
                case 1:
                    await stage.tasks.replace_one({"_id": key}, {"n": step, "by": number}, upsert=True)
                case 2 | 3:
                    await stage.tasks.delete_one({"_id": key})
                case 4:
                    await stage.tasks.update_many({"n": {"$gt": 30}}, [{"$set": {"n": 0}}])
                case _:
                    with contextlib.suppress(Exception):
                        await stage.database["tasks"].insert_one({"_id": key, "foreign": step})

    async def kill_and_start() -> None:
        while not stop.is_set():
            task = asyncio.create_task(stage.pump(batch=3).run(stop))
            await asyncio.sleep(chance.random() / 20)
            if chance.random() < 0.7:
                assert not await end(task, seconds=PATIENCE)
            else:
                await asyncio.sleep(0.05)
                assert not await end(task, seconds=PATIENCE)

    carriers = [asyncio.create_task(kill_and_start()) for _ in range(2)]
    try:
        await asyncio.gather(*(write(number) for number in range(3)))
    finally:
        stop.set()
        await asyncio.gather(*carriers)
    for _ in range(4):
        await stage.pump().walk()
    await stage.require_settled()


WIDER = DocumentMapping(
    replace(
        TASKS.collection,
        part=replace(TASKS.collection.part, columns={**TASKS.collection.part.columns, "more": Field("text")}),
    )
)


async def back(url: str, mapping: DocumentMapping, key: str) -> Any:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        return bson.decode(mapping.document((await DocumentTables(mapping).read(connection, [key]))[key]))


async def test_a_changed_declaration_is_refused_until_it_is_taken_over_and_loses_nothing(stage):
    await stage.tasks.insert_many([{"_id": 1, "title": "a", "more": "kept"}, {"_id": 2, "more": "too"}])
    await stage.pump().walk()
    wider = VersionedRows(stage.url, [WIDER])
    stage.opened.append(wider)
    await wider.prepare()
    await stage.tasks.update_one({"_id": 2}, {"$set": {"n": 1}})
    with pytest.raises(OtherDeclarationError, match="declaration of tasks") as refused:
        await stage.pump(rows=wider).walk()
    assert "syncline install" in refused.value.hint
    with pytest.raises(OtherDeclarationError, match="more"):  # its column is not there
        await remapped(stage.source, wider, ["tasks"])
    assert (await stage.pump().walk()).applied == 1
    async with await psycopg.AsyncConnection.connect(stage.url) as connection:
        for statement in differences([WIDER], await look(connection, [WIDER])):
            await connection.execute(statement)
    with pytest.raises(OtherDeclarationError, match="rows of '1' are of another"):
        await back(stage.url, WIDER, "1")
    assert (await back(stage.url, TASKS, "1"))["more"] == "kept"
    assert await remapped(stage.source, wider, ["tasks"]) == 2
    with pytest.raises(OtherDeclarationError, match="declaration of tasks"):
        await stage.pump().walk()
    with pytest.raises(OtherDeclarationError, match="rows of '1' are of another"):
        await back(stage.url, WIDER, "1")
    assert (await stage.pump(rows=wider).walk()).applied == 2
    assert await back(stage.url, WIDER, "1") == {"_id": 1, "title": "a", "more": "kept"}
    assert asked(stage.url, "SELECT more FROM postgres_tasks ORDER BY mongo_id") == [("kept",), ("too",)]
    with pytest.raises(OtherDeclarationError, match="rows of '1' are of another"):
        await back(stage.url, TASKS, "1")


async def test_an_id_that_fits_no_index_is_parked_and_holds_up_nobody(stage):
    long = random.Random(1).randbytes(9000).hex()
    await stage.tasks.insert_many([{"_id": long}, {"_id": 1, "title": "a"}])
    tally = await stage.pump().walk()
    assert (tally.applied, tally.rejected) == (1, 1)
    [(name, reason)] = asked(stage.url, "SELECT mongo_id, reason FROM syncline_documents.rejected")
    assert name.startswith(f'"{long[:99]}… sha256')
    assert "index" in reason
    await stage.tasks.delete_one({"_id": long})
    await stage.tasks.update_one({"_id": 1}, {"$set": {"title": "b"}})
    assert (await stage.pump().walk()).applied == 1


async def test_a_field_of_that_name_that_somebody_else_wrote_is_named(stage):
    for wrong in ({"mark": "x"}, {"mark": ObjectId()}, {"mark": 5, "v": 1}, [{"mark": 1}]):
        await stage.database["tasks"].insert_one({"_id": "theirs", "_sync": wrong})
        with pytest.raises(SourceError, match="_sync of the document 'theirs'"):
            await stage.pump().walk()
        assert any("'theirs' has a field _sync" in one for one in await stage.tasks.examine()) == ("v" not in wrong)
        await stage.database["tasks"].update_one({"_id": "theirs"}, {"$unset": {"_sync": ""}})
        await stage.pump().walk()
        await stage.require_settled()
        await stage.database["tasks"].delete_one({"_id": "theirs"})


async def test_a_field_that_somebody_else_wrote_holds_up_no_other_document(stage):
    await stage.database["tasks"].insert_one({"_id": "theirs", "_sync": {"mark": "x"}})
    await stage.tasks.insert_one({"_id": 1, "title": "a"})
    with pytest.raises(SourceError, match="_sync of the document 'theirs'"):
        await stage.pump().walk()
    assert asked(stage.url, "SELECT title FROM postgres_tasks") == [("a",)]


async def test_documents_that_have_exchanged_a_unique_value_are_not_parked(stage):
    await stage.tasks.insert_many([{"_id": n, "title": f"t{n}", "labels": ["x"]} for n in range(3)])
    await stage.pump().walk()
    for n, title in ((0, "away"), (1, "t0"), (2, "t1"), (0, "t2")):
        await stage.tasks.update_one({"_id": n}, {"$set": {"title": title}})
    tally = await stage.pump().walk()
    assert (tally.applied, tally.rejected) == (3, 0)
    await stage.require_settled()


async def test_a_collection_that_cannot_be_carried_does_not_hold_up_the_others(stage):
    await wrap(stage.database["first"]).prepare_marks()
    await stage.database["first"].insert_one({"_id": "theirs", "_sync": {"mark": "x"}})
    await stage.tasks.insert_one({"_id": 1, "title": "a"})
    pump = DocumentPump(stage.source, stage.rows(), ["first", "tasks"])
    with pytest.raises(SourceError, match="'theirs'"):
        await pump.walk()
    await stage.require_settled()


async def test_an_empty_text_is_a_key_that_the_sweep_sees(stage):
    with psycopg.connect(stage.url) as connection:
        connection.execute("INSERT INTO syncline_documents.key_version VALUES ('texts', '', 1, '', false, '')")
    rows = VersionedRows(stage.url, [DocumentMapping(Collection("texts", id="text"))])
    stage.opened.append(rows)
    assert [ids async for ids in rows.keys("texts", 1)] == [[""]]


ODD_IDS = {
    "symbol": symbol("red"),
    "pointer": POINTER,
    "no UTF-8": text(b"\xff"),
    "a field twice": sub(field("a", int32(1)), field("a", int32(2))),
    "code": text("f()", 0x0D),
}


async def test_an_id_that_no_driver_gives_back_is_carried_as_any_other_and_holds_up_nobody(stage, mongo_url, mongo_db):
    with MongoClient(mongo_url) as client:
        for number, id_ in enumerate(ODD_IDS.values()):
            insert_stored(client[mongo_db]["tasks"], field("_id", id_), field("n", int32(number)))
    await stage.tasks.insert_one({"_id": 1, "title": "a"})
    assert (await stage.pump().walk()).applied == len(ODD_IDS) + 1
    assert asked(stage.url, "SELECT n FROM postgres_tasks WHERE n IS NOT NULL ORDER BY n") == [(n,) for n in range(5)]
    await stage.tasks.update_many({}, {"$inc": {"n": 1}})
    with psycopg.connect(stage.url) as connection:  # each is refused, raised, and carried then
        connection.execute("UPDATE syncline_documents.key_version SET version = version + 10 ^ 13, mark = ''")
    assert (await stage.pump().walk()).raised == len(ODD_IDS) + 1
    assert (await stage.pump().walk()).applied == len(ODD_IDS) + 1
    assert await sweep(stage.source, stage.rows(), "tasks") == 0
    await stage.database["tasks"].delete_many({})
    assert await sweep(stage.source, stage.rows(), "tasks") == len(ODD_IDS) + 1
    for _ in range(2):
        await stage.pump().walk()
    await stage.require_settled()


async def test_a_right_that_is_missing_is_an_error_and_an_outage_is_waited_out(stage, monkeypatch):
    told = []

    def refused(code):
        def fail(*_args, **_options):
            raise OperationFailure("not allowed", code)

        monkeypatch.setattr(AsyncCollection, "find_raw_batches", fail)

    refused(13)
    with pytest.raises(PrivilegeError, match="not allowed") as error:
        await stage.pump().run(asyncio.Event())
    assert "readWrite" in error.value.hint
    refused(10107)
    stop = asyncio.Event()
    await stage.pump(told=lambda one: (told.append(one), len(told) == 2 and stop.set())).run(stop)
    assert [type(one) for one in told] == [SourceUnavailableError] * 2


async def test_a_deleted_key_is_forgotten_where_there_is_no_document_under_a_number_that_holds_up_what_is_late(stage):
    await stage.tasks.insert_many([{"_id": n, "title": str(n)} for n in range(3)])
    rows = stage.rows()
    number = await rows.number()
    [late] = [one async for page in stage.source.pages("tasks", 10) for one in page if one.id == 0]
    await stage.pump().walk()
    await stage.tasks.delete_many({})
    await stage.pump().walk()
    await stage.database["tasks"].insert_one({"_id": 1.0, "title": "again"})  # equal to the key that was deleted
    await stage.tasks.insert_one({"_id": 2, "title": "new"})
    assert await forget(stage.source, rows, "tasks", size=2) == 1
    assert asked(stage.url, "SELECT mongo_id FROM syncline_documents.key_version ORDER BY 1") == [("1",), ("2",)]
    assert [one.fate for one in await rows.put("tasks", [late], number)] == [Fate.LATE]
    await stage.pump().walk()
    assert sorted((await stage.there()).values(), key=lambda one: one["_id"]) == [
        {"_id": 1.0, "title": "again"},
        {"_id": 2, "title": "new"},
    ]
