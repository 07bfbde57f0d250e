"""``syncline verify --sync``: seven questions, one exit status; and what `verify` says of records that nobody has."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

from typer.testing import CliRunner

from syncline.cli.main import app
from tests.integration.test_cli_verify import Command, _stderr, command, relay  # noqa: F401  fixtures

QUESTIONS = [
    "outbox present",
    "secondary connected",
    "counts match",
    "contents match",
    "sample shown",
    "lag acceptable",
    "no failed events",
]


def answers(report):
    assert [check["check"] for check in report["checks"]] == QUESTIONS
    return [check["ok"] for check in report["checks"]]


def test_all_seven_are_answered_yes_and_each_kind_of_damage_by_its_own_question(command: Command, tmp_path):  # noqa: F811
    with command.relay.process(tmp_path):
        command("backfill")
        command.drain()
        assert answers(command.json("verify", "--sync")) == [True] * 7
        shown = command("verify", "--sync")
        assert "In sync." in shown
        assert "users 500 and 500" in shown
        command.documents.users.update_one({"_id": 6}, {"$set": {"email": "x"}})
        assert answers(command.json("verify", "--sync", status=1)) == [True, True, True, False, True, True, True]
        command.documents.users.delete_one({"_id": 5})
        assert answers(command.json("verify", "--sync", status=1)) == [True, True, False, False, True, True, True]
    command.sql(
        "INSERT INTO syncline.parked (seq, entity, lane, hint, key, created_at, code, error)"
        " SELECT 1, id, 0, 'U', '6', now(), 'x', 'y' FROM syncline.entity WHERE name = 'users'"
    )
    found = command.json("verify", "--sync", "--patience", "0", status=1)
    assert answers(found)[-1] is False
    assert "no failed events" in command("verify", "--sync", "--patience", "0", status=1)


def test_a_stopped_worker_with_old_changes_is_undecided(command: Command, tmp_path):  # noqa: F811
    with command.relay.process(tmp_path):
        command("backfill")
        command.drain()
    command.sql("UPDATE syncline.worker SET expires_at = now() - interval '1 s'")
    command.sql("UPDATE users SET email = 'later' WHERE id = 1")
    command.sql("UPDATE syncline.outbox SET at = now() - interval '1 hour'")
    found = command.json("verify", "--sync", "--patience", "0", status=2)
    assert answers(found)[-2:] == [False, True]
    assert answers(found)[:2] == [True, True]


def test_a_missing_side_is_named_and_nothing_is_claimed_of_the_rest(command: Command, monkeypatch):  # noqa: F811
    nobody = quote(str(command.folder / "nobody.sock"), safe="")
    monkeypatch.setenv("MONGODB_URL", f"mongodb://{nobody}/?serverSelectionTimeoutMS=300")
    assert answers(command.json("verify", "--sync", status=3)) == [True, False, *[None] * 5]
    monkeypatch.delenv("MONGODB_URL")
    command("uninstall", "--yes")
    found = command.json("verify", "--sync", status=3)
    assert answers(found) == [False, True, *[None] * 5]
    assert "syncline install" in found["checks"][0]["detail"]


def test_it_looks_at_everything_or_refuses(command: Command):  # noqa: F811
    assert "--sync looks at everything" in _stderr(command, "verify", "users", "--sync")


def test_a_record_that_nobody_has_is_said_to_be_nobodys(command: Command):  # noqa: F811
    assert "Neither side has users 999999." in command("verify", "users", "999999", status=2)
    assert command.json("verify", "users", "999999", status=2)["summary"] == "Neither side has users 999999."


def test_ctrl_c_says_how_to_go_on(command: Command):  # noqa: F811
    command.sql("INSERT INTO users SELECT n, 'x' FROM generate_series(1000, 5000) n")
    entry = Path(sys.executable).with_name("syncline")
    arguments = ["verify", "users", "--rate", "100", "--config", command.folder / "syncline.toml"]
    process = subprocess.Popen([entry, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not command.relay.value("SELECT count(*) FROM syncline.verification"):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert (process.returncode, errors) == (130, "interrupted; `syncline verify --resume` goes on where it was\n")


def test_a_key_may_begin_with_a_minus(command: Command):  # noqa: F811
    command.sql("INSERT INTO users VALUES (-5, 'minus')")
    assert command.json("explain", "users", "-5")["row"]["email"] == "minus"
    options = ["--config", str(command.folder / "syncline.toml")]
    assert "'minus'" in CliRunner().invoke(app, ["explain", *options, "users", "--", "-5"]).output
    assert "Missing" in CliRunner().invoke(app, ["explain", "users"]).output
