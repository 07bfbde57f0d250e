"""Repositories answer alike on both sides; the phase says which one is asked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg_pool import AsyncConnectionPool, ConnectionPool
from pymongo import AsyncMongoClient, MongoClient

from syncline.breaker import CircuitBreaker
from syncline.capture.documents import wrap
from syncline.config.documents import Documents
from syncline.config.dual_write import DualWriteSettings
from syncline.contrib.django import DocumentDatabases
from syncline.documents.installing import install, plan
from syncline.documents.opening import opened
from syncline.embedded.mongo import PrivateMongo
from syncline.embedded.postgres import PrivatePostgres
from syncline.engines.mongo.intents import NAME
from syncline.engines.mongo.writes import DURABLE
from syncline.engines.postgres.documents.definitions import schema
from syncline.errors import AlreadyThereError, RepositoryError, SourceUnavailableError, TargetUnavailableError
from syncline.phases import FixedPhases, Phase
from syncline.phases.dual_write.blocking import DualWriteService
from syncline.phases.repositories import (
    AbstractRepository,
    DualWrites,
    MongoRepository,
    PostgresRepository,
    from_truth,
    phased,
    ramp_key,
    writes,
)
from syncline.phases.repositories.abstract import require_writing
from syncline.phases.shadow import Read
from syncline.relay.documents.pump import DocumentPump
from syncline.testing.repositories import RepositoryContract
from syncline.testing.repository_questions import TASKS, oid
from tests import engines
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS


class Tasks(AbstractRepository):
    collection_name = "tasks"

    @writes
    def rename(self, id_: Any, title: str) -> Any:
        found = self.get(id_)
        return self.update(id=id_, changes={"title": title}) if found else self.create({"_id": id_, "title": title})

    @writes
    def forget(self, id_: Any) -> Any:
        return self.delete(id_)

    def get_by_email(self, email: str) -> Any:
        return self.get_by("email", email)


class TaskRepository(Tasks, MongoRepository):
    pass


class PostgresTaskRepository(Tasks, PostgresRepository):
    pass


@pytest.fixture(scope="module")
def mongo_name(mongo: PrivateMongo) -> Iterator[str]:
    with engines.fresh_mongo_database(mongo.url) as name, MongoClient(mongo.url) as client:
        tasks = wrap(client[name]["tasks"])
        tasks.prepare_marks()
        tasks.create_index("email", unique=True, partialFilterExpression={"email": {"$exists": True}})
        yield name


@pytest.fixture
def collection(mongo: PrivateMongo, mongo_name: str) -> Iterator[Any]:
    with MongoClient(mongo.url) as client:
        client[mongo_name]["tasks"].delete_many({})
        yield wrap(client[mongo_name]["tasks"])


@pytest.fixture(scope="module")
def tables(postgres: PrivatePostgres) -> Iterator[str]:
    with engines.fresh_database(postgres.url) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in schema([TASKS]):
                connection.execute(statement)
        yield url


@pytest.fixture
def pool(tables: str) -> Iterator[ConnectionPool]:
    with ConnectionPool(tables, min_size=1, max_size=2, open=True) as pool:
        with pool.connection() as connection:
            connection.execute("TRUNCATE public.postgres_tasks CASCADE")
        yield pool


class TestMongoDB(RepositoryContract):
    @pytest.fixture
    def repository(self, collection: Any) -> TaskRepository:
        return TaskRepository(collection, TASKS)


class TestPostgreSQL(RepositoryContract):
    @pytest.fixture
    def repository(self, pool: ConnectionPool) -> PostgresTaskRepository:
        return PostgresTaskRepository(pool, TASKS)


class TestAsynchronous:
    """What is awaited answers alike: one program each, run by another runner."""

    @pytest.mark.parametrize("side", ["mongodb", "postgresql"])
    async def test_every_method(
        self, side: str, mongo: PrivateMongo, collection: Any, pool: ConnectionPool, tables: str
    ):
        async with AsyncMongoClient(mongo.url) as client, AsyncConnectionPool(tables, min_size=1, open=False) as apool:
            bare = client[collection.bare.database.name]["tasks"]
            repository: Any = (
                TaskRepository(wrap(bare), TASKS) if side == "mongodb" else PostgresTaskRepository(apool, TASKS)
            )
            created = await repository.create({"email": "a@example.org", "labels": ["x"]})
            assert (
                await repository.get(str(created["_id"])) == created == await repository.get_by_email("a@example.org")
            )
            with pytest.raises(AlreadyThereError, match="email"):
                await repository.create({"email": "a@example.org"})
            assert (await repository.update(created["_id"], {"labels": []}))["labels"] == []
            assert await repository.list({"email": "a@example.org"}, sort=["-email"]) == [{**created, "labels": []}]
            assert (await repository.count(), await repository.exists({"labels": "x"})) == (1, False)
            assert await repository.delete(created["_id"]) is True


class Counted(Tasks):
    """A side that says which one it is."""

    def __init__(self, side: str, *, fails: bool = False) -> None:
        self.side, self.fails, self.asked = side, fails, 0
        self.is_async = False

    def _answer(self, *_: Any, **__: Any) -> str:
        self.asked += 1
        if self.fails:
            raise TargetUnavailableError("PostgreSQL does not answer")
        return self.side

    get = get_by = list = count = exists = _answer  # type: ignore[assignment]

    def create(self, document: Any) -> Any:
        require_writing("tasks")
        return self._answer()

    def update(self, id_: Any, changes: Any) -> Any:
        return self._answer()

    def delete(self, id_: Any) -> Any:
        return self._answer()

    def get_or_create(self, email: str) -> Any:
        return self.create({"email": email})

    @writes
    def touch(self) -> Any:
        return self.create({})


READS = [("get", "5"), ("get_by_email", "a"), ("list", {}), ("count",), ("exists",), ("get_by", "title", "x")]
WRITES = [("create", {}), ("update", "5", {}), ("delete", "5"), ("touch",)]


@pytest.mark.parametrize("phase", [*Phase])
@pytest.mark.parametrize("call", [*READS, *WRITES], ids=lambda call: call[0])
def test_the_phase_says_which_side_is_asked(phase: Phase, call: Any):
    for percent in (0, 100):
        both: Any = phased(Counted("mongodb"), Counted("postgresql"), FixedPhases(phase, percent=percent))
        truth = "postgresql" if phase >= Phase.LIVE else "mongodb"
        ramped = call in READS and phase is Phase.RAMP and percent == 100
        assert getattr(both, call[0])(*call[1:]) == ("postgresql" if ramped else truth)


def test_a_method_that_reads_may_not_write():
    both = phased(Counted("mongodb"), Counted("postgresql"), FixedPhases(Phase.OFF))
    with pytest.raises(RepositoryError, match="would write"):
        both.get_or_create("a")


def test_a_key_of_the_caller_decides_for_all_reads():
    both: Any = phased(Counted("mongodb"), Counted("postgresql"), FixedPhases(Phase.RAMP, percent=50))
    for user in range(40):
        with ramp_key(f"user {user}"):
            assert len({getattr(both, name)(*args) for name, *args in READS}) == 1
    assert {both.get(str(number)) for number in range(40)} == {"mongodb", "postgresql"}


def test_where_postgresql_fails_in_a_ramp_mongodb_answers(caplog: pytest.LogCaptureFixture):
    failing = Counted("postgresql", fails=True)
    both = phased(Counted("mongodb"), failing, FixedPhases(Phase.RAMP, percent=100), breaker=CircuitBreaker(3600))
    assert {both.get(str(number)) for number in range(50)} == {"mongodb"}
    assert failing.asked == 1
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_where_postgresql_is_the_truth_its_failure_is_told():
    both = phased(Counted("mongodb"), Counted("postgresql", fails=True), FixedPhases(Phase.LIVE))
    with pytest.raises(TargetUnavailableError):
        both.get("5")


class Recording:
    def __init__(self) -> None:
        self.seen: list[Any] = []

    def read(self, what: Read, truth: Any, other: Any) -> Any:
        self.seen.append((what, other()))
        return truth()


@pytest.mark.parametrize("phase", [*Phase])
def test_reads_are_shadowed_from_the_phase_shadow_on_until_postgresql_serves(phase: Phase):
    shadow = Recording()
    both: Any = phased(Counted("mongodb"), Counted("postgresql"), FixedPhases(phase), shadow=shadow)
    for name, *args in [*READS, *WRITES]:
        getattr(both, name)(*args)
    expected = phase in (Phase.SHADOW, Phase.RAMP)
    assert [what.method for what, _ in shadow.seen] == ([name for name, *_ in READS] if expected else [])
    assert {other for _, other in shadow.seen} <= {"postgresql"}
    assert not expected or shadow.seen[0][0] == Read("tasks", "get", "5")


@pytest.mark.parametrize("side", ["mongodb", "postgresql"])
def test_a_database_that_does_not_answer_is_an_error_by_name(side: str):
    client: Any = MongoClient("mongodb://127.0.0.1:9", serverSelectionTimeoutMS=100)
    with client, ConnectionPool("postgresql://127.0.0.1:9/x", min_size=0, max_size=1, timeout=0.2, open=True) as pool:
        repository: Any = (
            TaskRepository(client["x"]["tasks"], TASKS) if side == "mongodb" else PostgresTaskRepository(pool, TASKS)
        )
        error = SourceUnavailableError if side == "mongodb" else TargetUnavailableError
        for call in (repository.count, lambda: repository.create({}), lambda: repository.update("0" * 24, {"a": 1})):
            with pytest.raises(error, match="does not answer"):
                call()


def test_two_who_create_the_same_at_once(pool: ConnectionPool):
    """One of them is told that it is there; the other's stays whole."""
    repository = PostgresTaskRepository(pool, TASKS)

    def create(number: int) -> bool:
        try:
            repository.create({"_id": oid(1), "priority": number, "labels": [str(number)] * number})
        except AlreadyThereError:
            return False
        return True

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(create, range(1, 9))) == [False] * 7 + [True]
    found = repository.get(oid(1))
    assert found["labels"] == [str(found["priority"])] * found["priority"]


