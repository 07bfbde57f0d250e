"""The audit log of the dual write service: nothing is done that was not written down, whoever is killed where."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import random
import signal
from collections.abc import Iterator
from datetime import timedelta
from multiprocessing.connection import Connection
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from bson import Binary, ObjectId
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

from syncline.capture.documents import wrap
from syncline.config.documents import Documents
from syncline.config.dual_write import DualWriteSettings
from syncline.documents.opening import opened
from syncline.documents.settling import concluded, settle_intents
from syncline.engines.mongo.document_writes import MongoDocumentWrites
from syncline.engines.mongo.intents import NAME, MongoIntentLog
from syncline.engines.postgres.documents.definitions import schema
from syncline.errors import RefusedDocumentError
from syncline.model.documents import Collection, DocumentMapping
from syncline.phases import FixedPhases, Phase
from syncline.phases.dual_write import AsyncEnhancedDualWriteService, AuditRule, acting_as, audit
from syncline.phases.dual_write.audit import AuditedWrites
from syncline.ports.document_writes import Action, Existing, Intent, IntentEnd, OpenIntent, Write
from syncline.ports.documents import Standing
from syncline.relay.documents.pump import DocumentPump
from tests.dual_write import TASKS, DualStage, declared, dual_stage  # noqa: F401  fixtures
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS

PATIENT = DualWriteSettings(enabled=True, deadline=timedelta(seconds=20))
NOW = timedelta(0)


@pytest.fixture
def documents(mongo_url: str, mongo_db: str, database: str) -> Documents:
    return declared(mongo_url, mongo_db, database)


async def logged(stage: DualStage) -> list[dict[str, Any]]:
    return await stage.database[NAME].find().sort("_id", 1).to_list()


@pytest.mark.parametrize("way", ["carried in the call", "left to the worker", "of a MongoDB without bulkWrite"])
async def test_each_operation_is_there_with_who_what_and_what_became_of_it(stage, documents, monkeypatch, way):
    command, commands = AsyncDatabase.command, []

    async def without(self, given, *args, **options):
        commands.append(next(iter(given)) if isinstance(given, dict) else given)
        if commands[-1] == "bulkWrite" and "without" in way:
            raise OperationFailure("no such command: 'bulkWrite'", 59)
        return await command(self, given, *args, **options)

    monkeypatch.setattr(AsyncDatabase, "command", without)
    id_ = ObjectId()
    settings = PATIENT if "call" in way else DualWriteSettings(enabled=True, deadline=timedelta(0))
    async with AsyncEnhancedDualWriteService(documents, settings=settings) as service:
        with acting_as("ada"):
            await service.create_document("tasks", {"title": "secret"}, id_)
            await service.create_document("tasks", {"title": "b"}, id_)
        with pytest.raises(RefusedDocumentError):
            await service.update_document("tasks", id_, {"n": 2**70})
        await service.batch_operations(
            [{"collection_name": "tasks", "operation": "delete", "mongo_id": one} for one in (id_, ObjectId())]
        )
    found = await logged(stage)
    assert [(one["action"], one["actor"], one["outcome"]) for one in found] == [
        ("create", "ada", "done"),
        ("create", "ada", "not done"),
        ("update", None, "refused"),
        ("delete", None, "done"),
        ("delete", None, "not done"),
    ]
    assert {(one["collection_name"], one["document_id"]) for one in found[:4]} == {("tasks", id_)}
    assert found[0]["fields"] == ["title"]
    assert "secret" not in str(found)
    assert commands.count("bulkWrite") == {"c": 0, "l": 2, "o": 1}[way[0]], "one that cannot be encoded goes alone"


async def test_an_operation_on_a_uuid_or_on_no_key_at_all_keeps_none_back_that_is_behind_it(stage, mongo_url, mongo_db):
    mapping = DocumentMapping(Collection("teams", id="uuid"))
    with psycopg.connect(stage.url, autocommit=True) as connection:
        for statement in schema([mapping]):
            connection.execute(statement)
    teams = wrap(stage.database["teams"])
    await teams.prepare_marks()
    address, _, query = mongo_url.partition("?")
    urls = {"source": f"{address.rstrip('/')}/{mongo_db}?{query}", "target": stage.url}
    async with opened(Documents((mapping, TASKS), None, urls)) as link:
        await link.rows.prepare()
        log, team, task = MongoIntentLog(link.database), Binary(uuid4().bytes, 4), ObjectId()
        written = await stage.writes.write(
            "teams", Write(Action.CREATE, team, mark := stage.writes.new_mark(), {"n": 1})
        )
        assert written is not None
        intents = [("teams", team), ("teams", "no UUID"), ("tasks", task)]
        marks = [mark, stage.writes.new_mark(), stage.writes.new_mark()]
        await log.begin(
            [Intent(one, None, Action.CREATE, name, id_, ()) for one, (name, id_) in zip(marks, intents, strict=True)]
        )
        counts = await settle_intents(link, older=NOW)
        outcomes = {str(one["_id"]): one["outcome"] async for one in link.database[NAME].find()}
        assert [outcomes[one] for one in marks] == ["done", "unknown", "not done"]
        assert await settle_intents(link, older=NOW) == dict.fromkeys(counts, 0)


async def test_values_are_kept_where_they_are_declared_but_for_those_that_are_masked(stage, documents):
    id_ = ObjectId()
    rules = {"tasks": AuditRule(values=True, masked=frozenset({"title"}))}
    async with AsyncEnhancedDualWriteService(documents, settings=PATIENT, audit=rules) as service:
        await service.create_document("tasks", {"title": "a", "n": 1}, id_)
        await asyncio.gather(*(service.update_document("tasks", id_, {"n": n}) for n in range(2, 8)))
        assert await service.batch_operations([{"collection_name": "tasks", "operation": "delete", "mongo_id": id_}])
        assert not await service.update_document("tasks", id_, {"n": 9})
    found = await logged(stage)
    updates = [one for one in found if one["action"] == "update" and one["outcome"] == "done"]
    assert sorted(one["after"]["n"] for one in updates) == list(range(2, 8))
    befores = [one["before"]["n"] for one in updates] + [found[-2]["before"]["n"]]
    assert sorted(befores) == list(range(1, 8)), "each has what it wrote over, and no two the same"
    assert {one["before"]["title"] for one in updates} == {"***"}
    assert [one.get("before") for one in (found[0], found[-1])] == [None, None]
    assert found[-1]["outcome"] == "not done"


async def test_what_nobody_has_ended_is_found_out_by_both_sides_evidence(stage, documents):
    log = MongoIntentLog(stage.database)
    service = AsyncEnhancedDualWriteService(documents, settings=DualWriteSettings(enabled=True, deadline=timedelta(0)))
    seen, carried, written_over, never = (ObjectId() for _ in range(4))
    async with service:
        for id_ in (seen, carried, written_over):
            await service.create_document("tasks", {}, id_)
        await stage.pump().walk()
        for id_, number in ((seen, 1), (written_over, 1), (written_over, 2)):
            update = {"collection_name": "tasks", "operation": "update", "mongo_id": id_, "data": {"n": number}}
            assert await service.batch_operations([update])
        await stage.write(Action.DELETE, carried)
    await stage.database[NAME].update_many({}, {"$set": {"outcome": "open"}})
    mark = stage.writes.new_mark()
    await log.begin([Intent(mark, None, Action.CREATE, "tasks", never, ())])
    async with opened(documents) as link:
        counts = await settle_intents(link, older=NOW)
    outcomes: dict[ObjectId, list[str]] = {}
    for one in await logged(stage):
        outcomes.setdefault(one["document_id"], []).append(one["outcome"])
    assert outcomes == {
        seen: ["done", "done"],
        carried: ["done"],
        written_over: ["done", "unknown", "done"],
        never: ["not done"],
    }
    assert counts[IntentEnd.OPEN] == 0
    assert await log.open(NOW, 10) == []


@pytest.mark.parametrize(
    ("standing", "kept", "end"),
    [
        (Standing("m", adopted=True, deleted=False, version=50), None, IntentEnd.DONE),
        (Standing(None, adopted=True, deleted=False, version=50), (50, "m"), IntentEnd.DONE),
        (None, (50, "m"), IntentEnd.DONE),
        (None, None, IntentEnd.NOT_DONE),
        (Standing(None, adopted=True, deleted=False, version=99), (99, "o"), IntentEnd.NOT_DONE),
        (Standing("o", adopted=True, deleted=False, version=100), None, IntentEnd.UNKNOWN),
        (None, (120, "o"), IntentEnd.UNKNOWN),
        (Standing(None, adopted=False, deleted=False, version=-1), None, IntentEnd.NOT_DONE),
    ],
)
def test_marks_prove_and_versions_exclude(standing, kept, end):
    assert concluded(OpenIntent("m", "tasks", 1, 100, Action.UPDATE), standing, kept) is end


@pytest.mark.parametrize(
    ("standing", "end"),
    [
        (None, IntentEnd.UNKNOWN),
        (Standing(None, adopted=True, deleted=False, version=99), IntentEnd.NOT_DONE),
        (Standing("m", adopted=True, deleted=True, version=100), IntentEnd.DONE),
    ],
)
def test_a_delete_of_which_nothing_is_left_is_not_said_not_to_be_done(standing, end):
    assert concluded(OpenIntent("m", "tasks", 1, 100, Action.DELETE), standing, (50, "o")) is end


class Forestalled(MongoDocumentWrites):
    """Writes of which somebody else's come first: after each reading they write the document, or create it."""

    async def existing(self, collection: str, id_: Any) -> Existing | None:
        found = await super().existing(collection, id_)
        action = Action.UPDATE if found else Action.CREATE
        assert await self.write(collection, Write(action, id_, self.new_mark(), {"n": "theirs"}))
        return found


