"""The commands through their real entry, on real engines."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit

import psycopg
import pytest
from pymongo import MongoClient
from typer.testing import CliRunner

from syncline import __version__
from syncline.cli.main import app
from syncline.config import load
from tests import engines

TABLES = """
CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL, password_hash text, total_points int DEFAULT 0);
CREATE TABLE todos (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id bigint REFERENCES users, title text);
CREATE TABLE notes (body text);
CREATE TABLE prices (amount float8 PRIMARY KEY, code text UNIQUE NOT NULL);
CREATE TABLE alembic_version (version_num text PRIMARY KEY);
CREATE VIEW everyone AS SELECT * FROM users;
INSERT INTO users (id, email) SELECT n, 'user' || n || '@example.org' FROM generate_series(1, 3) AS n;
"""
CONFIG = """
[source]
url = "{database}"
[target]
url = "{mongo}"
database = "{name}"
[entities.users]
table = "users"
naming = "camel"
[entities.todos]
table = "todos"
[[entities.todos.indexes]]
keys = ["user_id", "-title"]
"""


@pytest.fixture
def syncline(tmp_path, monkeypatch):
    """Run the command in an empty folder, with an environment of its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)

    def run(*arguments, ok=0, **env):
        result = CliRunner().invoke(app, [str(a) for a in arguments], env=env or None)
        assert result.exit_code == ok, result.output + repr(result.exception)
        return result.output

    return run