def test_updates_at_once_lose_nothing(pool: ConnectionPool):
    repository = PostgresTaskRepository(pool, TASKS)
    repository.create({"_id": oid(1)})
    with ThreadPoolExecutor(2) as threads:
        [*threads.map(lambda number: repository.update(oid(1), {f"f{number}": number}), range(20))]
    assert repository.get(oid(1)) == {"_id": oid(1)} | {f"f{number}": number for number in range(20)}


def documents_of(mongodb: str, name: str, postgresql: str) -> Documents:
    url = urlsplit(mongodb)._replace(path=f"/{name}").geturl()
    return Documents((TASKS,), None, {"source": url, "target": postgresql})


@pytest.fixture(scope="module")
def service(mongo: PrivateMongo, mongo_name: str, tables: str) -> Iterator[DualWriteService]:
    documents = documents_of(mongo.url, mongo_name, tables)

    async def prepare() -> None:
        async with opened(documents) as link:
            await install(link, await plan(link))

    asyncio.run(prepare())
    settings = DualWriteSettings(deadline=timedelta(minutes=1))
    with DualWriteService(documents, phases=FixedPhases(Phase.RAMP), settings=settings) as service:
        yield service


@pytest.fixture(scope="module")
def live(service: DualWriteService, mongo: PrivateMongo, mongo_name: str, tables: str) -> Iterator[DualWriteService]:
    documents = documents_of(mongo.url, mongo_name, tables)
    with DualWriteService(documents, phases=FixedPhases(Phase.LIVE)) as made:
        yield made


