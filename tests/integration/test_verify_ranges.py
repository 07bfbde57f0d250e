"""A range of keys cuts both sides alike; ranges that follow each other miss nothing, whatever the ids' types."""

from __future__ import annotations

import pytest
from bson import Binary, Decimal128, Int64, ObjectId

from syncline.model.mark import ticket
from syncline.verify import first_look
from tests.pairs import entity, kinds, paired

OURS = {"_v": Int64(ticket(1, 1))}
ITEMS = """
CREATE TABLE items (id bigint PRIMARY KEY, v text);
INSERT INTO items SELECT n, 'v' || n FROM generate_series(1, 6000) n;
"""


@pytest.fixture
async def items(database, mongo_url, mongo_db):
    async with paired(database, mongo_url, mongo_db, ITEMS, [entity("items")]) as pair:
        await pair.backfill("items")
        await pair.drain()
        yield pair


async def test_the_first_key_is_in_the_range_and_the_last_is_not(items):
    items.docs.items.delete_many({"_id": {"$in": [9, 10, 15, 19, 20]}})
    items.docs.items.insert_many([{"_id": 10_000, **OURS}, {"_id": -1, **OURS}])
    report = await items.verify(first="10", end="20")
    assert kinds(report) == {"10": "missing", "15": "missing", "19": "missing"}
    one = report.entities[0]
    assert (one.mode, one.records, one.documents, one.first, one.end) == ("range", 10, 7, "10", "20")


@pytest.mark.parametrize("keys_only", [False, True])
async def test_ranges_that_follow_each_other_miss_nothing(items, keys_only):
    docs = items.docs.items
    docs.delete_many({"_id": {"$in": [1, 3000, 3001, 6000]}})
    odd = [None, 1.5, 2999.5, Decimal128("3000.5"), 1e300, float("nan"), "text", {"a": 1}, Binary(b"x"), ObjectId()]
    odd += [True, False, -5, Int64(7000)]
    docs.insert_many([{"_id": id_, **OURS} for id_ in odd])
    mode = "keys" if keys_only else "full"
    parts = [
        await items.verify(first=a, end=b, mode=mode) for a, b in ((None, "3000"), ("3000", "3001"), ("3001", None))
    ]
    whole = await items.verify(mode=mode)
    found = [kinds(part) for part in parts]
    assert sum(map(len, found)) == 18
    assert found[0] | found[1] | found[2] == kinds(whole)
    assert [sum(getattr(part.entities[0], what) for part in parts) for what in ("records", "documents")] == [
        whole.entities[0].records,
        whole.entities[0].documents,
    ]
    assert found[1] == {"3000": "missing", "3000.5": "foreign"}


async def test_a_clean_range_is_proved_equal_and_nothing_of_the_whole(items):
    report = await items.verify(first="1", end="100")
    assert (report.exit_status, items.sql("SELECT count(*) FROM syncline.certificate")) == (0, [(0,)])


async def test_an_empty_range_is_no_error(items):
    assert (await items.verify(first="50", end="50")).entities[0].records == 0
    assert (await items.verify(first="50", end="40", mode="keys")).entities[0].records == 0
    assert kinds(await items.verify(first="9000")) == {}


async def test_an_empty_table_beside_a_full_collection(items):
    items.sql("ALTER TABLE items DISABLE TRIGGER USER", "DELETE FROM items")
    report = await items.verify()
    assert (report.entities[0].records, dict(report.entities[0].counts)) == (0, {"extra": 6000})


async def test_documents_come_in_many_replies(items, monkeypatch):
    """More documents than records in one stretch."""
    monkeypatch.setattr(first_look, "SLACK", 10)
    items.sql("ALTER TABLE items DISABLE TRIGGER USER", "DELETE FROM items WHERE id BETWEEN 11 AND 5990")
    for mode in ("full", "keys"):
        report = await items.verify(mode=mode)
        assert (report.entities[0].documents, dict(report.entities[0].counts)) == (6000, {"extra": 5980})


