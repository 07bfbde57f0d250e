"""What operators see and do: health, metrics, sync now, full resync; a shared cache; indexes that are used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from fastapi import FastAPI
from pydantic import SecretStr
from pymongo import MongoClient
from studybuddy.routes import users

from tests.acceptance.studybuddy.system import Person, System, client, serving
from tests.valkey import running_valkey

ADMIN = "an admin credential for these tests"


@pytest_asyncio.fixture(loop_scope="session")
async def operated(system: System, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FastAPI]:
    """The application with an admin credential."""
    monkeypatch.setenv("SYNCLINE_ADMIN_TOKEN", ADMIN)
    async with serving(system.app()) as app:
        yield app


async def test_health(system: System, ann: Person) -> None:
    await ann.get("/api/todos", fresh=True)
    await system.drained()
    connected = {"postgresql": "connected", "mongodb": "connected"}
    async with asyncio.timeout(60):  # it keeps its own deadline; a busy machine may miss it
        while (found := (await ann.client.get("/api/health/sync")).json())["databases"] != connected:
            await asyncio.sleep(0.05)
    assert list(found) == ["status", "databases", "sync", "alerts"]
    assert set(found["sync"]) == {"queueSize", "syncLagSeconds", "failedEvents"}
    assert found["sync"]["failedEvents"] == 0
    assert await ann.get("/health") == {"status": "healthy"}
    databases = (await ann.client.get("/api/health/databases")).json()["databases"]
    assert set(databases) == {"postgresql", "mongodb"}
    assert all(database["pool"]["size"] >= 1 for database in databases.values())


async def test_metrics_of_requests_queries_cache_and_tokens(app: FastAPI, ann: Person) -> None:
    await ann.get("/api/todos", fresh=True)
    cache = app.state.services.cache
    hits = cache.counts.hit
    async with asyncio.timeout(60):
        while cache.counts.hit == hits:
            await ann.get(f"/api/users/{ann.id}")
    text = (await ann.look("/metrics")).text
    for wanted in (
        'syncline_api_request_duration_seconds_bucket{le="0.005",method="GET",route="/api/users/{user_id}",status="2xx"}',
        'syncline_database_query_duration_seconds_count{database="mongodb"}',
        'syncline_database_query_duration_seconds_count{database="postgresql"}',
        'syncline_cache_events_total{cache="studybuddy",event="hit"}',
        'syncline_tokens_total{result="synced"}',
    ):
        assert wanted in text, [line for line in text.splitlines() if line.startswith(wanted.partition("{")[0])]


async def test_sync_now(operated: FastAPI) -> None:
    async with client(operated) as operator:
        path = "/api/admin/sync/trigger"
        assert (await operator.post(path)).status_code in (401, 403)
        wrong = {"Authorization": "Bearer a wrong credential, quite long"}
        assert (await operator.post(path, headers=wrong)).status_code in (401, 403)
        answer = await operator.post(path, headers={"Authorization": f"Bearer {ADMIN}"})
        assert answer.status_code in (202, 503), answer.text  # 503: it keeps its deadline on a busy machine


async def test_the_operations_page_is_part_of_the_application(operated: FastAPI) -> None:
    async with client(operated) as operator:
        away = await operator.get("/ops/")
        assert (away.status_code, away.headers["location"]) == (303, "/ops/login")
        assert (await operator.get("/ops/state")).status_code == 401
        entered = await operator.post("/ops/login", data={"credential": ADMIN})
        assert (entered.status_code, entered.headers["location"]) == (303, "/ops/")
        state = (await operator.get("/ops/state")).json()["state"]
        assert {"user", "todo"} <= {entity["name"] for entity in state["entities"]}
        assert "/ops" not in (await operator.get("/metrics")).text, "it is none of the application's routes"


async def test_a_full_resync_mends_what_was_broken_by_hand(operated: FastAPI, system: System) -> None:
    ann = await Person(operated).join()
    todo = await ann.post("/api/todos", {"title": "a", "subject": "b"})
    await system.synced(ann.token)
    with MongoClient[dict[str, Any]](system.mongo_url) as mongodb:
        todos = mongodb.get_default_database().todos
        todos.update_one({"_id": todo["id"]}, {"$set": {"title": "broken"}})
        todos.insert_one({"_id": 10**15, "title": "nobody's", "userId": ann.id})
    headers = {"Authorization": f"Bearer {ADMIN}"}
    async with client(operated) as operator, asyncio.timeout(120):
        while (started := await operator.post("/api/backup/full", headers=headers)).status_code == 503:
            await asyncio.sleep(0.1)  # it keeps its own deadline; a busy machine may miss it
        assert started.status_code == 202, started.text
        path = started.headers["Location"]
        while (await operator.get(path, headers=headers)).json().get("state") != "finished":
            await asyncio.sleep(0.1)
        await system.drained()
    listed = await ann.look("/api/todos", fresh=True)
    assert listed.headers["Data-Source"] == "mongodb"
    assert listed.json()["items"] == [todo]


async def test_processes_share_a_cache(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users, "FRESH", timedelta(hours=1))
    with running_valkey() as server:
        url = SecretStr(server.url)
        async with serving(system.app(redis_url=url)) as one, serving(system.app(redis_url=url)) as two:
            ann, bob = await Person(one).join(), await Person(two).join()
            await system.synced(ann.token)
            path = f"/api/users/{ann.id}"
            async with asyncio.timeout(60):
                while not two.state.services.cache.counts.hit:
                    await bob.get(path)
            await ann.patch("/api/users/me", {"showProfile": False})
            await system.synced(ann.token)
            # At once, unless the machine is so busy that the cache's server is given up for a moment.
            async with asyncio.timeout(60):
                while (await bob.client.get(path)).status_code != 404:
                    await asyncio.sleep(0.05)


PLANS: list[tuple[str, dict[str, Any], dict[str, int]]] = [
    ("users", {"showProfile": True}, {"totalPoints": -1, "usernameKey": 1}),
    ("users", {"usernameKey": {"$gte": "a", "$lt": "b"}, "showProfile": True}, {"usernameKey": 1}),
    ("todos", {"userId": 1, "_id": {"$lt": 9}}, {"_id": -1}),
    ("messages", {"conversation": "1:2", "_id": {"$lt": 9}}, {"_id": -1}),
    ("reports", {"userId": 1}, {"_id": -1}),
    ("sessions", {"userId": 1}, {"_id": -1}),
    ("responses", {"formId": 1, "_id": {"$lt": 9}}, {"_id": -1}),
]


@pytest.mark.parametrize(("collection", "where", "sort"), PLANS)
async def test_lists_come_from_an_index_in_order(
    system: System, ann: Person, collection: str, where: dict[str, Any], sort: dict[str, int]
) -> None:
    await system.synced(ann.token)
    with MongoClient[dict[str, Any]](system.mongo_url) as mongodb:
        plan = mongodb.get_default_database()[collection].find(where).sort(sort).limit(50).explain()
    stages = str(plan["queryPlanner"]["winningPlan"])
    assert "IXSCAN" in stages
    assert "COLLSCAN" not in stages
    assert "'SORT'" not in stages
