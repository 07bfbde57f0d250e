"""Taskboard in operation: its tables, PostgreSQL that is away, health, checks, commands."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest
from bson import ObjectId
from django.conf import settings
from django.core.management import CommandError, call_command
from django.core.management.sql import emit_post_migrate_signal
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import Client
from pymongo import MongoClient
from typer.testing import CliRunner

from syncline.cli.main import app as syncline
from syncline.contrib.django import DocumentDatabases, document_databases, postgres_settings, postgres_url
from syncline.contrib.django.document_checks import check_documents
from syncline.errors import ConfigError, GateClosedError, MovedError, UnknownOutcomeError
from syncline.model.thresholds import Thresholds
from syncline.phases import FixedPhases, Phase
from syncline.phases.epoch import Epochs
from syncline.phases.standing import Standing
from syncline.telemetry.metrics import AppMetrics
from tests.acceptance.taskboard.system import ADMIN, BEFORE_LIVE, HOME, PASSWORD, Person, Taskboard
from tests.acceptance.taskboard.test_api import member
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS


def run(app: Taskboard, *arguments: str) -> str:
    env = {**app.env, "DATABASE_URL": postgres_url(app.env)}
    with contextlib.chdir(HOME):
        done = CliRunner().invoke(syncline, arguments, env=env)
    assert done.exit_code == 0, done.output
    return done.output


def test_the_migration_makes_what_is_declared(phases: list[Taskboard]):
    made = (HOME / "taskboard/migrations/0001_tables.sql").read_text("utf-8")
    assert run(phases[0], "schema", "sql") == made
    assert run(phases[0], "schema", "sql", "--changes") == ""
    run(phases[0], "schema", "check")


def test_the_models_read_the_tables(phases: list[Taskboard]):
    app = next(one for one in phases if one.phase is Phase.RAMP)
    connections["default"].close()
    connections["default"].settings_dict.update(postgres_settings(app.env))
    from taskboard.models import PostgresTask

    with app.serving():
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)
        admin = Person(app, ADMIN).log_in()
        label = admin.post("v1/labels", {"name": "of a model", "color": "#123456"})["id"]
        task = admin.post("v1/tasks", {"title": "of a model", "labels": [label]})["id"]
        found = PostgresTask.objects.get(mongo_id=task)
        assert (str(found), found.created_by.email_id, found.sync_status) == ("of a model", ADMIN, "SYNCED")
        assert [(one.position, one.label.color) for one in found.labels.all()] == [(0, "#123456")]
    connections["default"].close()


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever uses Django's own database in a request is found."""

    def refuse(self: Any, *_: Any, **__: Any) -> None:
        raise AssertionError("a request has used DATABASES['default']")

    connections["default"].close()
    monkeypatch.setattr(BaseDatabaseWrapper, "ensure_connection", refuse)


