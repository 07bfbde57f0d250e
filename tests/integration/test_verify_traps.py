"""What verification must not get wrong: lag is no damage, damage is no lag, equal is equal in every type."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import psycopg
import pytest
from bson import Binary, Decimal128, Int64, ObjectId
from bson.datetime_ms import DatetimeMS

from syncline.engines.mongo.inspection import MongoInspection
from syncline.model.entity import Fields, Index
from syncline.model.mark import ticket
from syncline.ports import TaskKind
from syncline.verify.one_pass import Pass
from syncline.verify.report import Kind
from syncline.verify.second_look import SecondLook
from tests.pairs import entity, kinds, paired
from tests.relay import until

ITEMS = """
CREATE TABLE items (id int PRIMARY KEY, v text);
INSERT INTO items SELECT n, 'v' || n FROM generate_series(1, 300) n;
"""
QUICK = timedelta(seconds=1.5)


@pytest.fixture
async def items(database, mongo_url, mongo_db):
    async with paired(database, mongo_url, mongo_db, ITEMS, [entity("items")]) as pair:
        await pair.backfill("items")
        await pair.drain()
        yield pair


def worker(pair):
    """Pretend that a worker lives."""
    pair.sql(
        "INSERT INTO syncline.worker (id, name, version, expires_at) VALUES (gen_random_uuid(), 'w', '1', now() + interval '1 h')"
    )


# -- lag is no damage


async def test_changes_that_wait_are_lag_and_not_damage(items):
    worker(items)
    items.sql(
        "UPDATE items SET v = 'new' WHERE id <= 10", "DELETE FROM items WHERE id = 20", "INSERT INTO items VALUES (900)"
    )
    report = await items.verify(patience=QUICK)
    assert (report.exit_status, kinds(report), report.entities[0].lagging) == (2, {}, 12)


async def test_without_a_worker_it_does_not_wait_for_lag(items):
    items.sql("UPDATE items SET v = 'new' WHERE id = 1")
    report = await asyncio.wait_for(items.verify(patience=timedelta(minutes=10)), 120)
    assert report.exit_status == 2
    assert "no worker is running" in report.entities[0].obstacles


async def test_lag_that_goes_away_in_time_ends_equal(items):
    worker(items)
    items.sql("UPDATE items SET v = 'new' WHERE id <= 10", "DELETE FROM items WHERE id = 20")

    async def later():
        await asyncio.sleep(1)
        await items.drain()

    report, _ = await asyncio.gather(items.verify(patience=timedelta(minutes=2)), later())
    assert report.exit_status == 0


async def test_marks_that_change_nothing_leave_the_proof_open_until_they_are_gone(items):
    items.sql("UPDATE items SET v = v WHERE id = 1")
    report = await items.verify(patience=QUICK)
    assert report.exit_status == 2
    assert report.entities[0].obstacles[0] == "1 changes from before the pass wait to be applied"


async def test_a_second_delete_that_is_not_due_yet_excuses_a_document_that_came_back(items):
    worker(items)
    items.sql("DELETE FROM items WHERE id = 5")
    await items.drain()
    items.docs.items.insert_one({"_id": 5, "_originalId": "5", "v": "v5", "_v": ticket(1, 1)})
    items.sql(
        "INSERT INTO syncline.deferred (due, entity, lane, key) VALUES (now() + interval '1 h', 1, syncline.lane_of(1::smallint, '5'), '5')"
    )
    assert (await items.verify(patience=QUICK)).exit_status == 2
    items.sql("DELETE FROM syncline.deferred")
    assert kinds(await items.verify(patience=QUICK)) == {"5": "extra"}


async def test_a_truncated_table_is_lag_until_its_sweep_is_done(items):
    worker(items)
    items.sql("TRUNCATE items")
    report = await items.verify(patience=QUICK)
    assert (report.exit_status, kinds(report)) == (2, {})
    assert "1 tasks (backfill, sweep) are not finished" in report.entities[0].obstacles
    await items.runner().run_next()
    await items.drain()
    assert (await items.verify()).exit_status == 0


async def test_a_parked_record_is_not_called_damaged_but_fails_the_verification(items):
    items.sql("UPDATE items SET v = 'too much' WHERE id = 7")
    items.sql(
        "INSERT INTO syncline.parked (seq, entity, lane, hint, key, created_at, code, error)"
        " SELECT seq, entity, lane, hint, key, at, 'too_large', 'x' FROM syncline.waiting",
        "DELETE FROM syncline.outbox; DELETE FROM syncline.block",
    )
    report = await items.verify()
    assert (report.exit_status, kinds(report), report.entities[0].parked) == (1, {}, 1)


async def test_a_key_that_changes_all_the_time_is_hot_and_not_damaged(items, monkeypatch):
    worker(items)
    items.docs.items.update_one({"_id": 9}, {"$set": {"v": "wrong"}})
    original = SecondLook._stored

    async def busy(self, keys):
        found = await original(self, keys)
        items.docs.items.update_one({"_id": 9}, {"$set": {"v": f"wrong {datetime.now()}"}})  # noqa: DTZ005
        return found

    monkeypatch.setattr(SecondLook, "_stored", busy)
    report = await items.verify(patience=QUICK)
    assert (report.exit_status, kinds(report), report.entities[0].hot) == (2, {}, ["9"])


async def test_a_writer_that_commits_after_its_range_was_read_is_no_difference(items, monkeypatch):
    with psycopg.connect(items.url) as writer:
        writer.execute("UPDATE items SET v = 'late' WHERE id = 2")
        read = MongoInspection.read_between
        late = []

        async def committed_after_the_source_was_read(self, *arguments, **options):
            if not late:
                writer.commit()
                late.append(await items.drain())
            async for found in read(self, *arguments, **options):
                yield found

        monkeypatch.setattr(MongoInspection, "read_between", committed_after_the_source_was_read)
        report = await items.verify()
        assert (late, report.exit_status) == ([1], 0)
        assert report.entities[0].looks == 1  # the first look saw a difference


async def test_a_key_deleted_and_inserted_again_is_equal(items):
    items.sql("DELETE FROM items WHERE id = 4")
    await items.drain()
    items.sql("INSERT INTO items VALUES (4, 'back')")
    await items.drain()
    assert (await items.verify()).exit_status == 0


async def test_a_snapshot_that_is_pinned_for_long_changes_nothing(items):
    with psycopg.connect(items.url) as old:
        old.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        old.execute("SELECT count(*) FROM items")
        items.sql("UPDATE items SET v = 'new ' || id", "DELETE FROM items WHERE id > 200")
        await items.drain()
        assert (await items.verify()).exit_status == 0
        items.docs.items.delete_one({"_id": 3})
        assert kinds(await items.verify()) == {"3": "missing"}
        assert old.execute("SELECT count(*) FROM items").fetchone() == (300,)


async def test_no_snapshot_is_held_between_two_pages(items, monkeypatch):
    """Else a pass over a large table would keep vacuum from its work."""
    read = MongoInspection.read_between
    held = []

    async def looked_at(self, *arguments, **options):
        for connection in (items.pages, items.looks):
            state = connection.info.transaction_status
            held.append(state is psycopg.pq.TransactionStatus.INTRANS)
        async for found in read(self, *arguments, **options):
            yield found

    monkeypatch.setattr(MongoInspection, "read_between", looked_at)
    assert (await items.verify()).exit_status == 0
    assert held
    assert not any(held)


async def test_a_unique_value_that_moves_is_no_damage(database, mongo_url, mongo_db):
    ddl = "CREATE TABLE items (id int PRIMARY KEY, v text); INSERT INTO items SELECT n, n::text FROM generate_series(1, 20) n"
    unique = entity("items", indexes=(Index((("v", 1),), unique=True),))
    async with paired(database, mongo_url, mongo_db, ddl, [unique]) as pair:
        await pair.backfill("items")
        async with pair.worker() as relay:
            await until(lambda: relay.value("SELECT count(*) FROM syncline.waiting") == 0, seconds=30)
            pair.sql("UPDATE items SET v = (id % 20 + 1)::text")
            report = await pair.verify(patience=timedelta(seconds=60))
    assert (report.exit_status, kinds(report)) == (0, {})


async def test_a_row_that_is_away_when_its_place_is_walked_is_compared_all_the_same(
    database, mongo_url, mongo_db, monkeypatch
):
    """Text keys are walked side after side; the row comes back between, and somebody forged its document's ticket."""
    ddl = (
        "CREATE TABLE items (id text PRIMARY KEY, v text); INSERT INTO items SELECT n, n FROM generate_series(1, 50) n"
    )
    async with paired(database, mongo_url, mongo_db, ddl, [entity("items")]) as pair:
        await pair.backfill("items")
        await pair.drain()
        forged = pair.docs.items.find_one({"_id": "1"})["_v"] | 0x7FFFFFFF
        pair.docs.items.update_one({"_id": "7"}, {"$set": {"v": "by hand", "_v": forged}})
        pair.sql("DELETE FROM items WHERE id = '7'", "DELETE FROM syncline.outbox; DELETE FROM syncline.block")
        walk = Pass._target

        async def back(self):
            pair.sql("INSERT INTO items VALUES ('7', '7')", "DELETE FROM syncline.outbox; DELETE FROM syncline.block")
            await walk(self)

        monkeypatch.setattr(Pass, "_target", back)
        report = await pair.verify(patience=QUICK)
    assert (report.exit_status, kinds(report)) == (1, {"7": "different"})


