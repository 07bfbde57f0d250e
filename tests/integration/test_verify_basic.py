"""Verification finds exactly the damage that was done."""

from __future__ import annotations

import pytest
from bson import Int64

from tests.pairs import entity, kinds, paired

DDL = """
CREATE TABLE items (id bigint PRIMARY KEY, name text, price numeric, at timestamptz, data jsonb);
INSERT INTO items SELECT n, 'item ' || n, n * 1.10, now(), jsonb_build_object('n', n) FROM generate_series(1, 5000) n;
"""


@pytest.fixture
async def items(database, mongo_url, mongo_db):
    async with paired(database, mongo_url, mongo_db, DDL, [entity("items")]) as pair:
        await pair.backfill("items")
        await pair.drain()
        yield pair


async def test_equal_sides_are_proved_equal(items):
    report = await items.verify()
    one = report.entities[0]
    assert report.exit_status == 0, one
    assert (one.records, one.documents) == (5000, 5000)
    assert items.sql("SELECT verdict, records FROM syncline.certificate") == [("equal", 5000)]


async def test_a_restore_is_over_when_every_entity_is_proved_equal(database, mongo_url, mongo_db):
    ddl = "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO a VALUES (1)"
    open_notices = "SELECT name FROM syncline.notice WHERE resolved_at IS NULL ORDER BY name"
    async with paired(database, mongo_url, mongo_db, ddl, [entity("a"), entity("b")]) as pair:
        await pair.backfill("a")
        await pair.drain()
        assert (await pair.verify()).exit_status == 0
        pair.sql(
            "INSERT INTO syncline.notice (name, severity, message) VALUES ('Restored', 'warning', 'the source'), ('Other', 'warning', 'x')"
        )
        await pair.verify("a")
        assert pair.sql(open_notices) == [("Other",), ("Restored",)], "b was proved before that"
        pair.docs.b.insert_one({"_id": 7})
        assert (await pair.verify("b")).exit_status == 1
        assert ("Restored",) in pair.sql(open_notices)
        pair.docs.b.delete_one({"_id": 7})
        assert (await pair.verify("b")).exit_status == 0
        assert pair.sql(open_notices) == [("Other",)]


async def test_each_kind_of_damage_is_found_and_nothing_else(items):
    docs = items.docs.items
    docs.delete_one({"_id": 17})
    docs.update_one({"_id": 18}, {"$set": {"name": "changed", "more": 1}})
    docs.insert_one({"_id": 9001, "_v": Int64(1 << 31)})
    docs.insert_one({"_id": "what"})
    docs.update_one({"_id": 19}, {"$set": {"_v": Int64(99 << 31)}})
    docs.update_one({"_id": 20}, {"$unset": {"_v": 1}})
    docs.update_one({"_id": 21}, {"$set": {"_v": "x"}})
    report = await items.verify()
    assert report.exit_status == 1
    assert kinds(report) == {
        "17": "missing", "18": "different", "9001": "extra", "what": "foreign",
        "19": "unissued", "20": "unissued", "21": "unissued",
    }  # fmt: skip
    different = next(f for f in report.entities[0].findings if f.key == "18")
    assert {d.field: (str(d.source), str(d.target)) for d in different.differences} == {
        "name": ("item 18", "changed"),
        "more": ("<missing>", "1"),
    }
