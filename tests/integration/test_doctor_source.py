"""Each defect of the source is made on a real server, found with its cure, cured by it, and gone.

Two cannot be made on one host: another clock (the time module is replaced) and a pooler (``tests.pooler``, which lends
servers for one transaction at a time as PgBouncer does).
"""

from __future__ import annotations

import time
from contextlib import closing
from types import SimpleNamespace
from urllib.parse import urlsplit

import psycopg
import pytest

from tests import engines, programs
from tests.integration.doctor_case import Clinic as Case
from tests.integration.doctor_case import clinic
from tests.pooler import transaction_pooler

PARTITIONED = """
CREATE TABLE part (id bigint PRIMARY KEY, v text) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100);
CREATE TABLE part_2 (id bigint PRIMARY KEY, v text);
INSERT INTO part_2 SELECT n, 'x' FROM generate_series(100, 110) AS n;
"""


@pytest.fixture
def case(database, mongo_url, mongo_db, tmp_path):
    with clinic(database, mongo_url, mongo_db, tmp_path) as found:
        yield found


def as_user(url: str, user: str) -> str:
    return urlsplit(url)._replace(netloc=f"{user}@").geturl()


class TestTriggers:
    @pytest.mark.parametrize("state", ["DISABLE", "ENABLE"])
    def test_one_that_sleeps(self, case: Case, state: str) -> None:
        """``ENABLE`` alone is not enough: under replication and in restores only ALWAYS fires."""
        case.sql(f"ALTER TABLE person {state} TRIGGER ALL")
        case.cured(case.found("triggers", "critical", "person", "not enabled ALWAYS"))

    def test_a_dump_that_was_restored_over_them(self, case: Case) -> None:
        """``--disable-triggers`` leaves them enabled, but not as they were; its rows were not captured."""
        script = programs.dumped(case.url, "--data-only", "--disable-triggers", "--table=person")
        case.sql("DELETE FROM person")
        programs.restore(case.url, script)
        case.cured(case.found("triggers", "critical", "person"))
        assert case.sql("SELECT count(DISTINCT key) FROM syncline.waiting WHERE hint = 'B'") == [(20,)]

    def test_a_table_that_was_made_again(self, case: Case) -> None:
        case.sql("DROP TABLE person; CREATE TABLE person (id bigint PRIMARY KEY, name text, secret text)")
        case.cured(case.found("triggers", "critical", "person: INSERT, DELETE, UPDATE, TRUNCATE"))

    def test_one_that_is_gone(self, case: Case) -> None:
        (name,) = case.sql("SELECT tgname FROM pg_trigger WHERE tgrelid = 'track'::regclass AND tgname ~ 'update'")[0]
        case.sql(f"DROP TRIGGER {name} ON track")
        assert "may not have been captured" in case.found("configuration", "critical", name)["why"]
        case.cured(case.report()["configuration"])

    def test_partitions_that_were_attached_and_detached(self, case: Case) -> None:
        case.sql(PARTITIONED)
        with case.config.open("a") as file:
            file.write('[entities.part]\ntable = "part"\n')
        case.run("install", "--yes")
        assert case.report()["triggers"]["level"] == "ok"
        case.sql("ALTER TABLE part ATTACH PARTITION part_2 FOR VALUES FROM (100) TO (200)")
        case.cured(case.found("configuration", "critical", "part_2"))
        tasks = (
            "SELECT t.kind FROM syncline.task AS t JOIN syncline.entity AS e ON e.id = t.entity WHERE e.name = 'part'"
        )
        assert ("sweep",) in case.sql(tasks), "the rows that came with it are marked, what was left is swept"
        case.sql("ALTER TABLE part DETACH PARTITION part_1")
        case.cured(case.found("configuration", "warning", "part_1"))
        case.sql("ALTER TABLE part_2 DISABLE TRIGGER USER")
        case.cured(case.found("triggers", "critical", "part_2"))


