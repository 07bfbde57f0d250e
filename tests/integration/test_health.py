"""Health answers in time and truthfully, whatever the databases do."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from typing import Any

import psycopg

from syncline.capture.postgres.install import install, plan
from syncline.config.settings import Settings, SourceSettings, TargetSettings
from syncline.embedded.mongo import PrivateMongo
from syncline.embedded.postgres import PrivatePostgres
from syncline.insight import health as module
from syncline.insight.health import HealthReader
from syncline.model.thresholds import Health
from syncline.wiring.sides import make_health
from tests.cockroach.server import Simulator
from tests.relay import ITEM, ITEMS

NOT_A_CLOCK = 30.0
"""Seconds. Without a deadline of its own a look at a silent server lasts a minute and more."""
PATIENT = timedelta(seconds=60)
"""Where both sides answer; a busy machine is not what is tested."""
BRIEF = timedelta(seconds=3)
"""Where one side never answers; the other one must within this time."""


def settings(url: str, mongo_url: str, name: str = "app") -> Settings:
    return Settings(SourceSettings(url=url), TargetSettings(url=mongo_url, database=name), entities=(ITEM,))


@asynccontextmanager
async def reader(url: str, mongo_url: str, name: str = "app", **options: Any) -> AsyncIterator[HealthReader]:
    options = {"deadline": PATIENT, "keep": timedelta(0)} | options
    one = make_health(settings(url, mongo_url, name), **options)
    try:
        yield one
    finally:
        await one.close()


@contextmanager
def silent_server() -> Iterator[int]:
    """Accept connections (the kernel does) and never say a word."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen(100)
        yield bound.getsockname()[1]