@pytest.mark.parametrize(("many", "size"), [(10, 4_000_000), (3, 9_000_000)], ids=["four a reply", "one a reply"])
async def test_a_reply_that_the_server_cuts_off_is_read_on(database, mongo_url, mongo_db, many, size):
    """16 MB make a reply: here it takes three for one page; where two documents have no room in one, it goes on behind one."""
    ddl = (
        "CREATE TABLE items (id int PRIMARY KEY, v text); INSERT INTO items SELECT n, 'v' FROM generate_series(1, 20) n"
    )
    async with paired(database, mongo_url, mongo_db, ddl, [entity("items")]) as pair:
        await pair.backfill("items")
        await pair.drain()
        pair.docs.items.update_many({"_id": {"$gt": 20 - many}}, {"$set": {"more": "x" * size}})
        report = await pair.verify()
        assert dict(report.entities[0].counts) == {"different": many}
        assert report.entities[0].documents == 20


# -- keys that the two databases sort alike, and keys that they do not

OTHERS = {
    "uuid": "(lpad(to_hex(n * 7919 % 65536), 8, '0') || '-0000-4000-8000-000000000000')::uuid",
    "text": "CASE n % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'B' ELSE 'é' END || n",
    'text COLLATE "C"': "CASE n % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'B' ELSE 'é' END || n",
    "numeric(9, 2)": "(n - 1500) / 4.0",
    "boolean": "n = 1",
    "date": "date '1999-01-01' + n",
    "bytea": "decode(lpad(to_hex(n), 4, '0'), 'hex')",
}


@pytest.mark.parametrize("type_", OTHERS)
async def test_every_type_of_key_can_be_cut(database, mongo_url, mongo_db, type_):
    count = 2 if type_ == "boolean" else 2500
    ddl = f"""CREATE TABLE items (k {type_} PRIMARY KEY, v int);
        INSERT INTO items SELECT {OTHERS[type_]}, n FROM generate_series(1, {count}) n"""
    async with paired(database, mongo_url, mongo_db, ddl, [entity("items")]) as pair:
        await pair.backfill("items")
        await pair.drain()
        assert (await pair.verify()).exit_status == 0
        keys = [key for (key,) in pair.sql("SELECT k::text AS key FROM items ORDER BY k")]
        first, end = keys[len(keys) // 3], keys[-1]
        wanted = keys[len(keys) // 3 : -1]
        id_of = pair.plan("items").projection.codec.document_id
        pair.docs.items.delete_many({"_id": {"$in": [id_of(keys[0]), id_of(wanted[0]), id_of(wanted[-1]), id_of(end)]}})
        for mode in ("full", "keys"):
            report = await pair.verify(first=first, end=end, mode=mode)
            assert kinds(report) == dict.fromkeys((wanted[0], wanted[-1]), "missing")
            assert report.entities[0].records == len(wanted)
        pair.sql("ALTER TABLE items DISABLE TRIGGER USER", "DELETE FROM items")
        extra = (await pair.verify(first=first, end=end)).entities[0]
        assert extra.counts.total() == extra.documents == len(set(wanted[1:-1]))


async def test_composite_keys_are_cut_by_all_their_columns(database, mongo_url, mongo_db):
    ddl = """CREATE TABLE items (a int, b uuid, v int, PRIMARY KEY (a, b));
        INSERT INTO items SELECT n % 7, md5(n::text)::uuid, n FROM generate_series(1, 3000) n"""
    async with paired(database, mongo_url, mongo_db, ddl, [entity("items")]) as pair:
        await pair.backfill("items")
        await pair.drain()
        assert (await pair.verify()).exit_status == 0
        keys = [k for (k,) in pair.sql("SELECT jsonb_build_array(a::text, b::text)::text FROM items ORDER BY a, b")]
        codec = pair.plan("items").projection.codec
        pair.docs.items.delete_many({"_id": {"$in": [codec.document_id(keys[n]) for n in (0, 700, 1500, 2000)]}})
        pair.docs.items.insert_one({"_id": {"a": 3, "b": "x"}, **OURS})
        report = await pair.verify(first=keys[700], end=keys[2000])
        assert kinds(report) == {
            keys[700]: "missing", keys[1500]: "missing", "{'a': 3, 'b': 'x'}": "foreign",
        }  # fmt: skip
        assert report.entities[0].records == 1300
        assert len(kinds(await pair.verify(mode="keys"))) == 5
