"""Syncline behind PgBouncer: it works there or says why not, and the application's sessions stay as they were."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from typer.testing import CliRunner

from syncline.cli.main import app
from syncline.config import load
from syncline.embedded.postgres import PrivatePostgres
from syncline.engines.postgres.states import snapshot
from syncline.errors import PoolerError, SourceUnavailableError
from syncline.model.entity import Embed, TableName
from syncline.postgres.connection import connect, fetch_one, is_lent, look_again
from syncline.postgres.lent import Pooling, SourceConnection
from syncline.postgres.poolers import examine
from syncline.tokens.freshness import Freshness
from syncline.tokens.token import make
from syncline.wiring.sides import make_health
from tests import engines
from tests.bouncer import Application, bouncer
from tests.cockroach.server import Simulator
from tests.integration.doctor_case import Clinic, clinic
from tests.pages import TOKEN, serving
from tests.relay import Relay, entity, relayed, until

pytestmark = pytest.mark.engines

HURTFUL = {
    "intervalstyle": "postgres_verbose",
    "datestyle": "SQL, DMY",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "timezone": "Asia/Kathmandu",
    "default_transaction_read_only": "on",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "row_security": "on",
    "synchronous_commit": "off",
    "lock_timeout": "1ms",
    "standard_conforming_strings": "off",
    "quote_all_identifiers": "on",
    "array_nulls": "off",
    "transform_null_equals": "on",
    "statement_timeout": "3s",
    "idle_in_transaction_session_timeout": "1s",
    "idle_session_timeout": "100ms",
    "enable_indexscan": "off",
}
"""What roles and databases may say, and what would harm our work."""
PINNED = {
    "IntervalStyle": "iso_8601",
    "DateStyle": "ISO, MDY",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "TimeZone": "UTC",
    "transaction_read_only": "off",
    "transaction_isolation": "read committed",
    "row_security": "off",
    "synchronous_commit": "on",
    "lock_timeout": "0",
    "standard_conforming_strings": "on",
    "quote_all_identifiers": "off",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "statement_timeout": "1min",
    "idle_in_transaction_session_timeout": "1min",
    "idle_session_timeout": "0",
}


def hurt(connection: psycopg.Connection[Any], settings: dict[str, str]) -> None:
    for name, value in settings.items():
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET {name} = '{value}'")  # type: ignore[arg-type]


class Place:
    """Syncline installed through PgBouncer, the application's sessions in the same pool, a worker at work."""

    def __init__(self, case: Clinic, url: str, application: Application) -> None:
        self.case, self.url, self.application = case, url, application