async def test_a_row_of_a_long_transaction_is_compared_too(database, mongo_url, mongo_db, monkeypatch):
    """Its number is lower than that of the pass, and yet the walk of the source did not see it."""
    ddl = (
        "CREATE TABLE items (id text PRIMARY KEY, v text); INSERT INTO items SELECT n, n FROM generate_series(1, 50) n"
    )
    async with paired(database, mongo_url, mongo_db, ddl, [entity("items")]) as pair:
        await pair.backfill("items")
        await pair.drain()
        forged = pair.docs.items.find_one({"_id": "1"})["_v"] | 0x7FFFFFFF
        pair.docs.items.insert_one({"_id": "99", "_originalId": "99", "v": "by hand", "_v": forged})
        walk = Pass._target
        with psycopg.connect(database) as long:
            long.execute("INSERT INTO items VALUES ('99', '99')")
            pair.sql("INSERT INTO items VALUES ('0', '0')", "DELETE FROM items WHERE id = '0'")

            async def committed(self):
                long.commit()
                pair.sql("DELETE FROM syncline.outbox; DELETE FROM syncline.block")
                await walk(self)

            monkeypatch.setattr(Pass, "_target", committed)
            report = await pair.verify(patience=QUICK)
    assert kinds(report) == {"99": "different"}


