"""The dual write service, blocking and asynchronous: its answers, its batches, and what it tells of documents."""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from bson import Int64, ObjectId
from pymongo import AsyncMongoClient, MongoClient

from syncline.capture.documents import wrap
from syncline.capture.documents.field import FLOOR
from syncline.config.documents import Documents
from syncline.config.dual_write import DualWriteSettings
from syncline.engines.mongo.document_writes import MongoDocumentWrites
from syncline.engines.mongo.intents import NAME
from syncline.engines.postgres.documents.one_trip import OneTrip
from syncline.errors import KeyFormatError, OperationError, PhaseError, SourceUnavailableError
from syncline.phases import FixedPhases
from syncline.phases.document_standings import DocumentStandings
from syncline.phases.dual_write import AsyncEnhancedDualWriteService, EnhancedDualWriteService, SyncStatus
from syncline.phases.dual_write.background import Background
from tests.dual_write import DualStage, declared, dual_stage, unmarked  # noqa: F401  fixtures
from tests.mongo_commands import Commands
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS

NOBODY = "postgresql://nobody@127.0.0.1:9/none"
PATIENT = DualWriteSettings(enabled=True, deadline=timedelta(seconds=20))
"""What is tested here is not how fast a machine is."""


@pytest.fixture(name="declared")
def declared_here(mongo_url: str, mongo_db: str, database: str) -> Callable[..., Documents]:
    return lambda target=database: declared(mongo_url, mongo_db, target)


@pytest.fixture
async def service(stage: DualStage, declared: Callable[..., Documents]) -> AsyncIterator[AsyncEnhancedDualWriteService]:
    async with AsyncEnhancedDualWriteService(declared(), settings=PATIENT) as made:
        yield made


async def test_a_document_is_created_merged_and_deleted_on_both_sides(stage, service):
    id_ = str(ObjectId())
    assert (
        await service.create_document("tasks", {"title": "a", "n": 1, "labels": ["x"], "more": {"a": 1}}, id_) is True
    )
    assert await service.update_document("tasks", id_, {"n": 2, "more": {"b": 2}}) is True
    expected = {"_id": ObjectId(id_), "title": "a", "n": 2, "labels": ["x"], "more": {"b": 2}}
    assert await stage.there() == {ObjectId(id_): expected} == await stage.documents()
    assert await service.get_sync_status("tasks", id_) == "SYNCED"
    assert await service.delete_document("tasks", ObjectId(id_)) is True
    assert await stage.there() == {} == await stage.documents()


async def test_nothing_is_written_where_there_is_one_or_none(stage, service):
    id_ = str(ObjectId())
    assert await service.update_document("tasks", id_, {"n": 1}) is False
    assert await service.delete_document("tasks", id_) is False
    assert await service.create_document("tasks", {"n": 1}, id_) is True
    assert await service.create_document("tasks", {"n": 2}, id_) is False
    assert await stage.documents() == {ObjectId(id_): {"_id": ObjectId(id_), "n": 1}} == await stage.there()
    assert await service.get_sync_status("tasks", str(ObjectId())) is None
    gone = ObjectId()  # a tombstone that was carried, and stays for a while
    await stage.database["tasks"].insert_one({"_id": gone, "_sync": {"v": Int64(FLOOR), "deleted": True}})
    assert await service.get_sync_status("tasks", gone) is None


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda one: one.create_document("nothing", {}, ObjectId()), OperationError, "declared: tasks"),
        (lambda one: one.create_document("tasks", {}, "abc"), KeyFormatError, "24 hexadecimal digits"),
        (lambda one: one.create_document("tasks", {"_id": ObjectId()}, ObjectId()), OperationError, "leave _id out"),
        (lambda one: one.create_document("tasks", [1], ObjectId()), OperationError, "no dictionary"),
        (lambda one: one.update_document("tasks", ObjectId(), {"more.a": 1}), OperationError, "whole of 'more'"),
        (lambda one: one.update_document("tasks", ObjectId(), {"$set": {"n": 1}}), OperationError, "whole fields"),
        (lambda one: one.batch_operations([{"operation": "upsert"}]), OperationError, "operation 0: .*'upsert'"),
        (lambda one: one.batch_operations(["x"]), OperationError, "operation 0"),
        (lambda one: one.batch_operations([{"operation": "create", "collection": "tasks"}]), OperationError, "'coll"),
        (lambda one: one.retry_failed(None, ObjectId()), OperationError, "collection_name"),
    ],
)
async def test_what_no_document_can_take_is_refused_before_anything_is_written(stage, service, call, error, said):
    with pytest.raises(error) as raised:
        await call(service)
    assert re.search(said, f"{raised.value} {raised.value.hint}")
    assert await stage.documents() == {}