class TestTables:
    def test_a_column_that_the_mapping_does_not_know(self, case: Case) -> None:
        case.sql("ALTER TABLE person ADD COLUMN age int")
        finding = case.found("mapping", "warning", "person", "age")
        assert "`exclude` of [entities.person], then `syncline install`" in finding["fix"]
        case.edit('exclude = ["secret"]', 'exclude = ["secret", "age"]')
        case.run("install", "--yes")
        assert case.report()["mapping"]["level"] == "ok"

    def test_a_column_that_is_excluded_and_gone(self, case: Case) -> None:
        case.sql("ALTER TABLE person DROP COLUMN secret")
        finding = case.found("mapping", "warning", "public.person has no column secret")
        assert "`exclude` of [entities.person]" in finding["fix"]
        case.edit('exclude = ["secret"]\n', "")
        case.run("install", "--yes")
        assert case.report()["mapping"]["level"] == "ok"

    def test_values_that_readers_cannot_have(self, case: Case) -> None:
        case.sql("ALTER TABLE album ADD COLUMN until timestamptz, ADD COLUMN amounts numeric[]")
        case.sql("UPDATE album SET until = 'infinity' WHERE id = 3")
        assert case.report()["readers"]["level"] == "ok"
        case.edit("[entities.album]\n", '[mapping]\ndates = "exact"\n[entities.album]\n')
        finding = case.found("readers", "warning", "public.album: until hold infinity")
        assert 'dates = "nearest"' in finding["fix"]
        case.edit('dates = "exact"', 'dates = "text"')
        case.sql("UPDATE album SET amounts = ARRAY[1, repeat('7', 40)::numeric] WHERE id = 3")
        finding = case.found("readers", "warning", "public.album: amounts hold numbers of more than 34 digits")
        case.edit('table = "album"\n', 'table = "album"\n' + finding["fix"].partition(" in [")[0] + "\n")
        assert case.report()["readers"]["level"] == "ok"

    def test_a_table_that_is_gone(self, case: Case) -> None:
        case.sql("DROP TABLE person")
        finding = case.found("mapping", "critical", "there is no table public.person")
        assert "[entities.person]" in finding["fix"]
        config = case.config.read_text("utf-8")
        case.edit(config[config.index("[entities.person]") :], "")
        case.run("install", "--yes")
        assert case.report()["mapping"]["level"] == "ok"

    def test_a_table_that_lost_its_key(self, case: Case) -> None:
        case.sql("ALTER TABLE person DROP CONSTRAINT person_pkey")
        case.cured(case.found("key", "critical", "public.person has no primary key"))

    def test_a_table_that_lost_its_declared_key(self, case: Case) -> None:
        case.sql("ALTER TABLE person ALTER name SET NOT NULL, ADD CONSTRAINT names UNIQUE (name)")
        case.edit('table = "person"\n', 'table = "person"\nkey = ["name"]\n')
        case.run("install", "--yes")
        case.sql("ALTER TABLE person ALTER name DROP NOT NULL, DROP CONSTRAINT names")
        case.cured(case.found("key", "critical", "(name)"))

    def test_children_without_an_index(self, case: Case) -> None:
        case.sql("DROP INDEX track_album")
        case.cured(case.found("source indexes", "warning", "public.track has no index over (album_id)"))

    def test_a_configuration_that_is_not_installed(self, case: Case) -> None:
        case.edit('include = ["name"]', 'include = ["name", "secret"]')
        case.edit('exclude = ["secret"]\n', "")
        case.cured(case.found("configuration", "warning", "person: changed since the installation"))


@pytest.fixture
def stranger(case: Case):
    name = f"doctor_{case.documents.name}"
    case.sql(f"CREATE ROLE {name} LOGIN")
    yield name
    case.sql(f"DROP OWNED BY {name}; DROP ROLE {name}")


