"""Repair marks what diverges and overwrites nothing blindly; with live writers, verify finds exactly the damage done."""

from __future__ import annotations

import asyncio
import json
import random
import threading
from datetime import timedelta

import psycopg
import pytest
from bson import Int64

from syncline.engines.mongo.inspection import MongoInspection
from syncline.engines.postgres.verification.side import SqlSide
from syncline.errors import SynclineError
from syncline.model.mark import ticket
from syncline.ports import TaskKind
from syncline.verify.one_pass import Sides
from syncline.verify.render import as_dict
from syncline.verify.repair import repair
from syncline.verify.spool import keys_in
from tests.pairs import entity, kinds, paired
from tests.relay import until

ITEMS = """
CREATE TABLE items (id int PRIMARY KEY, v text, n numeric);
INSERT INTO items SELECT n, 'v' || n, n FROM generate_series(1, 1000) n;
"""


@pytest.fixture
async def items(database, mongo_url, mongo_db):
    async with paired(database, mongo_url, mongo_db, ITEMS, [entity("items")]) as pair:
        await pair.backfill("items")
        await pair.drain()
        yield pair


async def mend(pair, report, **options):
    sides = Sides(SqlSide(pair.pages, pair.looks), MongoInspection(pair.target))
    findings = [finding for one in report.entities for finding in one.findings]
    return await repair(sides, {one.name: one for one in pair.plans.values()}, findings, **options)


def damage(docs):
    """Do one of each kind; return what verify must say."""
    docs.delete_one({"_id": 1})
    docs.update_one({"_id": 2}, {"$set": {"v": "edited"}})
    docs.insert_one({"_id": 5001, "_originalId": "5001", "_v": Int64(ticket(1, 1))})
    docs.insert_one({"_id": 5002})
    docs.update_one({"_id": 3}, {"$set": {"_v": Int64(ticket(900, 1)), "v": "fenced"}})
    docs.update_one({"_id": 4}, {"$set": {"_v": "text"}})
    docs.update_one({"_id": 5}, {"$unset": {"_v": 1}})
    docs.insert_one({"_id": 5003, "_v": "text"})
    docs.insert_one({"_id": 5004, "_v": Int64(ticket(900, 1))})
    docs.update_one({"_id": 6}, {"$set": {"v": "hidden", "_v": Int64(ticket(1, 2**31 - 1))}})
    return {
        "1": "missing", "2": "different", "5001": "extra", "5002": "extra", "3": "unissued", "4": "unissued",
        "5": "unissued", "5003": "extra", "5004": "extra", "6": "different",
    }  # fmt: skip


async def test_everything_that_diverges_is_mended_through_marks(items):
    expected = damage(items.docs.items)
    report = await items.verify()
    assert kinds(report) == expected
    repaired = await mend(items, report)
    assert (len(repaired.marked), repaired.left) == (10, [])
    assert {key for (key,) in items.sql("SELECT key FROM syncline.waiting WHERE hint = 'R'")} == expected.keys()
    assert items.docs.items.find_one({"_id": 2})["v"] == "edited"  # a repair writes no document itself
    await items.drain()
    assert (await items.verify()).exit_status == 0
    assert items.sql("SELECT name, message FROM syncline.notice WHERE name = 'Repair'") == [
        ("Repair", "items: 10 records marked for repair, 0 left alone, by postgres")
    ]


async def test_without_the_release_the_fence_keeps_false_tickets(items):
    damage(items.docs.items)
    items.sql("SELECT syncline.mark(1::smallint, '{1,2,3,4,5,6,5001,5002,5003,5004}', 'R')")
    await items.drain()
    assert kinds(await items.verify()) == {"3": "unissued", "4": "unissued", "5004": "extra", "6": "different"}


async def test_a_dry_run_changes_nothing(items):
    damage(items.docs.items)
    before = list(items.docs.items.find())
    repaired = await mend(items, await items.verify(), dry_run=True)
    assert len(repaired.marked) == 10
    assert items.sql("SELECT count(*) FROM syncline.waiting") == [(0,)]
    assert list(items.docs.items.find()) == before


async def test_a_document_that_changed_since_it_was_seen_is_left_alone(items):
    for id_ in (3, 4, 5):
        items.docs.items.update_one({"_id": id_}, {"$set": {"_v": Int64(ticket(900, 1))}})
    report = await items.verify()
    items.docs.items.update_one({"_id": 3}, {"$set": {"_v": Int64(ticket(901, 1))}})
    items.docs.items.delete_one({"_id": 4})
    repaired = await mend(items, report)
    assert ([finding.key for finding in repaired.marked], repaired.released) == (["5"], 1)
    assert [(finding.key, why) for finding, why in repaired.left] == [
        (key, "the document changed since it was looked at: verify again") for key in ("3", "4")
    ]
    assert [items.docs.items.find_one({"_id": id_})["_v"] for id_ in (3, 5)] == [ticket(901, 1), 0]


