"""``syncline copy``: installed, copied, followed; killed, interrupted, refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import engines
from tests.copies import Copy

TABLES = """
    CREATE TABLE person (id int PRIMARY KEY, email text UNIQUE, boss int REFERENCES person);
    CREATE TABLE visit (person int REFERENCES person, day date, note text, PRIMARY KEY (person, day));
"""
ROWS = """
    INSERT INTO person SELECT n, 'p' || n, nullif(n - 1, 0) FROM generate_series(1, 300) AS n;
    INSERT INTO visit SELECT n, date '2024-02-01', repeat('x', n) FROM generate_series(1, 300) AS n;
"""


@pytest.fixture
def copy(postgres, database, tmp_path: Path) -> Iterator[Copy]:
    with engines.fresh_database(postgres.url) as other:
        made = Copy(database, other, tmp_path)
        made.both(TABLES)
        made.here.execute(ROWS)
        made.configure("visit person")
        yield made
        made.close()


def started(copy: Copy, *arguments: str) -> subprocess.Popen[bytes]:
    environment = {k: v for k, v in os.environ.items() if k not in ("DATABASE_URL", "MONGODB_URL")}
    command = [str(Path(sys.executable).with_name("syncline")), "copy", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=copy.folder)


COPYING = (
    "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name = 'syncline copy'"
    " AND query LIKE '%FROM STDIN%' AND state = 'active'"
)


def test_a_link_is_installed_copied_and_followed(copy: Copy) -> None:
    copy("install", "--yes")
    rows = copy.json("copy", "--dry-run")["tables"]
    assert [(row["entity"], row["form"], row["ranges"]) for row in rows] == [
        ("person", "binary", 1),
        ("visit", "binary", 1),
    ]
    assert "person: 300 rows copied" in copy("copy")
    assert "copied before" in copy("copy")
    with copy.worker():
        copy.here.execute("DELETE FROM visit WHERE person > 200; UPDATE person SET email = 'x' || id")
        copy.drained()
    assert copy.difference("person", "visit") == []


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_whoever_ends_a_copy_it_goes_on(copy: Copy, how: signal.Signals) -> None:
    copy("install", "--yes")
    process = started(copy, "--rate", "20")
    copy.until(COPYING, there=True)
    process.send_signal(how)
    _, said = process.communicate()
    assert process.returncode == (-9 if how is signal.SIGKILL else 130)
    assert b"Traceback" not in said
    if how is signal.SIGINT:
        assert b"`syncline copy` goes on from here" in said
    copy.here.execute("DELETE FROM person WHERE id = 300 AND false; DELETE FROM visit WHERE person = 7")
    found = copy.json("copy", "--rate", "0", "--parallel", "2")["tables"]
    assert all(table["finished"] for table in found)
    with copy.worker():
        copy.drained()
    assert copy.difference("person", "visit") == []


def test_progress_is_lines_of_json(copy: Copy) -> None:
    copy("install", "--yes")
    result = copy.run("copy", "--json", "--rate", "0")
    lines = [json.loads(line) for line in result.stderr.splitlines()]
    assert [line["entity"] for line in lines if line["finished"]] == ["person", "visit"]
    assert {"rows", "total", "ranges", "perSecond"} <= lines[-1].keys()


def test_what_cannot_be_copied_is_said_and_nothing_waits_for_it(copy: Copy) -> None:
    assert "syncline install" in copy.refused("copy")
    copy("install", "--yes")
    copy.there.execute("INSERT INTO person VALUES (9999, 'stray')")
    assert "not empty in the target: public.person" in copy.refused("copy")
    assert "needs --replace" in copy.json("copy", "--dry-run", "person")["tables"][0]["note"]
    with copy.worker():
        copy.here.execute("UPDATE person SET email = NULL WHERE id = 1")
        copy.drained()
    copy("copy", "--replace")
    assert copy.difference("person", "visit") == []
    copy.there.execute("DROP TABLE visit")
    assert "has no table public.visit" in copy.refused("copy", "--replace", "visit")
    copy.configure("person", target='url = "mongodb://127.0.0.1:1/x"\n')
    assert "syncline backfill" in copy.refused("copy")


def test_a_row_that_is_refused_is_named_and_the_status_says_so(copy: Copy) -> None:
    copy.there.execute("ALTER TABLE visit ADD CHECK (length(note) < 250)")
    copy("install", "--yes")
    said = copy.refused("copy", status=1)
    assert "visit: the target refuses a row" in said
    assert "line 250" in said
    assert "person: 300 rows copied" in said
    assert "its changes wait for visit" in said
    notices = sorted((one["name"], one["entity"]) for one in copy.json("notices", "list")["notices"])
    assert notices == [("Copying", "person"), ("Copying", "visit")]
    copy.here.execute("UPDATE visit SET day = day + 1 WHERE person < 4")
    copy.here.execute("UPDATE syncline.outbox SET at = at - interval '1 hour'")
    waits = copy.json("status", status=1)
    assert waits["sync"] == {
        "queueSize": 0,
        "syncLagSeconds": 0,
        "failedEvents": 0,
        "deferredDeletes": 0,
        "heldByCopy": 6,
    }
    assert {alert["name"] for alert in waits["alerts"]} == {"Copying"}, "what waits for a copy is not late"
    for command in ("backfill", "verify"):
        assert "visit: its table is being copied" in copy.refused(command, "visit")
    assert copy("copy", "--cancel").startswith("given up: visit\nrows may be missing")
    assert copy.json("notices", "list")["notices"] == []
    copy.there.execute("ALTER TABLE visit DROP CONSTRAINT visit_note_check")
    copy("copy")
    assert copy.difference("person", "visit") == []
    assert copy.json("notices", "list")["notices"] == []


def test_a_second_copy_is_refused_while_one_runs_and_a_session_that_ends_is_opened_again(copy: Copy) -> None:
    copy("install", "--yes")
    process = started(copy, "--rate", "150")
    copy.until(COPYING, there=True)
    assert "another `syncline copy` is at work" in copy.refused("copy")
    copy.there.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'syncline copy'"
    )
    _, said = process.communicate()
    assert process.returncode == 0, said
    assert copy.difference("person", "visit") == []
