"""A condition or a computed field that fails at one row is that row's trouble: the others are marked, swept, verified."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from syncline.backfill import runner as running
from syncline.backfill.pace import Pace
from syncline.cli.main import app
from syncline.engines.postgres import key_sql
from syncline.errors import TaskDroppedError
from syncline.model.entity import Computed, Fields
from syncline.ports import TaskKind
from tests.pairs import entity, kinds, paired

TABLE = """
CREATE TABLE t ({columns}, n int);
INSERT INTO t SELECT {values}, CASE i WHEN 50 THEN 0 WHEN 60 THEN 50 ELSE 1 END FROM generate_series(10, 99) i
"""
KEYS = {
    "int": ("id int PRIMARY KEY", "i", "{}"),
    "text": ("id text PRIMARY KEY", "i", "{}"),
    "composite": ("a int, b text, PRIMARY KEY (a, b)", "i, 'x'", '["{}", "x"]'),
}
WHERE = "100 / n > 5"
"""It fails at 50, and leaves 60 out."""
INSIDE = {str(i) for i in range(10, 100)} - {"50", "60"}


def prepared(key):
    columns, values, text = KEYS[key]
    return TABLE.format(columns=columns, values=values), text


def marked(pair):
    return {key for (key,) in pair.sql("SELECT key FROM syncline.waiting")}


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("rows", [5, 100], ids=["chunks", "one chunk"])
async def test_a_backfill_marks_the_rows_at_which_the_filter_does_not_fail(database, mongo_url, mongo_db, key, rows):
    """Case 16: and the one at which it does, so that the worker says of that one what is wrong."""
    ddl, text = prepared(key)
    async with paired(database, mongo_url, mongo_db, ddl, [entity("t", where=WHERE)]) as pair:
        done = await pair.backfill("t", pace=Pace(max_queue=10**9, chunk=rows))
        assert marked(pair) == {text.format(id_) for id_ in INSIDE | {"50"}}
        assert (done.marked, done.finished) == (len(INSIDE) + 1, True)


async def test_a_condition_of_ones_own_that_fails_at_a_row_marks_that_row_too(database, mongo_url, mongo_db):
    ddl, _ = prepared("int")
    async with paired(database, mongo_url, mongo_db, ddl, [entity("t")]) as pair:
        runner = pair.runner()
        task = await runner.tasks.request(TaskKind.BACKFILL, pair.plan("t").id, "test", {"where": WHERE})
        await runner.run(task)
        assert marked(pair) == INSIDE | {"50"}


async def test_a_condition_of_ones_own_that_fails_at_every_row_ends_the_task(database, mongo_url, mongo_db):
    ddl, _ = prepared("int")
    async with paired(database, mongo_url, mongo_db, ddl, [entity("t")]) as pair:
        runner = pair.runner()
        task = await runner.tasks.request(TaskKind.BACKFILL, pair.plan("t").id, "test", {"where": "n / (n - n) = 1"})
        with pytest.raises(TaskDroppedError, match="division by zero"):
            await runner.run(task)
        assert marked(pair) == set()


async def test_of_very_many_rows_at_which_it_fails_all_are_marked(database, mongo_url, mongo_db, monkeypatch):
    """It is not asked of each alone: the worker judges them."""
    monkeypatch.setattr(key_sql, "MOST", 10)
    ddl, _ = prepared("int")
    async with paired(database, mongo_url, mongo_db, ddl, [entity("t", where=WHERE)]) as pair:
        pair.sql("UPDATE t SET n = 0 WHERE id % 2 = 0", "DELETE FROM syncline.outbox; DELETE FROM syncline.block")
        await pair.backfill("t")
        assert marked(pair) >= INSIDE


@pytest.mark.parametrize("key", KEYS)
async def test_a_sample_names_the_row_at_which_the_filter_fails(database, mongo_url, mongo_db, key):
    ddl, text = prepared(key)
    async with paired(database, mongo_url, mongo_db, ddl, [entity("t", where=WHERE)]) as pair:
        names = "a, b" if key == "composite" else "id"
        pair.sql(
            f"SELECT syncline.mark(1::smallint, array_agg(syncline.key_1({names})), 'B') FROM t WHERE n = 1",
            "DELETE FROM syncline.outbox WHERE hint <> 'B'",
        )
        await pair.drain()
        report = await pair.verify(mode="sample", sample=100)
        assert kinds(report) == {text.format("50"): "unreadable"}
        assert report.entities[0].records == len(INSIDE)


@pytest.mark.parametrize("key", KEYS)
async def test_a_sweep_marks_what_is_away_and_the_row_at_which_the_filter_fails(database, mongo_url, mongo_db, key):
    ddl, text = prepared(key)
    async with paired(database, mongo_url, mongo_db, ddl, [entity("t", where=WHERE)]) as pair:
        one = pair.plan("t")
        ids = [one.projection.codec.document_id(text.format(id_)) for id_ in ("20", "50", "60", "100")]
        pair.docs.t.insert_many([{"_id": id_} for id_ in ids])
        done = await pair.backfill("t", TaskKind.SWEEP)
        assert marked(pair) == {text.format(id_) for id_ in ("50", "60", "100")}
        assert done.finished


CONFIG = """
[source]
url = "{database}"
[target]
url = "{mongo}"
database = "{name}"
[entities.t]
table = "t"
"""


@pytest.fixture
async def failing(database, mongo_url, mongo_db, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    config = CONFIG.format(database=database, mongo=mongo_url, name=mongo_db)
    Path("syncline.toml").write_text(config + request.param[0])
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    async with paired(database, mongo_url, mongo_db, prepared("int")[0], [entity("t", **request.param[1])]) as pair:
        yield pair


@pytest.mark.parametrize(
    "failing",
    [
        (f'where = "{WHERE}"', {"where": WHERE}),
        ('[entities.t.computed]\nx = "100 / n"', {"fields": Fields(computed={"x": Computed("100 / n")})}),
    ],
    ids=["where", "computed"],
    indirect=True,
)
def test_commands_go_on(failing, monkeypatch):
    """Backfill, sample and explain, as somebody types them."""
    sweep = running.Sweep  # no worker writes what is marked: it would wait for that for as long as the grace
    monkeypatch.setattr(running, "Sweep", lambda *args, grace: sweep(*args, grace=grace / 100))
    done = CliRunner().invoke(app, ["backfill", "t", "--json"])
    assert done.exit_code == 0, done.output
    assert "50" in marked(failing)
    failing.sql("DELETE FROM syncline.outbox; DELETE FROM syncline.block")
    found = CliRunner().invoke(app, ["verify", "t", "--sample", "100", "--json"])
    assert found.exit_code == 1, found.output
    findings = json.loads(found.output)["entities"][0]["findings"]
    assert {one["key"] for one in findings if one["kind"] == "unreadable"} == {"50"}
    found = CliRunner().invoke(app, ["explain", "t", "50", "--json"])
    assert found.exit_code == 0, found.output
    assert "division by zero" in json.loads(found.output)["verdict"]