@pytest.mark.parametrize("mode", ["full", "keys"])
async def test_an_id_of_another_number_type_is_another_id(items, mode):
    items.docs.items.delete_one({"_id": 1})
    items.docs.items.insert_one({"_id": 1.0, "v": "v1"})
    assert kinds(await items.verify(mode=mode)) == {"1": "missing", "1.0": "foreign"}
    items.docs.items.delete_one({"_id": 20})
    items.docs.items.insert_one({"_id": Decimal128("20.0"), "v": "v20"})
    expected = {"1": "missing", "1.0": "foreign", "20": "missing", "20.0": "foreign"}
    assert kinds(await items.verify(mode=mode)) == expected


# -- tickets


async def test_a_lane_taken_over_during_the_pass_is_no_damage(items, monkeypatch):
    source = Pass._source

    async def taken_over(self, **options):
        await items.announce(5)
        items.docs.items.update_many({}, {"$set": {"_v": Int64(ticket(5, 1))}})
        await source(self, **options)

    monkeypatch.setattr(Pass, "_source", taken_over)
    assert (await items.verify()).exit_status == 0


async def test_tickets_are_compared_with_their_own_lane(items):
    lane = items.sql("SELECT syncline.lane_of(1::smallint, '6')")[0][0]
    await items.target.announce({lane: 9})
    other = next(n for n in range(1, 300) if items.sql(f"SELECT syncline.lane_of(1::smallint, '{n}')")[0][0] != lane)
    for id_ in (6, other):
        items.docs.items.update_one({"_id": id_}, {"$set": {"_v": Int64(ticket(9, 1))}})
    assert kinds(await items.verify()) == {str(other): "unissued"}