async def test_a_batch_is_true_when_all_is_done_and_tells_of_each(stage, service):
    kept, gone, new, missing = (str(ObjectId()) for _ in range(4))
    for id_ in (kept, gone):
        await service.create_document("tasks", {"title": id_}, id_)
    given = [
        {"collection_name": "tasks", "operation": "create", "mongo_id": new, "data": {"title": "new"}},
        {"collection_name": "tasks", "operation": "update", "mongo_id": new, "data": {"n": 1}},
        {"collection_name": "tasks", "operation": "update", "mongo_id": kept, "data": {"n": 2}},
        {"collection_name": "tasks", "operation": "delete", "mongo_id": gone},
    ]
    done = await service.batch_operations(given)
    assert done
    assert [(one.done, one.synced) for one in done.results[1:]] == [(True, True)] * 3
    assert await stage.there() == await stage.documents()
    assert sorted(one["title"] for one in (await stage.documents()).values()) == sorted([kept, "new"])
    half = await service.batch_operations(
        [
            {"collection_name": "tasks", "operation": "create", "mongo_id": kept, "data": {}},
            {"collection_name": "tasks", "operation": "update", "mongo_id": missing, "data": {"n": 1}},
            {"collection_name": "tasks", "operation": "update", "mongo_id": new, "data": {"n": 7}},
        ]
    )
    assert not half
    assert [bool(one) for one in half.results] == [False, False, True]
    assert await stage.there() == await stage.documents()
    assert await service.batch_operations([])


async def test_a_batch_that_is_cut_off_tells_what_was_done(stage, service, monkeypatch):
    first, second = (str(ObjectId()) for _ in range(2))
    plain, rounds = MongoDocumentWrites.write_many, []

    async def cut_off(self, collection, writes):
        rounds.append(writes)
        if len(rounds) % 2 == 0:
            raise SourceUnavailableError("MongoDB is away")
        return await plain(self, collection, writes)

    monkeypatch.setattr(MongoDocumentWrites, "write_many", cut_off)
    make = {"collection_name": "tasks", "operation": "create"}
    update = {"collection_name": "tasks", "operation": "update", "data": {"n": 1}}
    given = [
        {**make, "mongo_id": first, "data": {"title": "a"}},
        {**update, "mongo_id": first},
        {**update, "mongo_id": first, "data": {"n": 2}},
        {**make, "mongo_id": second, "data": {"title": "b"}},
    ]
    done = await service.batch_operations(given)
    assert not done
    assert [(one.done, one.synced, one.error) for one in done.results] == [
        (True, True, None),
        (False, False, "MongoDB is away"),
        (False, False, "MongoDB is away"),
        (True, True, None),
    ]
    assert await stage.there() == await stage.documents()
    rounds.append(None)
    with pytest.raises(SourceUnavailableError):
        await service.batch_operations([{**update, "mongo_id": first}])


async def quiet(stage: DualStage) -> None:
    """Wait for what goes on behind calls."""
    await unmarked(stage)
    async with asyncio.timeout(30):
        while await stage.database[NAME].count_documents({"outcome": "open"}):
            await asyncio.sleep(0.005)


async def test_a_hundred_operations_are_one_bulk_write_and_one_transaction(stage, declared, monkeypatch):
    commands = Commands()
    monkeypatch.setattr(
        "syncline.documents.opening.AsyncMongoClient",
        lambda *args, **options: AsyncMongoClient(*args, **options, event_listeners=[commands]),
    )
    executed: list[str] = []
    trips: list[int] = []
    plain, together = psycopg.AsyncConnection.execute, OneTrip.run

    async def execute(self: Any, query: Any, *args: Any, **options: Any) -> Any:
        executed.append(str(query))
        return await plain(self, query, *args, **options)

    async def run(self: OneTrip, statements: Any) -> bool:
        given = [*statements]
        executed.extend(str(statement) for statement, _ in given)
        trips.append(len(given))
        return await together(self, given)

    async with AsyncEnhancedDualWriteService(declared(), settings=PATIENT) as service:
        await service.create_document("tasks", {}, ObjectId())
        monkeypatch.setattr(psycopg.AsyncConnection, "execute", execute)
        monkeypatch.setattr(OneTrip, "run", run)
        counts = []
        for size in (2, 100):
            await quiet(stage)
            commands.names.clear()
            executed.clear()
            given = [
                {"collection_name": "tasks", "operation": "create", "mongo_id": ObjectId(), "data": {"labels": ["a"]}}
                for _ in range(size)
            ]
            assert await service.batch_operations(given)
            await quiet(stage)
            counts.append((commands.names.count("update"), commands.names.count("find"), len(executed)))
            assert sum("key_version AS k" in one and "INSERT" in one for one in executed) == 1
            assert trips[len(counts) - 1 :] == [len(executed)], "what is written goes in one round trip"
    assert counts[0] == counts[1]
    # Intents, then the bulk write between two reads; later outcomes, and the marks are cleared.
    assert counts[1][:2] == (4, 2)
    assert counts[1][2] <= 8
    assert len(await stage.there()) == 103


