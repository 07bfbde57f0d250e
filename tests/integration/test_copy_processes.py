"""``syncline copy --processes N``: ranges are carried over by several processes, and the table is whole."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from unittest.mock import AsyncMock

import pytest

from syncline.copying.copier import Copier
from syncline.copying.progress import Sizes
from syncline.errors import CopyError
from tests import engines
from tests.copies import Copy
from tests.integration.test_copy_command import started
from tests.integration.test_verify_processes import PATIENCE, begun, gone

ROWS, RANGE = 60_000, 12_000
TABLES = "CREATE TABLE many (id int PRIMARY KEY, v int)"
FILL = f"INSERT INTO many SELECT n, n FROM generate_series(1, {ROWS}) n; ANALYZE many"


@pytest.fixture
def copy(postgres, database, tmp_path: Path, monkeypatch):
    """Have ranges that are small: those that this process lays, others carry over as they are."""
    monkeypatch.setattr(Sizes.__init__, "__defaults__", (RANGE, 1 << 30))
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


def laid(copy, monkeypatch):
    """Begin a copy, and leave it where its ranges are known."""
    with monkeypatch.context() as patched:
        patched.setattr(Copier, "_carry_all", AsyncMock(side_effect=CopyError("no further")))
        assert "no further" in copy.refused("copy")


def test_ranges_are_carried_over_by_several(copy):
    (table,) = copy.json("copy", "--rate", "0", "--processes", "2")["tables"]
    assert (table["rows"], table["finished"], table["rangesDone"]) == (ROWS, True, table["ranges"])
    assert table["ranges"] >= 4
    assert whole(copy)
    with copy.worker():
        copy.drained()
    copy.there.execute("DELETE FROM many WHERE id IN (1, 30001); UPDATE many SET v = 0 WHERE id = 59999")
    report = copy.json("verify", "--rate", "0", "--processes", "2", status=1)
    found = {(one["key"], one["kind"]) for one in report["entities"][0]["findings"]}
    assert found == {("1", "missing"), ("30001", "missing"), ("59999", "different")}
    assert report["entities"][0]["records"] == ROWS


def test_the_range_of_a_killed_process_is_carried_again(copy, monkeypatch):
    laid(copy, monkeypatch)
    process = started(copy, "--json", "--rate", "10000", "--processes", "2")
    first = begun(process)
    os.kill(first[0], signal.SIGKILL)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert json.loads(out)["tables"][0]["finished"] is True
    assert whole(copy)


def test_ctrl_c_ends_all_of_them_and_the_next_one_goes_on(copy, monkeypatch):
    laid(copy, monkeypatch)
    process = started(copy, "--json", "--rate", "5000", "--processes", "2")
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
    copy.there.execute("ALTER TABLE many ADD CONSTRAINT never_this CHECK (v <> 30000)")
    result = copy.run("copy", "--json", "--rate", "0", "--processes", "2")
    assert result.exit_code == 1
    (table,) = json.loads(result.stdout)["tables"]
    assert "never_this" in table["error"]
    assert not table["finished"]