@pytest.mark.parametrize("phase", BEFORE_LIVE)
@pytest.mark.usefixtures("untouched")
def test_every_route_answers_without_postgresql(phases: list[Taskboard], phase: Phase, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Thresholds, "alerts", lambda *_: [])  # marks of tests before are of any age
    from taskboard.urls import urlpatterns

    app = phases[0]
    app.routes.clear()
    given = {**app.env, "POSTGRES_HOST": "127.0.0.1", "POSTGRES_PORT": "9"}
    nowhere = DocumentDatabases.from_environment(HOME / "syncline.toml", given).postgres
    with app.serving(postgres=nowhere, phases=FixedPhases(phase, percent=100), writer=None) as databases:
        admin = Person(app, ADMIN).log_in()
        label = admin.post("v1/labels", {"name": f"away {phase}", "color": "#000000"})["id"]
        role = admin.post("v1/roles", {"name": f"away {phase}", "permissions": ["tasks.read"]})["id"]
        email = f"away-{phase.replace('_', '-')}@example.org"
        user = admin.post("v1/users", {"emailId": email, "name": "Away", "password": PASSWORD})["id"]
        admin.patch(f"v1/users/{user}", {"name": "Still away"})
        admin.put(f"v1/users/{user}/roles", {"roleIds": [role]})
        team = admin.post("v1/teams", {"name": "Away"})
        task = admin.post("v1/tasks", {"title": "x", "labels": [label], "teamId": team["id"], "assignee": user})["id"]
        watchlist = admin.post("v1/watchlists", {"name": "x", "tasks": [task]})["id"]
        admin.put(f"v1/tasks/{task}/deferred", {"until": "2030-01-01T00:00:00Z"})
        away = Person(app, email).log_in()
        away.post("v1/teams/join", {"inviteCode": team["inviteCode"]}, 200)
        admin.delete(f"v1/teams/{team['id']}/members/{user}")
        admin.patch(f"v1/tasks/{task}", {"status": "DONE", "assignee": admin.id})
        for path in (
            *("users", f"users/{user}", f"users/{user}/roles", "roles", f"roles/{role}", "labels", f"labels/{label}"),
            *("teams", f"teams/{team['id']}", f"teams/{team['id']}/members", "tasks", f"tasks/{task}"),
            *(f"tasks/{task}/assignments", "watchlists", f"watchlists/{watchlist}", "audit-logs", "auth/me"),
        ):
            admin.get(f"v1/{path}")
        for path in (
            f"watchlists/{watchlist}",
            f"tasks/{task}",
            f"teams/{team['id']}",
            f"labels/{label}",
            f"roles/{role}",
        ):
            admin.delete(f"v1/{path}")
        assert admin.get("health") == {"status": "healthy"}
        found = admin.get("api/health/sync")
        assert found["databases"] == {"mongodb": "connected", "postgresql": "disconnected"}
        assert found["status"] == ("healthy" if phase is Phase.OFF else "degraded")
        admin.post("v1/auth/logout", None, 204)
        assert app.routes == {str(one.pattern) for one in urlpatterns} - {"metrics"}
        log = databases.mongodb["syncline_audit"]
        assert {one["actor"] for one in log.find({"document_id": ObjectId(label)})} == {admin.id}


def test_a_log_out_holds_at_once_in_a_ramp_that_nobody_carries(phases: list[Taskboard]):
    """Another process reads: it knows nothing of what this one has left to the worker."""
    app = phases[0]
    env = {**app.env, "DUAL_WRITE_DEADLINE": "0"}
    given: Any = {"phases": FixedPhases(Phase.RAMP, percent=100), "writer": None, "env": env}
    with app.serving(**given):
        admin = Person(app, ADMIN).log_in()
        admin.post("v1/auth/logout", None, 204)
        admin.get("v1/auth/me", 401)
        again = Person(app, ADMIN).log_in()
        label = again.post("v1/labels", {"name": "left to the worker", "color": "#000000"})["id"]
        assert again.get(f"v1/labels/{label}")["name"] == "left to the worker"
    with app.serving(**given):
        again.get("v1/auth/me")
        again.post("v1/auth/logout", None, 204)
    with app.serving(**given):
        again.get("v1/auth/me", 401)


def test_what_a_request_changes_it_decides_by_the_truth_in_a_ramp(phases: list[Taskboard]):
    """What another process has written, and nobody has carried: a label that is there, and a role that is taken away."""
    app = phases[0]
    env = {**app.env, "DUAL_WRITE_DEADLINE": "0"}
    given: Any = {"phases": FixedPhases(Phase.RAMP, percent=100), "writer": None, "env": env}
    with app.serving(**given):
        admin = Person(app, ADMIN).log_in()
        label = admin.post("v1/labels", {"name": "of another process", "color": "#000000"})["id"]
        role = admin.post("v1/roles", {"name": "for a while", "permissions": ["audit.read"]})["id"]
        person = {"emailId": "while@example.org", "name": "While", "password": PASSWORD}
        user = admin.post("v1/users", person)["id"]
        admin.put(f"v1/users/{user}/roles", {"roleIds": [role]})
    with app.serving(**given) as databases:
        admin.put(f"v1/users/{user}/roles", {"roleIds": []})
        assert not databases.mongodb["user_roles"].count_documents({"user_id": ObjectId(user)})
        assert admin.post("v1/tasks", {"title": "labelled", "labels": [label]})["labels"] == [label]


