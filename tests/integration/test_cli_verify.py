"""``backfill``, ``verify`` and ``repair`` through their real entry, on real engines, with a real worker."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from pymongo import MongoClient
from typer.testing import CliRunner

from syncline.cli.main import app
from tests.relay import Relay, entity

TABLES = """
CREATE TABLE users (id bigint PRIMARY KEY, email text NOT NULL);
CREATE TABLE todos (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), title text);
INSERT INTO users SELECT n, 'user' || n || '@example.org' FROM generate_series(1, 500) AS n;
INSERT INTO todos (title) SELECT 'todo ' || n FROM generate_series(1, 200) AS n;
"""
GRACE = timedelta(seconds=25)


class Command:
    """An installed pair, and the command in its folder."""

    def __init__(self, relay, documents, folder):
        self.relay, self.documents, self.folder, self.sql = relay, documents, folder, relay.sql

    def __call__(self, *arguments, status=0):
        result = CliRunner().invoke(app, [*map(str, arguments), "--config", str(self.folder / "syncline.toml")])
        assert result.exit_code == status, result.output + repr(result.exception)
        return result.stdout

    def json(self, *arguments, status=0):
        return json.loads(self(*arguments, "--json", status=status))

    def drain(self):
        deadline = time.monotonic() + 60
        while self.relay.value("SELECT (SELECT count(*) FROM syncline.waiting) + (SELECT count(*) FROM syncline.task)"):
            assert time.monotonic() < deadline
            time.sleep(0.05)


@pytest.fixture
async def relay(database, mongo_url, mongo_db):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLES)
    relay = Relay(database, [entity("users"), entity("todos")], None, mongo=(mongo_url, mongo_db), grace=GRACE)
    with contextlib.closing(relay.conn):
        await relay.install()
        yield relay


@pytest.fixture
def command(relay, mongo_url, mongo_db, tmp_path, monkeypatch):
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "syncline.toml").write_text(relay.toml())
    with MongoClient(mongo_url) as client:
        yield Command(relay, client[mongo_db], tmp_path)


def test_from_nothing_to_proved_equal_to_damaged_to_mended(command, tmp_path):
    text = command("verify", status=1)
    assert "700 records diverge" in text
    warned = [one["message"] for one in command.json("status", status=1)["alerts"] if one["name"] == "Diverged"]
    assert sorted(text.partition(":")[0] for text in warned) == ["todos", "users"]
    assert any(text.startswith("users: 500 missing, as of ") for text in warned)
    with command.relay.process(tmp_path):
        text = command("backfill")
        marked = ("users: 500 records marked", "users: every record is marked, the last ones by a worker")
        assert any(words in text for words in marked)
        command.drain()
        report = command.json("verify")
        assert report["summary"].startswith("Proved equal: 700 records of 2 entities, as of ")
        assert [one["records"] for one in report["entities"]] == [500, 200]
        assert command.sql("SELECT verdict FROM syncline.certificate ORDER BY id DESC LIMIT 2") == [("equal",)] * 2

        command.documents.users.delete_one({"_id": 5})
        command.documents.users.update_one({"_id": 6}, {"$set": {"email": "x"}})
        command.documents.users.insert_one({"_id": "foreign"})
        text = command("verify", "users", "--report", tmp_path / "report.json", status=1)
        assert "user6@example.org" in text
        assert "Not equal: 3 records diverge, of 500 records of entity users compared." in text
        assert command.json("verify", "users", "6", status=1)["entities"][0]["divergent"] == {"different": 1}
        assert command.json("verify", "todos", "--sample", "50", status=2)["verdict"] == "undecided"
        assert command.json("verify", "users", "--keys-only", status=1)["entities"][0]["divergent"] == {
            "foreign": 1,
            "missing": 1,
        }

        assert "2 records would be marked" in command(
            "repair", "--from", tmp_path / "report.json", "--dry-run", status=1
        )
        command.documents.todos.delete_many({})
        nothing = command.json("repair", "todos", "--from", tmp_path / "report.json")
        assert (nothing["verify"]["entities"], nothing["repair"]["marked"]) == ([], 0), "the report names none of these"
        command("repair", "todos")
        command.drain()
        text = command("repair", "users", status=1)
        assert "left alone: users _id 'foreign'" in text
        assert "A repair is not a verification" in text
        command.drain()
        text = command("verify", "users", status=1)
        assert "whose document it is, only you know; then verify again" in text
        assert "syncline repair" not in text, "it would not help"
        command.documents.users.delete_one({"_id": "foreign"})
        assert "Proved equal" in command("verify")
        assert command.json("status")["alerts"] == []
        assert "0 records marked" in command("repair")


def test_parts_several_entities_and_what_contradicts_itself(command):
    docs = command.documents
    for number in range(1, 501):
        docs.users.insert_one({"_id": number})
    part = command.json("verify", "users", "--from", "10", "--to", "20", "--patience", "0", status=1)["entities"][0]
    assert (part["mode"], part["from"], part["to"], part["records"]) == ("range", "10", "20", 10)
    report = command.json("verify", "users", "todos", "--keys-only", status=1)
    assert [one["entity"] for one in report["entities"]] == ["users", "todos"]
    found = command.json("verify", "users", "--key", "5", "--key", "6", status=1)["entities"][0]["findings"]
    assert {one["key"] for one in found} == {"5", "6"}
    for arguments, what in (
        (("users", "--from", "1", "--key", "5"), "a key does not go with a range"),
        (("users", "--sample", "5", "--to", "5"), "a range does not go with --sample"),
        (("users", "--keys-only", "--key", "5"), "--keys-only does not go with a key"),
        (("users", "--resume", "--sample", "5"), "--resume does not go with --sample"),
        (("--from", "5"), "a range needs one entity"),
        (("users", "todos", "--key", "5"), "a key needs one entity"),
        (("users", "--from", "x"), "'x' is not a key (id bigint)"),
        (("users", "nobody", "todos"), "there is no entity 'nobody'"),
    ):
        assert what in _stderr(command, "verify", *arguments)


def test_many_differences_go_to_the_file_and_not_to_the_terminal(command, tmp_path):
    command.sql("INSERT INTO users SELECT n, 'x' FROM generate_series(1001, 3000) n")
    command.sql("DELETE FROM syncline.outbox; DELETE FROM syncline.block")
    text = command("verify", "users", "--report", tmp_path / "r.jsonl", status=1)
    assert "Not equal: 2,500 records diverge" in text
    assert f"2,480 more; all of them: {tmp_path / 'r.jsonl'}" in text
    assert len(text.splitlines()) < 40
    lines = (tmp_path / "r.jsonl").read_text().splitlines()
    assert (len(lines), json.loads(lines[-1])["report"]["entities"][0]["divergent"]) == (2501, {"missing": 2500})
    shown = command.json("verify", "users", status=1)["entities"][0]
    assert (len(shown["findings"]), shown["findingsOmitted"]) == (1000, 1500)
    repaired = command.json("repair", "--from", tmp_path / "r.jsonl")["repair"]
    assert (repaired["marked"], len(repaired["records"])) == (2500, 1000)
    assert command.relay.value("SELECT count(*) FROM syncline.waiting WHERE hint = 'R'") == 2500


def test_a_stopped_worker_leaves_it_undecided(command, tmp_path):
    with command.relay.process(tmp_path):
        command("backfill")
        command.drain()
    command.sql("UPDATE syncline.worker SET expires_at = now() - interval '1 s'")
    command.sql("UPDATE users SET email = 'later' WHERE id = 1")
    report = command.json("verify", status=2)
    assert "no worker is running" in report["summary"]


def test_errors_say_what_is_wrong(command):
    assert "there is no entity 'nobody'" in _stderr(command, "verify", "nobody")
    assert "'x' is not a key (id bigint)" in _stderr(command, "verify", "users", "x")
    (command.folder / "notes.json").write_text("[]")
    assert "not the report of a verification" in _stderr(command, "repair", "--from", command.folder / "notes.json")


def _stderr(command, *arguments):
    result = CliRunner().invoke(app, [*map(str, arguments), "--config", str(command.folder / "syncline.toml")])
    assert result.exit_code == 3, result.output
    return result.output


def test_a_target_that_belongs_to_another_installation_is_not_compared(command, tmp_path):
    with command.relay.process(tmp_path):
        command("backfill")
        command.drain()
    command.sql("UPDATE syncline.meta SET installation = gen_random_uuid()")
    assert "the copy of another source" in _stderr(command, "verify")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_backfill_is_resumed_by_the_next(command, tmp_path, number):
    command.sql("INSERT INTO users SELECT n, 'x' FROM generate_series(1000, 15000) n")
    command.sql("DELETE FROM syncline.outbox; DELETE FROM syncline.block")
    entry = Path(sys.executable).with_name("syncline")
    arguments = ["backfill", "users", "--no-sweep", "--max-queue", "4000", "--config", tmp_path / "syncline.toml"]
    process = subprocess.Popen([entry, *arguments], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while command.relay.value("SELECT count(*) FROM syncline.waiting") < 4000:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    errors = process.communicate(timeout=60)[1]
    marked = command.relay.value("SELECT (progress ->> 'marked')::int FROM syncline.task")
    assert 4000 <= marked < 14_501
    if number is signal.SIGINT:
        assert process.returncode == 130
        assert "interrupted; nothing is lost" in errors
    else:
        command.sql("UPDATE syncline.task SET claimed_until = now()")  # as after some seconds
    command.sql("DELETE FROM syncline.outbox; DELETE FROM syncline.block")
    command.sql("UPDATE syncline.task SET options = '{}'")
    found = command.json("backfill", "users", "--no-sweep")
    assert found["tasks"][0]["marked"] == 14_501
    assert command.relay.value("SELECT count(*) FROM syncline.waiting") == 14_501 - marked


def test_an_unfinished_backfill_can_be_dropped(command):
    command.sql(
        "INSERT INTO syncline.task (kind, entity, reason) SELECT 'backfill', id, 'command' FROM syncline.entity"
    )
    assert "2 unfinished tasks dropped" in command("backfill", "--cancel")
    assert command.relay.value("SELECT count(*) FROM syncline.task") == 0