async def test_a_rejected_document_is_told_of_until_it_is_retried(stage, service, caplog):
    first, second = str(ObjectId()), str(ObjectId())
    await service.create_document("tasks", {"title": "taken"}, first)
    with caplog.at_level(logging.ERROR, logger="syncline.phases.dual_write"):
        assert await service.create_document("tasks", {"title": "taken"}, second) is True
    assert [one.levelname for one in caplog.records] == ["ERROR"]
    assert await service.get_sync_status("tasks", second) is SyncStatus.PENDING
    pump = stage.pump(attempts=2)
    with psycopg.connect(stage.url) as connection:
        connection.execute("UPDATE syncline_documents.rejected SET next_at = now()")
    await pump.walk()
    assert await service.get_sync_status("tasks", second) == "FAILED"
    [failure] = await service.get_sync_failures()
    assert (failure["collection"], failure["mongo_id"], failure["attempts"]) == ("tasks", second, 2)
    assert "duplicate key" in failure["error"]
    assert failure["when"] >= failure["since"]
    metadata = await service.get_sync_metadata("tasks", second)
    assert (metadata.attempts, metadata.last_sync_at) == (2, None)
    metrics = await service.get_sync_metrics()
    assert metrics["collections"]["tasks"] == {"phase": "dual_write", "pending": 0, "failed": 1, "lagSeconds": 0.0}
    await service.delete_document("tasks", first)
    assert await service.retry_failed("tasks", second) == 1
    await pump.walk()
    assert await service.get_sync_status("tasks", second) == "SYNCED"
    assert await service.get_sync_failures() == []


async def test_without_postgresql_all_is_written_and_pending(stage, declared):
    id_ = str(ObjectId())
    async with AsyncEnhancedDualWriteService(declared(NOBODY), settings=DualWriteSettings(enabled=True)) as service:
        assert await service.create_document("tasks", {"title": "a"}, id_)
        assert await service.update_document("tasks", id_, {"n": 1})
        assert await service.batch_operations(
            [{"collection_name": "tasks", "operation": "create", "mongo_id": str(ObjectId()), "data": {}}]
        )
        assert await service.get_sync_status("tasks", id_) == "PENDING"
        metrics = await service.get_sync_metrics()
    assert metrics["status"] == "degraded"
    assert metrics["databases"] == {"mongodb": "connected", "postgresql": "disconnected"}
    assert metrics["sync"]["queueSize"] == 2
    assert metrics["operations"] == {"written": 3, "refused": 0, "inline": 0, "left": 3}
    assert (await stage.pump().walk()).applied == 2
    assert await stage.there() == await stage.documents()


async def test_with_deadline_0_the_worker_writes(stage, declared):
    settings = DualWriteSettings(enabled=True, deadline=timedelta(0))
    async with AsyncEnhancedDualWriteService(declared(), settings=settings) as service:
        assert await service.create_document("tasks", {"title": "a"}, ObjectId())
        assert await stage.there() == {}
        await stage.pump().walk()
    assert await stage.there() == await stage.documents()