KEPT = {"tasks": AuditRule(values=True)}


@pytest.mark.parametrize("way", ["update", "delete", "erase"])
async def test_what_was_not_there_when_it_was_read_is_not_written_over(stage, way):
    writes, id_ = Forestalled(stage.database), ObjectId()
    audited = AuditedWrites(writes, MongoIntentLog(stage.database), KEPT)
    assert not await written(audited, way, id_)
    await audited.close()
    found = await MongoDocumentWrites(stage.database).existing("tasks", id_)
    assert found is not None
    assert found.fields["n"] == "theirs"
    assert [(one["outcome"], one.get("before")) for one in await logged(stage)] == [("not done", None)]


@pytest.mark.parametrize("way", ["update", "delete", "erase"])
async def test_who_is_forestalled_every_time_is_told_so(stage, way, monkeypatch):
    monkeypatch.setattr(audit, "_TRIES", 3)
    writes, id_ = Forestalled(stage.database), ObjectId()
    await stage.write(Action.CREATE, id_, n="first")
    audited = AuditedWrites(writes, MongoIntentLog(stage.database), KEPT)
    with pytest.raises(RefusedDocumentError, match="3 times"):
        await written(audited, way, id_)
    await audited.close()
    assert await stage.writes.existing("tasks", id_) is not None
    (entry,) = await logged(stage)
    assert (entry["outcome"], "3 times" in entry["reason"]) == ("not done", True)