def test_whoever_was_removed_from_a_team_sees_no_task_of_it_in_a_ramp(phases: list[Taskboard]):
    app = next(one for one in phases if one.phase is Phase.RAMP)
    given: Any = {"phases": FixedPhases(Phase.RAMP, percent=100)}
    with app.serving(**given) as databases:
        admin = Person(app, ADMIN).log_in()
        bob = member(app, admin, "tasks.read")
        team = admin.post("v1/teams", {"name": "those who may"})
        bob.post("v1/teams/join", {"inviteCode": team["inviteCode"]}, 200)
        task = admin.post("v1/tasks", {"title": "theirs", "teamId": team["id"]})["id"]
        assert bob.get(f"v1/tasks/{task}")["title"] == "theirs"
        databases.collection("user_team_details").delete_one({"user_id": ObjectId(bob.id)})  # nobody carries it yet
        bob.get(f"v1/tasks/{task}", 404)
        assert bob.get(f"v1/tasks?team={team['id']}")["total"] == 0
        assert bob.get("v1/teams")["total"] == 0
        app.written.add("user_team_details")
        app.wrote()


def test_health_tells_what_waits_and_what_was_refused(phases: list[Taskboard]):
    app = next(one for one in phases if one.phase is Phase.RAMP)
    with app.serving(writer=None) as databases:
        app.wrote()
        before = Person(app).get("api/health/sync")
        databases.collection("labels").insert_one({"_id": "no ObjectId", "name": "not to be refused by MongoDB"})
        waiting = Person(app).get("api/health/sync")
        assert waiting["sync"]["queueSize"] == before["sync"]["queueSize"] + 1
        assert waiting["collections"]["labels"]["pending"] == before["collections"]["labels"]["pending"] + 1
        app.written.add("labels")
        app.wrote()
        refused = Person(app).get("api/health/sync")
        assert refused["collections"]["labels"] == {**before["collections"]["labels"], "failed": 1}
        assert refused["collections"]["tasks"]["phase"] == "ramp"
        databases.collection("labels").delete_one({"_id": "no ObjectId"})


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (GateClosedError("closed"), "nothing was written; send it again"),
        (MovedError("moved"), "nothing was written; send it again"),
        (UnknownOutcomeError("late"), "it is not known whether this was written: look before you send it again"),
    ],
)
@pytest.mark.usefixtures("phases")
def test_who_writes_while_the_truth_changes_sides_is_told_whether_to_send_it_again(error: Exception, again: str):
    from taskboard.problems import problem_of

    told = problem_of(error)
    assert (told.status, told.detail) == (503, again)


def test_health_is_503_when_the_truth_is_away(phases: list[Taskboard]):
    env = {**phases[0].env, "MONGODB_URL": "mongodb://127.0.0.1:9/x?serverSelectionTimeoutMS=100"}
    nowhere = DocumentDatabases.from_environment(HOME / "syncline.toml", env).documents
    with phases[0].serving(documents=nowhere) as databases:
        databases.client = MongoClient(env["MONGODB_URL"], serverSelectionTimeoutMS=100)
        found = Person(phases[0]).get("api/health/sync", 503)
        assert (found["status"], found["databases"]["mongodb"]) == ("unhealthy", "disconnected")
        problem = Person(phases[0]).post("v1/auth/login", {"email": ADMIN, "password": PASSWORD}, 503)
        assert "127.0.0.1" not in str(problem)


