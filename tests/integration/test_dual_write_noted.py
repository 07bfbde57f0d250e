"""An update notes itself in its document, by the write that does it, until the audit log has it: whoever is killed where."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from bson import ObjectId
from pymongo import UpdateOne
from pymongo.asynchronous.database import AsyncDatabase

from syncline.config.documents import Documents
from syncline.config.dual_write import DualWriteSettings
from syncline.engines.mongo.document_writes import MongoDocumentWrites
from syncline.engines.mongo.intents import NAME, MongoIntentLog
from syncline.engines.mongo.marked_database import MarkedDatabase
from syncline.engines.mongo.noted import MOST
from syncline.errors import SourceUnavailableError
from syncline.phases import FixedPhases, Phase
from syncline.phases.dual_write import AsyncDualWriteService, acting_as, audit
from syncline.phases.dual_write.audit import AuditedWrites
from syncline.phases.dual_write.inline import InlinePart
from syncline.ports.document_writes import Action, Beside, Write
from syncline.ports.documents import Noted
from syncline.relay.documents.pump import DocumentPump
from tests.dual_write import DualStage, declared, dual_stage, unmarked, waiting  # noqa: F401  fixtures

CARRIED = DualWriteSettings(enabled=True, deadline=timedelta(seconds=20))
LEFT = DualWriteSettings(enabled=True, deadline=timedelta(0))


@pytest.fixture
def documents(mongo_url: str, mongo_db: str, database: str) -> Documents:
    return declared(mongo_url, mongo_db, database)


async def ours(stage: DualStage, id_: ObjectId) -> dict[str, Any]:
    found = await stage.database["tasks"].find_one({"_id": id_})
    return found["_sync"] if found else {}


async def logged(stage: DualStage) -> list[tuple[Any, ...]]:
    found = await stage.database[NAME].find({"action": "update"}).sort("_id", 1).to_list()
    return [(one["actor"], one["document_id"], one["fields"], one["outcome"]) for one in found]


async def updated(stage: DualStage, id_: ObjectId, actor: str) -> bool:
    """Update as a process does that is killed at once."""
    mark = stage.writes.new_mark()
    noted = Noted(mark, actor, ["n"], datetime.now(UTC))
    return await stage.writes.update_noted("tasks", Write(Action.UPDATE, id_, mark, {"n": 1}), noted) is not None


async def without_bulk_writes(service: AsyncDualWriteService) -> None:
    """Have MongoDB be one that writes into one collection by a command, as before 8.0."""
    writes = (await service._open()).writes
    assert isinstance(writes, MongoDocumentWrites)
    writes._writes_both = False


def pump(stage: DualStage) -> DocumentPump:
    return DocumentPump(stage.source, stage.rows(), ["tasks"], log=MongoIntentLog(stage.database))


@pytest.mark.parametrize(
    ("settings", "older"), [(CARRIED, False), (LEFT, False), (LEFT, True)], ids=["carried", "left", "left before 8.0"]
)
async def test_an_update_is_one_write_and_in_the_log_soon_after(stage, documents, settings, older):
    id_ = ObjectId()
    async with AsyncDualWriteService(documents, settings=settings) as service:
        if older:
            await without_bulk_writes(service)
        await service.create_document("tasks", {"title": "a"}, id_)
        if settings is LEFT:
            await pump(stage).walk()
        await unmarked(stage)
        with acting_as("ada"):
            assert await service.update_document("tasks", id_, {"n": 1})
        assert await service.update_document("tasks", id_, {"n": 2})
        async with asyncio.timeout(30):
            while [one[3] for one in await logged(stage)] != ["done"] * 2 or "log" in await ours(stage, id_):
                await asyncio.sleep(0.01)
    assert await logged(stage) == [("ada", id_, ["n"], "done"), (None, id_, ["n"], "done")]
    entries = await stage.database[NAME].find({"action": "update"}).to_list()
    assert {one["collection_name"] for one in entries} == {"tasks"}
    assert all(one["ended_at"] and one["at"] for one in entries)
    assert ("mark" in await ours(stage, id_)) == (settings is LEFT)
    assert (await stage.documents())[id_] == {"_id": id_, "title": "a", "n": 2}


async def test_of_updates_in_one_transaction_each_is_in_the_log_whatever_became_of_the_others(stage, documents):
    held, taken, refused = ObjectId(), ObjectId(), ObjectId()
    async with AsyncDualWriteService(documents, settings=replace(CARRIED, sessions=1)) as service:
        for id_, title in ((held, "a"), (taken, "b"), (refused, "c")):
            await service.create_document("tasks", {"title": title}, id_)
        parts = await service._open()
        assert (parts.counters.inline, parts.counters.left) == (3, 0)
        async with await psycopg.AsyncConnection.connect(stage.url) as other:
            await other.execute("SELECT FROM postgres_tasks WHERE mongo_id = %s FOR UPDATE", (str(held),))
            calls = [asyncio.create_task(service.update_document("tasks", held, {"n": 1}))]
            await waiting(stage, 1)
            for id_, fields in ((taken, {"n": 1}), (refused, {"title": "a"})):
                calls.append(asyncio.create_task(service.update_document("tasks", id_, fields)))
            async with asyncio.timeout(30):
                while len(parts.inline._jobs) < 2:
                    await asyncio.sleep(0.005)
        assert await asyncio.gather(*calls) == [True] * 3
        assert (parts.counters.inline, parts.counters.left) == (5, 1)
    assert {(one[1], one[3]) for one in await logged(stage)} == {(id_, "done") for id_ in (held, taken, refused)}


async def test_while_postgresql_is_down_an_update_is_one_command_and_asks_it_for_nothing(
    stage, mongo_url, mongo_db, monkeypatch
):
    command, ask, caller, did = AsyncDatabase.command, InlinePart._ask, asyncio.current_task(), []

    async def commanded(self, given, *args, **options):
        if asyncio.current_task() is caller:
            did.append(next(iter(given)))
        return await command(self, given, *args, **options)

    def asked(self, *args, **options):
        if asyncio.current_task() is caller:
            did.append("PostgreSQL")
        return ask(self, *args, **options)

    down = declared(mongo_url, mongo_db, "postgresql://nobody@127.0.0.1:9/none")
    async with AsyncDualWriteService(down, settings=CARRIED) as service:
        id_ = ObjectId()
        assert await service.create_document("tasks", {"title": "a"}, id_)
        monkeypatch.setattr(AsyncDatabase, "command", commanded)
        monkeypatch.setattr(InlinePart, "_ask", asked)
        for n in range(3):
            assert await service.update_document("tasks", id_, {"n": n})
    assert did == ["bulkWrite"] * 3
    assert (await ours(stage, id_)).get("mark")


async def test_who_clears_a_mark_writes_down_what_is_noted(stage):
    id_ = ObjectId()
    await stage.write(Action.CREATE, id_, title="a")
    await updated(stage, id_, "first")
    await updated(stage, id_, "second")
    await pump(stage).walk()
    assert await ours(stage, id_) == {"v": (await ours(stage, id_))["v"]}
    assert [(one[0], one[3]) for one in await logged(stage)] == [("first", "done"), ("second", "done")]


OVER = {
    "replaced": lambda stage, id_: stage.tasks.replace_one({"_id": id_}, {"title": "b"}),
    "found and replaced": lambda stage, id_: stage.tasks.find_one_and_replace({"_id": id_}, {"title": "b"}),
    "updated by operators": lambda stage, id_: stage.tasks.update_one({"_id": id_}, {"$set": {"title": "b"}}),
    "updated by a pipeline": lambda stage, id_: stage.tasks.update_one({"_id": id_}, [{"$project": {"title": 1}}]),
    "updated in a bulk": lambda stage, id_: stage.tasks.bulk_write([UpdateOne({"_id": id_}, {"$inc": {"n": 1}})]),
    "updated in a batch": lambda stage, id_: stage.writes.write_many(
        "tasks", [Write(Action.UPDATE, id_, stage.writes.new_mark(), {"n": 5})]
    ),
    "deleted": lambda stage, id_: stage.tasks.delete_one({"_id": id_}),
    "deleted by the service": lambda stage, id_: stage.write(Action.DELETE, id_),
    "marked anew": lambda stage, _: stage.source.mark_all("tasks"),
}


@pytest.mark.parametrize("over", OVER)
async def test_whoever_writes_over_it_keeps_what_is_noted(stage, over):
    id_ = ObjectId()
    await stage.write(Action.CREATE, id_, title="a")
    await updated(stage, id_, "killed")
    await OVER[over](stage, id_)
    assert len((await ours(stage, id_))["log"]) == 1
    await pump(stage).walk()
    assert await logged(stage) == [("killed", id_, ["n"], "done")]
    assert await stage.marks() == 0
    assert await stage.there() == await stage.documents()


async def test_a_tombstone_that_gives_way_hands_on_what_is_noted(stage):
    id_ = ObjectId()
    await stage.write(Action.CREATE, id_, title="a")
    await updated(stage, id_, "killed")
    await stage.write(Action.DELETE, id_)
    await stage.tasks.insert_one({"_id": id_, "title": "again"})
    await stage.write(Action.UPDATE, id_, n=3)
    await pump(stage).walk()
    assert await logged(stage) == [("killed", id_, ["n"], "done")]
    assert await stage.documents() == {id_: {"_id": id_, "title": "again", "n": 3}} == await stage.there()


@pytest.mark.parametrize("action", [Action.UPDATE, Action.DELETE])
async def test_who_has_not_read_what_is_noted_leaves_the_mark(stage, action):
    id_ = ObjectId()
    await stage.write(Action.CREATE, id_, title="a")
    await updated(stage, id_, "killed")
    written = await stage.written(action, id_)
    await stage.source.clear("tasks", [replace(written, noted=())])
    assert await stage.marks() == 1
    await pump(stage).walk()
    assert await stage.marks() == 0
    assert await logged(stage) == [("killed", id_, ["n"], "done")]


async def test_a_process_takes_out_its_own_and_no_other(stage):
    id_ = ObjectId()
    await stage.write(Action.CREATE, id_, title="a")
    audited = AuditedWrites(stage.writes, MongoIntentLog(stage.database), {})
    with acting_as("ada"):
        written = await audited.write_carried("tasks", Write(Action.UPDATE, id_, stage.writes.new_mark(), {"n": 2}))
    assert written is not None
    await updated(stage, id_, "killed")
    audited.enter("tasks", written)
    await audited.close()
    assert [one["actor"] for one in (await ours(stage, id_))["log"]] == ["killed"]
    assert [one[0] for one in await logged(stage)] == ["ada"]
    assert await stage.marks() == 1


async def test_a_document_that_is_full_is_written_after_the_log(stage, documents):
    id_ = ObjectId()
    await stage.write(Action.CREATE, id_, title="a")
    for number in range(MOST):
        assert await updated(stage, id_, str(number))
    assert not await updated(stage, id_, "one too many")
    async with AsyncDualWriteService(documents, settings=LEFT) as service:
        await without_bulk_writes(service)
        with acting_as("ada"):
            assert await service.update_document("tasks", id_, {"n": 2})
    assert "log" not in await ours(stage, id_)
    entries = await logged(stage)
    assert [one[0] for one in entries] == [*map(str, range(MOST)), "ada"]
    assert {one[3] for one in entries} == {"done"}


@pytest.mark.parametrize("settings", [CARRIED, LEFT], ids=["carried", "left"])
@pytest.mark.parametrize(
    ("fields", "refused"),
    [({"": 1}, None), ({"title": "taken"}, "refused"), ({"a": {"$x": {"b.c": 1}}}, None), ({"a": ObjectId()}, None)],
)
async def test_what_is_odd_is_done_or_refused_as_ever(stage, documents, settings, fields, refused):
    await stage.database["tasks"].create_index(
        "title", unique=True, partialFilterExpression={"title": {"$exists": True}}
    )
    id_ = ObjectId()
    await stage.write(Action.CREATE, ObjectId(), title="taken")
    await stage.write(Action.CREATE, id_, n=1)
    async with AsyncDualWriteService(documents, settings=settings) as service:
        if refused:
            with pytest.raises(Exception, match="taken"):
                await service.update_document("tasks", id_, fields)
        else:
            assert await service.update_document("tasks", id_, fields)
    expected = {"_id": id_, "n": 1} if refused else {"_id": id_, "n": 1, **fields}
    found = await stage.database["tasks"].find_one({"_id": id_}, {"_sync": 0})
    assert found == expected
    assert [one[3] for one in await logged(stage)] == [refused or "done"]


async def test_a_version_that_no_clock_gave_is_drawn(stage, documents):
    id_ = ObjectId()
    await stage.tasks.insert_one({"_id": id_, "title": "a"})
    async with AsyncDualWriteService(documents, settings=CARRIED) as service:
        assert await service.update_document("tasks", id_, {"n": 1})
        assert await stage.there() == await stage.documents()
    assert await logged(stage) == [(None, id_, ["n"], "done")]


async def test_of_an_update_of_which_mongodb_says_nothing_the_log_says_that_it_is_open(stage, documents, monkeypatch):
    id_ = ObjectId()
    await stage.write(Action.CREATE, id_, title="a")

    async def lost(*_: Any) -> bool:
        raise SourceUnavailableError("gone")

    async with AsyncDualWriteService(documents, settings=LEFT) as service:
        await without_bulk_writes(service)
        parts = await service._open()
        monkeypatch.setattr(parts.writes, "update_noted", lost)
        with pytest.raises(SourceUnavailableError):
            await service.update_document("tasks", id_, {"n": 1})
    assert await logged(stage) == [(None, id_, ["n"], "open")]


async def test_a_log_that_is_not_written_leaves_what_is_noted(stage, documents, monkeypatch):
    id_ = ObjectId()
    await stage.write(Action.CREATE, id_, title="a")

    async def lost(*_: Any, **__: Any) -> None:
        raise SourceUnavailableError("gone")

    monkeypatch.setattr(MongoIntentLog, "enter", lost)
    async with AsyncDualWriteService(documents, settings=LEFT) as service:
        await without_bulk_writes(service)
        assert await service.update_document("tasks", id_, {"n": 1})
    assert len((await ours(stage, id_))["log"]) == 1


ONE_BY_ONE = {
    "written": lambda stage, write: stage.writes.write("tasks", write),
    "noted": lambda stage, write: stage.writes.update_noted(
        "tasks", write, Noted(write.mark, None, ["n"], datetime.now(UTC))
    ),
    "behind": lambda stage, write: stage.writes.write_behind("tasks", write, Beside("beside", {"_id": write.mark})),
}


@pytest.mark.parametrize("way", ONE_BY_ONE)
@pytest.mark.parametrize("action", [Action.UPDATE, Action.DELETE])
async def test_what_is_no_document_any_more_is_left_as_it_is(stage, way, action):
    if way == "noted" and action is Action.DELETE:
        pytest.skip("updates alone are noted")
    id_ = ObjectId()
    await stage.write(Action.CREATE, id_, title="a")
    await stage.write(Action.DELETE, id_)
    before = await stage.database["tasks"].find().to_list()
    for one in (id_, ObjectId()):
        assert not await ONE_BY_ONE[way](stage, Write(action, one, stage.writes.new_mark(), {"n": 1}))
    assert await stage.database["tasks"].find().to_list() == before


async def test_a_write_that_a_gate_has_refused_is_sent_again_with_what_is_in_the_log(stage):
    id_, beside = ObjectId(), Beside("beside", {"_id": 1})
    await stage.write(Action.CREATE, id_, title="a")
    for number in (1, 2):
        assert await stage.writes.write_behind(
            "tasks", Write(Action.UPDATE, id_, stage.writes.new_mark(), {"n": number}), beside
        )
    assert (await stage.documents())[id_]["n"] == 2
    assert await stage.database["beside"].find().to_list() == [{"_id": 1}]


async def test_an_erasure_writes_down_what_is_noted_first(stage, documents):
    id_ = ObjectId()
    await stage.write(Action.CREATE, id_, title="a")
    await updated(stage, id_, "killed")
    async with AsyncDualWriteService(documents, phases=FixedPhases(Phase.OFF), settings=LEFT) as service:
        assert await service.update_document("tasks", id_, {"n": 2})
        assert await service.delete_document("tasks", id_)
        assert not await service.delete_document("tasks", id_)
    assert await ours(stage, id_) == {}
    assert [one[0] for one in await logged(stage)] == ["killed", None]


async def test_a_collection_that_is_given_up_writes_down_what_is_noted(stage):
    id_ = ObjectId()
    await stage.write(Action.CREATE, id_, title="a")
    await updated(stage, id_, "killed")
    assert await MarkedDatabase(stage.database).forget_marks("tasks") == 1
    assert await logged(stage) == [("killed", id_, ["n"], "done")]


async def test_a_cancelled_update_is_open_or_done(stage, documents, monkeypatch):
    monkeypatch.setattr(audit, "_TOGETHER_SECONDS", 0)
    ids = [ObjectId() for _ in range(4)]
    for id_ in ids:
        await stage.write(Action.CREATE, id_, title=str(id_))
    async with AsyncDualWriteService(documents, settings=LEFT) as service:
        await service._open()
        for id_, steps in zip(ids, (1, 4, 40, 400), strict=True):
            calling = asyncio.create_task(service.update_document("tasks", id_, {"n": 1}))
            for _ in range(steps):
                await asyncio.sleep(0)
            while not calling.done():
                calling.cancel()
                await asyncio.sleep(0)
            await asyncio.gather(calling, return_exceptions=True)
    before = await stage.documents()
    await pump(stage).walk()
    entries, after = await logged(stage), await stage.documents()
    for id_ in ids:
        outcomes = [one[3] for one in entries if one[1] == id_]
        assert outcomes in ([], ["open"], ["done"])
        if "n" in before[id_]:
            assert outcomes == ["done"]
        elif "n" not in after[id_]:
            assert outcomes != ["done"]
