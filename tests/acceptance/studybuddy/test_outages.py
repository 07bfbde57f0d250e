"""MongoDB stopped, frozen; the worker stopped for an hour; the primary away: what goes on, and what says so."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI
from pydantic import SecretStr

from syncline.embedded.mongo import PrivateMongo
from syncline.embedded.postgres import PrivatePostgres
from tests import engines, leftovers
from tests.acceptance.studybuddy.system import PASSWORD, Person, System, client, serving

READS = [
    "/api/users/leaderboard?limit=7",
    "/api/users/{bob}",
    "/api/users/search?q=user",
    "/api/todos",
    "/api/messages?with={bob}",
    "/api/messages/search?q=hello",
    "/api/reports",
    "/api/reports/analytics?mine=true",
    "/api/sessions",
    "/api/forms/{form}/responses",
]
CRITICAL = ["/api/users/me", "/api/todos/{todo}", "/api/friendships", "/api/forms/{form}"]
HEAVY = "/api/reports/analytics"


@pytest.fixture(scope="module")
def mongodb() -> Iterator[PrivateMongo]:
    with engines.running_mongo() as server:
        yield server


@pytest.fixture(scope="module")
def place(
    postgres: PrivatePostgres, mongodb: PrivateMongo, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """A system whose MongoDB may be stopped, without a worker."""
    with engines.fresh_database(postgres.url) as database:
        yield System(database, mongodb.url, "studybuddy", tmp_path_factory.mktemp("outages"))


@pytest_asyncio.fixture(loop_scope="session")
async def app(place: System) -> AsyncIterator[FastAPI]:
    """The application with the patience that it has in production, and an empty cache."""
    async with serving(place.app(mongodb_seconds=1.0, synced_seconds=0.2)) as app:
        yield app


async def every_write(app: FastAPI) -> tuple[Person, dict[str, int]]:
    """Do everything that writes; each must succeed."""
    ann, bob = await Person(app).join(), await Person(app).join()
    todo = await ann.post("/api/todos", {"title": "a", "subject": "maths"})
    extra, _ = await ann.post("/api/todos/bulk", {"todos": [{"title": "b", "subject": "maths"}] * 2})
    await ann.patch(f"/api/todos/{todo['id']}", {"completed": True})
    await ann.delete(f"/api/todos/{extra['id']}")
    for body in ("hello", "hello again"):
        message = await ann.post("/api/messages", {"receiverId": bob.id, "body": body})
    await ann.delete(f"/api/messages/{message['id']}")
    friendship = await ann.post("/api/friendships", {"addresseeId": bob.id})
    await bob.post(f"/api/friendships/{friendship['id']}/accept", status=200)
    await ann.post("/api/reports", {"date": "2026-05-01", "studyHours": 2, "completionPct": 50})
    timer = await ann.post("/api/sessions", {"subject": "maths"})
    await ann.post(f"/api/sessions/{timer['id']}/stop", status=200)
    form = await ann.post("/api/forms", {"title": "How?", "questions": ["When?"]})
    await ann.patch(f"/api/forms/{form['id']}", {"title": "How so?"})
    await bob.post(f"/api/forms/{form['id']}/responses", {"answers": ["now"]})
    await ann.patch("/api/users/me", {"avatar": "https://example.org/a.png"})
    await ann.send("POST", "/api/auth/logout", status=204)
    await ann.log_in()
    return ann, {"bob": bob.id, "todo": todo["id"], "form": form["id"]}


def rows(answer: Any) -> list[Any]:
    """Give the records of an answer, whatever its shape."""
    return answer if isinstance(answer, list) else answer.get("items", [answer])


async def health_says(app: FastAPI, status: int, word: str, least_lag: float = 0) -> dict[str, Any]:
    """Wait until health says so; it keeps its own deadline, which a busy machine may miss."""
    async with asyncio.timeout(60), client(app) as probe:
        while True:
            response = await probe.get("/api/health/sync")
            found = response.json()
            lag = found["sync"]["syncLagSeconds"]
            if (response.status_code, found["status"]) == (status, word) and lag is not None and lag >= least_lag:
                return found
            await asyncio.sleep(0.05)


async def read_all(ann: Person, names: dict[str, int], *, fresh: bool) -> set[str]:
    """Read everything that is no heavy figure; tell which databases answered."""
    for path in CRITICAL:
        await ann.get(path.format(**names))
    answers = [await ann.look(path.format(**names), fresh=fresh) for path in READS]
    for answer in answers:
        if fresh or answer.headers["Data-Source"] == "postgresql":
            assert rows(answer.json()), answer.url
    return {answer.headers["Data-Source"] for answer in answers}


async def comes(ann: Person, path: str, source: str, *, fresh: bool = True) -> httpx.Response:
    """Wait until a read is answered by this database; a busy machine may need several tries."""
    headers = {"Syncline-Token": ann.token} if fresh else {}
    async with asyncio.timeout(60):
        while (answer := await ann.client.get(path, headers=headers)).headers.get("Data-Source") != source:
            assert answer.status_code in (200, 503)
            await asyncio.sleep(0.05)
    return answer


async def nothing_lost(place: System) -> None:
    """Wait until all is applied; then nothing is parked, and both sides have the same records."""
    await place.drained()
    assert place.sql("SELECT * FROM syncline.parked") == []
    for table, collection in place.sql("SELECT source_table, collection FROM syncline.entity"):
        wanted = [key for (key,) in place.sql(f"SELECT id FROM {table} ORDER BY id")]
        assert [document["_id"] for document in place.documents(collection)] == wanted


async def test_mongodb_stopped(app: FastAPI, place: System, mongodb: PrivateMongo) -> None:
    with place.worker():
        ann, _ = await every_write(app)
        await place.synced(ann.token)
        await comes(ann, HEAVY, "mongodb", fresh=False)  # is in the cache now
        await place.drained()
        mongodb.kill()
        found = await health_says(app, 200, "degraded")
        assert found["databases"] == {"postgresql": "connected", "mongodb": "disconnected"}
        assert (await client(app).get("/health")).status_code == 200

        ben, names = await every_write(app)
        assert await read_all(ben, names, fresh=False) == {"postgresql"}
        assert await read_all(ben, names, fresh=True) == {"postgresql"}
        assert place.sql("SELECT count(*) > 0 FROM syncline.waiting") == [(True,)]

        await app.state.services.cache.invalidate("analytics")  # as if its half minute were over
        for fresh in (False, True):
            old = await ben.look(HEAVY, fresh=fresh)
            assert (old.headers["Data-Stale"], old.headers["Data-Source"]) == ("true", "mongodb")
            assert ann.id in [one["userId"] for one in old.json()]
            assert ben.id not in [one["userId"] for one in old.json()]
            assert int(old.headers["Age"]) >= 0
        await app.state.services.cache.remove("analytics")
        refused = await ben.look(HEAVY, status=503)
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert int(refused.headers["Retry-After"]) > 0

        with leftovers.serving_several():
            mongodb.start()
        await place.synced(ben.token)
        await comes(ben, "/api/todos", "mongodb")
        back = await comes(ben, HEAVY, "mongodb")
        assert {one["userId"] for one in back.json()} >= {ann.id, ben.id}
        await nothing_lost(place)


async def test_mongodb_frozen(app: FastAPI, mongodb: PrivateMongo) -> None:
    ann, names = await every_write(app)
    await ann.look("/api/todos")
    mongodb.freeze()
    try:
        async with asyncio.timeout(60):
            assert await read_all(ann, names, fresh=False) == {"postgresql"}
            await ann.look(HEAVY, status=503)
            ann, names = await every_write(app)
    finally:
        mongodb.thaw()


async def test_the_worker_stopped_for_an_hour(app: FastAPI, place: System) -> None:
    ann, names = await every_write(app)
    place.sql("UPDATE syncline.outbox SET at = at - interval '1 hour'")
    ann, names = await every_write(app)
    assert await read_all(ann, names, fresh=True) == {"postgresql"}
    await comes(ann, "/api/todos", "mongodb", fresh=False)
    sums = await comes(ann, f"{HEAVY}?limit=1000", "mongodb")
    assert sums.headers["Data-Stale"] == "true"
    assert ann.id not in [one["userId"] for one in sums.json()]
    found = await health_says(app, 503, "unhealthy", least_lag=3600)
    assert "SyncLagCritical" in [alert["name"] for alert in found["alerts"]]

    with place.worker():
        await place.synced(ann.token)
        sums = await comes(ann, f"{HEAVY}?limit=1000", "mongodb")
        assert ann.id in [one["userId"] for one in sums.json()]
        await nothing_lost(place)
        assert json.loads(place.syncline("verify", "--json"))["verdict"] == "equal"


async def test_the_primary_away(place: System) -> None:
    nowhere = SecretStr("postgresql://nobody@127.0.0.1:9/nothing")
    async with serving(place.app(database_url=nowhere)) as app, client(app) as visitor:
        credentials = {"email": "a@example.org", "password": PASSWORD}
        refused = await visitor.post("/api/auth/login", json=credentials)
        assert (refused.status_code, refused.headers["Content-Type"]) == (503, "application/problem+json")
        assert int(refused.headers["Retry-After"]) > 0
        assert "127.0.0.1" not in refused.text
        assert (await visitor.get("/health")).status_code == 200
        assert (await visitor.get("/api/health/sync")).status_code == 503