async def test_a_ticket_that_is_no_ticket_is_found(items):
    values = ["text", None, True, Decimal128("NaN"), float("inf"), [1], {"a": 1}, -1, ObjectId()]
    for id_, value in enumerate(values, 1):
        items.docs.items.update_one({"_id": id_}, {"$set": {"_v": value}})
    assert kinds(await items.verify()) == {str(id_): "unissued" for id_ in range(1, len(values) + 1)}


async def test_another_type_of_number_may_be_a_ticket(items):
    for id_, value in enumerate([1, 1.0, Decimal128("1")], 1):
        items.docs.items.update_one({"_id": id_}, {"$set": {"_v": value}})
    assert (await items.verify()).exit_status == 0


# -- keys of mixed types


async def test_documents_with_ids_of_every_type_are_seen(items):
    ids = [None, "5", 1.5, True, ObjectId(), Binary(b"x", 5), datetime(2020, 1, 1), {"id": 5}, -7, Int64(2**40)]  # noqa: DTZ001
    items.docs.items.insert_many({"_id": id_} for id_ in ids)
    report = await items.verify()
    assert dict(report.entities[0].counts) == {Kind.EXTRA: 1, Kind.FOREIGN: 9}
    assert {str(finding.id) for finding in report.entities[0].findings} == {str(id_) for id_ in ids}


# -- values

EVERY = """
CREATE TABLE every (id int PRIMARY KEY, f float8, n numeric, d date, t timestamp, z timestamptz, j jsonb, b bytea, u uuid, a int[]);
INSERT INTO every (id, f) VALUES (1, '-0'), (2, 'NaN'), (3, 'Infinity'), (4, '-Infinity'), (5, 0);
INSERT INTO every (id, n) VALUES (10, 1.10), (11, 100), (12, 'NaN'), (13, 0.000), (14, -1e20), (15, 1234567890123456789012345678901234);
INSERT INTO every (id, d, t, z) VALUES (20, 'infinity', 'infinity', 'infinity'), (21, '-infinity', '-infinity', '-infinity'),
  (22, '1969-12-31', '1969-12-31 23:59:59.999999', '1969-12-31 23:59:59.0005+00'), (23, '0044-03-15 BC', '0044-03-15 BC', '0044-03-15 BC'),
  (24, '5874897-12-31', '294276-12-31', '294276-12-31');
INSERT INTO every (id, j) VALUES (30, '{"b": 1, "a": [1, 1.0, 1e400, null]}'), (31, 'null'), (32, '9007199254740993');
INSERT INTO every (id, b, u, a) VALUES (40, '', gen_random_uuid(), '{1,NULL,3}');
"""


@pytest.fixture
async def every(database, mongo_url, mongo_db):
    exact = entity("every", fields=Fields(dates="exact"))
    async with paired(database, mongo_url, mongo_db, EVERY, [exact]) as pair:
        await pair.backfill("every")
        await pair.drain()
        yield pair


async def test_odd_values_are_equal_to_themselves(every):
    report = await every.verify()
    assert report.exit_status == 0, kinds(report)


UNLIKE = [
    (1, "f", 0.0),
    (5, "f", -0.0),
    (5, "f", 0),
    (2, "f", None),
    (3, "f", float("-inf")),
    (11, "n", 100),
    (11, "n", "100"),
    (12, "n", float("nan")),
    (22, "t", datetime(1970, 1, 1)),  # noqa: DTZ001  rounded up instead of down
    (22, "z", datetime(1969, 12, 31, 23, 59, 59, 1000)),  # noqa: DTZ001
    (20, "d", DatetimeMS(2**63 - 2)),
    (30, "j", {"b": 1, "a": [1, 1, Decimal128("1E+400"), "null"]}),
    (32, "j", 9007199254740992.0),
    (40, "b", Binary(b"", 5)),
    (40, "a", [1, 3]),
]
ALIKE = [
    (10, "n", Decimal128("1.1")),
    (11, "n", Decimal128("1.00E+2")),
    (13, "n", Decimal128("-0")),
]