async def install_item(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        await conn.execute(ITEMS)
        await install(conn, await plan(conn, [ITEM]))


async def test_both_up_and_nothing_to_do_is_healthy_in_exactly_this_shape(
    database: str, mongo_url: str, mongo_db: str
) -> None:
    await install_item(database)
    async with reader(database, mongo_url, mongo_db) as health:
        assert (await health.read()).summary() == {
            "status": "healthy",
            "databases": {"postgresql": "connected", "mongodb": "connected"},
            "sync": {"queueSize": 0, "syncLagSeconds": 0, "failedEvents": 0},
            "alerts": [],
        }


async def test_what_waits_is_counted_and_alerts_above_the_threshold(
    database: str, mongo_url: str, mongo_db: str
) -> None:
    await install_item(database)
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("INSERT INTO item (id) SELECT generate_series(1, 1001)")
        conn.execute("UPDATE syncline.block SET at = at - interval '90 seconds'")
    async with reader(database, mongo_url, mongo_db) as health:
        summary = (await health.read()).summary()
    assert summary["status"] == "unhealthy"
    assert summary["sync"]["queueSize"] == 1001
    assert summary["sync"]["syncLagSeconds"] >= 90
    alerts = {alert["name"]: alert for alert in summary["alerts"]}
    assert set(alerts) == {"SyncLagCritical", "QueueSizeHigh", "NoWorker"}
    assert alerts["QueueSizeHigh"].keys() == {"name", "severity", "value", "threshold", "message"}
    assert alerts["QueueSizeHigh"] | {"message": ""} == {
        "name": "QueueSizeHigh",
        "severity": "warning",
        "value": 1001,
        "threshold": 1000,
        "message": "",
    }


async def test_a_source_that_accepts_and_never_answers_is_disconnected_in_time(mongo_url: str, mongo_db: str) -> None:
    with silent_server() as port:
        async with reader(
            f"postgresql://me:hunter2@127.0.0.1:{port}/app", mongo_url, mongo_db, deadline=BRIEF
        ) as health:
            async with asyncio.timeout(NOT_A_CLOCK):
                status = await health.read()
    assert status.health is Health.UNHEALTHY
    assert status.summary()["databases"] == {"postgresql": "disconnected", "mongodb": "connected"}
    assert status.summary()["sync"] == {"queueSize": None, "syncLagSeconds": None, "failedEvents": None}
    assert "hunter2" not in str(status)


async def test_a_target_that_accepts_and_never_answers_is_disconnected_and_hides_nothing(database: str) -> None:
    await install_item(database)
    with silent_server() as port:
        async with reader(database, f"mongodb://127.0.0.1:{port}/app", deadline=BRIEF) as health:
            async with asyncio.timeout(NOT_A_CLOCK):
                status = await health.read()
    assert status.health is Health.DEGRADED
    assert status.summary()["databases"] == {"postgresql": "connected", "mongodb": "disconnected"}
    assert status.summary()["sync"]["queueSize"] == 0


async def test_a_server_that_freezes_after_it_was_connected_is_noticed_and_so_is_its_return(
    private_postgres: PrivatePostgres, private_mongo: PrivateMongo
) -> None:
    await install_item(private_postgres.url)
    async with reader(private_postgres.url, private_mongo.url, deadline=BRIEF) as health:
        await healthy(health)
        private_postgres.freeze()
        private_mongo.freeze()
        try:
            async with asyncio.timeout(NOT_A_CLOCK):
                frozen = await health.read()
                again = [await health.read() for _ in range(4)]
        finally:
            private_postgres.thaw()
            private_mongo.thaw()
        for status in (frozen, *again):
            assert status.summary()["databases"] == {"postgresql": "disconnected", "mongodb": "disconnected"}
        await healthy(health)


async def healthy(health: module.HealthReader) -> None:
    """Wait until it is; a look may miss its brief deadline on a busy machine."""
    async with asyncio.timeout(60):
        while (await health.read()).health is not Health.HEALTHY:
            await asyncio.sleep(0.05)


async def test_a_server_that_goes_away_and_comes_back_is_seen_at_the_next_look(
    private_postgres: PrivatePostgres, mongo_url: str, mongo_db: str
) -> None:
    await install_item(private_postgres.url)
    async with reader(private_postgres.url, mongo_url, mongo_db) as health:
        assert (await health.read()).health is Health.HEALTHY
        private_postgres.kill()
        status = await health.read()
        assert status.databases["postgresql"].word == "disconnected"
        private_postgres.start()
        assert (await health.read()).health is Health.HEALTHY


async def test_a_database_without_syncline_is_connected_and_says_what_to_do(
    database: str, mongo_url: str, mongo_db: str
) -> None:
    async with reader(database, mongo_url, mongo_db) as health:
        summary = (await health.read()).summary()
    assert summary["databases"]["postgresql"] == "connected"
    assert summary["status"] == "unhealthy"
    assert [alert["name"] for alert in summary["alerts"]] == [module.NOT_INSTALLED[0]]
    assert "syncline install" in summary["alerts"][0]["message"]


async def test_a_locked_outbox_leaves_the_source_connected_and_the_queue_unknown(
    database: str, mongo_url: str, mongo_db: str
) -> None:
    await install_item(database)
    async with reader(database, mongo_url, mongo_db, deadline=BRIEF) as health:
        with psycopg.connect(database) as conn:
            conn.execute("LOCK TABLE syncline.outbox IN ACCESS EXCLUSIVE MODE")
            summary = (await health.read()).summary()
        assert summary["databases"]["postgresql"] == "connected"
        assert summary["status"] == "degraded"
        assert summary["sync"]["queueSize"] is None
        assert [alert["name"] for alert in summary["alerts"]] == [module.UNKNOWN[0]]
        await healthy(health)


async def test_a_role_that_may_not_look_leaves_the_source_connected_and_says_what_it_lacks(
    database: str, mongo_url: str, mongo_db: str
) -> None:
    await install_item(database)
    role = f"blind_{mongo_db}"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {role} LOGIN")
        try:
            async with reader(database.replace("postgres@", f"{role}@", 1), mongo_url, mongo_db) as health:
                summaries = [(await health.read()).summary() for _ in range(2)]
        finally:
            conn.execute(f"DROP ROLE {role}")
    for summary in summaries:
        assert summary["databases"]["postgresql"] == "connected"
        assert summary["status"] == "degraded"
        assert [alert["name"] for alert in summary["alerts"]] == [module.UNKNOWN[0]]
        assert "permission denied" in summary["alerts"][0]["message"]


async def test_many_who_ask_share_one_look(database: str, mongo_url: str, mongo_db: str) -> None:
    await install_item(database)
    async with reader(database, mongo_url, mongo_db, keep=timedelta(seconds=60)) as health:
        seen = await asyncio.gather(*(health.read() for _ in range(50)))
        assert len({id(status) for status in seen}) == 1
        with psycopg.connect(database, autocommit=True) as conn:
            count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'syncline health' AND datname = %s"
            assert conn.execute(count, [conn.info.dbname]).fetchone() == (1,)


async def test_a_waiter_that_is_cancelled_does_not_cancel_the_look_of_the_others(
    database: str, mongo_url: str, mongo_db: str
) -> None:
    await install_item(database)
    async with reader(database, mongo_url, mongo_db) as health:
        waiters = [asyncio.create_task(health.read()) for _ in range(2)]
        await asyncio.sleep(0)
        waiters[0].cancel()
        assert (await waiters[1]).health is Health.HEALTHY


async def test_a_measure_of_the_application_alerts_too(database: str, mongo_url: str, mongo_db: str) -> None:
    await install_item(database)
    async with reader(database, mongo_url, mongo_db, values=lambda: {"api_p95_ms": 700.0}) as health:
        status = await health.read()
    assert [alert.name for alert in status.alerts] == ["ApiLatencyHigh"]
    assert status.health is Health.DEGRADED


async def test_cockroachdb_is_called_by_its_name(cockroach: Simulator, mongo_url: str, mongo_db: str) -> None:
    async with reader(cockroach.url, mongo_url, mongo_db) as health:
        assert (await health.read()).summary()["databases"]["cockroachdb"] == "connected"


def test_a_reader_serves_one_event_loop_after_the_other(database: str, mongo_url: str, mongo_db: str) -> None:
    asyncio.run(install_item(database))
    health = make_health(settings(database, mongo_url, mongo_db), deadline=PATIENT)

    async def look() -> Health:
        try:
            return (await health.read()).health
        finally:
            await health.close()

    assert [asyncio.run(look()) for _ in range(2)] == [Health.HEALTHY] * 2
