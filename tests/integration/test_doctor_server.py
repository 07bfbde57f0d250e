"""Defects that concern a whole server, on one of our own: made, found, cured by what the finding says, and gone."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from syncline.capture.postgres.schema import wake_function
from syncline.embedded.postgres import PrivatePostgres
from syncline.postgres.dialect import NEWEST_POSTGRES, OLDEST_POSTGRES
from tests import engines
from tests.integration.doctor_case import Clinic as Case
from tests.integration.doctor_case import clinic
from tests.versions import RELEASES

pytestmark = pytest.mark.engines


UNLESS_PREPARED = "\n       AND pg_catalog.current_setting('max_prepared_transactions') = '0'"


@pytest.fixture(scope="module")
def server() -> Iterator[PrivatePostgres]:
    """A server with two-phase commit and logical replication."""
    settings = {"max_prepared_transactions": 5, "wal_level": "logical", "autovacuum_naptime": "1h"}
    with engines.running_postgres(settings=settings) as found:
        yield found


@pytest.fixture
def case(server, mongo_url, mongo_db, tmp_path):
    with engines.fresh_database(server.url) as url, clinic(url, mongo_url, mongo_db, tmp_path) as found:
        yield found


def test_a_prepared_transaction_that_was_forgotten(case: Case, monkeypatch) -> None:
    monkeypatch.setattr("syncline.insight.checks.server.OLD_SECONDS", 0.5)
    with psycopg.connect(case.url) as other:
        other.execute("CREATE TABLE held (id int)")
        other.execute("PREPARE TRANSACTION 'forgotten'")
    case.until("SELECT clock_timestamp() - prepared > interval '1 s' FROM pg_prepared_xacts")
    case.cured(case.found("old transactions", "warning", "prepared transaction 'forgotten'"))


def test_wake_ups_beside_two_phase_commit(case: Case) -> None:
    """As an earlier release has installed them, before the server's setting was raised."""
    case.sql(wake_function().replace(UNLESS_PREPARED, ""))
    case.cured(case.found("two phase commit", "warning", "max_prepared_transactions is 5"))


def test_a_replication_slot_that_nobody_reads(case: Case, monkeypatch) -> None:
    monkeypatch.setattr("syncline.insight.checks.server.RETAINED_BYTES", 0)
    case.sql("SELECT pg_create_logical_replication_slot('left_over', 'pgoutput')")
    case.sql("UPDATE person SET name = 'more log'")
    case.cured(case.found("replication slots", "warning", "slot left_over"))


def test_a_table_that_became_a_subscriber(case: Case, server) -> None:
    """Replication writes rows without statements: only row-level triggers see them."""
    assert case.report()["configuration"]["level"] == "ok"
    with engines.fresh_database(server.url) as origin:
        with psycopg.connect(origin, autocommit=True) as publisher:
            publisher.execute("CREATE TABLE person (id bigint PRIMARY KEY, name text, secret text)")
            publisher.execute("CREATE PUBLICATION people FOR TABLE person")
            publisher.execute("SELECT pg_create_logical_replication_slot('people', 'pgoutput')")
        options = "create_slot = false, slot_name = 'people', copy_data = false, enabled = false"
        case.conn.execute(
            psycopg.sql.SQL("CREATE SUBSCRIPTION people CONNECTION {} PUBLICATION people WITH ({})").format(
                psycopg.sql.Literal(origin), psycopg.sql.SQL(options)
            )
        )
        try:
            case.cured(case.found("configuration", "critical", "public.person"))
        finally:
            case.sql("ALTER SUBSCRIPTION people SET (slot_name = NONE)")
            case.sql("DROP SUBSCRIPTION people")
            case.sql("SELECT pg_drop_replication_slot('people')")


@pytest.mark.parametrize(
    ("setting", "check", "level", "text"),
    [
        ("synchronous_commit", "synchronous commit", "warning", "off for the whole server"),
        ("full_page_writes", "synchronous commit", "critical", "full_page_writes is off for the whole server"),
        ("fsync", "synchronous commit", "critical", "fsync is off for the whole server"),
        ("autovacuum", "bloat", "critical", "autovacuum is off for the whole server"),
    ],
)
def test_a_setting_that_is_off(case: Case, setting: str, check: str, level: str, text: str) -> None:
    case.sql(f"ALTER SYSTEM SET {setting} = off")
    case.sql("SELECT pg_reload_conf()")
    _seen(case, setting, "off")
    case.cured(case.found(check, level, text))


def _seen(case: Case, setting: str, value: str) -> None:
    """Wait until new sessions have a setting."""
    end = time.monotonic() + 30
    while True:
        with psycopg.connect(case.url) as fresh:
            if fresh.execute(f"SHOW {setting}").fetchone() == (value,):
                return
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_standby_in_the_place_of_the_primary(mongo_url, mongo_db, tmp_path) -> None:
    with engines.running_postgres() as server, clinic(server.url, mongo_url, mongo_db, tmp_path) as case:
        case.conn.close()
        server.stop()
        (server.data_dir / "standby.signal").touch()
        server.start()
        assert "target_session_attrs=read-write" in case.found("primary", "critical", "is a standby")["fix"]
        with psycopg.connect(server.url, autocommit=True) as promoted:
            promoted.execute("SELECT pg_promote()")
        assert case.report()["primary"]["level"] == "ok"


@pytest.mark.parametrize(
    "command",
    [
        ("install", "--yes"),
        ("install", "--sql"),
        ("worker",),
        ("status",),
        ("backfill",),
        ("verify",),
        ("uninstall", "--yes"),
    ],
    ids=" ".join,
)
def test_an_old_postgresql_is_refused_by_every_command(case: Case, monkeypatch, command) -> None:
    monkeypatch.setattr(psycopg.ConnectionInfo, "server_version", 130_022)
    output = " ".join(case.run(*command, ok=2 if command == ("status",) else 3).split())
    assert "this is PostgreSQL 13, and Syncline needs PostgreSQL 14 or newer" in output
    assert "cannot be reached" not in output


def test_the_doctor_refuses_an_old_postgresql(case: Case, monkeypatch) -> None:
    monkeypatch.setattr(psycopg.ConnectionInfo, "server_version", 130_022)
    case.found("postgresql", "critical", "this is PostgreSQL 13, and Syncline needs PostgreSQL 14 or newer")


@pytest.mark.postgres(17, "a setting that a newer one is asked for")
def test_a_postgresql_newer_than_the_tests_is_a_warning_and_works(case: Case, monkeypatch) -> None:
    monkeypatch.setattr(psycopg.ConnectionInfo, "server_version", 190_000)
    assert "nothing was tested on it" in case.found("postgresql", "warning", "this is PostgreSQL 19")["message"]
    assert "nothing to do" in case.run("install", "--yes")


def test_what_was_tested_is_what_the_tests_can_run_on() -> None:
    assert (min(RELEASES), max(RELEASES)) == (OLDEST_POSTGRES, NEWEST_POSTGRES)