async def written(audited: AuditedWrites, way: str, id_: ObjectId) -> Any:
    action = Action.UPDATE if way == "update" else Action.DELETE
    write = Write(action, id_, str(ObjectId()), {"n": "ours"} if way == "update" else {})
    return await (audited.erase("tasks", write) if way == "erase" else audited.write("tasks", write))


async def test_a_delete_in_off_keeps_what_it_deleted_and_leaves_nothing_to_conclude_from(stage, documents):
    id_ = ObjectId()
    service = AsyncEnhancedDualWriteService(documents, phases=FixedPhases(Phase.OFF), settings=PATIENT, audit=KEPT)
    async with service:
        await service.create_document("tasks", {"n": 1}, id_)
        assert await service.delete_document("tasks", id_)
        assert not await service.delete_document("tasks", id_)
    deletes = [one for one in await logged(stage) if one["action"] == "delete"]
    told = [(one["outcome"], one.get("before")) for one in deletes]
    assert told == [("done", {"_id": id_, "n": 1}), ("not done", None)]
    await stage.database[NAME].update_many({"action": "delete"}, {"$set": {"outcome": "open"}})
    async with opened(documents) as link:
        await settle_intents(link, older=NOW)
    assert [one["outcome"] for one in await logged(stage)] == ["done", "unknown", "unknown"]


