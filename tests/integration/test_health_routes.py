"""The routers, mounted in an application that is not ours, on real engines with a real worker."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import structlog
import uvicorn
from fastapi import Depends, FastAPI, HTTPException
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from syncline.capture.sqlalchemy.commits import attach_tokens
from syncline.contrib.fastapi import HEADER, Fresh, Syncline, problem_details, routers
from syncline.embedded.postgres import PrivatePostgres
from syncline.engines.mongo.target import MongoTarget
from syncline.errors import SourceUnavailableError
from syncline.journal import resync
from syncline.web import admin
from syncline.web.shapes import DatabasesHealth, ResyncShape, SyncHealth, Triggered
from syncline.web.source import SourceCalls
from tests.integration.test_health import BRIEF, NOT_A_CLOCK, PATIENT, silent_server
from tests.relay import ITEM, ITEMS, Relay, until

SECRET = "correct horse battery staple"
ADMIN = {"Authorization": f"Bearer {SECRET}"}


@asynccontextmanager
async def installed(database: str, mongo_url: str, mongo_db: str) -> AsyncIterator[Relay]:
    target = MongoTarget(mongo_url, mongo_db)
    relay = Relay(database, [ITEM], target, mongo=(mongo_url, mongo_db))
    try:
        relay.sql(ITEMS)
        await relay.install()
        yield relay
    finally:
        relay.conn.close()
        await target.close()


@asynccontextmanager
async def served(relay: Relay, app: FastAPI | None = None, **options: Any) -> AsyncIterator[httpx.AsyncClient]:
    app = app or FastAPI()
    syncline = Syncline(relay.settings, **{"admin_token": SECRET, "deadline": PATIENT} | options)
    syncline.mount(app)
    try:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app), base_url="http://app", timeout=60, headers={"X-Request-ID": "me"}
        ) as client:
            yield client
    finally:
        await syncline.close()


@pytest.fixture
async def relay(database: str, mongo_url: str, mongo_db: str) -> AsyncIterator[Relay]:
    async with installed(database, mongo_url, mongo_db) as one:
        yield one


@pytest.fixture
async def client(relay: Relay) -> AsyncIterator[httpx.AsyncClient]:
    async with served(relay) as one:
        yield one


async def test_the_health_routes_have_the_words_and_the_shape_of_the_handbook(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health")).json() == {"status": "healthy"}
    answer = await client.get("/api/health/sync")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json() == {
        "status": "healthy",
        "databases": {"postgresql": "connected", "mongodb": "connected"},
        "sync": {"queueSize": 0, "syncLagSeconds": 0, "failedEvents": 0},
        "alerts": [],
    }
    databases = (await client.get("/api/health/databases")).json()
    assert databases["status"] == "healthy"
    for name in ("postgresql", "mongodb"):
        one = databases["databases"][name]
        assert (one["state"], one["error"], one["pool"]) == ("connected", None, None)
        assert one["latencyMs"] > 0
        assert one["version"][0].isdigit()


async def test_a_critical_alert_is_503_and_the_process_still_serves(relay: Relay, client: httpx.AsyncClient) -> None:
    relay.sql("INSERT INTO item (id) VALUES (1)")
    relay.sql("UPDATE syncline.outbox SET at = at - interval '2 minutes'")
    answer = await client.get("/api/health/sync")
    assert (answer.status_code, answer.json()["status"]) == (503, "unhealthy")
    assert [alert["name"] for alert in answer.json()["alerts"]] == ["SyncLagCritical", "NoWorker"]
    assert (await client.get("/health")).status_code == 200
    assert (await client.get("/api/health/databases")).status_code == 200  # both are there


async def test_a_silent_primary_is_503_in_time_and_only_the_admin_is_told_why(relay: Relay) -> None:
    with silent_server() as port:
        relay.url = f"postgresql://me@127.0.0.1:{port}/app"
        async with served(relay, deadline=BRIEF) as client:
            began = time.monotonic()
            sync, databases = await asyncio.gather(client.get("/api/health/sync"), client.get("/api/health/databases"))
            told = await client.get("/api/health/databases", headers=ADMIN)
            assert time.monotonic() - began < NOT_A_CLOCK
    assert sync.status_code == databases.status_code == 503
    assert sync.json()["databases"]["postgresql"] == "disconnected"
    assert databases.json()["databases"]["mongodb"]["state"] == "connected"
    assert "no answer within" not in databases.json()["databases"]["postgresql"]["error"]
    assert "no answer within" in told.json()["databases"]["postgresql"]["error"]


async def test_the_pool_of_the_application_is_shown(relay: Relay) -> None:
    engine = create_async_engine(relay.url.replace("postgresql://", "postgresql+psycopg://", 1), pool_size=3)
    async with served(relay, engine=engine) as client, engine.connect():
        shown = (await client.get("/api/health/databases")).json()["databases"]["postgresql"]["pool"]
    await engine.dispose()
    assert shown == {"size": 3, "inUse": 1, "idle": 0}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/admin/sync/trigger"),
        ("POST", "/api/backup/full"),
        ("GET", "/api/backup/1"),
        ("GET", "/api/backup/1/events"),
        ("DELETE", "/api/backup/1"),
    ],
)
async def test_admin_calls_need_the_credential(relay: Relay, method: str, path: str) -> None:
    async with served(relay) as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}):
            refused = await client.request(method, path, headers=headers)
            assert refused.status_code == 401
            assert refused.headers["content-type"] == "application/problem+json"
    async with served(relay, admin_token=None) as client:
        refused = await client.request(method, path, headers=ADMIN)
        assert refused.status_code == 403
        assert "SYNCLINE_ADMIN_TOKEN" in refused.json()["hint"]
    assert relay.counts()["task"] == 0


async def test_trigger_wakes_a_worker_that_nothing_else_would_wake(
    relay: Relay, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with relay.worker():  # its poll is a minute
        await until(lambda: relay.value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted"))
        await asyncio.sleep(0.2)
        relay.sql("INSERT INTO item (id) VALUES (1)")
        await relay.drained()
        relay.sql("SET session_replication_role = replica")  # a mark that wakes nobody
        entity = relay.value("SELECT id FROM syncline.entity")
        relay.sql(
            "INSERT INTO syncline.outbox (entity, lane, hint, key) VALUES (%s, syncline.lane_of(%s::smallint, '1'), 'U', '1')",
            entity,
            entity,
        )
        answer = await client.post("/api/admin/sync/trigger", headers=ADMIN)
        assert answer.status_code == 202
        assert answer.json()["workers"] == 1
        await relay.drained()


async def test_a_full_resync_mends_both_kinds_of_damage_and_tells_how_far_it_is(
    relay: Relay, client: httpx.AsyncClient
) -> None:
    relay.sql("INSERT INTO item (id, name) SELECT n, 'n' || n FROM generate_series(1, 300) AS n")
    async with relay.worker():
        await relay.equal()
        docs = relay.target._database["item"]  # type: ignore[attr-defined]
        await docs.delete_one({"_id": 7})
        await docs.insert_one({"_id": 999, "_originalId": "999", "_v": 1})
        begun = await client.post("/api/backup/full", headers=ADMIN)
        assert begun.status_code == 202
        resync = begun.json()
        assert begun.headers["location"] == f"/api/backup/{resync['id']}"
        assert resync["message"] == "full resync of item"

        async def finished() -> bool:
            shown = (await client.get(f"/api/backup/{resync['id']}", headers=ADMIN)).json()
            return bool(shown["state"] == "finished")

        async with asyncio.timeout(60):
            while not await finished():
                await asyncio.sleep(0.05)
        relay.assert_equal()
        shown = (await client.get(f"/api/backup/{resync['id']}", headers=ADMIN)).json()
        assert (shown["progress"], shown["left"]) == (1.0, [])
        assert shown["finishedAt"] is not None
        refused = await client.delete(f"/api/backup/{resync['id']}", headers=ADMIN)
        assert refused.status_code == 409


async def test_a_second_resync_is_the_first_one_and_cancelling_drops_what_is_left(
    relay: Relay, client: httpx.AsyncClient
) -> None:
    both = await asyncio.gather(*(client.post("/api/backup/full", headers=ADMIN) for _ in range(2)))
    assert {answer.status_code for answer in both} == {202}
    (id_,) = {answer.json()["id"] for answer in both}
    assert relay.counts()["task"] == 2
    shown = (await client.get(f"/api/backup/{id_}", headers=ADMIN)).json()
    assert (shown["state"], shown["tasks"], shown["workers"]) == ("running", 2, 0)
    assert [(part["kind"], part["entity"]) for part in shown["left"]] == [("backfill", "item"), ("sweep", "item")]
    cancelled = await client.delete(f"/api/backup/{id_}", headers=ADMIN)
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    assert relay.counts()["task"] == 0
    third = await client.post("/api/backup/full", headers=ADMIN)
    assert third.json()["id"] != id_


@pytest.mark.parametrize(("id_", "status"), [("12345", 404), ("0", 422), ("99999999999999999999", 422), ("x", 422)])
async def test_a_resync_that_never_was_is_a_problem(client: httpx.AsyncClient, id_: str, status: int) -> None:
    for method, path in (("GET", ""), ("GET", "/events"), ("DELETE", "")):
        answer = await client.request(method, f"/api/backup/{id_}{path}", headers=ADMIN)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"


async def test_events_follow_a_resync_to_its_end_over_a_real_server(relay: Relay) -> None:
    relay.sql("INSERT INTO item (id) SELECT generate_series(1, 50)")
    app = FastAPI()
    for router in routers(relay.settings, admin_token=SECRET, deadline=PATIENT):
        app.include_router(router)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="on"))
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started, what="uvicorn serves")
    port = server.servers[0].sockets[0].getsockname()[1]
    seen: list[tuple[str, Any]] = []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, headers=ADMIN) as client:
        id_ = (await client.post("/api/backup/full")).json()["id"]
        async with asyncio.timeout(60), client.stream("GET", f"/api/backup/{id_}/events") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            async with relay.worker():
                name = ""
                async for line in stream.aiter_lines():
                    if line.startswith("event: "):
                        name = line.removeprefix("event: ")
                    elif line.startswith("data: "):
                        seen.append((name, json.loads(line.removeprefix("data: "))))
    server.should_exit = True
    await asyncio.wait_for(serving, 30)
    names = [name for name, _ in seen]
    assert names[-1] == "end"
    assert set(names[:-1]) == {"progress"}
    assert seen[-1][1]["state"] == "finished"
    shares = [resync["progress"] for _, resync in seen]
    assert shares == sorted(shares)


async def test_whoever_follows_is_told_of_an_outage_and_follows_on(
    private_postgres: PrivatePostgres, mongo_url: str, mongo_db: str
) -> None:
    async with installed(private_postgres.url, mongo_url, mongo_db) as relay:
        calls = SourceCalls(relay.settings)
        begun = await calls.run(resync.start)
        following = admin._follow(calls, begun.id)
        heard = [await anext(following) for _ in range(2)]
        private_postgres.kill()
        heard.append(await anext(following))
        private_postgres.start()
        heard.append(await anext(following))
        await calls.run(lambda connection: resync.cancel(connection, begun.id))
        heard += [part async for part in following]
    names = [part.partition(b"\n")[0].decode() for part in heard]
    assert names == ["retry: 2000", "event: progress", "event: problem", "event: progress", "event: end"]
    assert b'"state":"cancelled"' in heard[-1]


async def test_a_source_that_is_away_is_503_with_retry_after(relay: Relay) -> None:
    relay.url = "postgresql://me:hunter2@127.0.0.1:9/app"
    async with served(relay) as client:
        for method, path in (("POST", "/api/admin/sync/trigger"), ("POST", "/api/backup/full")):
            answer = await client.request(method, path, headers=ADMIN)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert "hunter2" not in answer.text


async def test_the_token_goes_out_comes_back_and_tells_whether_the_secondary_is_fresh(relay: Relay) -> None:
    engine = create_async_engine(relay.url.replace("postgresql://", "postgresql+psycopg://", 1))
    sessions = async_sessionmaker(engine)
    attach_tokens(sessions)
    app = FastAPI()
    syncline = Syncline(relay.settings, engine=engine, admin_token=SECRET, deadline=PATIENT)
    syncline.mount(app)

    needed = Depends(syncline.fresh)  # as a default: a name of this function is unknown to the annotations

    @app.post("/items/{id_}")
    async def write(id_: int, fresh: Fresh = needed) -> dict[str, str]:
        async with sessions() as session:
            await session.execute(text("INSERT INTO item (id) VALUES (:id)"), {"id": id_})
            await session.commit()
            fresh.wrote(session)
        return {}

    @app.get("/items")
    async def read(fresh: Fresh = needed, wait: float = 0) -> dict[str, bool]:
        return {"fresh": await fresh.synced(wait)}

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app", timeout=60) as client:
        assert (await client.get("/items")).json() == {"fresh": True}
        one = (await client.post("/items/1")).headers[HEADER]
        two = (await client.post("/items/2", headers={HEADER: one})).headers[HEADER]
        assert (await client.get("/items", headers={HEADER: two})).json() == {"fresh": False}
        async with relay.worker():
            assert (await client.get("/items?wait=30", headers={HEADER: two})).json() == {"fresh": True}
        bad = await client.get("/items", headers={HEADER: "no token"})
        assert bad.status_code == 400
        shown = (await client.get("/metrics")).text
    assert 'syncline_tokens_total{result="synced"} 1.0' in shown
    assert 'syncline_tokens_total{result="not_synced"} 1.0' in shown
    assert 'syncline_tokens_total{result="bad"} 1.0' in shown
    await syncline.close()
    await engine.dispose()


async def test_metrics_show_what_was_asked_what_is_open_and_what_failed(relay: Relay) -> None:
    engine = create_async_engine(relay.url.replace("postgresql://", "postgresql+psycopg://", 1))
    relay.sql("INSERT INTO syncline.notice (name, severity, message) VALUES ('EntityStopped', 'critical', 'item')")
    relay.sql("INSERT INTO item (id) VALUES (1)")
    async with served(relay, engine=engine) as client:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
            with pytest.raises(DBAPIError):
                await connection.execute(text("SELECT 1 / 0"))
        await client.get("/nowhere")
        shown = (await client.get("/metrics")).text
        assert 'syncline_open_notices{name="EntityStopped",severity="critical"} 1.0' in shown
        assert "syncline_queue_size 1.0" in shown
        assert 'syncline_status{status="unhealthy"} 1.0' in shown
        assert 'route="unmatched"' in shown
        counted = re.search(r'duration_seconds_count\{database="postgresql"\} (\d+)', shown)
        assert counted is not None
        assert int(counted[1]) >= 2
    async with served(relay, guard_metrics=True) as client:
        assert (await client.get("/metrics")).status_code == 401
        assert (await client.get("/metrics", headers=ADMIN)).status_code == 200
    await engine.dispose()


async def test_every_error_of_an_application_is_problem_details_when_it_asks_for_that(relay: Relay) -> None:
    app = FastAPI()
    problem_details(app)

    @app.get("/raise/{what}")
    async def fail(what: int) -> None:
        raise (SourceUnavailableError("away") if what else HTTPException(418, "teapot", headers={"X-Kettle": "on"}))

    async with served(relay, app) as client:
        answers = [await client.get(path) for path in ("/raise/0", "/raise/1", "/raise/x", "/nowhere")]
    assert [answer.status_code for answer in answers] == [418, 503, 422, 404]
    assert {answer.headers["content-type"] for answer in answers} == {"application/problem+json"}
    assert answers[0].headers["x-kettle"] == "on"
    assert all({"type", "title", "status", "detail"} <= answer.json().keys() for answer in answers)


async def test_a_request_has_one_id_in_its_answer_and_its_log_lines(relay: Relay) -> None:
    app = FastAPI()

    @app.get("/id")
    async def id_() -> dict[str, Any]:
        return structlog.contextvars.get_contextvars()

    async with served(relay, app) as client:
        for given, kept in (("abc-1.2", True), ("a b", False), ("x" * 65, False), ('"}<script>', False)):
            answer = await client.get("/id", headers={"X-Request-ID": given})
            assert answer.json()["request_id"] == answer.headers["x-request-id"]
            assert (answer.headers["x-request-id"] == given) is kept


async def test_the_openapi_document_shows_every_route_with_its_guard_and_examples(relay: Relay) -> None:
    async with served(relay) as client:
        document = (await client.get("/openapi.json")).json()
    paths = document["paths"]
    assert {"/health", "/api/health/sync", "/api/health/databases", "/api/admin/sync/trigger", "/metrics"} <= set(paths)
    assert {"get", "delete"} == set(paths["/api/backup/{number}"])
    assert paths["/api/backup/full"]["post"]["security"] == [{"SynclineAdmin": []}]
    assert {"202", "401", "403", "503"} <= set(paths["/api/backup/full"]["post"]["responses"])
    schemas = document["components"]["schemas"]
    for shape in (SyncHealth, DatabasesHealth, ResyncShape, Triggered):
        assert len(schemas[shape.__name__]["examples"]) == 1  # without its nulls, which FastAPI leaves out
        (example,) = shape.model_config["json_schema_extra"]["examples"]
        assert shape.model_validate(example).model_dump(mode="json", by_alias=True) == example
    example = schemas["SyncHealth"]["examples"][0]
    assert example["sync"] == {"queueSize": 45, "syncLagSeconds": 2, "failedEvents": 0}
