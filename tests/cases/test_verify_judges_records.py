"""Verification and repair judge each record by itself: one that cannot be read is one finding, the rest is judged."""

from __future__ import annotations

import asyncio
import json

import psycopg
import pytest
from psycopg import sql
from typer.testing import CliRunner

from syncline.cli.main import app
from syncline.engines.mongo.inspection import MongoInspection
from syncline.engines.postgres.verification.side import SqlSide
from syncline.model.entity import Computed, Embed, Fields, TableName
from syncline.verify.one_pass import Sides
from syncline.verify.repair import repair
from tests.pairs import entity, kinds, paired

DIVIDED = (
    "CREATE TABLE t (id {key} PRIMARY KEY, n int);"
    "INSERT INTO t SELECT i, CASE WHEN i = 50 THEN 0 ELSE 1 END FROM generate_series(1, 100) i"
)
SHARE = Fields(computed={"share": Computed("100 / n")})


async def synced(pair, bad="50"):
    """Everything is in the target but the row that cannot be read."""
    pair.sql(f"DELETE FROM syncline.outbox WHERE key = '{bad}'")
    await pair.drain()


async def settled(pair):
    await pair.backfill("t")
    pair.sql("DELETE FROM syncline.outbox WHERE key = '50'")
    await pair.drain()


@pytest.mark.parametrize("key", ["int", "text"], ids=["case 16: side by side", "case 16: looked up"])
@pytest.mark.parametrize("mode", ["full", "keys", "sample"])
async def test_a_row_that_cannot_be_read_is_one_finding(database, mongo_url, mongo_db, key, mode):
    async with paired(database, mongo_url, mongo_db, DIVIDED.format(key=key), [entity("t", fields=SHARE)]) as pair:
        await settled(pair)
        pair.docs.t.update_one({"_id": 20 if key == "int" else "20"}, {"$set": {"n": 5}})
        pair.docs.t.delete_one({"_id": 30 if key == "int" else "30"})
        report = await pair.verify(mode=mode, sample=100)
        expected = {"50": "unreadable", "30": "missing"} | ({} if mode == "keys" else {"20": "different"})
        assert kinds(report) == expected
        assert report.exit_status == 1
        if mode == "full":
            (finding,) = [one for one in report.entities[0].findings if one.key == "50"]
            assert "division by zero" in finding.reason
            assert report.entities[0].records == 99


@pytest.mark.parametrize("mode", ["full", "keys"])
@pytest.mark.parametrize("key", ["int", "text"])
async def test_a_row_that_the_filter_cannot_judge_is_one_finding(database, mongo_url, mongo_db, key, mode):
    """Sibling of 16: the condition fails, so nobody knows whether the record belongs to the entity."""
    async with paired(
        database, mongo_url, mongo_db, DIVIDED.format(key=key), [entity("t", where="100 / n > 5")]
    ) as pair:
        pair.sql("INSERT INTO syncline.outbox (entity, lane, hint, key) SELECT 1, 0, 'U', id FROM t WHERE n <> 0")
        await pair.drain()
        assert kinds(await pair.verify(mode=mode)) == {"50": "unreadable"}
        pair.docs.t.insert_one({"_id": 50 if key == "int" else "50", "_originalId": "50", "n": 0})
        assert kinds(await pair.verify(mode=mode)) == {"50": "unreadable"}


@pytest.mark.postgres(18, "VIRTUAL columns")
async def test_a_virtual_column_that_overflows_is_one_finding(database, mongo_url, mongo_db):
    """Case 16: it is computed when it is read."""
    ddl = (
        "CREATE TABLE t (id int PRIMARY KEY, a int, v numeric(4,2) GENERATED ALWAYS AS (a * 10.0) VIRTUAL);"
        "INSERT INTO t (id, a) SELECT i, 1 FROM generate_series(1, 60) i; UPDATE t SET a = 1000 WHERE id = 50"
    )
    async with paired(database, mongo_url, mongo_db, ddl, [entity("t")]) as pair:
        await settled(pair)
        report = await pair.verify()
        assert kinds(report) == {"50": "unreadable"}
        assert "overflow" in report.entities[0].findings[0].reason


