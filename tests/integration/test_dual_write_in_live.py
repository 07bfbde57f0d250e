"""The dual write service while PostgreSQL is the truth: it writes there, and MongoDB gets it by the way back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import pytest
from bson import ObjectId
from pymongo import AsyncMongoClient

from syncline.config.documents import Documents
from syncline.config.settings import WorkerSettings
from syncline.documents.installing import install, plan
from syncline.documents.opening import opened
from syncline.engines.postgres.documents.row_states import RowStates
from syncline.engines.postgres.target.lent import TargetConnection
from syncline.errors import NotInstalledError, RefusedDocumentError, TargetUnavailableError
from syncline.phases import FixedPhases, Phase
from syncline.phases.dual_write import AsyncEnhancedDualWriteService, AuditRule, SyncStatus, acting_as
from syncline.phases.way_back import WayBack
from tests.dual_write import TASKS, DualStage, declared
from tests.programs import DOCUMENT_LINKS
from tests.relay import QUICK, until
from tests.way_back import Gate

pytestmark = DOCUMENT_LINKS

RULES = {"tasks": AuditRule(values=True, masked=frozenset({"title"}))}
STATES = "SELECT mongo_id, sync_status, sync_error, last_sync_at IS NOT NULL FROM postgres_tasks ORDER BY mongo_id"
LOG = """SELECT actor, action, outcome, fields, before, after, reason IS NOT NULL FROM syncline_audit.operation ORDER BY id"""


class Live(DualStage):
    """Both sides, installed, and the way back."""

    def __init__(self, client: AsyncMongoClient[Any], database: str, url: str, documents: Documents) -> None:
        super().__init__(client, database, url)
        self.declared, self.gate = documents, Gate()
        self.back = WayBack(documents, self.gate, worker=WorkerSettings(**QUICK))

    @asynccontextmanager
    async def bringing_back(self) -> AsyncIterator[None]:
        """Run a worker beside a block."""
        target = self.back.target()
        worker = self.back.worker(target)
        running = asyncio.create_task(worker.run())
        try:
            yield
        finally:
            worker.stop()
            await running
            await target.close()

    async def bring_back(self) -> None:
        """Run a worker until nothing waits."""
        async with self.bringing_back():
            await until(lambda: self.asked("SELECT count(*) FROM syncline_back.outbox WHERE hint <> 'G'") == [(0,)])

    def run(self, statements: str) -> None:
        """Do something in PostgreSQL."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(statements)


@pytest.fixture
async def stage(mongo_url: str, mongo_db: str, database: str) -> AsyncIterator[Live]:
    documents = declared(mongo_url, mongo_db, database)
    async with AsyncMongoClient(mongo_url) as client:
        made = Live(client, mongo_db, database, documents)
        await made.prepare()
        async with opened(documents) as link:
            await install(link, await plan(link))
        await made.back.install()
        yield made
        await made.close()


@pytest.fixture
async def service(stage: Live) -> AsyncIterator[AsyncEnhancedDualWriteService]:
    phases = FixedPhases(Phase.LIVE)
    async with AsyncEnhancedDualWriteService(stage.declared, phases=phases, audit=RULES) as made:
        yield made


async def test_operations_are_done_in_postgresql_and_come_back_to_mongodb(stage, service):
    id_, gone = str(ObjectId()), str(ObjectId())
    assert await service.create_document("tasks", {"title": "a", "n": 1, "labels": ["x"], "more": {"a": 1}}, id_)
    assert not await service.create_document("tasks", {"n": 2}, id_)
    assert await service.update_document("tasks", id_, {"n": 2, "more": {"b": 2}})
    assert not await service.update_document("tasks", gone, {"n": 1})
    assert not await service.delete_document("tasks", gone)
    expected = {ObjectId(id_): {"_id": ObjectId(id_), "title": "a", "n": 2, "labels": ["x"], "more": {"b": 2}}}
    assert await stage.there() == expected
    assert await stage.documents() == {}
    assert await service.get_sync_status("tasks", id_) is SyncStatus.PENDING
    assert (await service.get_sync_metrics())["collections"]["tasks"]["pending"] == 1
    await stage.bring_back()
    assert await stage.documents() == expected
    assert await service.get_sync_status("tasks", id_) is SyncStatus.SYNCED
    assert await service.delete_document("tasks", id_)
    assert await service.get_sync_status("tasks", id_) is SyncStatus.PENDING
    await stage.bring_back()
    assert await service.get_sync_status("tasks", id_) is None
    assert await stage.there() == {} == await stage.documents()
    assert await stage.marks() == 0