class TestRamp(RepositoryContract):
    """Written to MongoDB by the service, which has PostgreSQL written in the call; all of it is read from PostgreSQL."""

    @pytest.fixture
    def repository(self, collection: Any, pool: ConnectionPool, service: DualWriteService) -> Tasks:
        mongodb, postgresql = TaskRepository(collection, TASKS), PostgresTaskRepository(pool, TASKS)
        phases = FixedPhases(Phase.RAMP, percent=100)
        return phased(mongodb, postgresql, phases, writer=DualWrites(service))  # type: ignore[type-var, return-value]

    def test_a_method_of_ones_own_writes_by_the_service(self, repository: Any, collection: Any):
        """It is in the audit log, soon, and in PostgreSQL before the call returns."""
        repository.rename(oid(50), "a")
        assert repository.rename(oid(50), "b") == {"_id": oid(50), "title": "b"} == repository.get(oid(50))
        assert repository.forget(oid(50)) is True
        assert repository.get(oid(50)) is None
        log, ours, until = collection.bare.database[NAME], {"document_id": oid(50)}, time.monotonic() + 30
        while log.count_documents(ours) < 3 and time.monotonic() < until:
            time.sleep(0.01)
        assert [one["action"] for one in log.find(ours).sort("_id", 1)] == ["create", "update", "delete"]