async def test_a_child_that_cannot_be_read_is_its_parents_finding(database, mongo_url, mongo_db):
    """Sibling of 16: the rest of the page is read in the same snapshot of parent and children."""
    ddl = (
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, t int, n int);"
        "INSERT INTO t SELECT generate_series(1, 60);"
        "INSERT INTO c SELECT i, i, CASE WHEN i = 50 THEN 0 ELSE 1 END FROM generate_series(1, 60) i"
    )
    one = entity(
        "t", embeds=(Embed("c", TableName.parse("c"), on=("t",), fields=Fields(computed={"x": Computed("1 / n")})),)
    )
    async with paired(database, mongo_url, mongo_db, ddl, [one]) as pair:
        await settled(pair)
        assert kinds(await pair.verify()) == {"50": "unreadable"}


async def test_many_rows_that_cannot_be_read_are_all_named(database, mongo_url, mongo_db):
    async with paired(database, mongo_url, mongo_db, DIVIDED.format(key="int"), [entity("t", fields=SHARE)]) as pair:
        await settled(pair)
        pair.sql("UPDATE t SET n = 0 WHERE id % 3 = 0", "DELETE FROM syncline.outbox; DELETE FROM syncline.block")
        bad = {str(n) for n in range(1, 101) if n % 3 == 0 or n == 50}
        assert kinds(await pair.verify()) == dict.fromkeys(bad, "unreadable")


async def test_repair_leaves_what_cannot_be_read_and_says_why(database, mongo_url, mongo_db):
    async with paired(database, mongo_url, mongo_db, DIVIDED.format(key="int"), [entity("t", fields=SHARE)]) as pair:
        await settled(pair)
        pair.docs.t.update_one({"_id": 20}, {"$set": {"n": 5}})
        report = await pair.verify()
        sides = Sides(SqlSide(pair.pages, pair.looks), MongoInspection(pair.target))
        done = await repair(sides, {"t": pair.plan("t")}, report.entities[0].findings)
        assert [one.key for one in done.marked] == ["20"]
        assert [(one.key, "correct it" in why) for one, why in done.left] == [("50", True)]


# -- keys and ranges judge themselves: case 17


def park(pair, key):
    pair.conn.execute(
        "INSERT INTO syncline.parked (seq, entity, lane, hint, key, created_at, code, error)"
        " VALUES (1, 1, 0, 'U', %s, now(), 'x', 'x')",
        (key,),
    )


@pytest.mark.parametrize(
    ("options", "verdict"),
    [
        ({"keys": ["7"]}, "equal"),
        ({"keys": ["7", "50"]}, "divergent"),
        ({"first": "1", "end": "40"}, "equal"),
        ({"first": "50", "end": "51"}, "divergent"),
        ({"end": "50"}, "equal"),
        ({"first": "50"}, "divergent"),
        ({"first": "51"}, "equal"),
        ({"mode": "sample", "sample": 5}, "undecided"),
        ({"mode": "keys", "first": "51"}, "undecided"),
        ({"mode": "keys"}, "divergent"),
        ({}, "divergent"),
    ],
    ids=str,
)
@pytest.mark.parametrize("key", ["int", "text"])
async def test_a_parked_record_outside_of_what_was_asked_about_is_not_counted(
    database, mongo_url, mongo_db, options, verdict, key
):
    ddl = f"CREATE TABLE t (id {key} PRIMARY KEY); INSERT INTO t SELECT generate_series(10, 99)"
    async with paired(database, mongo_url, mongo_db, ddl, [entity("t")]) as pair:
        await pair.backfill("t")
        await pair.drain()
        park(pair, "50")
        park(pair, "no number" if key == "int" else "zz")
        options = {name: ("10" if value in (["7"], "1") else value) for name, value in options.items()}
        if "keys" in options and not isinstance(options["keys"], list):
            options["keys"] = [options["keys"]]
        if key == "text" and options.get("first") == "51":
            options["end"] = "99"
        assert (await pair.verify(**options)).verdict.value == verdict