async def test_a_batch_tells_of_each_operation_and_one_that_is_refused_keeps_no_other_from_being_done(stage, service):
    first, second, third = (str(ObjectId()) for _ in range(3))
    given = [
        {"collection_name": "tasks", "operation": "create", "mongo_id": first, "data": {"title": "taken"}},
        {"collection_name": "tasks", "operation": "create", "mongo_id": second, "data": {"title": "taken"}},
        {"collection_name": "tasks", "operation": "update", "mongo_id": third, "data": {"n": 1}},
        {"collection_name": "tasks", "operation": "update", "mongo_id": first, "data": {"n": 1}},
    ]
    done = await service.batch_operations(given)
    assert not done
    assert [(one.done, one.synced, one.error is not None) for one in done.results] == [
        (True, False, False),
        (False, False, True),
        (False, False, False),
        (True, False, False),
    ]
    assert [one["n"] for one in (await stage.there()).values()] == [1]
    with pytest.raises(RefusedDocumentError, match="title"):
        await service.create_document("tasks", {"title": "taken"}, second)
    metrics = await service.get_sync_metrics()
    assert (metrics["status"], metrics["operations"]["written"], metrics["operations"]["refused"]) == ("healthy", 2, 2)


async def test_what_a_batch_has_done_before_a_gate_closes_is_not_done_again(stage, service):
    """One is refused, so each is a transaction of its own; a second creation would be told as none."""
    stage.run(
        """CREATE SEQUENCE refused;
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
            IF NEW.title = 'second' AND nextval('refused') = 2 THEN RAISE 'a gate is closed' USING ERRCODE = '40001'; END IF;
            RETURN NEW;
        END$$;
        CREATE TRIGGER refuse BEFORE INSERT ON postgres_tasks FOR EACH ROW EXECUTE FUNCTION refuse()"""
    )
    made = {"collection_name": "tasks", "operation": "create"}
    done = await service.batch_operations(
        [
            {**made, "mongo_id": f"{number:024x}", "data": {"title": title}}
            for number, title in enumerate(("first", "second", "first"))
        ]
    )
    assert [(one.done, one.error is None) for one in done.results] == [(True, True), (True, True), (False, False)]
    assert [row[2] for row in stage.asked(LOG)] == ["done", "done", "refused"]