async def test_foreign_documents_are_only_reported(items):
    items.docs.items.insert_one({"_id": "mine"})
    repaired = await mend(items, await items.verify())
    assert [finding.id for finding, _ in repaired.left] == ["mine"]
    assert items.docs.items.count_documents({"_id": "mine"}) == 1


async def test_a_report_from_a_file_names_keys_and_they_are_looked_at_again(items, tmp_path):
    items.docs.items.delete_many({"_id": {"$in": [7, 8]}})
    written = json.loads(json.dumps(as_dict(await items.verify())))
    items.sql("UPDATE items SET v = v WHERE id = 7")
    await items.drain()
    (file := tmp_path / "report.json").write_text(json.dumps(written))
    assert list(keys_in(file)) == [("items", "7"), ("items", "8")]
    assert kinds(await items.verify(keys=["7", "8"])) == {"8": "missing"}


@pytest.mark.parametrize("text", ["[1, 2]", '{"entities": 1}', '{"finding": {}}\n', '{"finding": 1}\n'])
def test_a_file_that_is_no_report_is_refused(tmp_path, text):
    (file := tmp_path / "report.json").write_text(text)
    with pytest.raises(SynclineError, match="not the report of a verification"):
        list(keys_in(file))


# -- with a worker and writers

REPAIRS = "SELECT count(*) FROM syncline.waiting WHERE hint = 'R'"
WORK = "SELECT (SELECT count(*) FROM syncline.waiting) + (SELECT count(*) FROM syncline.task)"
"""What a worker that meets a target for the first time does by itself."""


def write(url, stop):
    """Change the first 400 records as fast as it goes; insert and delete between 2000 and 2400."""
    chance = random.Random(7)
    with psycopg.connect(url, autocommit=True) as connection:
        while not stop.is_set():
            one = chance.randrange(1, 401)
            match chance.randrange(3):
                case 0:
                    connection.execute("UPDATE items SET v = md5(random()::text), n = n + 0.10 WHERE id = %s", (one,))
                case 1:
                    connection.execute("INSERT INTO items VALUES (%s, 'new', 1) ON CONFLICT DO NOTHING", (2000 + one,))
                case _:
                    connection.execute("DELETE FROM items WHERE id = %s", (2000 + one,))
            stop.wait(0.002)


def random_damage(docs, chance, number):
    """Edit, delete and insert documents of records that no writer touches; return what verify must say.

    Inserted ones differ from round to round: the second delete of the last round's would mend this round's.
    """
    expected = {}
    for id_ in chance.sample(range(401, 1001), 30):
        match chance.randrange(4):
            case 0:
                docs.delete_one({"_id": id_})
                expected[str(id_)] = "missing"
            case 1:
                docs.update_one({"_id": id_}, {"$set": {"v": chance.choice(["", None, 1])}})
                expected[str(id_)] = "different"
            case 2:
                docs.update_one({"_id": id_}, {"$set": {"_v": Int64(ticket(10**6, 1))}})
                expected[str(id_)] = "unissued"
            case _:
                docs.insert_one({"_id": 10_000 * number + id_, "_originalId": "x", "_v": Int64(ticket(1, 1))})
                expected[str(10_000 * number + id_)] = "extra"
    return expected


async def test_under_traffic_verify_finds_exactly_the_damage_and_repair_mends_it(items):
    chance, stop = random.Random(11), threading.Event()
    async with items.worker() as relay:
        await until(lambda: relay.value(WORK) == 0, seconds=20, what="the worker is idle")
        writer = threading.Thread(target=write, args=(items.url, stop))
        writer.start()
        try:
            for number in range(1, 6):
                expected = random_damage(items.docs.items, chance, number)
                report = await items.verify(patience=timedelta(minutes=2))
                assert (kinds(report), report.exit_status) == (expected, 1)
                repaired = await mend(items, report)
                assert len(repaired.marked) == len(expected)
                await until(lambda: relay.value(REPAIRS) == 0, seconds=20, what="the repairs are applied")
                report = await items.verify(patience=timedelta(minutes=2))
                assert (kinds(report), report.exit_status) == ({}, 0), report.entities[0]
        finally:
            stop.set()
            writer.join()


async def test_a_backfill_in_the_background_beside_traffic_ends_equal(items):
    stop = threading.Event()
    items.docs.items.delete_many({"_id": {"$gt": 300}})
    async with items.worker() as relay:
        writer = threading.Thread(target=write, args=(items.url, stop))
        writer.start()
        try:
            await items.runner().tasks.request(TaskKind.BACKFILL, items.plan("items").id, "test")
            await until(lambda: relay.value("SELECT count(*) FROM syncline.task") == 0, seconds=20, what="it is done")
            report = await items.verify(patience=timedelta(minutes=2))
        finally:
            stop.set()
            await asyncio.to_thread(writer.join)
    assert report.exit_status == 0, kinds(report)