@contextlib.contextmanager
def changed(**options: Any) -> Iterator[None]:
    before = {name: getattr(settings, name) for name in options}
    for name, value in options.items():
        setattr(settings, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(settings, name, value)


def ids() -> list[str]:
    return [one.id for one in check_documents(None)]


def test_checks_find_what_is_not_right(phases: list[Taskboard], monkeypatch: pytest.MonkeyPatch):
    app = phases[0]
    with app.serving(), changed(DATABASES={"default": postgres_settings(app.env)}):
        assert ids() == []
        with changed(MIDDLEWARE=[]):
            assert ids() == ["syncline.W013"]
        with changed(DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3"}}):
            assert ids() == ["syncline.E011"]
        with changed(DATABASES={"default": postgres_settings({**app.env, "POSTGRES_NAME": "another"})}):
            assert ids() == ["syncline.E012"]
        with MongoClient(app.env["MONGODB_URL"], connect=False) as client:
            import taskboard.services

            database = client.get_default_database()
            monkeypatch.setattr(taskboard.services, "USERS", database["users"], raising=False)
            monkeypatch.setattr(taskboard.services, "OTHER", database["of_no_link"], raising=False)
            assert ids() == ["syncline.W014"]
            monkeypatch.undo()
        with changed(SYNCLINE_DOCUMENTS=None):
            assert ids() == ["syncline.E010"]


def test_a_migration_without_mongodb_ends_with_a_line_that_says_so(phases: list[Taskboard]):
    env = {**phases[0].env, "MONGODB_URL": "mongodb://127.0.0.1:9/x?serverSelectionTimeoutMS=100"}
    nowhere = DocumentDatabases.from_environment(HOME / "syncline.toml", env).documents
    with phases[0].serving(documents=nowhere) as databases:
        databases.client = MongoClient(env["MONGODB_URL"], serverSelectionTimeoutMS=100)
        with pytest.raises(CommandError, match="what carries documents is not installed: MongoDB"):
            phases[0].migrated()


def test_a_migration_of_djangos_test_database_installs_nothing(phases: list[Taskboard], capsys: Any):
    with phases[0].serving() as databases:
        phases[0].migrated()
        databases.install = mock.Mock(side_effect=AssertionError("it is the manager's database, not the test's"))
        with mock.patch.dict(connections["default"].settings_dict, NAME="test_other"):
            emit_post_migrate_signal(verbosity=1, interactive=False, db="default", stdout=sys.stdout)
    assert "not installed: this is another database than the repositories' (NAME differs)" in capsys.readouterr().out


def test_a_variable_that_cannot_be_is_told_as_the_commands_do():
    with pytest.raises(ConfigError, match="POSTGRES_SSLMODE=on"):
        postgres_settings({"POSTGRES_NAME": "x", "POSTGRES_SSLMODE": "on"})


def test_a_project_without_a_database_is_told():
    with pytest.raises(ConfigError, match="POSTGRES_NAME is not set"):
        postgres_settings({})


@pytest.mark.parametrize(
    ("host", "options"),
    [
        ("db.example.org", {"sslmode": "verify-full", "sslrootcert": "system"}),
        ("localhost", {"sslmode": "prefer"}),
        ("/run/postgresql", {"sslmode": "prefer"}),
    ],
)
def test_tls_is_verified_unless_the_server_is_here(host: str, options: dict[str, str]):
    env = {"POSTGRES_HOST": host, "POSTGRES_NAME": "x", "POSTGRES_USER": "u", "POSTGRES_PASSWORD": "p @/?%"}
    found = postgres_settings(env)["OPTIONS"]
    assert {name: value for name, value in found.items() if name.startswith("ssl")} == options
    from psycopg.conninfo import conninfo_to_dict

    same = {"host": host, "port": "5432", "dbname": "x", "user": "u", "password": "p @/?%", **options}
    assert conninfo_to_dict(postgres_url(env)) == same


def test_the_seed_changes_nothing_that_is_there(phases: list[Taskboard], monkeypatch: pytest.MonkeyPatch):
    app = phases[0]
    with app.serving():
        monkeypatch.delenv("TASKBOARD_ADMIN_PASSWORD", raising=False)
        with pytest.raises(CommandError, match="TASKBOARD_ADMIN_PASSWORD"):
            call_command("seed", admin=ADMIN)
        monkeypatch.setenv("TASKBOARD_ADMIN_PASSWORD", "another password")
        for _ in range(2):
            call_command("seed", admin=ADMIN)
        admin = Person(app, ADMIN).log_in()  # with the password of before
        assert admin.get("v1/auth/me")["permissions"] == ["admin"]


def test_syncline_runs_for_the_project(phases: list[Taskboard]):
    """In a process of its own, as an operator runs it."""
    env = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "DJANGO_SETTINGS_MODULE")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "manage.py", "syncline", "schema", "check", "--quiet"],
        cwd=HOME,
        env={**env, **phases[1].env},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_the_command_has_the_environment_of_the_project(phases: list[Taskboard], monkeypatch: pytest.MonkeyPatch):
    """What stands in a ``.env`` alone, too."""
    from syncline.contrib.django.document_databases import DocumentDatabases
    from syncline.contrib.django.management.commands import syncline as command

    made = DocumentDatabases.from_environment(HOME / "syncline.toml", {**phases[1].env, "DUAL_WRITE_ENABLED": "true"})
    given: list[Any] = []
    monkeypatch.setattr(command, "document_databases", lambda: made)
    monkeypatch.setattr(command.os, "execve", lambda *arguments: given.extend(arguments))
    settings_too = ["--settings=taskboard.settings", "--pythonpath", "."]
    command.Command().run_from_argv(["manage.py", "syncline", "status", *settings_too])
    assert given[1][1:] == ["-m", "syncline.cli.main", "status"]
    assert given[2]["DUAL_WRITE_ENABLED"] == "true"


