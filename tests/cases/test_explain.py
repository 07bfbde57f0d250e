"""``syncline explain`` compares contents where nothing waits, and says what is still to come."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from syncline.cli.main import app
from tests.pairs import entity, paired

TABLE = (
    "CREATE TABLE t (id int PRIMARY KEY, title text, secret text, done boolean NOT NULL DEFAULT false);"
    "INSERT INTO t SELECT i, 'title ' || i, 'hidden', i = 4 FROM generate_series(1, 4) AS i"
)
CONFIG = """
[source]
url = "{database}"
[target]
url = "{mongo}"
database = "{name}"
[entities.t]
table = "t"
where = "NOT done"
mask = ["secret"]
"""


@pytest.fixture
async def case(database, mongo_url, mongo_db, tmp_path, monkeypatch):
    """Records 1 to 3 are in the target; the filter keeps 4 out."""
    monkeypatch.chdir(tmp_path)
    Path("syncline.toml").write_text(CONFIG.format(database=database, mongo=mongo_url, name=mongo_db))
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    async with paired(database, mongo_url, mongo_db, TABLE, [entity("t", where="NOT done", mask=("secret",))]) as pair:
        await pair.backfill("t")
        await pair.drain()
        yield pair


def explained(key="1"):
    result = CliRunner().invoke(app, ["explain", "t", key, "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_equal_contents_are_said_to_be_equal(case):
    report = explained()
    assert (report["equal"], report["differences"]) == (True, [])
    assert report["verdict"] == "Nothing is waiting: the document is equal to the row."


def test_fields_that_differ_are_named_with_the_command(case):
    case.docs.t.update_one({"_id": 1}, {"$set": {"title": "another"}})
    report = explained()
    assert report["equal"] is False
    assert report["differences"] == [{"field": "title", "source": "title 1", "target": "another"}]
    assert "differs from the row in title: `syncline repair t`" in report["verdict"]
    people = CliRunner().invoke(app, ["explain", "t", "1"]).output
    assert "different" in people
    assert "another" in people


def test_masked_fields_are_named_and_not_shown_among_the_differences(case):
    case.docs.t.update_one({"_id": 1}, {"$set": {"secret": "leaked"}})
    report = explained()
    assert report["differences"] == [{"field": "secret", "source": {"$masked": True}, "target": {"$masked": True}}]
    assert "in secret: " in report["verdict"]


@pytest.mark.parametrize("claimed", [False, True])
def test_a_missing_document_may_be_still_to_come(case, claimed):
    case.docs.t.delete_one({"_id": 1})
    assert "never backfilled, or a divergence" in explained()["verdict"]
    assert explained()["equal"] is False
    until = "now() + interval '1 hour'" if claimed else "NULL"
    case.sql(
        "INSERT INTO syncline.task (kind, entity, reason, claimed_until) SELECT 'backfill', id, 'test', "
        f"{until} FROM syncline.entity"
    )
    report = explained()
    assert report["equal"] is None
    expected = "is under way" if claimed else "is waiting for a worker"
    assert f"a backfill of t {expected}" in report["verdict"]
    assert "never backfilled" not in report["verdict"]


def test_a_row_outside_of_the_filter_agrees_with_no_document(case):
    report = explained("4")
    assert (report["included"], report["equal"], report["differences"]) == (False, True, [])
    case.docs.t.insert_one({"_id": 4, "_originalId": "4", "_v": 0})
    report = explained("4")
    assert report["equal"] is False
    assert "outside of the entity's filter, its document is still there" in report["verdict"]


def test_a_document_without_a_row_may_be_for_a_sweep(case):
    case.docs.t.insert_one({"_id": 9, "_originalId": "9", "_v": 0})
    assert "nothing is waiting: `syncline repair` removes it" in explained("9")["verdict"]
    case.sql("INSERT INTO syncline.task (kind, entity, reason) SELECT 'sweep', id, 'test' FROM syncline.entity")
    assert "its document is still there, and a sweep of t is waiting for a worker" in explained("9")["verdict"]


def test_nothing_is_compared_while_a_change_waits(case):
    case.sql("UPDATE t SET title = 'new' WHERE id = 1")
    report = explained()
    assert (report["equal"], report["differences"]) == (None, [])
    assert "is waiting" in report["verdict"]


def test_a_ticket_that_nobody_issued_is_a_difference(case):
    case.docs.t.update_one({"_id": 1}, {"$set": {"_v": 9 << 31}})
    report = explained()
    assert report["equal"] is False
    assert "repair" in report["verdict"]