@pytest.fixture
def configured(syncline, database, mongo_url, mongo_db):
    """A database with tables, and a configuration for it."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLES)
        Path("syncline.toml").write_text(CONFIG.format(database=database, mongo=mongo_url, name=mongo_db))
        with MongoClient(mongo_url) as client:
            yield SimpleNamespace(run=syncline, sql=connection.execute, documents=client[mongo_db])


@pytest.fixture
def installed(configured):
    configured.run("install", "--yes")
    return configured


def as_user(url, user, password=""):
    return urlsplit(url)._replace(netloc=f"{user}:{password}@").geturl()


def mark(installed, key, hint="U", entity="users"):
    installed.sql(
        'SELECT syncline.mark(id, ARRAY[%s], %s::"char") FROM syncline.entity WHERE name = %s', (key, hint, entity)
    )


def park(installed, key, entity="users", changes=1):
    installed.sql(
        "INSERT INTO syncline.parked (seq, entity, lane, hint, key, created_at, changes, code, error)"
        " SELECT 1, id, syncline.lane_of(id, %s), 'U', %s, now(), %s, 'too_large', 'the document has 17 MiB'"
        " FROM syncline.entity WHERE name = %s",
        (key, key, changes, entity),
    )


class TestInit:
    def test_writes_a_configuration_that_loads_and_installs(self, configured, database, mongo_url):
        Path("syncline.toml").unlink()
        configured.run("init", "--url", database)
        env = {"DATABASE_URL": database, "MONGODB_URL": mongo_url}
        assert [e.name for e in load(None, env).entities] == ["prices", "todos", "users"]
        configured.run("install", "--yes", **env)

    def test_says_what_cannot_be_synced_and_why(self, configured, database):
        text = configured.run("init", "--url", database, "--stdout")
        assert "# public.notes: public.notes has no primary key" in text or "# public.notes: " in text
        assert "# public.everyone: a view" in text
        assert "# public.alembic_version: bookkeeping" in text

    def test_takes_another_unique_key_where_the_primary_key_cannot_be_one(self, configured, database):
        text = configured.run("init", "--url", database, "--stdout")
        assert 'key = ["code"]' in text

    def test_suggests_to_embed_children_and_to_leave_out_secrets(self, configured, database):
        text = configured.run("init", "--url", database, "--stdout")
        assert "# [entities.users.embed.todos]" in text
        assert '# on = ["user_id"]' in text
        assert '# exclude = ["password_hash"]' in text

    def test_writes_no_secret(self, configured, database):
        text = configured.run("init", "--url", database, "--stdout")
        assert 'url = "${DATABASE_URL}"' in text
        assert database not in text

    def test_does_not_overwrite(self, configured, database):
        before = Path("syncline.toml").read_text()
        assert "is there already" in configured.run("init", "--url", database, ok=3)
        assert Path("syncline.toml").read_text() == before
        configured.run("init", "--url", database, "--force")
        assert Path("syncline.toml").read_text() != before


class TestInstall:
    def test_dry_run_changes_nothing(self, configured):
        assert "users" in configured.run("install", "--dry-run")
        assert configured.sql("SELECT to_regnamespace('syncline')").fetchone() == (None,)

    def test_a_summary_counts_and_details_are_named_on_demand(self, configured):
        assert "users: create trigger" in configured.run("install", "--dry-run")
        text = configured.run("install", "--yes")
        assert re.search(r"create \d+ functions, create 8 triggers \(-v names them\)", text)
        assert "create trigger" not in text
        assert "todos: new entity" in text
        configured.sql("DROP TRIGGER syncline_2_insert ON todos")
        assert "todos: create trigger syncline_2_insert" in configured.run("install", "--yes", "-v")

    def test_sql_is_a_script(self, configured):
        script = configured.run("install", "--sql")
        assert re.search("CREATE SCHEMA (IF NOT EXISTS )?syncline", script)
        assert "COMMIT;" in script

    def test_asks_first(self, configured):
        assert "add --yes" in configured.run("install", ok=3)

    def test_has_existing_records_marked_by_the_worker(self, installed):
        tasks = installed.sql("SELECT kind, reason FROM syncline.task ORDER BY id").fetchall()
        assert tasks == [("backfill", "install"), ("backfill", "install")]

    def test_again_does_nothing(self, installed):
        assert "nothing to do" in installed.run("install", "--yes")
        assert installed.sql("SELECT count(*) FROM syncline.task").fetchone() == (2,)

    def test_uninstall_leaves_nothing(self, installed):
        assert "add --yes" in installed.run("uninstall", ok=3)
        installed.run("uninstall", "--yes")
        assert installed.sql("SELECT to_regnamespace('syncline')").fetchone() == (None,)
        assert "nothing to remove" in installed.run("uninstall", "--yes")


class TestStatus:
    def test_nobody_has_begun(self, installed):
        report = json.loads(installed.run("status", "--json", ok=1))
        assert [(alert["name"], "2 tasks are waiting" in alert["message"]) for alert in report["alerts"]] == [
            ("NoWorker", True)
        ]
        assert [task["kind"] for task in report["tasks"]] == ["backfill", "backfill"]

    def test_healthy(self, installed):
        installed.sql("DELETE FROM syncline.task")
        report = json.loads(installed.run("status", "--json"))
        assert report["status"] == "healthy"
        assert report["sync"] == {
            "queueSize": 0,
            "syncLagSeconds": 0,
            "failedEvents": 0,
            "deferredDeletes": 0,
            "heldByCopy": 0,
        }
        assert report["lanes"] == {"owned": 0, "free": 64, "total": 64}
        assert {name: d["state"] for name, d in report["databases"].items()} == {
            "postgresql": "connected",
            "mongodb": "connected",
        }

    def test_counts_what_waits(self, installed):
        installed.sql("UPDATE users SET email = 'new' WHERE id = 1")
        report = json.loads(installed.run("status", "--json", ok=1))
        assert report["sync"]["queueSize"] == 1
        assert (report["status"], [alert["name"] for alert in report["alerts"]]) == ("degraded", ["NoWorker"])
        assert report["sync"]["syncLagSeconds"] >= 0

    def test_old_changes_alert(self, installed):
        mark(installed, "1")
        installed.sql("UPDATE syncline.outbox SET at = now() - interval '45 seconds'")
        report = json.loads(installed.run("status", "--json", ok=1))
        assert (report["status"], report["alerts"][0]["name"]) == ("degraded", "SyncLagHigh")
        installed.sql("UPDATE syncline.outbox SET at = now() - interval '2 minutes'")
        report = json.loads(installed.run("status", "--json", ok=2))
        assert (report["status"], report["alerts"][0]["name"]) == ("unhealthy", "SyncLagCritical")

    def test_second_deletes_count_apart(self, installed):
        mark(installed, "1", "G")
        installed.sql("UPDATE syncline.outbox SET at = now() - interval '1 hour'")
        installed.sql("INSERT INTO syncline.deferred (due, entity, lane, key) VALUES (now(), 1, 0, '2')")
        sync = json.loads(installed.run("status", "--json", ok=1))["sync"]
        assert sync == {"queueSize": 0, "syncLagSeconds": 0, "failedEvents": 0, "deferredDeletes": 2, "heldByCopy": 0}

    def test_parked_changes_are_failed_with_all_that_wait_behind_them(self, installed):
        park(installed, "1", changes=12)
        report = json.loads(installed.run("status", "--json", ok=1))
        assert report["sync"]["failedEvents"] == 12
        assert report["sync"]["syncLagSeconds"] == 0
        assert report["alerts"][0]["name"] == "FailedEventsHigh"

    def test_an_open_notice_is_an_alert(self, installed):
        installed.sql(
            "INSERT INTO syncline.notice (name, severity, message) VALUES ('TargetRestored', 'critical', 'x')"
        )
        assert json.loads(installed.run("status", "--json", ok=2))["alerts"][0]["name"] == "TargetRestored"

    def test_target_down_is_degraded(self, installed):
        env = {"MONGODB_URL": "mongodb://%2Fnobody%2Fhere.sock/x", "SYNCLINE_TARGET__CONNECT_TIMEOUT_SECONDS": "0.5"}
        report = json.loads(installed.run("status", "--json", ok=1, **env))
        assert report["databases"]["mongodb"]["state"] == "disconnected"
        assert report["status"] == "degraded"

    def test_source_down_is_unhealthy(self, installed):
        env = {"DATABASE_URL": "postgresql://nobody:s3cr3t@127.0.0.1:1/x"}
        text = installed.run("status", "--json", ok=2, **env)
        report = json.loads(text)
        assert (report["status"], report["databases"]["postgresql"]["state"]) == ("unhealthy", "disconnected")
        assert "s3cr3t" not in text

    def test_for_people(self, installed):
        assert "no worker is running" in installed.run("status", ok=1)


class TestNotices:
    def test_list_resolve_and_list_again(self, installed):
        assert "no notice is open" in installed.run("notices", "list")
        for name in ("Restored", "EntityStopped"):
            installed.sql(f"INSERT INTO syncline.notice (name, severity, message) VALUES ('{name}', 'critical', 'x')")
        found = json.loads(installed.run("notices", "list", "--json"))["notices"]
        assert [one["name"] for one in found] == ["EntityStopped", "Restored"]
        assert "1 notice resolved" in installed.run("notices", "resolve", str(found[0]["id"]))
        assert "EntityStopped" not in installed.run("notices", "list")
        assert "EntityStopped" in installed.run("notices", "list", "--all")
        assert json.loads(installed.run("notices", "resolve", "--all", "--json")) == {"resolved": [found[1]["id"]]}
        alerts = json.loads(installed.run("status", "--json", ok=1))["alerts"]
        assert [alert["name"] for alert in alerts] == ["NoWorker"]

    def test_resolve_says_what_to_name(self, installed):
        assert "notices list" in installed.run("notices", "resolve", ok=3)
        assert "not open: 999" in installed.run("notices", "resolve", "999", ok=3)


class TestExplain:
    def test_never_backfilled(self, installed):
        report = json.loads(installed.run("explain", "users", "2", "--json"))
        assert report["row"]["email"] == "user2@example.org"
        assert report["document"] is None
        assert "its document is missing, and a backfill of users is waiting for a worker" in report["verdict"]

    def test_waiting_without_a_worker(self, installed):
        installed.sql("UPDATE users SET email = 'new' WHERE id = 1")
        report = json.loads(installed.run("explain", "users", "1", "--json"))
        assert len(report["pending"]) == 1
        assert "no worker owns lane" in report["verdict"]

    def test_parked(self, installed):
        park(installed, "1")
        text = installed.run("explain", "users", "1")
        assert "Parked after 1 try, last at" in text
        assert "syncline parked retry users 1" in text

    def test_document_with_its_ticket(self, installed):
        installed.documents["users"].insert_one({"_id": 1, "_v": (7 << 31) | 9, "_originalId": "1"})
        report = json.loads(installed.run("explain", "users", "1", "--json"))
        assert report["ticket"] == {"epoch": 7, "batch": 9}
        assert "not equal yet: a backfill of users is waiting for a worker" in report["verdict"]

    def test_left_over_document(self, installed):
        installed.documents["users"].insert_one({"_id": 99, "_v": 1 << 31})
        assert "its document is still there" in installed.run("explain", "users", "99")

    def test_neither_side(self, installed):
        assert "both sides agree" in installed.run("explain", "users", "404")

    def test_not_a_key(self, installed):
        assert "is not a key" in installed.run("explain", "users", "abc", ok=3)

    def test_no_such_entity(self, installed):
        assert "declared: users, todos" in installed.run("explain", "user", "1", ok=3)

    def test_history(self, installed):
        installed.sql(
            "INSERT INTO syncline.history (seq, created_at, processed_at, entity, hint, key)"
            " SELECT n, now(), now(), 1, 'U', '1' FROM generate_series(1, 20) AS n"
        )
        report = json.loads(installed.run("explain", "users", "1", "--json", "--events", "5"))
        assert [event["eventType"] for event in report["history"]] == ["users.updated"] * 5


class TestParked:
    def test_list(self, installed):
        park(installed, "1")
        assert "too_large" in installed.run("parked", "list")
        assert json.loads(installed.run("parked", "list", "--json"))["parked"][0]["key"] == "1"

    def test_list_of_an_entity_that_does_not_exist(self, installed):
        assert "there is no entity" in installed.run("parked", "list", "-e", "usres", ok=3)

    def test_retry_marks_again_and_keeps_the_entry(self, installed):
        park(installed, "1")
        park(installed, "2")
        installed.run("parked", "retry", "users", "2")
        assert installed.sql("SELECT key, hint::text FROM syncline.waiting").fetchall() == [("2", "R")]
        assert installed.sql("SELECT count(*) FROM syncline.parked").fetchone() == (2,)

    def test_retry_all(self, installed):
        park(installed, "1")
        park(installed, "2")
        assert "2 records" in installed.run("parked", "retry", "--all")

    def test_retry_of_what_is_not_parked(self, installed):
        assert "are not parked" in installed.run("parked", "retry", "users", "5", ok=3)

    def test_says_what_to_name(self, installed):
        assert "--all" in installed.run("parked", "retry", "users", ok=3)

    def test_discard_asks_and_leaves_a_trace(self, installed):
        park(installed, "1")
        assert "add --yes" in installed.run("parked", "discard", "users", "1", ok=3)
        installed.run("parked", "discard", "users", "1", "--yes")
        assert installed.sql("SELECT count(*) FROM syncline.parked").fetchone() == (0,)
        (message,) = installed.sql("SELECT message FROM syncline.notice WHERE name = 'ParkedDiscarded'").fetchone()
        assert "1 (too_large)" in message


@pytest.mark.parametrize(
    "arguments",
    [("status",), ("status", "--json"), ("explain", "users", "1"), ("parked", "list"), ("parked", "retry", "--all")],
    ids=" ".join,
)
class TestBadInput:
    def refused(self, configured, arguments, ok=3, **env):
        text = configured.run(*arguments, ok=ok, **env)
        assert "Traceback" not in text
        assert "s3cr3t" not in text
        return text

    def test_not_installed(self, configured, arguments):
        assert "syncline install" in self.refused(configured, arguments)

    def test_newer_version(self, installed, arguments):
        installed.sql("UPDATE syncline.meta SET schema_version = 99")
        assert "schema version 99" in self.refused(installed, arguments)

    def test_no_permission(self, installed, database, arguments):
        installed.sql("DROP ROLE IF EXISTS stranger; CREATE ROLE stranger LOGIN PASSWORD 's3cr3t'")
        try:
            text = self.refused(installed, arguments, DATABASE_URL=as_user(database, "stranger", "s3cr3t"))
            assert "permission denied" in text
        finally:
            installed.sql("DROP ROLE stranger")


UNREACHABLE = {
    "no server": ("postgresql://me:s3cr3t@127.0.0.1:1/x", "is the server running"),
    "no host": ("postgresql://me:s3cr3t@no-such-host.invalid/x", "check the host's name"),
}


@pytest.mark.parametrize("case", UNREACHABLE)
@pytest.mark.parametrize("arguments", [("init", "--stdout"), ("install", "--yes"), ("parked", "list")], ids=" ".join)
def test_a_source_that_cannot_be_reached_is_one_clear_line(configured, arguments, case):
    url, hint = UNREACHABLE[case]
    text = configured.run(*arguments, ok=3, DATABASE_URL=url)
    assert hint in text
    assert "s3cr3t" not in text
    assert "Traceback" not in text


def test_a_database_that_is_not_there(configured, database):
    text = configured.run("parked", "list", ok=3, DATABASE_URL=urlsplit(database)._replace(path="/not_there").geturl())
    assert "does not exist" in text


@pytest.fixture
def strict(tmp_path_factory):
    """A server that wants passwords, and offers no TLS."""
    with engines.running_postgres(tcp_port=0) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("ALTER ROLE postgres PASSWORD 'right'")
            (server.data_dir / "pg_hba.conf").write_text(
                "host all all 127.0.0.1/32 scram-sha-256\nlocal all all trust\n"
            )
            connection.execute("SELECT pg_reload_conf()")
        yield server.tcp_url.replace("postgres@", "postgres:{}@")


@pytest.mark.engines
def test_what_a_strict_server_refuses_is_said_plainly(syncline, strict):
    wrong = syncline("init", "--stdout", ok=3, DATABASE_URL=strict.format("s3cr3t"))
    assert "password authentication failed" in wrong
    assert "check user and password" in wrong
    tls = syncline("init", "--stdout", ok=3, DATABASE_URL=strict.format("s3cr3t") + "?sslmode=require")
    assert "offers no TLS" in tls
    none = syncline("init", "--stdout", ok=3, DATABASE_URL=strict.replace(":{}", ""))
    assert "put the password into the URL" in none
    assert "s3cr3t" not in wrong + tls
    assert "[source]" in syncline("init", "--stdout", DATABASE_URL=strict.format("right"))


@pytest.mark.parametrize(
    "url", ["postgres", "mysql://a:s3cr3t@h/x", "postgresql://u:s3cr3t%zz@h/d", "postgresql://h:99999/x"]
)
def test_a_wrong_url_is_refused_before_anything_happens(configured, url):
    text = configured.run("status", ok=3, DATABASE_URL=url)
    assert "environment variable DATABASE_URL" in text
    assert "s3cr3t" not in text


def test_the_entry_point_as_a_process(tmp_path):
    def run(*arguments):
        command = [sys.executable, "-m", "syncline.cli.main", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False, env={})

    assert run("--version").stdout == f"syncline {__version__}\n"
    failed = run("status")
    assert failed.returncode == 3
    assert failed.stdout == ""
    assert failed.stderr.startswith("error: ")
    assert "Traceback" not in failed.stderr
