"""Changes that arrive by logical replication: no statement is executed, only row-level triggers see them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from tests import engines
from tests.integration.capture_case import Case, entity

TABLES = "CREATE TABLE todo (id bigint PRIMARY KEY, title text); CREATE TABLE other (id int PRIMARY KEY)"


@pytest.fixture(scope="module")
def replicated() -> Iterator[tuple[psycopg.Connection, Case]]:
    with engines.scratch_folder() as folder:
        server = engines.small_postgres(folder / "pg", settings={"wal_level": "logical", "fsync": "off"})
        server.start()
        try:
            with psycopg.connect(server.url, autocommit=True) as publisher:
                publisher.execute("CREATE DATABASE follower")
                publisher.execute(TABLES)
                publisher.execute("CREATE PUBLICATION p FOR TABLE todo")
                publisher.execute("SELECT pg_create_logical_replication_slot('s', 'pgoutput')")
                url = urlsplit(server.url)._replace(path="/follower").geturl()
                with Case(url, [entity("todo", "todo"), entity("other", "other")]) as case:
                    case.sql(TABLES)
                    case.install()
                    conninfo = psycopg.sql.Literal(server.url).as_string(case.conn)
                    case.sql(
                        f"CREATE SUBSCRIPTION s CONNECTION {conninfo} PUBLICATION p WITH (create_slot = false, slot_name = 's', copy_data = false)"
                    )
                    yield publisher, case
                    case.sql(
                        "ALTER SUBSCRIPTION s DISABLE",
                        "ALTER SUBSCRIPTION s SET (slot_name = NONE)",
                        "DROP SUBSCRIPTION s",
                    )
        finally:
            server.kill()


def _until(found: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not found() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert found()


@pytest.mark.engines
def test_a_table_that_becomes_a_subscriptions_target_is_captured_by_row(
    replicated: tuple[psycopg.Connection, Case],
) -> None:
    publisher, case = replicated
    summary = case.install().summary
    assert "public.todo: create trigger syncline_1_row" in summary
    assert not any("public.other" in line for line in summary)

    publisher.execute("INSERT INTO todo VALUES (1, 'a'), (2, 'b')")
    publisher.execute("UPDATE todo SET id = 3 WHERE id = 2")
    publisher.execute("DELETE FROM todo WHERE id = 1")
    publisher.execute("TRUNCATE todo")

    _until(lambda: bool(case.tasks()))
    assert case.marks() == [
        ("todo", key, hint) for key, hint in (("1", "I"), ("2", "I"), ("3", "U"), ("2", "D"), ("1", "D"))
    ]
    assert case.tasks() == [("sweep", "todo")]