def test_the_admin_shows_how_collections_stand(phases: list[Taskboard]):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "tests.acceptance.taskboard.with_admin"],
        env={**os.environ, **phases[1].env, "PYTHONPATH": str(HOME), "SYNCLINE_PHASE": "dual_write"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "MongoDB connected, PostgreSQL connected" in done.stdout
    assert "<td>task_assignments</td><td>dual_write</td>" in done.stdout


def test_an_answer_says_by_which_change_of_the_phases_its_reads_went(phases: list[Taskboard]):
    class Journal(FixedPhases):
        """Tells as ``JournalPhases`` does what it knows."""

        def __init__(self) -> None:
            super().__init__(Phase.DUAL_WRITE)
            self.epochs = Epochs()
            self.epochs.learn({"users": Standing(Phase.DUAL_WRITE, number=17)})

        def of(self, collection: str) -> Phase:
            now = Standing(super().of(collection))
            return self.epochs.standing(collection, now, now).phase

    with phases[0].serving(phases=Journal()):
        client = Client()
        assert client.get("/v1/auth/me", headers={"Authorization": "Bearer x"})["Syncline-Phase-Epoch"] == "17"
        assert "Syncline-Phase-Epoch" not in client.get("/health"), "it has asked for no phase"


def test_metrics_tell_what_shadow_reads_came_to(phases: list[Taskboard]):
    with phases[0].serving(phases=FixedPhases(Phase.SHADOW), metrics=AppMetrics()):
        Person(phases[0], ADMIN).log_in()
        page = Client().get("/metrics").content.decode()
        assert 'syncline_shadow_comparisons_total{collection="labels",method="get",outcome="mismatch"} 0.0' in page
    with phases[0].serving():
        assert Client().get("/metrics").status_code == 404, "the manager counts nothing"


def test_settings_without_documents_are_told():
    with changed(SYNCLINE_DOCUMENTS=None), pytest.raises(ConfigError, match="SYNCLINE_DOCUMENTS is not set"):
        document_databases()