# -- a source in another encoding: case 21


@pytest.fixture
def latin1(postgres):
    name = "latin1_records"
    with psycopg.connect(postgres.url, autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
        conn.execute(
            sql.SQL("CREATE DATABASE {} ENCODING LATIN1 LOCALE 'C' TEMPLATE template0").format(sql.Identifier(name))
        )
        server, _, options = postgres.url.partition("?")
        yield f"{server.rpartition('/')[0]}/{name}?{options}"
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.parametrize("mode", ["full", "keys", "sample"])
async def test_a_key_that_the_source_cannot_write_is_one_foreign_document(latin1, mongo_url, mongo_db, mode):
    """Case 21."""
    ddl = "CREATE TABLE t (id text PRIMARY KEY); INSERT INTO t VALUES ('a'), ('é')"
    async with paired(latin1, mongo_url, mongo_db, ddl, [entity("t")]) as pair:
        await pair.backfill("t")
        await pair.drain()
        pair.docs.t.insert_one({"_id": "日本"})
        report = await pair.verify(mode=mode)
        assert kinds(report) == {"日本": "foreign"}
        assert kinds(await pair.verify(first="a")) == {"日本": "foreign"}
        sides = Sides(SqlSide(pair.pages, pair.looks), MongoInspection(pair.target))
        done = await repair(sides, {"t": pair.plan("t")}, report.entities[0].findings)
        assert [(one.id, "only you know" in why) for one, why in done.left] == [("日本", True)]
        assert done.marked_by.total() == 0


async def test_the_command_repair_leaves_such_a_document_and_says_so(latin1, mongo_url, mongo_db, tmp_path):
    """Case 21: exit status 1, something is left."""
    file = tmp_path / "syncline.toml"
    file.write_text(
        f"[source]\nurl = {json.dumps(latin1)}\n[target]\nurl = {json.dumps(mongo_url)}\n"
        f'database = "{mongo_db}"\n[entities.t]\ntable = "t"\n'
    )
    ddl = "CREATE TABLE t (id text PRIMARY KEY); INSERT INTO t VALUES ('a'), ('é')"
    async with paired(latin1, mongo_url, mongo_db, ddl, [entity("t")]) as pair:
        await pair.backfill("t")
        await pair.drain()
        pair.docs.t.insert_one({"_id": "日本"})
        command = ["repair", "--config", str(file), "--json"]
        result = await asyncio.to_thread(CliRunner().invoke, app, command)
        assert result.exit_code == 1, result.output
        said = json.loads(result.stdout)["repair"]
        assert (said["marked"], said["leftAlone"], [one["kind"] for one in said["left"]]) == (0, 1, ["foreign"])
        assert pair.sql("SELECT count(*) FROM syncline.waiting") == [(0,)]


async def test_a_composite_key_that_the_source_cannot_write_is_foreign(latin1, mongo_url, mongo_db):
    """Sibling of 21."""
    ddl = "CREATE TABLE t (a int, b text, PRIMARY KEY (a, b)); INSERT INTO t VALUES (1, 'a')"
    async with paired(latin1, mongo_url, mongo_db, ddl, [entity("t")]) as pair:
        await pair.backfill("t")
        await pair.drain()
        pair.docs.t.insert_one({"_id": {"a": 1, "b": "日本"}})
        assert set(kinds(await pair.verify()).values()) == {"foreign"}


async def test_a_key_by_hand_that_the_source_cannot_write_is_on_neither_side(latin1, mongo_url, mongo_db):
    """Sibling of 21: asked about by its key."""
    ddl = "CREATE TABLE t (id text PRIMARY KEY); INSERT INTO t VALUES ('a')"
    async with paired(latin1, mongo_url, mongo_db, ddl, [entity("t")]) as pair:
        await pair.backfill("t")
        await pair.drain()
        assert kinds(await pair.verify(keys=["a", "日本"])) == {}
