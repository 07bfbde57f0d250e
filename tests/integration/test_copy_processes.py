"""``syncline copy --processes N``: ranges are carried over by several processes, and the table is whole."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests import engines
from tests.copies import Copy
from tests.integration.test_copy_command import started
from tests.integration.test_verify_processes import PATIENCE, begun, gone

ROWS = 700_000
TABLES = "CREATE TABLE many (id int PRIMARY KEY, v int)"
FILL = f"INSERT INTO many SELECT n, n FROM generate_series(1, {ROWS}) n; ANALYZE many"


@pytest.fixture
def copy(postgres, database, tmp_path: Path):
    with engines.fresh_database(postgres.url) as other:
        made = Copy(database, other, tmp_path)
        made.both(TABLES)
        made.here.execute(FILL)
        made.configure("many")
        made("install", "--yes")
        yield made
        made.close()


def whole(copy):
    """Compare both tables by what each sums up."""
    sums = [
        side.execute("SELECT count(*), sum(id::bigint * v) FROM many").fetchone() for side in (copy.here, copy.there)
    ]
    return sums[0] == sums[1]


def test_ranges_are_carried_over_by_several(copy):
    (table,) = copy.json("copy", "--rate", "0", "--processes", "2")["tables"]
    assert (table["rows"], table["finished"], table["rangesDone"]) == (ROWS, True, table["ranges"])
    assert table["ranges"] >= 3
    assert whole(copy)
    with copy.worker():
        copy.drained()
    report = copy.json("verify", "--rate", "0", "--processes", "2")
    assert (report["verdict"], report["entities"][0]["records"]) == ("equal", ROWS)
    copy.there.execute("DELETE FROM many WHERE id IN (1, 350001); UPDATE many SET v = 0 WHERE id = 699999")
    report = copy.json("verify", "--rate", "0", "--processes", "2", status=1)
    found = {(one["key"], one["kind"]) for one in report["entities"][0]["findings"]}
    assert found == {("1", "missing"), ("350001", "missing"), ("699999", "different")}


def test_the_range_of_a_killed_process_is_carried_again(copy):
    process = started(copy, "--json", "--rate", "200000", "--processes", "2")
    first = begun(process)
    os.kill(first[0], signal.SIGKILL)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert json.loads(out)["tables"][0]["finished"] is True
    assert whole(copy)


def test_ctrl_c_ends_all_of_them_and_the_next_one_goes_on(copy):
    process = started(copy, "--json", "--rate", "50000", "--processes", "2")
    pids = begun(process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert b"`syncline copy` goes on from here" in err
    assert b"Traceback" not in err
    gone(pids)
    assert copy.json("copy", "--rate", "0")["tables"][0]["finished"]
    assert whole(copy)


def test_a_row_that_is_refused_is_the_command_s_error(copy):
    copy.there.execute("ALTER TABLE many ADD CHECK (v <> 350000)")
    result = copy.run("copy", "--json", "--rate", "0", "--processes", "2")
    assert result.exit_code == 1
    (table,) = json.loads(result.stdout)["tables"]
    assert "350000" in table["error"] or "many" in table["error"]
    assert not table["finished"]