@pytest.fixture(scope="module")
def place(postgres: PrivatePostgres, mongo: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with ExitStack() as stack:
        database = stack.enter_context(engines.fresh_database(postgres.url))
        mongo_db = stack.enter_context(engines.fresh_mongo_database(mongo.url))
        folder = tmp_path_factory.mktemp("pooled")
        case = stack.enter_context(clinic(database, mongo.url, mongo_db, folder, installed=False))
        url = stack.enter_context(bouncer(database))
        application = Application(url)
        stack.callback(application.close)
        case.configure(url)
        before = application.sessions()
        case.run("install", "--yes", "--backfill")
        case.start()
        case.settled()
        case.stop()
        assert application.changed(before) == {}
        yield Place(case, url, application)


COMMANDS: dict[str, tuple[list[str], int]] = {
    "install again": (["install", "--yes"], 0),
    "install --sql": (["install", "--sql"], 0),
    "verify": (["verify"], 0),
    "repair": (["repair"], 0),
    "doctor": (["doctor"], 1),
    "status": (["status"], 0),
    "explain": (["explain", "album", "1"], 0),
    "parked": (["parked", "list"], 0),
    "notices": (["notices", "list"], 0),
    "backfill": (["backfill"], 0),
    "resync": (["resync", "--no-wait"], 0),
    "adopt": (["adopt", "--yes"], 0),
    "uninstall": (["uninstall", "--yes"], 0),
}
"""What is run with no worker at work, and its exit status."""


class TestTransactionMode:
    @pytest.mark.parametrize("name", [name for name in COMMANDS if name != "uninstall"])
    def test_a_command_leaves_the_applications_sessions_as_they_were(self, place: Place, name: str) -> None:
        """Case 27: 12 of 12 sessions."""
        arguments, status = COMMANDS[name]
        before = place.application.sessions()
        assert len(before) == 12
        result = CliRunner().invoke(app, [*arguments, "--config", str(place.case.config)])
        assert result.exit_code == status, result.output
        assert place.application.changed(before) == {}
        if name in {
            "backfill",
            "resync",
        }:  # with what they leave to a worker nothing would be proved by whatever comes next
            place.case.start()
            place.case.settled()
            place.case.stop()

    def test_init_does_too(self, place: Place) -> None:
        before = place.application.sessions()
        result = CliRunner().invoke(app, ["init", "--stdout", "--url", place.url])
        assert result.exit_code == 0, result.output
        assert "[entities.album]" in result.output
        assert place.application.changed(before) == {}

    def test_the_operations_page_does_too(self, place: Place, tmp_path: Path) -> None:
        before = place.application.sessions()
        with (
            serving(tmp_path, place.case.config.read_text()) as served,
            httpx.Client(base_url=served.url, follow_redirects=True, trust_env=False, timeout=60) as client,
        ):
            client.post("login", data={"credential": TOKEN})
            state = client.get("state").json()["state"]
            explained = client.get("explain", params={"entity": "album", "key": "1"}).json()
        assert {one["state"] for one in state["databases"].values()} == {"connected"}
        assert [one["name"] for one in state["entities"]] == ["album", "person"]
        assert "detailsError" not in state
        assert explained["row"]["id"] == 1
        assert place.application.changed(before) == {}

    async def test_health_and_freshness_do_too(self, place: Place) -> None:
        before = await asyncio.to_thread(place.application.sessions)
        health = make_health(load(place.case.config))
        status = await health.read()
        await health.close()
        assert {state.word for state in status.databases.values()} == {"connected"}
        installation = place.case.sql("SELECT installation::text FROM syncline.meta")[0][0]
        freshness = Freshness(f"{place.url}&pgbouncer=true&connection_limit=5")
        for _ in range(8):  # more often than after what a driver prepares a statement
            assert await freshness.synced(make(installation[:8], [1]), 60)
        await freshness.close()
        assert await asyncio.to_thread(place.application.changed, before) == {}

    def test_the_doctor_names_the_mode_first(self, place: Place) -> None:
        found = place.case.found("pooler", "warning", "transaction mode")
        assert "direct_url" in found["fix"]
        place.case.edit("[target]", "wake = false\n[target]")
        assert "transaction mode" in place.case.found("pooler", "ok")["message"]
        place.case.edit("wake = false\n[target]", "[target]")

    async def test_a_busy_pool_is_never_taken_for_ours(self, place: Place) -> None:
        """While the application's clients take the sessions that the last transaction had."""
        stop = threading.Event()

        def work() -> None:
            with psycopg.connect(place.url, autocommit=True, prepare_threshold=None) as connection:
                while not stop.is_set():
                    connection.execute("SELECT pg_sleep(0.001)")

        clients = [threading.Thread(target=work) for _ in range(10)]
        for client in clients:
            client.start()
        try:
            for _ in range(40):
                connection = await connect(place.url)
                assert connection.pooling is Pooling.TRANSACTION
                await connection.close()
        finally:
            stop.set()
            for client in clients:
                client.join()

    async def test_a_pool_without_a_session_for_a_second_look_is_taken_for_shared(
        self, database: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("syncline.postgres.poolers.WAIT_SECONDS", 0.5)
        with bouncer(database, mode="session", size=1) as url:
            connection = await connect(url)
            assert connection.lent
            await connection.close()


async def test_a_session_that_is_older_than_its_connection_is_a_poolers(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the pooler greets with its server's own process number."""
    monkeypatch.setattr("syncline.postgres.poolers.SLACK_SECONDS", 0)
    async with await SourceConnection.connect(database, autocommit=True) as connection:
        began = time.monotonic() - 60
        assert (await examine(connection, began))[1] is Pooling.NONE
        assert (await examine(connection, time.monotonic() + 1))[1] is None


async def test_a_direct_connection_is_ours(database: str) -> None:
    connection = await connect(database)
    assert (connection.pooling, is_lent(connection)) == (Pooling.NONE, False)
    assert await look_again(connection, database) is Pooling.NONE
    await connection.close()


@pytest.mark.parametrize("through", ["transaction", "session", "nothing"])
async def test_settings_of_roles_and_databases_have_no_say(database: str, through: str) -> None:
    with ExitStack() as stack:
        with psycopg.connect(database, autocommit=True) as connection:
            hurt(connection, HURTFUL)
        url = database if through == "nothing" else stack.enter_context(bouncer(database, mode=through))
        ours = await connect(url)
        for _ in range(8):
            async with ours.transaction():
                found = await (await ours.execute("SELECT name, current_setting(name) FROM pg_settings")).fetchall()
        assert {name: value for name, value in found if name in PINNED} == PINNED
        await ours.execute("CREATE TABLE made (id int)")
        async with snapshot(ours):
            assert await fetch_one(ours, "SELECT current_setting('IntervalStyle'), count(*) FROM made") == (
                "iso_8601",
                0,
            )
        await ours.close()


INTERVALS = """
CREATE TABLE item (id bigint PRIMARY KEY, span interval, day date, data bytea, ratio float8, list text[]);
CREATE TABLE line (id bigint PRIMARY KEY, item bigint, span interval);
INSERT INTO item SELECT n, n * interval '1 day 2 hours', date '2026-01-02' + n::int, '\\x00ff', n / 3.0, '{a,NULL}'
FROM generate_series(1, 200) AS n;
INSERT INTO line SELECT n, n, n * interval '1 month' FROM generate_series(1, 200) AS n;
"""
INTERVAL_ENTITY = entity("item", embeds=(Embed("lines", TableName.parse("line"), on=("item",)),))


async def test_a_worker_behind_a_pooler_writes_what_a_direct_one_writes(
    database: str, mongo_url: str, mongo_db: str
) -> None:
    """Case 28: 200 of 200 intervals, whatever the database's settings."""
    target = (mongo_url, mongo_db)
    async with relayed(
        database, target, ddl=INTERVALS, entities=[INTERVAL_ENTITY], poll=timedelta(seconds=0.1)
    ) as relay:
        async with relay.worker():
            relay.sql("UPDATE item SET id = id")
            await relay.drained(tasks=True)
        right = [without_time(document) for document in relay.raw(INTERVAL_ENTITY)]
        assert len(right) == 200
        hurt(
            relay.conn,
            {name: value for name, value in HURTFUL.items() if "idle" not in name and name != "lock_timeout"},
        )
        with bouncer(database) as url, closing(Application(url)) as application:
            before = application.sessions()
            relay.sql("UPDATE item SET span = span + interval '1 minute', day = day")
            relay.sql("UPDATE item SET span = span - interval '1 minute'")
            relay.url = url
            async with relay.worker():
                await relay.drained()
                relay.sql("UPDATE line SET span = span")
                relay.sql("DELETE FROM item WHERE id = 7")
                await relay.drained(deferred=True)
                assert locks_and_listeners(relay) == (0, 0)
            assert relay.seen.outages == []
            assert await asyncio.to_thread(application.changed, before) == {}
        again = [without_time(document) for document in relay.raw(INTERVAL_ENTITY)]
        assert again == [document for document in right if document["_id"] != 7]


async def test_a_worker_that_shall_not_be_woken_takes_no_lock_and_does_not_listen(database: str) -> None:
    """``[source] wake = false``."""
    async with relayed(database, poll=timedelta(seconds=0.2)) as relay:
        relay.wake = False
        async with relay.worker():
            await asyncio.sleep(0.5)  # idle by then: with wake-ups it would hold the lock
            assert locks_and_listeners(relay) == (0, 0)
            assert (
                relay.value(
                    "SELECT count(*) FROM pg_stat_activity"
                    " WHERE application_name = 'syncline listener' AND datname = current_database()"
                )
                == 0
            )
            relay.sql("INSERT INTO item VALUES (1, 'a')")
            await relay.equal()
            assert locks_and_listeners(relay) == (0, 0)


async def test_a_worker_that_may_be_woken_is(database: str) -> None:
    async with relayed(database) as relay, relay.worker():
        await until(lambda: locks_and_listeners(relay) == (1, 1))


async def test_in_session_mode_writers_wake_the_worker_and_nothing_is_left(database: str) -> None:
    with bouncer(database, mode="session", size=12) as url:
        async with relayed(database) as relay:
            relay.url = url
            async with relay.worker():
                await until(lambda: locks_and_listeners(relay) == (1, 1))
                relay.sql("INSERT INTO item VALUES (1, 'a')")
                await relay.equal()
            assert locks_and_listeners(relay) == (0, 0)


class TestStatementMode:
    @pytest.fixture
    def case(self, database: str, mongo_url: str, mongo_db: str, tmp_path: Path) -> Iterator[Clinic]:
        with clinic(database, mongo_url, mongo_db, tmp_path) as found, bouncer(database, mode="statement") as url:
            found.configure(url)
            yield found

    @pytest.mark.parametrize("name", [*(name for name in COMMANDS if name != "doctor"), "worker"])
    def test_a_command_names_the_pooler_and_the_way_past_it(self, case: Clinic, name: str) -> None:
        arguments = COMMANDS.get(name, ([name], 0))[0]
        result = CliRunner().invoke(app, [*arguments, "--config", str(case.config)])
        assert result.exit_code in {2, 3}, result.output
        assert "pooler in statement" in result.output
        assert name == "status" or "SYNCLINE_DIRECT_URL" in result.output
        assert "Traceback" not in result.output

    def test_so_does_the_doctor(self, case: Clinic) -> None:
        assert "SYNCLINE_DIRECT_URL" in case.found("pooler", "critical", "statement mode")["fix"]

    def test_a_direct_url_leads_past_it(self, case: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SYNCLINE_DIRECT_URL", case.url)
        assert case.report()["pooler"]["message"] == "none: this is a direct connection"
        case.run("explain", "album", "1", ok=0)


async def test_a_url_may_say_that_there_is_a_pooler(database: str) -> None:
    connection = await connect(f"{database}&pgbouncer=true")
    assert connection.lent
    assert await fetch_one(connection, "SELECT current_setting('statement_timeout')") == ("1min",)
    await connection.close()


async def test_another_server_behind_the_pooler_ends_the_connection(private_postgres: PrivatePostgres) -> None:
    """A direct connection would break; that of a pooler lives on and leads to whatever is there now."""
    with bouncer(private_postgres.url) as url:
        connection = await connect(url)
        await fetch_one(connection, "SELECT 1")
        private_postgres.kill()
        private_postgres.start()
        with pytest.raises(SourceUnavailableError, match="another server"):
            await fetch_one(connection, "SELECT 1")
        assert connection.closed


async def test_cockroachdb_behind_a_pooler_in_transaction_mode_is_refused(cockroach: Simulator) -> None:
    with pytest.raises(PoolerError, match="CockroachDB through a pooler"):
        await connect(f"{cockroach.url}&pgbouncer=true")


def test_uninstall_leaves_the_applications_sessions_as_they_were(place: Place) -> None:
    """Last: it takes away what the others need."""
    before = place.application.sessions()
    place.case.run("uninstall", "--yes")
    assert place.application.changed(before) == {}


def locks_and_listeners(relay: Relay) -> tuple[int, int]:
    locks = (
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = 1398361667 AND objid = 1 AND granted"
    )
    listeners = (
        "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%%LISTEN syncline%%' AND pid <> pg_backend_pid()"
    )
    database = " AND {} = (SELECT {} FROM pg_database WHERE datname = current_database())"
    return (
        relay.value(locks + database.format("database", "oid")),
        relay.value(listeners + database.format("datname", "datname")),
    )


def without_time(document: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in {"_v", "_syncedAt"}}