async def test_a_batch_is_one_transaction_in_as_many_round_trips_whatever_its_size(stage, service, monkeypatch):
    assert not await service.delete_document("tasks", ObjectId())  # what a repository asks once, it has asked
    counts, pipeline = [], TargetConnection.pipeline

    def counted(self):
        counts[-1] += 1
        return pipeline(self)

    monkeypatch.setattr(TargetConnection, "pipeline", counted)
    kinds = ["create", "update", "delete"]
    for size in (3, 90):
        counts.append(0)
        ids = [ObjectId() for _ in range(size)]
        there = [str(one) for one in ids[: 2 * size // 3]]
        for one in there:
            stage.run(f"INSERT INTO postgres_tasks (mongo_id, n) VALUES ('{one}', 0)")
        given = [
            {
                "collection_name": "tasks",
                "operation": kind,
                "mongo_id": id_,
                "data": {} if kind == "delete" else {"n": 1},
            }
            for id_, kind in zip(ids, [kind for kind in (*kinds[1:], kinds[0]) for _ in range(size // 3)], strict=True)
        ]
        again = {"collection_name": "tasks", "operation": "create", "mongo_id": ids[0], "data": {}}
        assert await service.batch_operations(given)
        assert not await service.batch_operations([again, again])
        assert [row[1:3] for row in stage.asked(LOG)][-2:] == [("create", "not done")] * 2
        transactions = "SELECT count(DISTINCT xmin::text) FROM syncline_audit.operation WHERE outcome = 'done'"
        assert stage.asked(transactions) == [(len(counts),)]
    assert counts[0] == counts[1] <= 12
    assert sorted(one["n"] for one in (await stage.there()).values()) == [1] * 62


async def test_two_batches_of_the_same_documents_do_not_wait_for_each_other(stage, service):
    ids = [str(ObjectId()) for _ in range(20)]
    made = {"collection_name": "tasks", "operation": "create", "data": {"n": 0}}
    assert await service.batch_operations([{**made, "mongo_id": one} for one in ids])
    changed = {"collection_name": "tasks", "operation": "update"}
    batches = [
        [{**changed, "mongo_id": one, "data": {"n": n}} for one in (ids if n % 2 else ids[::-1])] for n in range(1, 9)
    ]
    assert all(await asyncio.gather(*map(service.batch_operations, batches)))
    assert len({one["n"] for one in (await stage.there()).values()}) == 1, "each batch is one transaction"


async def test_each_operation_is_in_the_log_of_its_own_transaction_with_what_it_wrote_over(stage, service):
    id_ = str(ObjectId())
    with acting_as("ada"):
        await service.create_document("tasks", {"title": "a", "n": 1}, id_)
        await service.update_document("tasks", id_, {"n": 2})
    await service.create_document("tasks", {}, id_)
    with pytest.raises(RefusedDocumentError):
        await service.update_document("tasks", id_, {"labels": "\ud800"})
    await service.delete_document("tasks", id_)
    oid = {"_id": {"$oid": id_}}
    assert stage.asked(LOG) == [
        ("ada", "create", "done", ["title", "n"], None, {"title": "***", "n": 1}, False),
        ("ada", "update", "done", ["n"], {**oid, "title": "***", "n": 1}, {"n": 2}, False),
        (None, "create", "not done", [], None, None, False),
        (None, "update", "refused", ["labels"], None, None, True),
        (None, "delete", "done", [], {**oid, "title": "***", "n": 2}, {}, False),
    ]


@pytest.mark.parametrize("batch", [False, True])
async def test_the_log_has_what_was_written_over_though_others_wrote_it_meanwhile(stage, service, batch):
    id_, other = str(ObjectId()), str(ObjectId())
    await service.create_document("tasks", {"n": 1}, id_)
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    with psycopg.connect(stage.url) as somebody:
        somebody.execute("UPDATE postgres_tasks SET n = 2")
        given = {"collection_name": "tasks", "data": {"n": 3}, "operation": "update"}
        call = (
            service.batch_operations([{**given, "mongo_id": one} for one in (id_, other)])
            if batch
            else service.update_document("tasks", id_, {"n": 3})
        )
        writing = asyncio.create_task(call)
        await until(lambda: stage.asked(waits) == [(1,)])
    assert bool(await writing) is not batch
    found = stage.asked(
        "SELECT before ->> 'n', after ->> 'n' FROM syncline_audit.operation WHERE outcome = 'done' ORDER BY id"
    )
    assert found == [(None, "1"), ("2", "3")]


async def test_what_can_be_no_document_has_failed_until_it_is_retried(stage, service):
    id_ = str(ObjectId())
    await service.create_document("tasks", {"n": 5}, id_)
    stage.run("UPDATE postgres_tasks SET rest = '[1]'")
    async with stage.bringing_back():
        await until(lambda: stage.asked("SELECT count(*) FROM syncline_back.parked") == [(1,)])
        (failure,) = await service.get_sync_failures("tasks")
        assert (failure["collection"], failure["mongo_id"], failure["sync_status"]) == ("tasks", id_, SyncStatus.FAILED)
        assert (await service.get_sync_metadata("tasks", id_)).sync_status is SyncStatus.FAILED
        assert (await service.get_sync_metrics())["sync"]["failedEvents"] == 1
        stage.run("SET syncline.link = 'documents'; UPDATE postgres_tasks SET rest = NULL")  # nothing is captured
        assert await service.retry_failed("tasks", id_) == 1
        await until(lambda: stage.asked("SELECT count(*) FROM syncline_back.parked") == [(0,)])
    assert await stage.documents() == {ObjectId(id_): {"_id": ObjectId(id_), "n": 5}}
    assert await service.get_sync_failures() == []


async def test_a_row_says_pending_as_it_is_written_and_synced_when_mongodb_has_it(stage, service):
    first, second = (f"{number:024x}" for number in range(2))
    for id_ in (first, second):
        await service.create_document("tasks", {"n": 1, "labels": ["x"]}, id_)
    assert stage.asked(STATES) == [(one, "PENDING", None, False) for one in (first, second)]
    await stage.bring_back()
    assert stage.asked(STATES) == [(one, "SYNCED", None, True) for one in (first, second)]
    assert stage.asked("SELECT count(*) FROM syncline_back.outbox WHERE hint <> 'G'") == [(0,)], "nothing goes round"
    await service.update_document("tasks", second, {"labels": []})
    assert stage.asked(STATES) == [(first, "SYNCED", None, True), (second, "PENDING", None, True)]
    await service.delete_document("tasks", second)
    await stage.bring_back()
    assert stage.asked(STATES) == [(first, "SYNCED", None, True)]
    assert [*await stage.documents()] == [ObjectId(first)]


async def test_a_row_that_mongodb_does_not_take_says_why_until_it_is_brought_back(stage, service):
    id_ = str(ObjectId())
    await service.create_document("tasks", {"n": 5}, id_)
    stage.run("UPDATE postgres_tasks SET rest = '[1]'")
    async with stage.bringing_back():
        await until(lambda: stage.asked(STATES)[0][1] == "FAILED")
        assert stage.asked(STATES)[0][2] == (await service.get_sync_metadata("tasks", id_)).sync_error
        stage.run("UPDATE postgres_tasks SET rest = NULL")
        await until(lambda: stage.asked(STATES) == [(id_, "SYNCED", None, True)])


async def test_a_write_that_is_under_way_as_its_row_is_settled_stays_pending(stage, service):
    """The row was written, and its mark is not seen yet; or it comes after the look for marks."""
    id_ = str(ObjectId())
    await service.create_document("tasks", {"n": 1}, id_)
    stage.run("DELETE FROM syncline_back.outbox")  # it was acknowledged
    states = RowStates(stage.url, TASKS, "documents/tasks")
    try:
        with psycopg.connect(stage.url) as writing:
            writing.execute("UPDATE postgres_tasks SET n = 2")
            async with asyncio.timeout(30):  # it waits for nobody
                assert await states.settle([id_]) == [id_]
        assert await states.settle([id_]) == []
        assert stage.asked(STATES)[0][1] == "PENDING"
        stage.run("DELETE FROM syncline_back.outbox")
        assert await states.settle([id_, "no key"]) == []
        assert stage.asked(STATES)[0][1] == "SYNCED"
    finally:
        await states.close()


async def test_rows_that_a_killed_worker_has_left_are_settled_by_the_next_one(stage, service):
    id_ = str(ObjectId())
    await service.create_document("tasks", {"n": 1}, id_)
    stage.run("DELETE FROM syncline_back.outbox")
    async with stage.bringing_back():
        await until(lambda: stage.asked(STATES) == [(id_, "SYNCED", None, True)])


async def test_rows_whose_documents_were_rejected_on_the_way_forward_still_say_so(stage):
    rejected = str(ObjectId())
    stage.run(
        f"""SET syncline.link = 'documents'; INSERT INTO postgres_tasks (mongo_id, sync_status, sync_error)
        VALUES ('{rejected}', 'FAILED', 'too long');
        INSERT INTO syncline_documents.rejected (collection, mongo_id, mark, reason, key)
        VALUES ('tasks', '{rejected}', 'm', 'too long', '{rejected}')"""
    )
    await stage.bring_back()
    await stage.back.leave()
    assert stage.asked(STATES) == [(rejected, "FAILED", "too long", False)]


async def test_when_the_way_back_ends_rows_say_nothing_of_it_any_more(stage, service):
    id_ = str(ObjectId())
    await service.create_document("tasks", {"n": 1}, id_)
    await stage.back.leave()
    assert stage.asked(STATES) == [(id_, "SYNCED", None, False)]
    await service.update_document("tasks", id_, {"n": 2})
    assert stage.asked(STATES)[0][1] == "SYNCED"


async def test_a_postgresql_that_is_away_or_not_installed_is_told_by_name(stage):
    nobody = Documents(
        (TASKS,), None, {"source": stage.declared.url("source"), "target": "postgresql://a@127.0.0.1:9/x"}
    )
    async with AsyncEnhancedDualWriteService(nobody, phases=FixedPhases(Phase.LIVE)) as service:
        with pytest.raises(TargetUnavailableError):
            await service.create_document("tasks", {}, ObjectId())
        metrics = await service.get_sync_metrics()
    assert (metrics["status"], metrics["databases"]["mongodb"]) == ("unhealthy", "connected")
    stage.run("DROP SCHEMA syncline_audit CASCADE")
    async with AsyncEnhancedDualWriteService(stage.declared, phases=FixedPhases(Phase.LIVE)) as service:
        with pytest.raises(NotInstalledError) as raised:
            await service.create_document("tasks", {}, ObjectId())
    assert "syncline install" in str(raised.value.hint)
    assert await stage.there() == {}