class TestRights:
    def test_a_role_that_may_nothing(self, case: Case, stranger: str) -> None:
        case.configure(as_user(case.url, stranger))
        self._granted(case, stranger, case.found("installation", "critical", "permission denied"))

    def test_a_role_that_may_too_little(self, case: Case, stranger: str) -> None:
        case.run("install", "--yes", "--worker-role", stranger)
        case.sql(f"REVOKE SELECT ON person FROM {stranger}; REVOKE DELETE ON syncline.outbox FROM {stranger}")
        case.configure(as_user(case.url, stranger))
        texts = ("SELECT on person", "DELETE on syncline.outbox")
        self._granted(case, stranger, case.found("privileges", "critical", *texts))

    def _granted(self, case: Case, stranger: str, finding: dict[str, str]) -> None:
        case.configure(case.url)
        case.cure(finding["fix"])
        case.configure(as_user(case.url, stranger))
        assert case.wrong().keys() == {"workers", "indexes"}

    def test_row_security_that_hides_rows(self, case: Case, stranger: str) -> None:
        case.run("install", "--yes", "--worker-role", stranger)
        case.sql("ALTER TABLE person ENABLE ROW LEVEL SECURITY")
        case.configure(as_user(case.url, stranger))
        case.cured(case.found("row security", "critical", "person"))


class TestServer:
    def test_an_old_transaction_in_another_database(self, case: Case, postgres, monkeypatch) -> None:
        monkeypatch.setattr("syncline.insight.checks.server.OLD_SECONDS", 1)
        with engines.fresh_database(postgres.url) as elsewhere, closing(psycopg.connect(elsewhere)) as other:
            other.execute("CREATE TABLE held (id int)")
            case.until(
                "SELECT clock_timestamp() - xact_start > interval '1.5 s' FROM pg_stat_activity"
                f" WHERE pid = {other.info.backend_pid}"
            )
            finding = case.found("old transactions", "warning", other.info.dbname)
            assert str(other.info.backend_pid) in finding["fix"]
            monkeypatch.setattr("syncline.insight.checks.server.VERY_OLD_SECONDS", 1)
            case.cured(case.found("old transactions", "critical"))

    def test_a_database_that_commits_asynchronously(self, case: Case) -> None:
        name = case.conn.info.dbname
        case.sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
        case.cured(case.found("synchronous commit", "warning", f"database {name}"))

    def test_a_role_that_commits_asynchronously(self, case: Case, stranger: str) -> None:
        case.sql(f"ALTER ROLE {stranger} SET synchronous_commit = off")
        case.cured(case.found("synchronous commit", "warning", stranger))

    def test_a_pooler_in_transaction_mode(self, case: Case) -> None:
        with transaction_pooler(case.url) as url:
            case.configure(url)
            finding = case.found("pooler", "warning", "transaction mode")
        assert "direct_url" in finding["fix"]
        case.configure(case.url)
        assert case.report()["pooler"]["level"] == "ok"

    def test_another_clock(self, case: Case, monkeypatch) -> None:
        with monkeypatch.context() as moved:
            late = SimpleNamespace(time=lambda: time.time() - 60)
            moved.setattr("syncline.insight.checks.server.time", late)
            assert "timedatectl" in case.found("clock", "warning", "behind the source")["fix"]
        assert case.report()["clock"]["level"] == "ok"


class TestOutbox:
    @programs.FLUSHED
    def test_dead_rows(self, case: Case, monkeypatch) -> None:
        monkeypatch.setattr("syncline.insight.checks.work.DEAD_ROWS", 500)
        self._fill_and_empty(case, 2000)
        case.cured(case.found("bloat", "warning", "syncline.outbox: ", "dead rows"))

    @programs.FLUSHED
    def test_a_file_that_stays_large(self, case: Case, monkeypatch) -> None:
        monkeypatch.setattr("syncline.insight.checks.work.BLOATED_BYTES", 512 * 1024)
        self._fill_and_empty(case, 10_000)
        case.sql("VACUUM (ANALYZE) syncline.outbox")
        case.cured(case.found("bloat", "warning", "syncline.outbox: "))

    def _fill_and_empty(self, case: Case, rows: int) -> None:
        case.sql("VACUUM syncline.outbox")
        case.sql(
            "INSERT INTO syncline.outbox (entity, lane, hint, key)"
            f" SELECT 1, n % 64, 'U', n::text FROM generate_series(1, {rows}) AS n"
        )
        case.sql("DELETE FROM syncline.outbox; DELETE FROM syncline.block")
        case.sql("SELECT pg_stat_force_next_flush()")
        case.until(f"SELECT n_dead_tup >= {rows} FROM pg_stat_user_tables WHERE relname = 'outbox'")

    @pytest.mark.parametrize("table", ["outbox", "block"])
    def test_autovacuum_that_is_off_for_it(self, case: Case, table: str) -> None:
        case.sql(f"ALTER TABLE syncline.{table} SET (autovacuum_enabled = off)")
        case.cured(case.found("bloat", "critical", f"autovacuum is off for syncline.{table}"))