async def test_values_that_only_look_equal_differ(every):
    for id_, field, value in UNLIKE:
        before = every.docs.every.find_one({"_id": id_})
        every.docs.every.update_one({"_id": id_}, {"$set": {field: value}})
        report = await every.verify(keys=[str(id_)])
        assert kinds(report) == {str(id_): "different"}, (id_, field, value)
        assert report.entities[0].findings[0].differences[0].field.startswith(field)
        every.docs.every.replace_one({"_id": id_}, before)


async def test_values_that_only_look_different_are_equal(every):
    for id_, field, value in ALIKE:
        every.docs.every.update_one({"_id": id_}, {"$set": {field: value}})
    report = await every.verify()
    assert report.exit_status == 0, report.entities[0].findings


async def test_missing_is_not_null(every):
    every.docs.every.update_one({"_id": 1}, {"$unset": {"n": 1}})
    assert kinds(await every.verify()) == {"1": "different"}


async def test_the_order_of_fields_does_not_matter(every):
    document = every.docs.every.find_one({"_id": 40})
    every.docs.every.replace_one({"_id": 40}, dict(reversed(document.items())))
    assert (await every.verify()).exit_status == 0


# -- other shapes

CHILDREN = """
CREATE TABLE albums (id int PRIMARY KEY, title text);
CREATE TABLE tracks (id int PRIMARY KEY, album int REFERENCES albums, name text);
INSERT INTO albums SELECT n, 'a' || n FROM generate_series(1, 2500) n;
INSERT INTO tracks SELECT n, n % 500 + 1, 't' || n FROM generate_series(1, 2000) n;
"""


async def test_embedded_children_are_compared(database, mongo_url, mongo_db):
    from syncline.model.entity import Embed, TableName

    albums = entity("albums", embeds=(Embed("tracks", TableName("public", "tracks"), ("album",)),))
    async with paired(database, mongo_url, mongo_db, CHILDREN, [albums]) as pair:
        await pair.backfill("albums")
        await pair.drain()
        assert (await pair.verify()).exit_status == 0
        pair.docs.albums.update_one({"_id": 3}, {"$set": {"tracks.1.name": "other"}})
        pair.docs.albums.update_one({"_id": 4}, {"$pop": {"tracks": 1}})
        report = await pair.verify()
        assert kinds(report) == {"3": "different", "4": "different"}
        assert {d.field for f in report.entities[0].findings for d in f.differences} == {"tracks.1.name", "tracks"}


INHERITED = """
CREATE TABLE base (id int PRIMARY KEY, v text);
CREATE TABLE child (PRIMARY KEY (id)) INHERITS (base);
INSERT INTO base SELECT n, 'b' FROM generate_series(1, 2100) n;
INSERT INTO child SELECT n, 'c' FROM generate_series(2000, 2002) n;
"""


async def test_keys_that_two_rows_have_are_reported(database, mongo_url, mongo_db):
    async with paired(database, mongo_url, mongo_db, INHERITED, [entity("base")]) as pair:
        await pair.backfill("base")
        await pair.drain()
        report = await pair.verify()
        assert kinds(report) == {"2000": "ambiguous", "2001": "ambiguous", "2002": "ambiguous"}


async def test_the_filter_decides_what_belongs_into_the_target(database, mongo_url, mongo_db):
    async with paired(database, mongo_url, mongo_db, ITEMS, [entity("items", where="id % 2 = 0")]) as pair:
        await pair.backfill("items")
        await pair.drain()
        assert (await pair.verify()).entities[0].records == 150
        pair.docs.items.insert_one({"_id": 7, "_originalId": "7", "v": "v7", "_v": ticket(1, 1)})
        assert kinds(await pair.verify()) == {"7": "extra"}


async def test_a_missing_row_in_the_source_is_found_though_the_target_was_never_swept(items):
    items.sql("ALTER TABLE items DISABLE TRIGGER USER", "DELETE FROM items WHERE id = 11")
    assert kinds(await items.verify()) == {"11": "extra"}
    await items.backfill("items", TaskKind.SWEEP)
    await items.drain()
    assert (await items.verify()).exit_status == 0