class TestLive(RepositoryContract):
    """Written to PostgreSQL by the service, and read from there."""

    @pytest.fixture
    def repository(self, collection: Any, pool: ConnectionPool, live: DualWriteService) -> Tasks:
        mongodb, postgresql = TaskRepository(collection, TASKS), PostgresTaskRepository(pool, TASKS)
        return phased(  # type: ignore[type-var, return-value]
            mongodb, postgresql, FixedPhases(Phase.LIVE), writer=DualWrites(live)
        )

    def test_a_method_of_ones_own_writes_by_the_service(self, repository: Any, collection: Any, pool: ConnectionPool):
        """It is in the audit log of PostgreSQL, and MongoDB is left to the way back."""
        repository.rename(oid(51), "a")
        assert repository.rename(oid(51), "b") == {"_id": oid(51), "title": "b"} == repository.get(oid(51))
        assert repository.forget(oid(51)) is True
        assert repository.get(oid(51)) is None
        with pool.connection() as connection:
            log = "SELECT action, outcome FROM syncline_audit.operation WHERE document_id = %s ORDER BY id"
            found = connection.execute(log, [str(oid(51))]).fetchall()
        assert found == [("create", "done"), ("update", "done"), ("delete", "done")]
        assert collection.bare.count_documents({}) == 0


@pytest.mark.usefixtures("service")
def test_a_ramp_reads_mongodb_while_a_write_of_this_process_is_left(
    mongo: PrivateMongo, collection: Any, pool: ConnectionPool, monkeypatch: pytest.MonkeyPatch
):
    """PostgreSQL is asked again when the worker has carried it."""
    documents = documents_of(mongo.url, collection.bare.database.name, pool.conninfo)
    monkeypatch.setattr("syncline.phases.dual_write.left._SECONDS", 0.0)
    settings = DualWriteSettings(deadline=timedelta(0))
    phases = FixedPhases(Phase.RAMP, percent=100)
    for most in (10_000, 0):
        monkeypatch.setattr("syncline.phases.dual_write.left._MOST", most)
        with DualWriteService(documents, phases=phases, settings=settings) as patient:
            mongodb, postgresql = TaskRepository(collection, TASKS), PostgresTaskRepository(pool, TASKS)
            both = phased(mongodb, postgresql, phases, writer=DualWrites(patient))
            created = both.create({"title": "a"})
            assert both.get(created["_id"]) == created
            assert postgresql.count() == 0
            asyncio.run(carried(documents))
            with pool.connection() as connection:
                connection.execute("UPDATE public.postgres_tasks SET title = 'of PostgreSQL'")
            assert both.get(created["_id"])["title"] == "of PostgreSQL"
            with from_truth():
                assert both.get(created["_id"]) == created
            assert both.delete(created["_id"]) is True
            assert both.get(created["_id"]) is None
            asyncio.run(carried(documents))


async def carried(documents: Documents) -> None:
    async with opened(documents) as link:
        await DocumentPump(link.source, link.rows, ["tasks"]).walk()


def test_writes_of_a_projects_collections_are_durable():
    """With the driver's default a killed server forgets what it has acknowledged."""
    documents = Documents((TASKS,), None, {"source": "mongodb://127.0.0.1:9/x", "target": "postgresql:///x"})
    databases = DocumentDatabases(documents, "postgresql:///x", phases=FixedPhases(Phase.OFF))
    assert databases.collection("tasks").write_concern == DURABLE
    databases.close()
