"""The reader of change events: what writers who do not mark have written reaches PostgreSQL, and its own marks do not echo.

Events are written by hand after MongoDB's manual ("Change Events"), or made from what an operation has changed; the
embedded engine has no change streams. ``SYNCLINE_TEST_MONGODB_URL`` names a replica set for the real ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import uuid4

import bson
import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient
from pymongo.errors import OperationFailure

from syncline.capture.documents import wrap
from syncline.documents.opening import DocumentLink, opened
from syncline.documents.watching import Watcher
from syncline.ending import end
from syncline.engines.mongo import changes
from syncline.engines.mongo.changes import Change, Kind, judged, telling_lost
from syncline.engines.mongo.marked import translated
from syncline.engines.mongo.marked_database import MarkedDatabase, Reader
from syncline.errors import ForeignTargetError, LostTokenError, SourceError
from syncline.model.strict_bson import AS_STORED
from syncline.relay.documents.pump import DocumentPump
from tests.document_link import DocumentStage
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS

MARK = ObjectId()
ID = {"_data": "8265"}


def event(operation: str, /, **fields: Any) -> dict[str, Any]:
    """An event as a replica set gives it."""
    about = {"_id": ID, "operationType": operation, "clusterTime": bson.Timestamp(1, 1)}
    return {**about, "ns": {"db": "shop", "coll": "tasks"}, "documentKey": {"_id": 7}, **fields}


def updated(set_: Mapping[str, Any], removed: Any = (), truncated: Any = ()) -> dict[str, Any]:
    description = {"updatedFields": dict(set_), "removedFields": list(removed), "truncatedArrays": list(truncated)}
    return event("update", updateDescription=description)


NOTHING, MARKS, TOMBSTONE, GONE, LOST = Kind.NOTHING, Kind.MARK, Kind.TOMBSTONE, Kind.GONE, Kind.LOST
EVENTS = [
    ("an insert through the wrapper", event("insert", fullDocument={"_id": 7, "_sync": {"v": 0, "mark": MARK}}), NOTHING),
    ("an insert past it", event("insert", fullDocument={"_id": 7}), NOTHING),  # its index of such documents finds it
    ("a restored document", event("insert", fullDocument={"_id": 7, "_sync": {"v": 9}}), MARKS),
    ("a tombstone", event("insert", fullDocument={"_id": 7, "_sync": {"v": 0, "mark": MARK, "deleted": True}}), TOMBSTONE),
    ("a replacement past it", event("replace", fullDocument={"_id": 7, "a": 1}), NOTHING),
    ("one that took our field along", event("replace", fullDocument={"_id": 7, "_sync": {"v": 9, "mark": MARK}}), MARKS),
    ("one by a tombstone", event("replace", fullDocument={"_id": 7, "_sync": {"v": 9, "mark": MARK, "deleted": True}}), TOMBSTONE),
    ("an update through the wrapper", updated({"a": 1, "_sync.v": 9, "_sync.mark": MARK}), NOTHING),
    ("one that draws the whole field", updated({"a": 1, "_sync": {"v": 9, "mark": MARK}}), NOTHING),
    ("an update past it", updated({"a": 1}), MARKS),
    ("a removal past it", updated({}, ["a"]), MARKS),
    ("an array cut short past it", updated({}, [], [{"field": "a", "newSize": 1}]), MARKS),
    ("a clearing", updated({}, ["_sync.mark"]), NOTHING),
    ("a clearing that says a number of the gate", updated({"_sync.c": 5}, ["_sync.mark"]), NOTHING),
    ("the number alone", updated({"_sync.c": 5}), NOTHING),
    ("a change beside such a clearing", updated({"a": 1, "_sync.c": 5}, ["_sync.mark"]), MARKS),
    ("a write of the way back", updated({"a": 1, "_sync.v": 9, "_sync.c": 5, "_sync.t": 3}, ["_sync.mark"]), NOTHING),
    ("one that took the whole field along", updated({"a": 1, "_sync": {"v": 9, "c": 5, "t": 3}}), MARKS),
    ("a deletion of the way back", updated({"_sync.t": 3, "_sync.deleted": True}, ["a"]), TOMBSTONE),
    ("a clearing with what is noted", updated({}, ["_sync.mark", "_sync.log"]), NOTHING),
    ("what is noted, taken out", updated({"_sync.log": []}), NOTHING),
    ("the last of it", updated({}, ["_sync.log"]), NOTHING),
    ("what is noted, cut short", updated({}, [], [{"field": "_sync.log", "newSize": 1}]), NOTHING),
    ("a note with its mark", updated({"a": 1, "_sync.v": 9, "_sync.mark": MARK, "_sync.log.1": {}}), NOTHING),
    ("a change beside a note", updated({"a": 1, "_sync.log": []}), MARKS),
    ("a change beside a clearing", updated({"a": 1}, ["_sync.mark"]), MARKS),
    ("a document as it was read before its mark was cleared", updated({"a": 1, "_sync.mark": MARK}), MARKS),
    ("one as it was before the way back wrote it", updated({"a": 1, "_sync.t": 3}), MARKS),
    ("a raise", updated({"_sync.v": 10, "_sync.mark": MARK}), NOTHING),
    ("a delete through the wrapper", updated({"_sync": {"v": 9, "mark": MARK, "deleted": True}}, ["a"]), TOMBSTONE),
    ("likewise, field by field", updated({"_sync.v": 9, "_sync.mark": MARK, "_sync.deleted": True}, ["a"]), TOMBSTONE),
    ("a delete", event("delete"), GONE),
    ("a drop", event("drop", documentKey=None), LOST),
    ("a rename", event("rename", to={"db": "shop", "coll": "old"}), LOST),
    ("a dropped database", {"_id": ID, "operationType": "dropDatabase", "ns": {"db": "shop"}}, LOST),
    ("an invalidation", {"_id": ID, "operationType": "invalidate"}, LOST),
    ("a new index", event("createIndexes", operationDescription={}), NOTHING),
    ("a changed collection", event("modify", operationDescription={}), NOTHING),
    ("a new collection", event("create", operationDescription={}), NOTHING),
    ("a new shard key", event("refineCollectionShardKey", operationDescription={}), NOTHING),
]  # fmt: skip


@pytest.mark.parametrize(("one", "kind"), [row[1:] for row in EVENTS], ids=[row[0] for row in EVENTS])
def test_an_event_is_judged_by_who_wrote_it(one, kind):
    assert judged(one).kind is kind


def test_a_tombstone_s_version_is_read_from_each_event_that_tells_it():
    assert judged(EVENTS[3][1]).version == 0
    by_name = {row[0]: row[1] for row in EVENTS}
    assert judged(by_name["a delete through the wrapper"]).version == 9
    assert judged(by_name["likewise, field by field"]).version == 9
    assert judged(updated({"_sync.v": 12, "_sync.mark": MARK})) == Change(NOTHING, "tasks", 7, 12)
    revived = updated({"a": 1, "_sync.v": 12, "_sync.mark": MARK}, ["_sync.deleted"])
    assert judged(revived) == Change(NOTHING, "tasks", 7, 12, live=True)


@pytest.mark.parametrize("code", [136, 260, 280, 286, None])
def test_a_token_that_is_not_accepted_any_more_is_lost(code):
    label = {} if code else {"errorLabels": ["NonResumableChangeStreamError"]}
    with pytest.raises(LostTokenError, match="cannot go on"), telling_lost(), translated():
        raise OperationFailure("it is gone", code or 1, label)


def test_other_errors_are_no_lost_token():
    with pytest.raises(SourceError) as raised, telling_lost(), translated():
        raise OperationFailure("no primary", 10107)
    assert raised.value.retryable


class Oplog:
    """What a replica set would tell: events made from what the documents were, and what they are."""

    def __init__(self, stage: DocumentStage) -> None:
        self.stage, self.events, self.opened, self.lost = stage, [], 0, 0
        self.before = self.now()

    def now(self) -> dict[Any, dict[str, Any]]:
        found = self.stage.mongo["tasks"].with_options(codec_options=AS_STORED).find()
        return {one["_id"]: one for one in found}

    def record(self) -> None:
        after = self.now()
        for id_ in [*self.before, *(id_ for id_ in after if id_ not in self.before)]:
            old, new = self.before.get(id_), after.get(id_)
            if old != new:
                self.events.append(_told(id_, old, new))
        self.before = after

    @contextlib.asynccontextmanager
    async def open(self, token: Mapping[str, Any] | None) -> AsyncIterator[Oplog.Feed]:
        if token is not None and token["at"] < self.lost:
            raise LostTokenError("the oplog has forgotten it")
        self.opened += 1
        yield Oplog.Feed(self, len(self.events) if token is None else token["at"])

    class Feed:
        def __init__(self, oplog: Oplog, at: int) -> None:
            self.oplog, self.at = oplog, at

        async def next(self) -> Change | None:
            await asyncio.sleep(0)
            if self.at == len(self.oplog.events):
                return None
            self.at += 1
            return judged(self.oplog.events[self.at - 1])

        @property
        def token(self) -> Mapping[str, Any] | None:
            return {"at": self.at}


def _told(id_: Any, old: Any, new: Any) -> dict[str, Any]:
    if new is None:
        return event("delete", documentKey={"_id": id_})
    if old is None:
        return event("insert", documentKey={"_id": id_}, fullDocument=new)
    if random.random() < 0.2 and old.get("_sync") == new.get("_sync"):
        return event("replace", documentKey={"_id": id_}, fullDocument=new)
    flat_old, flat_new = _flat(old), _flat(new)
    set_ = {name: value for name, value in flat_new.items() if name not in flat_old or flat_old[name] != value}
    removed = [name for name in flat_old if name not in flat_new]
    return {**updated(set_, removed), "documentKey": {"_id": id_}}


def _flat(document: Mapping[str, Any]) -> dict[str, Any]:
    ours = document.get("_sync")
    parts = {f"_sync.{name}": value for name, value in ours.items()} if isinstance(ours, dict) else {}
    return {name: value for name, value in document.items() if name != "_sync"} | parts


@pytest.fixture
def stage(tmp_path, mongo_url, mongo_db, database, monkeypatch):
    monkeypatch.setattr("syncline.documents.watching.SAVE_SECONDS", 0.0)
    monkeypatch.setattr("syncline.documents.watching.LEASE_SECONDS", 60.0)
    made = DocumentStage(tmp_path, mongo_url, mongo_db, database)
    made.make_tables()
    made.call("install", "--yes")
    yield made
    made.close()


async def read(link: DocumentLink, oplog: Oplog, *, owner: str = "one") -> None:
    """Let a reader read all that there is, as a process that is killed then."""
    watcher = Watcher(link, owner, open_=oplog.open)
    running = asyncio.ensure_future(watcher.run())
    database = MarkedDatabase(link.database)
    while not running.done():
        oplog.record()
        at = len(oplog.events)
        reader = await database.reader(owner, 60)
        if reader is not None and reader.token is not None and reader.token["at"] >= at and oplog.opened:
            oplog.record()
            if len(oplog.events) == at:
                break
        await asyncio.sleep(0)
    await end(running, seconds=30)
    if running.done() and not running.cancelled() and (error := running.exception()):
        raise error


class Recorded:
    """The source of a pump, whose every write is recorded: between drawing a version and clearing, too."""

    def __init__(self, link: DocumentLink, oplog: Oplog) -> None:
        self._source, self._oplog = link.source, oplog

    async def pages(self, collection: str, size: int) -> AsyncIterator[Any]:
        async for page in self._source.pages(collection, size):
            self._oplog.record()
            yield page

    def __getattr__(self, name: str) -> Any:
        async def call(*arguments: Any) -> Any:
            result = await getattr(self._source, name)(*arguments)
            self._oplog.record()
            return result

        return call


async def pumped(link: DocumentLink, oplog: Oplog) -> None:
    """Carry what is marked now."""
    await DocumentPump(Recorded(link, oplog), link.rows, link.collections).walk()


async def carried(link: DocumentLink, oplog: Oplog) -> None:
    """Read and carry until nothing is left to do."""
    for _ in range(20):
        before = len(oplog.events)
        await read(link, oplog)
        await pumped(link, oplog)
        oplog.record()
        if len(oplog.events) == before:
            return
    raise AssertionError(f"it does not end: {oplog.events[-5:]}")


def rows(stage: DocumentStage) -> dict[str, Any]:
    return dict(stage.sql("SELECT mongo_id, title FROM postgres_tasks"))


def documents(stage: DocumentStage) -> dict[str, Any]:
    found = stage.mongo["tasks"].find({"_sync.deleted": {"$exists": False}})
    return {str(one["_id"]): one.get("title") for one in found}


def test_a_delete_of_what_can_be_no_key_ends_and_settles_its_rejection(stage):
    stage.declare('[collections.tasks]\ncolumns = { title = "text" }\n')
    stage.sql("DROP TABLE postgres_tasks")
    stage.make_tables()
    stage.call("install", "--yes")
    rejected = "SELECT count(*) FROM syncline_documents.rejected"

    async def run() -> None:
        async with opened(stage.documents) as link:
            oplog = Oplog(stage)
            stage.mongo["tasks"].insert_one({"_id": "abc"})
            await carried(link, oplog)
            assert stage.sql(rejected) == [(1,)]
            stage.mongo["tasks"].delete_one({"_id": "abc"})
            oplog.record()
            await carried(link, oplog)

    asyncio.run(run())
    assert stage.sql(rejected) == [(0,)]
    assert stage.mongo["tasks"].count_documents({}) == 0


async def test_what_is_written_past_the_wrapper_reaches_the_rows_and_nothing_echoes(stage):
    async with opened(stage.documents) as link:
        bare, tasks, oplog = stage.mongo["tasks"], stage.collection("tasks"), Oplog(stage)
        tasks.insert_many([{"_id": n, "title": "a"} for n in range(4)])
        await carried(link, oplog)
        bare.update_one({"_id": 0}, {"$set": {"title": "foreign"}})
        bare.delete_one({"_id": 1})
        bare.replace_one({"_id": 2}, {**bare.find_one({"_id": 2}), "title": "with our field"})
        oplog.record()
        await carried(link, oplog)
        assert rows(stage) == documents(stage) == {"0": "foreign", "2": "with our field", "3": "a"}
        count = len(oplog.events)
        await carried(link, oplog)
        assert len(oplog.events) == count
        assert bare.count_documents({"_sync.mark": {"$exists": True}}) == 0


async def test_a_delete_whose_write_is_still_under_way_leaves_no_row(stage):
    async with opened(stage.documents) as link, link.apart() as late:
        oplog = Oplog(stage)
        await carried(link, oplog)
        stage.collection("tasks").insert_one({"_id": 1, "title": "a"})
        number = await late.rows.number()
        [read_before] = await anext(link.source.pages("tasks", 10))
        stage.mongo["tasks"].delete_one({"_id": 1})
        oplog.record()
        oplog.events += [event("delete", documentKey={"_id": 1})]  # it was inserted and deleted between two looks
        await carried(link, oplog)
        await late.rows.put("tasks", [read_before], number)
        assert rows(stage) == {}


async def test_a_deleted_record_that_was_made_again_and_is_deleted_past_the_wrapper_has_no_row(stage):
    async with opened(stage.documents) as link:
        tasks, oplog = stage.collection("tasks"), Oplog(stage)
        tasks.insert_one({"_id": 1, "title": "a"})
        await carried(link, oplog)
        tasks.delete_one({"_id": 1})
        oplog.record()
        await read(link, oplog)
        tasks.insert_one({"_id": 1, "title": "again"})  # onto the tombstone
        oplog.record()
        await carried(link, oplog)
        assert rows(stage) == {"1": "again"}
        stage.mongo["tasks"].delete_one({"_id": 1})
        oplog.record()
        await carried(link, oplog)
        assert rows(stage) == {}


async def test_a_lost_token_has_everything_marked_under_a_new_number_and_rows_without_documents_deleted(stage):
    async with opened(stage.documents) as link:
        tasks, bare, oplog = stage.collection("tasks"), stage.mongo["tasks"], Oplog(stage)
        tasks.insert_many([{"_id": n, "title": "a"} for n in range(3)])
        await carried(link, oplog)
        number = await link.rows.number()
        bare.update_one({"_id": 0}, {"$set": {"title": "unseen"}})
        bare.delete_one({"_id": 1})
        oplog.before = oplog.now()
        oplog.lost = len(oplog.events) + 1
        oplog.events.append(event("create"))
        await carried(link, oplog)
        assert rows(stage) == documents(stage) == {"0": "unseen", "2": "a"}
        assert await link.rows.number() == number + 1


@pytest.mark.parametrize("operation", ["drop", "rename", "invalidate"])
async def test_a_collection_that_is_not_what_it_was_is_marked_anew_with_its_indexes(stage, operation):
    async with opened(stage.documents) as link:
        oplog = Oplog(stage)
        stage.collection("tasks").insert_one({"_id": 1, "title": "a"})
        await carried(link, oplog)
        stage.mongo["tasks"].drop()
        stage.mongo["tasks"].insert_one({"_id": 2, "title": "b"})
        oplog.before = oplog.now()
        oplog.events.append(event(operation))
        await carried(link, oplog)
        assert rows(stage) == {"2": "b"}
        assert "syncline_marks" in stage.mongo["tasks"].index_information()


@pytest.mark.parametrize("lost", ["everything", "identity"])
async def test_a_mongodb_that_comes_back_empty_or_as_another_one_has_no_row_deleted(stage, lost):
    async with opened(stage.documents) as link:
        oplog = Oplog(stage)
        stage.collection("tasks").insert_one({"_id": 1, "title": "a"})
        await carried(link, oplog)
        for name in stage.mongo.list_collection_names() if lost == "everything" else ["tasks", "_syncline_documents"]:
            stage.mongo[name].drop()
        if lost == "identity":
            stage.mongo["_syncline_documents"].insert_one({"_id": "link", "id": ObjectId(), "target": "another"})
        oplog.before = oplog.now()
        with pytest.raises(ForeignTargetError, match="another MongoDB"):
            await read(link, oplog)
        with contextlib.suppress(SourceError):
            await pumped(link, oplog)
        assert rows(stage) == {"1": "a"}


async def test_the_token_moves_on_while_nothing_happens_and_one_reader_works_at_a_time(stage):
    async with opened(stage.documents) as link:
        oplog, database = Oplog(stage), MarkedDatabase(link.database)
        await read(link, oplog)
        oplog.events += [event("create")] * 5
        await read(link, oplog)
        reader = await database.reader("one", 60)
        assert reader is not None
        assert reader.token == {"at": 5}
        assert await database.reader("two", 60) is None
        assert not await database.save("two", 60, Reader({"at": 9}))
        await database.reader("one", -1)  # it has been silent for too long
        assert (await database.reader("two", 60)).token == {"at": 5}
        assert not await database.save("one", 60, Reader({"at": 9}))


@pytest.mark.parametrize("seed", range(3))
async def test_random_writers_of_both_kinds_beside_a_reader_that_is_killed_end_equal(stage, seed):
    chance = random.Random(seed)
    async with opened(stage.documents) as link:
        bare, tasks, oplog = stage.mongo["tasks"], stage.collection("tasks"), Oplog(stage)
        await read(link, oplog)

        def write(number: int) -> None:
            where, new = {"_id": chance.randrange(3)}, {"$set": {"title": f"t{number}"}}
            kind = chance.randrange(8)
            if kind < 2:
                tasks.update_one(where, new, upsert=True)
            elif kind < 4:
                tasks.delete_one(where)
            elif kind == 4:
                tasks.replace_one(where, {"title": f"r{number}"}, upsert=True)
            elif kind < 7:
                bare.update_one({**where, "_sync.deleted": {"$exists": False}}, new)
            else:
                bare.delete_one({**where, "_sync.deleted": {"$exists": False}})

        for number in range(40):
            write(number)
            oplog.record()
            match chance.randrange(5):
                case 0:
                    await read(link, oplog)
                case 1:
                    await pumped(link, oplog)
                    oplog.record()
        await carried(link, oplog)
        assert rows(stage) == documents(stage)
        assert bare.count_documents({"_sync.mark": {"$exists": True}}) == 0


def test_a_standalone_has_no_change_streams_and_the_worker_says_what_to_do(stage):
    stage.file.write_text(stage.file.read_text().replace("[source]\n", "[source]\nwatch = true\n"))
    with pytest.raises(SourceError, match="it is a standalone") as refused:
        stage.work(lambda: False)
    assert "take `watch` out" in refused.value.hint


@pytest.mark.skipif(
    "SYNCLINE_TEST_MONGODB_URL" not in os.environ, reason="SYNCLINE_TEST_MONGODB_URL names no replica set"
)
async def test_events_of_a_replica_set_are_judged_as_those_written_by_hand():
    async with AsyncMongoClient(os.environ["SYNCLINE_TEST_MONGODB_URL"]) as client:
        database = client.get_database(f"t_{uuid4().hex[:12]}", codec_options=AS_STORED)
        bare, tasks = database["tasks"], wrap(database["tasks"])
        try:
            async with changes.opened(database, ["tasks"], None) as feed:
                await tasks.insert_one({"_id": 1})
                await bare.update_one({"_id": 1}, {"$set": {"a": 1}})
                await bare.update_one({"_id": 1}, {"$unset": {"_sync.mark": ""}})
                await tasks.update_one({"_id": 1}, {"$set": {"a": 2}})
                await tasks.delete_one({"_id": 1})
                await bare.delete_one({"_id": 1})
                await bare.drop()
                kinds: list[Kind] = []
                while LOST not in kinds:
                    if change := await feed.next():
                        kinds.append(change.kind)
                assert feed.token
            assert kinds == [NOTHING, MARKS, NOTHING, NOTHING, TOMBSTONE, GONE, LOST]
        finally:
            await client.drop_database(database.name)
