"""The CockroachDB-like PostgreSQL refuses what CockroachDB refuses, and is as unreliable as it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.cockroach.server import Simulator

REFUSED = {
    "listen": ("LISTEN changes", "0A000"),
    "notify": ("NOTIFY changes, 'x'", "0A000"),
    "pg_notify": ("SELECT pg_notify('a', 'b')", "42883"),
    "lock table": ("LOCK TABLE t", "0A000"),
    "merge": ("MERGE INTO t USING t AS s ON t.id = s.id WHEN MATCHED THEN DELETE", "0A000"),
    "transaction ids": ("SELECT pg_current_xact_id()", "42883"),
    "snapshots": ("SELECT pg_snapshot_xmin(pg_current_snapshot())", "42883"),
    "old transaction ids": ("SELECT txid_current()", "42883"),
    "control file": ("SELECT system_identifier FROM pg_control_system()", "42883"),
    "log position": ("SELECT pg_walfile_name(pg_current_wal_lsn())", "42883"),
    "hashes of PostgreSQL": ("SELECT hashtextextended('a', 0)", "42883"),
    "xid8": ("CREATE TABLE u (tx xid8)", "42704"),
    "text search configurations as a type": ("SELECT to_tsvector('simple'::regconfig, 'a')", "42704"),
    "columns with the collation C": ('CREATE TABLE u (v text COLLATE "C")', "0A000"),
    "domains": ("CREATE DOMAIN positive AS int CHECK (value > 0)", "0A000"),
    "ranges": ("CREATE TABLE u (r int4range)", "0A000"),
    "partitioning": ("CREATE TABLE u (id int) PARTITION BY RANGE (id)", "0A000"),
    "inheritance": ("CREATE TABLE u () INHERITS (t)", "0A000"),
    "sampling": ("SELECT * FROM t TABLESAMPLE SYSTEM (1)", "42601"),
    "expressions as conflict targets": ("INSERT INTO t VALUES (1) ON CONFLICT (md5(v)) DO NOTHING", "42601"),
    "two modifications of a table": (
        "WITH a AS (DELETE FROM t RETURNING id), b AS (UPDATE t SET v = 'x' RETURNING id) SELECT 1",
        "0A000",
    ),
    "transition tables": (
        "CREATE TRIGGER c AFTER INSERT ON t REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION nothing()",
        "0A000",
    ),
    "statement-level triggers": (
        "CREATE TRIGGER c AFTER INSERT ON t FOR EACH STATEMENT EXECUTE FUNCTION nothing()",
        "0A000",
    ),
    "truncate triggers": ("CREATE TRIGGER c AFTER TRUNCATE ON t EXECUTE FUNCTION nothing()", "0A000"),
    "constraint triggers": (
        "CREATE CONSTRAINT TRIGGER c AFTER INSERT ON t DEFERRABLE FOR EACH ROW EXECUTE FUNCTION nothing()",
        "0A000",
    ),
    "triggers that always fire": ("ALTER TABLE t ENABLE ALWAYS TRIGGER used", "0A000"),
    "replacing a trigger": (
        "CREATE OR REPLACE TRIGGER used AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION nothing()",
        "0A000",
    ),
    "replacing a function in use": (
        "CREATE OR REPLACE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
        "0A000",
    ),
    "settings of functions": (
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET datestyle = ISO AS 'SELECT 1'",
        "0A000",
    ),
    "parallel": ("CREATE FUNCTION f() RETURNS int LANGUAGE sql PARALLEL SAFE AS 'SELECT 1'", "0A000"),
    "perform": ("CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; RETURN 1; END $$", "0A000"),
    "found": (
        "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ BEGIN IF FOUND THEN RETURN 1; END IF; END $$",
        "0A000",
    ),
    "members without parentheses": (
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id := 1; RETURN NEW; END $$",
        "0A000",
    ),
}


@pytest.fixture
def conn(cockroach: Simulator) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(cockroach.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id bigint PRIMARY KEY DEFAULT unique_rowid(), v text)")
        connection.execute("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$")
        connection.execute("CREATE TRIGGER used AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION nothing()")
        yield connection


def one(conn: psycopg.Connection[Any], query: str) -> Any:
    row = conn.execute(query).fetchone()
    assert row is not None
    return row[0]


def test_refuses_what_is_not_there(conn: psycopg.Connection[Any]) -> None:
    wrong = {}
    for name, (statement, state) in REFUSED.items():
        try:
            conn.execute(statement)
        except psycopg.Error as error:
            if error.sqlstate != state:
                wrong[name] = f"{error.sqlstate}: {error}"
        else:
            wrong[name] = "accepted"
    assert wrong == {}


def test_says_that_it_is_cockroachdb(conn: psycopg.Connection[Any]) -> None:
    assert one(conn, "SELECT version()").startswith("CockroachDB")
    assert (conn.info.parameter_status("crdb_version") or "").startswith("CockroachDB")
    assert one(conn, "SHOW transaction_isolation") == "serializable"


def test_has_functions_of_cockroachdb(conn: psycopg.Connection[Any]) -> None:
    assert one(conn, "SELECT crc32ieee('123456789')") == 0xCBF43926
    assert one(conn, "SELECT fnv32('abc')") == 0x439C2F4B
    assert abs(one(conn, "SELECT cluster_logical_timestamp()") / 10**9 - int(time.time())) < 100
    assert one(conn, "SELECT crdb_internal.cluster_id()") == one(conn, "SELECT crdb_internal.cluster_id()")


def test_lists_triggers(conn: psycopg.Connection[Any]) -> None:
    assert conn.execute("SHOW TRIGGERS FROM t").fetchall() == [("used", True)]
    with pytest.raises(psycopg.errors.UndefinedTable):
        conn.execute("SHOW TRIGGERS FROM nowhere")


def test_gives_ids_out_of_order_and_none_twice(conn: psycopg.Connection[Any]) -> None:
    rows = conn.execute("INSERT INTO t SELECT FROM generate_series(1, 300) RETURNING id")  # within a millisecond or two
    ids = [id_ for (id_,) in rows]
    assert len(set(ids)) == 300
    assert ids != sorted(ids)


def test_advisory_locks_lock_nothing(cockroach: Simulator, conn: psycopg.Connection[Any]) -> None:
    with psycopg.connect(cockroach.url) as other:
        assert one(conn, "SELECT pg_try_advisory_lock(7)")
        assert one(other, "SELECT pg_try_advisory_lock(7)")


def test_fails_with_40001_at_commit(cockroach: Simulator, conn: psycopg.Connection[Any]) -> None:
    cockroach.retry(0.5)
    failed = 0
    with psycopg.connect(cockroach.url) as other:
        for _ in range(40):
            other.execute("INSERT INTO t SELECT FROM generate_series(1, 100)")
            try:
                other.commit()
            except psycopg.errors.SerializationFailure:
                failed += 1
    assert 5 < failed < 35
    assert one(conn, "SELECT count(*) FROM t") == (40 - failed) * 100


def test_knows_computed_columns_in_both_ways_of_writing_them(conn: psycopg.Connection[Any]) -> None:
    conn.execute("CREATE TABLE u (v text, a text AS (lower(v)) STORED, b text GENERATED ALWAYS AS (upper(v)) STORED)")
    conn.execute("INSERT INTO u VALUES ('Ann')")
    assert conn.execute("SELECT a, b FROM u").fetchone() == ("ann", "ANN")


def test_refuses_write_skew(cockroach: Simulator, conn: psycopg.Connection[Any]) -> None:
    conn.execute("INSERT INTO t VALUES (1, 'on'), (2, 'on')")
    with psycopg.connect(cockroach.url) as first, psycopg.connect(cockroach.url) as second:
        for other, id_ in ((first, 1), (second, 2)):
            other.execute("SELECT count(*) FROM t WHERE v = 'on'")
            other.execute("UPDATE t SET v = 'off' WHERE id = %s", (id_,))
        first.commit()
        with pytest.raises(psycopg.errors.SerializationFailure):
            second.commit()


def test_reads_the_past(conn: psycopg.Connection[Any]) -> None:
    conn.execute("INSERT INTO t VALUES (1, 'before')")
    time.sleep(0.7)
    conn.execute("UPDATE t SET v = 'after'")
    conn.execute("BEGIN AS OF SYSTEM TIME '-400ms'")
    assert one(conn, "SELECT v FROM t") == "before"
    when = one(conn, "SELECT cluster_logical_timestamp()")
    conn.execute("COMMIT")
    time.sleep(0.5)
    conn.execute(f"BEGIN AS OF SYSTEM TIME {when}")
    assert (one(conn, "SELECT v FROM t"), one(conn, "SELECT cluster_logical_timestamp()")) == ("before", when)
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        conn.execute("DELETE FROM t")
