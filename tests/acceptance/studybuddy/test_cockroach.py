"""The application with CockroachDB as its primary: on the simulator, see ``tests.cockroach``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from fastapi import FastAPI
from pydantic import SecretStr

from syncline.embedded.mongo import PrivateMongo
from syncline.embedded.postgres import PrivatePostgres
from tests import engines
from tests.acceptance.studybuddy.system import HOME, Person, System, serving
from tests.acceptance.studybuddy.test_both_sides import READS, busy
from tests.acceptance.studybuddy.test_migrations import count
from tests.cockroach.server import Simulator, simulator

NEW = {"title": "Integrals", "subject": "maths"}


@pytest.fixture(scope="module")
def cluster(postgres: PrivatePostgres) -> Iterator[Simulator]:
    """A database that behaves like CockroachDB."""
    with engines.fresh_database(postgres.url) as database, simulator(database) as simulated:
        yield simulated


@pytest.fixture(scope="module")
def system(cluster: Simulator, mongo: PrivateMongo, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Migrated, installed, with a worker."""
    with engines.fresh_mongo_database(mongo.url) as name:
        system = System(cluster.url, mongo.url, name, tmp_path_factory.mktemp("studybuddy"), "cockroachdb")
        with system.worker():
            yield system


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def app(system: System) -> AsyncIterator[FastAPI]:
    """The application; the fixtures of people use it."""
    async with serving(system.app()) as app:
        yield app


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def app_without_mongodb(system: System) -> AsyncIterator[FastAPI]:
    """Another instance of it, which cannot reach MongoDB: CockroachDB answers."""
    nowhere = SecretStr("mongodb://127.0.0.1:9/nowhere")
    async with serving(system.app(mongodb_url=nowhere, mongodb_seconds=0.2)) as app:
        yield app


@contextlib.contextmanager
def repeating(cluster: Simulator) -> Iterator[None]:
    """Let every transaction that writes fail with 40001 at its COMMIT, on connections that are opened in a block."""
    cluster.retry(1)
    try:
        yield
    finally:
        cluster.retry(0)


def test_alembic_goes_up_down_and_up(cockroach: Simulator) -> None:
    environment = {**os.environ, "DATABASE_URL": f"cockroachdb://{cockroach.url.partition('://')[2]}"}
    for steps, tables in (("upgrade head", 10), ("downgrade base", 0), ("upgrade head", 10)):
        subprocess.run([sys.executable, "-m", "alembic", *steps.split()], cwd=HOME, env=environment, check=True)
        assert count(cockroach.postgres_url) == tables


async def test_a_todo_is_completed_and_its_point_and_event_arrive(system: System, ann: Person) -> None:
    todo = await ann.post("/api/todos", NEW)
    await ann.patch(f"/api/todos/{todo['id']}", {"completed": True})
    assert (await ann.get("/api/users/me"))["totalPoints"] == 1
    await system.drained()
    told = {event for event, _ in system.events("todo", todo["id"])}  # numbers of marks are not in order there
    assert told == {"todo.created", "todo.updated", "todo.completed"}
    assert [user["totalPoints"] for user in system.documents("users", {"_id": ann.id})] == [1]


async def test_health_and_pools_say_cockroachdb(ann: Person) -> None:
    assert (await ann.look("/api/todos")).headers["Data-Source"] == "mongodb"
    connected = {"cockroachdb": "connected", "mongodb": "connected"}
    async with asyncio.timeout(60):  # it keeps its own deadline; a busy machine may miss it
        while (await ann.client.get("/api/health/sync")).json()["databases"] != connected:
            await asyncio.sleep(0.05)
    databases = (await ann.client.get("/api/health/databases")).json()["databases"]
    assert all(databases[name]["pool"]["size"] >= 1 for name in ("cockroachdb", "mongodb"))
    assert 'query_duration_seconds_count{database="cockroachdb"}' in (await ann.look("/metrics")).text


async def test_everything_can_be_read_from_both_and_is_the_same(
    app_without_mongodb: FastAPI, system: System, ann: Person, bob: Person
) -> None:
    names = await busy(ann, bob)
    await system.drained()
    other = ann.use(app_without_mongodb)
    for read in READS:
        path = read.format(**names)
        mongodb, cockroachdb = await ann.look(path), await other.look(path)
        assert (mongodb.headers["Data-Source"], cockroachdb.headers["Data-Source"]) == ("mongodb", "cockroachdb"), path
        assert mongodb.json() == cockroachdb.json(), path


async def test_what_one_has_just_written_is_read_from_the_primary(ann: Person) -> None:
    """There is no telling whether MongoDB has it: no token is ever synced."""
    todo = await ann.post("/api/todos", NEW)
    own = await ann.look("/api/todos", fresh=True)
    assert own.headers["Data-Source"] == "cockroachdb"
    assert own.json()["items"] == [todo]
    heavy = await ann.look("/api/reports/analytics", fresh=True)
    assert (heavy.headers["Data-Source"], heavy.headers["Data-Stale"]) == ("mongodb", "true")


async def test_a_transaction_that_is_to_be_repeated_leaves_nothing_of_todo_point_and_event(
    cluster: Simulator, system: System, ann: Person
) -> None:
    todo = await ann.post("/api/todos", NEW)
    path = f"/api/todos/{todo['id']}"
    with repeating(cluster):
        async with serving(system.app()) as app:
            refused = await ann.use(app).send("PATCH", path, {"completed": True}, status=503)
    assert int(refused.headers["Retry-After"]) > 0
    assert await ann.get(path) == todo
    assert (await ann.get("/api/users/me"))["totalPoints"] == 0
    await system.drained()
    assert [event for event, _ in system.events("todo", todo["id"])] == ["todo.created"]


async def test_all_is_proved_equal(system: System, ann: Person) -> None:
    await ann.post("/api/todos", NEW)
    await system.drained()
    report = json.loads(system.syncline("verify", "--json"))
    assert report["verdict"] == "equal"
    assert {entity["verdict"] for entity in report["entities"]} == {"equal"}