class TestWork:
    def test_workers_that_died(self, case: Case) -> None:
        worker = case.start()
        case.settled()
        worker.kill()
        worker.wait()
        case.sql("UPDATE person SET name = 'new' WHERE id = 1")
        case.sql("UPDATE syncline.worker SET expires_at = clock_timestamp() - interval '1 minute'")
        case.cured(case.found("workers", "critical", "no worker is running, 1 change waiting"))

    def test_lanes_without_an_owner(self, case: Case) -> None:
        case.sql(
            "INSERT INTO syncline.worker (id, name, version, expires_at)"
            " SELECT gen_random_uuid(), 'stuck', package, clock_timestamp() + interval '1 hour' FROM syncline.meta"
        )
        case.sql("UPDATE syncline.lane SET owner = (SELECT id FROM syncline.worker) WHERE lane < 60")
        case.cured(case.found("workers", "warning", "4 of 64 lanes have no owner"))

    def test_a_worker_that_cannot_reach_the_target(self, case: Case) -> None:
        case.configure(case.url, mongo_url=case.nowhere)
        case.edit("connect_timeout_seconds = 2", "connect_timeout_seconds = 0.3")
        case.start()
        case.until("SELECT EXISTS (SELECT FROM syncline.worker WHERE report ->> 'target_error' IS NOT NULL)")
        case.configure(case.url)
        assert "on the host of that worker" in case.found("workers", "critical", "cannot reach the target")["fix"]
        case.stop()
        case.start()
        case.settled()
        assert case.report()["workers"]["level"] == "ok"

    def test_a_package_that_did_not_install(self, case: Case) -> None:
        case.sql("UPDATE syncline.meta SET package = '0.0.1'")
        case.cured(case.found("version", "warning", "Syncline 0.0.1 installed"))

    def test_a_worker_of_another_version(self, case: Case) -> None:
        case.start()
        case.settled()
        case.sql("UPDATE syncline.worker SET version = '0.0.1', name = 'elsewhere'")
        finding = case.found("version", "warning", "elsewhere (0.0.1)")
        case.stop()
        case.cured(finding)

    def test_a_schema_of_a_newer_package(self, case: Case) -> None:
        case.sql("UPDATE syncline.meta SET schema_version = 99")
        assert "upgrade the syncline package" in case.found("installation", "critical", "schema version 99")["fix"]

    def test_second_deletes_that_are_overdue(self, case: Case) -> None:
        case.sql(
            "INSERT INTO syncline.deferred (due, entity, lane, key) VALUES (now() - interval '1 hour', 1, 0, '99')"
        )
        case.cured(case.found("second deletes", "warning", "1 are overdue"))

    def test_what_is_parked(self, case: Case) -> None:
        case.documents["person"].create_index("name", unique=True, name="once")
        case.sql("UPDATE person SET name = 'twice' WHERE id <= 2")
        case.start()
        case.until("SELECT EXISTS (SELECT FROM syncline.parked)")
        finding = case.found("parked", "warning", "changes are parked")
        case.documents["person"].drop_index("once")
        case.cured(finding)

    def test_a_notice_that_nobody_has_dealt_with(self, case: Case) -> None:
        case.sql("INSERT INTO syncline.notice (name, severity, message) VALUES ('EntityStopped', 'critical', 'no key')")
        case.cured(case.found("notices", "critical", "EntityStopped: no key"))
