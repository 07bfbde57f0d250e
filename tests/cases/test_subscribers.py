"""A table that becomes the target of a subscription after the installation: noticed by a worker, captured after one command.

pglogical is played: its catalogue by a table of its name, its apply by ``session_replication_role = replica``, which is how it
writes. ``test_pglogical`` runs Debian's.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from syncline.relay import keeper
from tests import engines
from tests.relay import Relay, entity, relayed, until

T = entity("t")
PLAIN = "CREATE TABLE t (id bigint PRIMARY KEY, name text)"
PGLOGICAL = "CREATE SCHEMA pglogical; CREATE TABLE pglogical.subscription (sub_id oid PRIMARY KEY); "


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(keeper, "LOOK_SHARE", 0)


def broken(relay: Relay) -> str:
    query = "SELECT message FROM syncline.notice WHERE name = 'CaptureBroken' AND resolved_at IS NULL"
    return "; ".join(message for (message,) in relay.sql(query))


def ours(relay: Relay) -> list[str]:
    return [
        name
        for (name,) in relay.sql(
            "SELECT tgname FROM pg_trigger WHERE tgrelid = 't'::regclass AND NOT tgisinternal ORDER BY 1"
        )
    ]


async def test_pglogical_that_comes_later_is_noticed_and_has_no_trigger_on_truncate(
    database: str,
) -> None:
    async with relayed(database, ddl=PLAIN, entities=[T]) as relay, relay.worker():
        relay.sql(PGLOGICAL + "INSERT INTO pglogical.subscription VALUES (1)")
        await until(lambda: "row by row" in broken(relay), seconds=20, what=lambda: broken(relay))
        assert "pglogical stops at the TRUNCATE trigger of public.t" in broken(relay)
        await relay.install()
        assert ours(relay) == ["syncline_1_delete", "syncline_1_insert", "syncline_1_row", "syncline_1_update"]
        await until(lambda: not broken(relay), seconds=20, what=lambda: broken(relay))
        with psycopg.connect(database, autocommit=True) as apply:
            apply.execute("SET session_replication_role = replica")
            apply.execute("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
            await relay.equal(tasks=True)
            apply.execute("UPDATE t SET id = 3 WHERE id = 2")
            apply.execute("DELETE FROM t WHERE id = 1")
            await relay.equal(tasks=True)
            apply.execute("TRUNCATE t")
        await until(
            lambda: relay.documents(T) == {}, seconds=20, what="the look at the catalog has noticed that it was emptied"
        )


async def test_where_pglogical_writes_each_change_is_marked_once(database: str) -> None:
    """Row by row what is applied, in one pass over each statement what is written here."""
    async with relayed(database, ddl=PLAIN + ";" + PGLOGICAL, entities=[T]) as relay:
        relay.sql("INSERT INTO pglogical.subscription VALUES (1)")
        await relay.install()
        relay.sql("INSERT INTO t VALUES (1, 'a'), (2, 'b'); UPDATE t SET id = 3 WHERE id = 2")
        with psycopg.connect(database, autocommit=True) as apply:
            apply.execute("SET session_replication_role = replica")
            apply.execute(
                "ALTER TABLE t DISABLE TRIGGER syncline_1_insert"
            )  # as an apply, which fires none of statements
            apply.execute("INSERT INTO t VALUES (4, 'a')")
            apply.execute("ALTER TABLE t ENABLE ALWAYS TRIGGER syncline_1_insert")
        marks = relay.sql("SELECT key, hint::text FROM syncline.waiting ORDER BY seq")
        assert marks == [("1", "I"), ("2", "I"), ("3", "U"), ("2", "D"), ("4", "I")]
        relay.sql("ALTER TABLE t DISABLE TRIGGER syncline_1_row")
        async with relay.worker():
            await until(lambda: "row by row" in broken(relay), what=lambda: broken(relay))
            await relay.install(backfill=True)
            await until(lambda: not broken(relay), what=lambda: broken(relay))
            await relay.equal(tasks=True)
        assert relay.value("SELECT tgenabled FROM pg_trigger WHERE tgname = 'syncline_1_row'") == "R"


async def test_row_triggers_of_a_release_before_do_where_pglogical_writes(database: str) -> None:
    async with relayed(database, ddl=PLAIN + ";" + PGLOGICAL, entities=[T]) as relay:
        relay.sql("INSERT INTO pglogical.subscription VALUES (1)")
        await relay.install()
        relay.sql("ALTER TABLE t ENABLE ALWAYS TRIGGER syncline_1_row")
        relay.sql("; ".join(f"DROP TRIGGER syncline_1_{event} ON t" for event in ("insert", "update", "delete")))
        async with relay.worker():
            await relay.drained(tasks=True)
            relay.sql("INSERT INTO t VALUES (1, 'a')")
            await relay.equal()
            assert broken(relay) == ""


async def test_pglogical_without_a_subscription_changes_nothing(database: str) -> None:
    async with relayed(database, ddl=PLAIN + ";" + PGLOGICAL, entities=[T]) as relay:
        assert len(ours(relay)) == 4


@pytest.fixture
def sides() -> Iterator[tuple[psycopg.Connection, str]]:
    """A publishing database with rows, and the URL of another one of the same server."""
    with (
        engines.running_postgres(settings={"wal_level": "logical", "fsync": "off"}) as server,
        psycopg.connect(server.url, autocommit=True) as publisher,
    ):
        publisher.execute("CREATE DATABASE follower")
        publisher.execute(PLAIN)
        publisher.execute("INSERT INTO t VALUES (1, 'copied')")
        publisher.execute("CREATE PUBLICATION p FOR TABLE t")
        publisher.execute("SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
        yield publisher, urlsplit(server.url)._replace(path="/follower").geturl()


@pytest.mark.engines
async def test_a_subscription_that_comes_later_is_noticed_within_seconds_and_loses_nothing(
    sides: tuple[psycopg.Connection, str],
) -> None:
    publisher, url = sides
    async with relayed(url, ddl=PLAIN, entities=[T]) as relay, relay.worker():
        there = urlsplit(url)._replace(path="/postgres").geturl()  # the driver's own words may be newer than the server
        where = psycopg.sql.Literal(there).as_string(relay.conn)
        relay.sql(f"CREATE SUBSCRIPTION s CONNECTION {where} PUBLICATION p WITH (create_slot = false, slot_name = 's')")
        try:
            await until(lambda: "row by row" in broken(relay), seconds=20, what=lambda: broken(relay))
            publisher.execute("INSERT INTO t VALUES (2, 'not captured')")
            await until(lambda: relay.value("SELECT count(*) FROM t") == 2, seconds=20, what="both are applied")
            await relay.install()
            await until(lambda: not broken(relay), seconds=20, what=lambda: broken(relay))
            publisher.execute("INSERT INTO t VALUES (3, 'captured')")
            publisher.execute("UPDATE t SET name = 'changed' WHERE id = 1")
            wanted = {"1": "changed", "2": "not captured", "3": "captured"}
            await until(lambda: {k: one["name"] for k, one in relay.documents(T).items()} == wanted, seconds=20)
            publisher.execute("TRUNCATE t")
            await until(lambda: relay.documents(T) == {}, seconds=20, what="emptied")
        finally:
            relay.sql("ALTER SUBSCRIPTION s DISABLE")
            relay.sql("ALTER SUBSCRIPTION s SET (slot_name = NONE)")
            relay.sql("DROP SUBSCRIPTION s")
