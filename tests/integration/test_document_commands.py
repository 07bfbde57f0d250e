"""The commands of a document link: install, worker, status, parked, and what a newcomer does wrong."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from bson import ObjectId

from syncline.errors import (
    ForeignTargetError,
    NotInstalledError,
    OtherDeclarationError,
    SourceUnavailableError,
    TargetRefusedError,
    TargetUnavailableError,
)
from syncline.phases.switching.opening import prepare
from syncline.telemetry.observer import BatchDone, Started, Stopped, Unavailable
from tests import engines
from tests.document_link import DECLARED, DocumentStage, Heard
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS


@pytest.fixture
def stage(tmp_path, mongo_url, mongo_db, database, monkeypatch):
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    made = DocumentStage(tmp_path, mongo_url, mongo_db, database)
    yield made
    made.close()


@pytest.fixture
def installed(stage):
    stage.make_tables()
    stage.call("install", "--yes")
    return stage


def settled(stage, *names: str):
    return lambda: not any(stage.mongo[name].count_documents({"_sync.mark": {"$exists": True}}) for name in names)


def test_status_tells_lag_whatever_somebody_else_writes_into_our_field(installed):
    tasks = installed.collection("tasks")
    tasks.insert_many([{"_id": n, "n": 1} for n in range(3)])
    installed.work(settled(installed, "tasks"))
    mark = ObjectId.from_datetime(datetime.now(UTC) - timedelta(hours=1))
    installed.mongo["tasks"].update_many({}, {"$set": {"_sync.mark": mark}})
    installed.sql(
        "INSERT INTO syncline_documents.rejected (collection, mongo_id, mark, reason, next_at)"
        f" VALUES ('tasks', '1', '{mark}', 'why', 'infinity')"
    )
    installed.sql(  # an older attempt that was noted when it was written already
        "INSERT INTO syncline_documents.rejected (collection, mongo_id, mark, reason, next_at, key, version)"
        f" VALUES ('tasks', '2', '{mark}', 'why', 'infinity', '2', 1)"
    )
    installed.mongo["tasks"].insert_one({"_sync": {"mark": "x"}})
    told = installed.json("status", status=2)
    [one] = [one for one in told["collections"] if one["name"] == "tasks"]
    assert (one["waiting"], one["rejected"]) == (3, 1)
    assert one["oldestSeconds"] > 59 * 60
    parked = installed.json("parked", "list")
    assert (parked["records"], [one["key"] for one in parked["parked"]]) == (1, ["1"])


# -- install


def test_an_installation_says_what_it_does_and_the_next_one_has_nothing_to_do(stage):
    stage.make_tables()
    planned = stage.json("install", "--dry-run")
    assert planned["installed"] is False
    assert planned["backfill"] == ["tasks", "labels"]
    assert "create the schema syncline_documents in PostgreSQL" in planned["changes"]
    assert stage.sql("SELECT to_regnamespace('syncline_documents')") == [(None,)]
    assert stage.call("install", "--check", status=1)
    assert stage.json("install", "--yes")["installed"] is True
    assert {"syncline_marks", "syncline_unmarked"} <= stage.mongo["tasks"].index_information().keys()
    assert "nothing to do" in stage.call("install", "--check")
    assert stage.json("install", "--yes")["changes"] == []


def test_the_sql_of_an_installation_makes_what_the_installation_looks_for(stage):
    stage.make_tables()
    stage.sql(stage.call("install", "--sql"))
    assert not [one for one in stage.json("install", "--dry-run")["changes"] if "schema" in one]


def test_tables_that_are_missing_are_named_with_the_command_that_makes_them(stage):
    said = stage.call("install", "--yes", status=3)
    assert "there is no table public.postgres_tasks" in said
    assert "`syncline schema sql | psql`" in said
    assert stage.sql("SELECT to_regnamespace('syncline_documents')") == [(None,)]
    stage.make_tables()
    stage.sql("ALTER TABLE postgres_tasks DROP COLUMN title")
    said = stage.call("install", "--yes", status=3)
    assert "postgres_tasks has no column title" in said
    assert "syncline schema sql --changes" in said


def test_a_worker_of_another_role_is_granted_what_it_needs(stage):
    stage.make_tables()
    role = "worker_of_documents"
    stage.sql(f"DROP ROLE IF EXISTS {role}; CREATE ROLE {role} LOGIN")
    try:
        stage.call("install", "--yes", "--worker-role", role)
        granted = "SELECT has_table_privilege('{}', '{}', 'INSERT, UPDATE')"
        for table in ("postgres_tasks", "syncline_documents.key_version", "syncline_documents.worker"):
            assert stage.sql(granted.format(role, table)) == [(True,)]
    finally:
        stage.sql(f"DROP OWNED BY {role}; DROP ROLE {role}")


def test_what_is_there_already_and_what_is_written_later_becomes_rows(installed):
    installed.mongo["tasks"].insert_many([{"_id": n, "title": f"t{n}"} for n in range(5)])
    installed.collection("labels").insert_one({"_id": "a", "name": "red"})
    heard = Heard()
    counts = "SELECT (SELECT count(*) FROM postgres_tasks), (SELECT count(*) FROM postgres_labels)"
    installed.work(lambda: installed.sql(counts) == [(5, 1)], observer=heard)
    assert isinstance(heard.events[0], Started)
    assert isinstance(heard.events[-1], Stopped)
    assert sum(one.applied for one in heard.events if isinstance(one, BatchDone)) == 6
    assert installed.sql("SELECT count(*) FROM syncline_documents.worker") == [(0,)]  # it has said goodbye


def test_a_changed_declaration_is_noticed_by_install_which_has_every_document_written_anew(installed):
    tasks = installed.collection("tasks")
    tasks.insert_many([{"_id": n, "title": f"t{n}", "size": n} for n in range(3)])
    installed.work(settled(installed, "tasks"))
    old = installed.documents
    installed.declare(DECLARED.replace('n = "integer"', 'n = "integer"\nsize = "bigint"'))
    with pytest.raises(OtherDeclarationError, match="the declaration of tasks") as refused:
        installed.work(lambda: False)
    assert "syncline install" in refused.value.hint
    assert "has no column size" in installed.call("install", "--yes", status=3)
    installed.sql("ALTER TABLE postgres_tasks ADD COLUMN size bigint")
    assert installed.json("install", "--dry-run")["backfill"] == ["tasks"]
    installed.call("install", "--yes")
    assert installed.mongo["tasks"].count_documents({"_sync.mark": {"$exists": True}}) == 3
    installed.work(settled(installed, "tasks"))
    assert installed.sql("SELECT size FROM postgres_tasks ORDER BY 1") == [(0,), (1,), (2,)]
    installed.file.write_text(installed.file.read_text().replace('\nsize = "bigint"', ""))
    assert installed.documents.mappings[0].fingerprint == old.mappings[0].fingerprint
    with pytest.raises(OtherDeclarationError):  # a process that has the old one still
        installed.work(lambda: False)


def test_an_installation_that_was_cut_off_after_the_declaration_came_into_force_marks_all_the_same(installed):
    installed.collection("tasks").insert_one({"_id": 1, "title": "a"})
    installed.work(settled(installed, "tasks"))
    installed.sql("UPDATE syncline_documents.mapping SET marked = false WHERE collection = 'tasks'")
    assert installed.json("install", "--yes")["backfill"] == ["tasks"]
    assert installed.mongo["tasks"].count_documents({"_sync.mark": {"$exists": True}}) == 1
    assert installed.json("install", "--yes")["backfill"] == []


# -- status


def test_status_tells_what_waits_for_how_long_and_what_was_rejected(installed):
    assert installed.json("status")["status"] == "healthy"
    tasks = installed.collection("tasks")
    tasks.insert_many([{"_id": 1, "title": "a"}, {"_id": 2, "title": "b"}])
    found = installed.json("status", status=1)
    assert found["sync"]["queueSize"] == 2
    assert [alert["name"] for alert in found["alerts"]] == ["NoWorker"]
    [one, other] = found["collections"]
    assert (one["name"], one["waiting"], one["rejected"], other["waiting"]) == ("tasks", 2, 0, 0)
    assert one["oldestSeconds"] >= 0
    installed.work(settled(installed, "tasks"))
    assert installed.json("status")["sync"]["queueSize"] == 0
    assert "collection tasks: 0 documents marked" in installed.call("status")


def test_a_rejected_document_is_listed_with_its_reason_and_tried_again_when_somebody_asks(installed):
    installed.sql("ALTER TABLE postgres_tasks ADD CHECK (title <> 'bad')")
    installed.collection("tasks").insert_many([{"_id": 1, "title": "bad"}, {"_id": 2, "title": "good"}])
    counted = "SELECT count(*) FROM syncline_documents.rejected"
    heard = Heard()
    installed.work(lambda: installed.sql(counted) == [(1,)], observer=heard)
    [said] = [one for event in heard.events if isinstance(event, BatchDone) for one in event.rejected][:1]
    assert (said.key, "check constraint" in said.message) == ("1", True)
    found = installed.json("parked", "list")
    assert [(one["entity"], one["key"]) for one in found["parked"]] == [("tasks", "1")]
    assert "check constraint" in found["parked"][0]["error"]
    assert found["records"] == 1
    status = installed.json("status")
    assert (status["sync"]["failedEvents"], status["sync"]["queueSize"]) == (1, 0)
    assert "1 rejected" in installed.call("status")
    assert "mark stays" in installed.call("parked", "discard", "tasks", "1", "--yes", status=3)
    installed.sql("ALTER TABLE postgres_tasks DROP CONSTRAINT postgres_tasks_title_check")
    assert installed.json("parked", "retry", "tasks", "1")["records"] == 1
    assert "are not parked" in installed.call("parked", "retry", "tasks", "7", status=3)
    installed.work(settled(installed, "tasks"))
    assert installed.json("parked", "list")["records"] == 0


# -- what goes wrong


ALTERED = {
    "a dropped column": ("DROP COLUMN title", "ALTER TABLE postgres_tasks ADD COLUMN title text", 'column "title"'),
    "a renamed table": ("RENAME TO elsewhere", "ALTER TABLE elsewhere RENAME TO postgres_tasks", "postgres_tasks"),
    "another type": (
        "ALTER COLUMN n TYPE boolean USING NULL",
        "ALTER TABLE postgres_tasks ALTER COLUMN n TYPE integer USING NULL",
        'column "n"',
    ),
}


@pytest.mark.parametrize("what", ALTERED)
def test_what_is_altered_under_way_is_named_its_documents_wait_and_other_collections_go_on(installed, what):
    alter, back, named = ALTERED[what]
    installed.sql(f"ALTER TABLE postgres_tasks {alter}")
    installed.collection("tasks").insert_one({"_id": 1, "title": "a", "n": 5})
    installed.collection("labels").insert_one({"_id": 1, "name": "red"})
    heard = Heard()

    def both() -> bool:
        away = [one.error for one in heard.events if isinstance(one, Unavailable)]
        return bool(away) and installed.sql("SELECT name FROM postgres_labels") == [("red",)]

    installed.work(both, observer=heard)
    [error, *_] = [one.error for one in heard.events if isinstance(one, Unavailable)]
    assert isinstance(error, TargetRefusedError)
    assert "the tables of tasks are not as declared" in error.message
    assert named in error.message
    assert "syncline schema sql --changes" in error.hint
    installed.sql(back)
    installed.work(settled(installed, "tasks"))
    assert installed.sql("SELECT title, n FROM postgres_tasks") == [("a", 5)]


def test_what_is_not_installed_ends_a_worker_with_the_command_to_run(stage):
    stage.make_tables()
    with pytest.raises(NotInstalledError, match="not there") as refused:
        stage.work(lambda: False)
    assert "syncline install" in refused.value.hint
    stage.call("install", "--yes")
    stage.mongo["tasks"].drop_index("syncline_marks")
    with pytest.raises(NotInstalledError, match="tasks lacks the indexes"):
        stage.work(lambda: False)
    assert "lacks the indexes" in stage.call("status", status=2)


@pytest.mark.parametrize("older", [False, True])
def test_the_rows_of_another_mongodb_are_left_alone(installed, older):
    installed.collection("tasks").insert_one({"_id": 1, "title": "a"})
    installed.work(settled(installed, "tasks"))
    if older:
        installed.sql("DROP TABLE syncline_documents.certificate")
    other = installed.mongo.name + "_other"
    installed.file.write_text(installed.file.read_text().replace(f"/{installed.mongo.name}?", f"/{other}?"))
    try:
        assert "another MongoDB" in installed.call("install", "--yes", status=3)
        with pytest.raises(ForeignTargetError, match="another MongoDB"):
            installed.work(lambda: False)
        assert "another MongoDB" in installed.call("status", status=2)
        installed.client[other]["tasks"].insert_one({"_id": 2, "title": "theirs"})
        assert installed.json("adopt", "--yes")["adopted"] is True
        assert installed.json("adopt", "--yes")["adopted"] is False
        query = "SELECT mongo_id, title FROM postgres_tasks"
        installed.work(lambda: installed.sql(query) == [("2", "theirs")])
    finally:
        installed.client.drop_database(other)


@pytest.fixture
def second(installed, postgres, mongo_url, mongo_db):
    """A file with the same MongoDB and another PostgreSQL, whose tables are made."""
    folder = installed.file.parent / "second"
    folder.mkdir()
    with engines.fresh_database(postgres.url) as other:
        made = DocumentStage(folder, mongo_url, mongo_db, other)
        made.make_tables()
        yield made
        made.close()


def test_a_second_postgresql_is_refused_and_takes_no_marks_until_it_is_adopted(installed, second):
    tasks = installed.collection("tasks")
    tasks.insert_many([{"_id": n, "title": f"t{n}"} for n in range(3)])
    installed.work(settled(installed, "tasks"))
    tasks.update_one({"_id": 1}, {"$set": {"title": "new"}})
    assert "go to another PostgreSQL" in second.call("install", "--yes", status=3)
    assert second.sql("SELECT to_regnamespace('syncline_documents')") == [(None,)]
    assert "go to another PostgreSQL" in second.call("adopt", "--yes")
    assert second.json("adopt", "--yes")["adopted"] is False
    second.work(settled(installed, "tasks"))
    query = "SELECT mongo_id, title FROM postgres_tasks ORDER BY 1"
    assert second.sql(query) == [("0", "t0"), ("1", "new"), ("2", "t2")]
    assert "go to another PostgreSQL" in installed.call("status", status=2)
    with pytest.raises(ForeignTargetError, match="go to another PostgreSQL"):
        installed.work(lambda: False)


def test_a_worker_ends_when_its_mongodb_is_adopted_by_another_postgresql(installed, second, monkeypatch):
    monkeypatch.setattr("syncline.documents.worker.BEAT_SECONDS", 0.02)
    calls = iter([lambda: second.call("adopt", "--yes")])
    with pytest.raises(ForeignTargetError, match="go to another PostgreSQL"):
        installed.work(lambda: next(calls, lambda: None)() is True)


@pytest.mark.parametrize("killed", [False, True])
def test_documents_that_were_carried_before_an_uninstallation_that_was_cut_off_are_carried_again(
    installed, monkeypatch, killed
):
    installed.collection("tasks").insert_many([{"_id": n, "title": f"t{n}"} for n in range(3)])
    installed.work(settled(installed, "tasks"))
    with monkeypatch.context() as patch:
        patch.setattr("syncline.engines.mongo.marked_database.MarkedDatabase.forget_marks", _cut_off)
        installed.call("uninstall", "--yes", status=3)
    installed.sql("DELETE FROM postgres_tasks")
    if killed:
        with monkeypatch.context() as patch:
            patch.setattr("syncline.engines.mongo.marked.MongoMarkedDocuments.mark_carried", _cut_off)
            installed.call("install", "--yes", status=3)
    installed.call("install", "--yes")
    installed.work(settled(installed, "tasks"))
    assert installed.sql("SELECT title FROM postgres_tasks ORDER BY 1") == [("t0",), ("t1",), ("t2",)]


async def _cut_off(*_: object) -> int:
    raise SourceUnavailableError("cut off")


def test_an_upgrade_marks_nothing_and_an_unknown_owner_is_not_overwritten(installed):
    installed.collection("tasks").insert_one({"_id": 1, "title": "a"})
    installed.work(settled(installed, "tasks"))
    installed.sql("DROP TABLE syncline_documents.certificate")
    assert installed.json("install", "--yes")["backfill"] == []
    assert settled(installed, "tasks")()
    installed.sql("UPDATE syncline_documents.link SET source = NULL; DROP TABLE syncline_documents.certificate")
    said = installed.call("install", "--yes", status=3)
    assert "nobody has said whose documents" in said
    assert "syncline adopt" in said


def test_an_uninstallation_with_another_mongodb_or_postgresql_changes_neither_side(installed, second):
    tasks = installed.collection("tasks")
    tasks.insert_many([{"_id": 1, "title": "a"}, {"_id": 2, "title": "b"}])
    installed.work(settled(installed, "tasks"))
    tasks.delete_one({"_id": 1})
    before = [*installed.mongo["tasks"].find()]
    assert "go to another PostgreSQL" in second.call("uninstall", "--yes", status=3)
    text = installed.file.read_text()
    installed.file.write_text(text.replace(f"/{installed.mongo.name}?", f"/{installed.mongo.name}_other?"))
    assert "another MongoDB" in installed.call("uninstall", "--yes", status=3)
    assert installed.sql("SELECT count(*) FROM syncline_documents.key_version") == [(2,)]
    assert [*installed.mongo["tasks"].find()] == before
    installed.file.write_text(text)
    assert "nothing to do" in installed.call("install", "--check")


def test_a_mongodb_that_was_restored_has_everything_carried_when_somebody_says_so(installed):
    tasks, bare = installed.collection("tasks"), installed.mongo["tasks"]
    tasks.insert_many([{"_id": n, "title": f"t{n}"} for n in range(3)])
    installed.work(settled(installed, "tasks"))
    backup = [*bare.find()]
    tasks.update_one({"_id": 1}, {"$set": {"title": "changed"}})
    tasks.delete_one({"_id": 2})
    tasks.insert_one({"_id": 9, "title": "new"})
    installed.work(settled(installed, "tasks"))
    bare.delete_many({})
    bare.insert_many(backup)
    assert installed.json("adopt", "--yes")["adopted"] is False
    assert "`syncline adopt --restored`" in installed.call("adopt", "--yes")
    assert installed.json("adopt", "--restored", "--yes")["adopted"] is True
    installed.work(settled(installed, "tasks"))
    assert installed.sql("SELECT mongo_id, title FROM postgres_tasks ORDER BY 1") == [
        ("0", "t0"),
        ("1", "t1"),
        ("2", "t2"),
    ]


def test_an_uninstallation_leaves_rows_and_documents_and_nothing_else(installed):
    tasks = installed.collection("tasks")
    tasks.insert_many([{"_id": n, "title": "a"} for n in range(3)])
    installed.work(settled(installed, "tasks"))
    tasks.delete_one({"_id": 0})
    installed.sql("INSERT INTO syncline_documents.worker (id, name, version) VALUES ('x', 'host:7', '1')")
    assert "host:7" in installed.call("uninstall", "--yes", status=3)
    installed.sql("UPDATE syncline_documents.worker SET seen_at = seen_at - interval '1 min'")
    asyncio.run(prepare(installed.documents, ["tasks"]))
    assert "remove the gate of the tables of tasks" in installed.call("uninstall", "--dry-run")
    assert "uninstalled" in installed.call("uninstall", "--yes")
    assert installed.sql("SELECT to_regnamespace('syncline_documents'), to_regnamespace('syncline_back')") == [
        (None, None)
    ]
    assert installed.sql("SELECT name FROM syncline_gate.gate") == []
    assert [*installed.mongo["tasks"].find({}, sort=[("_id", 1)])] == [
        {"_id": 1, "title": "a"},
        {"_id": 2, "title": "a"},
    ]
    assert list(installed.mongo["tasks"].index_information()) == ["_id_"]
    assert installed.sql("SELECT count(*) FROM postgres_tasks") == [(3,)]
    assert installed.json("uninstall", "--yes")["uninstalled"] is True


def test_the_configuration_is_shown_and_checked(installed):
    assert installed.json("config", "check")["collections"][0] == {"name": "tasks", "tables": ["public.postgres_tasks"]}
    shown = installed.json("config", "show")
    assert shown["collections"] == ["tasks", "labels"]
    assert "[collections.tasks]" in installed.call("config", "show")
    installed.declare(DECLARED.replace('title = "text"', 'title = "txt"'))
    said = installed.call("config", "check", status=3)
    assert "documents.toml:9" in said
    assert "did you mean 'text'" in said


def test_both_kinds_in_one_file_are_refused_with_the_line(installed):
    installed.file.write_text(installed.file.read_text() + '[entities.x]\ntable = "x"\n')
    said = installed.call("status", status=3)
    assert "not both" in said
    assert "documents.toml:" in said


def test_swapped_urls_are_said(installed):
    text = installed.file.read_text()
    swapped = text.replace(installed.mongo_url, "\0").replace(installed.database, installed.mongo_url)
    installed.file.write_text(swapped.replace("\0", installed.database))
    assert "swapped: exchange them" in installed.call("install", "--yes", status=3)


def test_options_and_commands_for_rows_only_are_refused_by_name(installed):
    assert "--writer-role means nothing" in installed.call("install", "--writer-role", "x", status=3)
    assert "one link, without a name" in installed.call("status", "--link", "x", status=3)
    for command in ("resync", "load", "notices list", "tracing"):
        assert "declares collections" in installed.call(*command.split(), status=3), command


# -- the worker as a process


def test_a_worker_waits_outages_out_from_its_start_on_and_loses_nothing(installed):
    name = installed.sql("SELECT current_database()")[0][0]
    server = installed.database.replace(f"/{name}", "/postgres", 1)
    heard = Heard()

    def admit(allowed: str) -> None:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS {allowed}')
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])

    def away() -> int:
        return sum(isinstance(one, Unavailable) for one in heard.events)

    def carried(ids: int) -> bool:
        return sum(one.applied for one in heard.events if isinstance(one, BatchDone)) == ids

    steps = [  # what is waited for, and what is done then
        (lambda: away() > 0, lambda: admit("true")),
        (
            lambda: carried(1),
            lambda: (admit("false"), tasks.insert_one({"_id": 2, "title": "b"}), heard.events.clear()),
        ),
        (lambda: away() > 0, lambda: admit("true")),
        (lambda: carried(1), lambda: None),
    ]

    def through() -> bool:
        if steps[0][0]():
            steps.pop(0)[1]()
        return not steps

    tasks = installed.collection("tasks")
    tasks.insert_one({"_id": 1, "title": "a"})
    admit("false")
    installed.work(through, observer=heard)
    errors = [one for one in heard.events if isinstance(one, Unavailable)]
    assert {(one.side, isinstance(one.error, TargetUnavailableError)) for one in errors} == {("target", True)}
    assert installed.sql("SELECT title FROM postgres_tasks ORDER BY 1") == [("a",), ("b",)]


def test_a_signal_ends_a_worker_at_the_end_of_its_batch_and_its_metrics_tell_what_it_did(installed):
    command = [sys.executable, "-m", "syncline.cli.main", "worker", "--config", str(installed.file)]
    options = ["--metrics-port", "0", "--log-format", "json"]
    running = subprocess.Popen([*command, *options], stderr=subprocess.PIPE, text=True)
    try:
        lines = (json.loads(line) for line in running.stderr)
        port = next(line["port"] for line in lines if line["event"] == "metrics")
        installed.collection("tasks").insert_many([{"_id": n, "title": f"t{n}"} for n in range(200)])
        while not settled(installed, "tasks")():
            time.sleep(0.05)
        [worker] = installed.json("status")["workers"]
        assert (worker["alive"], worker["report"]["targetError"]) == (True, None)
        shown = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
        applied = re.search(r'syncline_records_total\{entity="tasks",outcome="applied"} (\S+)', shown)
        assert applied
        assert float(applied[1]) == 200
        assert "syncline_workers 1.0" in shown
        assert 'syncline_database_up{database="target"} 1.0' in shown
        running.send_signal(signal.SIGTERM)
        _, errors = running.communicate(timeout=60)
        assert running.returncode == 0
        assert "worker stopped" in errors
        assert installed.sql("SELECT count(*) FROM postgres_tasks") == [(200,)]
        assert installed.sql("SELECT count(*) FROM syncline_documents.worker") == [(0,)]
    finally:
        running.kill()
        running.wait()
        running.stderr.close()


def test_a_worker_forgets_deleted_keys_now_and_then(installed):
    tasks = installed.collection("tasks")
    tasks.insert_many([{"_id": n} for n in range(3)])
    installed.work(settled(installed, "tasks"))
    tasks.delete_many({"_id": {"$lt": 2}})
    installed.work(lambda: installed.mongo["tasks"].count_documents({}) == 1)
    kept = "SELECT count(*), count(*) FILTER (WHERE deleted) FROM syncline_documents.key_version"
    assert installed.sql(kept) == [(3, 2)]
    installed.sql("UPDATE syncline_documents.link SET forgotten_at = now() - interval '61 min'")
    installed.work(lambda: installed.sql(kept) == [(1, 0)])
    assert installed.sql("SELECT number FROM syncline_documents.link") == [(2,)]


def test_a_worker_forgets_failures_that_were_settled_more_than_90_days_ago_and_no_others(installed):
    installed.sql(
        "INSERT INTO syncline_documents.settled_failure (collection, mongo_id, mark, reason, attempts, first_at, last_at, settled_at)"
        " SELECT 'tasks', days::text, '', 'x', 1, at, at, at"
        " FROM (SELECT days, now() - days * interval '1 day' AS at FROM unnest(ARRAY[89, 91]) AS days) AS u;"
        "INSERT INTO syncline_documents.rejected (collection, mongo_id, mark, reason, attempts, first_at, last_at)"
        " VALUES ('tasks', 'open', '', 'x', 9, now() - interval '91 days', now() - interval '91 days');"
        "UPDATE syncline_documents.link SET forgotten_at = now() - interval '61 min'"
    )
    left = "SELECT mongo_id FROM syncline_documents.settled_failure"
    installed.work(lambda: installed.sql(left) == [("89",)])
    assert installed.sql("SELECT mongo_id FROM syncline_documents.rejected") == [("open",)]