async def test_who_finds_a_mark_says_that_its_operation_was_done(stage):
    log = MongoIntentLog(stage.database)
    mark, id_ = stage.writes.new_mark(), ObjectId()
    await log.begin([Intent(mark, "ada", Action.CREATE, "tasks", id_, ())])
    await stage.writes.write("tasks", Write(Action.CREATE, id_, mark, {}))
    await DocumentPump(stage.source, stage.rows(), ["tasks"], log=log).walk()
    assert [(one["actor"], one["outcome"]) for one in await logged(stage)] == [("ada", "done")]
    await log.end({mark: (IntentEnd.UNKNOWN, None)})
    assert [one["outcome"] for one in await logged(stage)] == ["done"]


def _work(documents: Documents, seed: int, told: Connection) -> None:
    """Write and write, and tell of each operation that was acknowledged; somebody kills this process."""

    async def work() -> None:
        rules = {"tasks": AuditRule(values=seed % 2 == 0)}
        settings = (
            PATIENT if seed % 4 != 1 else DualWriteSettings(enabled=True, deadline=timedelta(0))
        )  # left to the worker
        ids = [ObjectId() for _ in range(3)]
        async with AsyncEnhancedDualWriteService(documents, settings=settings, audit=rules) as service:
            with acting_as(str(seed)):
                for number in range(10_000):
                    id_ = ids[number % len(ids)]
                    done = await service.create_document("tasks", {"n": number}, id_)
                    done = done or await service.update_document("tasks", id_, {"n": number})
                    told.send((id_, number, done))
                    if number % 7 == 6:
                        await service.delete_document("tasks", id_)

    asyncio.run(work())


async def test_20_kills_lose_no_operation_and_leave_none_open(stage, documents):
    chance = random.Random(5)
    acknowledged: list[tuple[str, ObjectId, int]] = []
    fork = multiprocessing.get_context("fork")
    for group in range(5):
        children = []
        for place in range(4):
            ours, theirs = fork.Pipe(duplex=False)
            child = fork.Process(target=_work, args=(documents, group * 4 + place, theirs), daemon=True)
            child.start()
            theirs.close()
            children.append((child, ours, str(group * 4 + place)))
        for child, ours, actor in children:
            assert await asyncio.to_thread(ours.poll, 60)
            await asyncio.sleep(chance.uniform(0, 0.03))
            assert child.pid is not None
            os.kill(child.pid, signal.SIGKILL)
            await asyncio.to_thread(child.join)
            for id_, number, done in _rest(ours):
                assert done
                acknowledged.append((actor, id_, number))
    async with opened(documents) as link, asyncio.timeout(60):
        pump = DocumentPump(link.source, link.rows, ["tasks"], log=MongoIntentLog(link.database))
        while (await pump.walk()).moved or await stage.there() != await stage.documents():
            await asyncio.sleep(0.1)  # servers may still do what those who were killed had sent
        await settle_intents(link, older=NOW)
    found = await logged(stage)
    assert [one for one in found if one["outcome"] == "open"] == []
    done = {(one["actor"], one["document_id"]) for one in found if one["outcome"] in ("done", "unknown")}
    assert {(actor, id_) for actor, id_, _ in acknowledged} <= done
    surely: dict[str, int] = {}
    for one in found:
        if one["action"] in ("create", "update") and one["outcome"] == "done":
            surely[one["actor"]] = surely.get(one["actor"], 0) + 1
    for actor in {one["actor"] for one in found}:
        told = sum(one[0] == actor for one in acknowledged)
        assert surely.get(actor, 0) <= told + 1, "one may be done and not acknowledged"
    assert len({actor for actor, _, _ in acknowledged}) == 20
    assert await stage.there() == await stage.documents()


def _rest(told: Connection) -> Iterator[Any]:
    with contextlib.suppress(EOFError, OSError):
        while told.poll(0):
            yield told.recv()