async def test_both_sides_versions_of_a_document_say_how_it_stands(stage, declared):
    """By it a shadow read tells a mismatch from what the worker has not carried yet."""
    id_, standings = str(ObjectId()), DocumentStandings(declared())

    async def stands() -> tuple[bool, bool, bool]:
        found = await standings.standing("tasks", id_)
        assert found is not None
        return found.truth is not None, found.other is not None, found.waiting

    assert await stands() == (False, False, False)
    settings = DualWriteSettings(enabled=True, deadline=timedelta(0))
    async with AsyncEnhancedDualWriteService(declared(), settings=settings) as service:
        await service.create_document("tasks", {"title": "a"}, id_)
        assert await stands() == (True, False, True)
        await stage.pump().walk()
        assert await stands() == (True, True, False)
        found = await standings.standing("tasks", id_)
        assert found.truth == found.other
        await service.delete_document("tasks", id_)
        assert await stands() == (False, True, True)
    await stage.database["tasks"].update_one({}, {"$unset": {"_sync": ""}})
    assert await stands() == (True, True, True)


async def test_in_off_mongodb_alone_is_written_and_a_delete_leaves_nothing(stage, declared):
    id_ = ObjectId()
    phases = FixedPhases("off")
    async with AsyncEnhancedDualWriteService(declared(), phases=phases, settings=PATIENT) as service:
        assert await service.create_document("tasks", {"title": "a"}, id_)
        assert await service.update_document("tasks", id_, {"n": 1})
        assert await stage.there() == {}
        assert await service.delete_document("tasks", id_)
        assert not await service.delete_document("tasks", id_)
        given = {"collection_name": "tasks", "operation": "create", "mongo_id": id_, "data": {}}
        assert await service.batch_operations([given, {**given, "operation": "delete"}])
    assert await stage.database["tasks"].count_documents({}) == 0


def test_a_service_that_is_switched_off_refuses_collections_that_are_written_to_both(declared):
    with pytest.raises(PhaseError, match="DUAL_WRITE_ENABLED") as raised:
        AsyncEnhancedDualWriteService(
            declared(), phases=FixedPhases("shadow"), settings=DualWriteSettings(enabled=False)
        )
    assert "syncline phase back tasks" in str(raised.value.hint)


@pytest.fixture
def blocking(mongo_url: str, mongo_db: str, database: str, declared: Callable[..., Documents]) -> Iterator[Any]:
    async def prepared() -> None:
        async with AsyncMongoClient(mongo_url) as client:
            stage = DualStage(client, mongo_db, database)
            await stage.prepare()
            await stage.close()

    asyncio.run(prepared())
    with EnhancedDualWriteService(declared(), settings=PATIENT) as service, MongoClient(mongo_url) as client:
        yield service, wrap(client[mongo_db]["tasks"])


def test_a_process_that_is_forked_opens_its_own_and_one_that_ends_without_closing_says_nothing(blocking, capfd):
    service, tasks = blocking
    assert service.create_document("tasks", {"title": "here"}, ObjectId())

    def twice() -> None:
        for _ in range(2):
            assert service.create_document("tasks", {}, ObjectId())

    child = multiprocessing.get_context("fork").Process(target=twice, daemon=True)
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert service.create_document("tasks", {"title": "here again"}, ObjectId())
    assert tasks.count_documents({}) == 4
    assert "pending" not in capfd.readouterr().err


def test_a_call_that_is_under_way_when_the_loop_is_closed_ends_with_an_error():
    background, begun, errors = Background(), threading.Event(), []

    async def never() -> None:
        begun.set()
        await asyncio.Event().wait()

    def call() -> None:
        try:
            background.run(never())
        except SourceUnavailableError as error:
            errors.append(error.message)

    caller = threading.Thread(target=call, daemon=True)
    caller.start()
    assert begun.wait(60)
    background.close()
    caller.join(60)
    assert errors == [
        "the service was closed while this call was under way; whether MongoDB has its write is not known"
    ]


def test_blocking_callers_have_the_same_service(blocking):
    service, tasks = blocking
    id_ = str(ObjectId())
    assert service.create_document("tasks", {"title": "a"}, id_) is True
    assert service.create_document("tasks", {"title": "b"}, id_) is False
    assert service.update_document("tasks", id_, {"n": 1}) is True
    assert service.get_sync_status("tasks", id_) == "SYNCED"
    assert service.get_sync_metadata("tasks", id_).last_sync_at is not None
    assert service.get_sync_failures() == []
    assert service.get_sync_metrics()["sync"]["failedEvents"] == 0
    assert service.retry_failed() == 0
    assert service.batch_operations([{"collection_name": "tasks", "operation": "delete", "mongo_id": id_}])
    assert tasks.count_documents({}) == 0
    with pytest.raises(OperationError):
        service.delete_document("nothing", id_)
