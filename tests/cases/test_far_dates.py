"""Dates that many drivers cannot read, and numbers that no Decimal128 holds: defaults that do not hurt readers."""

from __future__ import annotations

from datetime import datetime

import pytest
from bson.datetime_ms import DatetimeMS

from syncline.model.canonical import differences
from syncline.model.entity import Computed, Fields
from syncline.model.values import INFINITY, MINUS_INFINITY, far_text
from tests.pairs import entity, kinds, paired

LAST, LAST_DAY, FIRST = datetime(9999, 12, 31, 23, 59, 59, 999000), datetime(9999, 12, 31), datetime(1, 1, 1)  # noqa: DTZ001
FAR = ("infinity", "-infinity", "294276-12-31 23:59:59.5", "10000-01-01", "0001-12-31 BC", "4713-01-01 BC")
DDL = """
CREATE DOMAIN until AS date;
CREATE TABLE t (id int PRIMARY KEY, d date, u until, s timestamp, z timestamptz, ds date[], zs timestamptz[][],
    dr daterange, zr tstzrange, sm tsmultirange, n int);
INSERT INTO t SELECT i, v::date, v::date, v::timestamp, v::timestamptz, ARRAY[v::date, NULL, '2026-01-31'],
    ARRAY[[v::timestamptz], [NULL::timestamptz]], daterange('2026-01-31', NULL), tstzrange(NULL, v::timestamptz, '[]'),
    tsmultirange(tsrange('-infinity', v::timestamp, '[]')), i
FROM unnest(ARRAY['infinity', '-infinity', '294276-12-31 23:59:59.5', '10000-01-01', '0001-12-31 BC', '4713-01-01 BC'])
    WITH ORDINALITY AS q (v, i);
INSERT INTO t (id) VALUES (7);
INSERT INTO t (id, d, s, z) VALUES (8, '9999-12-31', '9999-12-31 23:59:59.999999', '0001-01-01 00:00:00+00');
"""
COMPUTED = {"plain": Computed("z"), "typed": Computed("s + interval '0 day'", "date"), "sum": Computed("n + 1")}


def plain_client(pair):
    """A driver without any options, which raises for the whole cursor on a date that Python does not know."""
    return pair.docs.client.get_database(pair.mongo_db)["t"]


@pytest.fixture(params=["nearest", "text", "exact"])
async def far(request, database, mongo_url, mongo_db):
    fields = Fields(dates=request.param, computed=COMPUTED)
    async with paired(database, mongo_url, mongo_db, DDL, [entity("t", fields=fields)]) as pair:
        await pair.backfill("t")
        await pair.drain()
        yield request.param, pair


async def test_every_driver_can_read_far_dates_unless_it_was_chosen_otherwise(far):
    dates, pair = far
    assert kinds(await pair.verify()) == {}
    if dates == "exact":
        assert pair.docs["t"].find_one({"_id": 1})["d"] == INFINITY
        with pytest.raises(Exception, match=r"year|range|date"):
            list(plain_client(pair).find())
        return
    found = {document["_id"]: document for document in plain_client(pair).find()}
    assert len(found) == 8
    for id_, text in enumerate(FAR, 1):
        one, high = found[id_], not (text.startswith("-") or "BC" in text)
        if dates == "nearest":
            day, instant = (LAST_DAY, LAST) if high else (FIRST, FIRST)
        else:
            day, instant = one["d"], one["z"]
            assert isinstance(day, str)
            assert isinstance(instant, str)
        assert one["d"] == one["u"] == day
        assert one["s"] == one["z"] == one["plain"] == one["typed"] == instant or dates == "text"
        assert one["ds"] == [day, None, datetime(2026, 1, 31)]  # noqa: DTZ001
        assert one["zs"] == [[instant], [None]]
        assert one["dr"]["upper"] is None
        assert one["zr"] == {"lower": None, "upper": instant, "bounds": "(]"}
        assert one["sm"][0]["lower"] == (FIRST if dates == "nearest" else "-infinity")
        assert one["sum"] == id_ + 1
    assert {found[7][name] for name in ("d", "u", "s", "z", "ds", "zr", "plain")} == {None}
    assert (found[8]["d"], found[8]["s"], found[8]["z"]) == (LAST_DAY, LAST, FIRST)


async def test_a_far_date_as_text_says_which_it_is(database, mongo_url, mongo_db):
    """Nothing is lost: verification finds a change from one far date to another."""
    one = entity("t", fields=Fields(dates="text"))
    async with paired(database, mongo_url, mongo_db, DDL, [one]) as pair:
        await pair.backfill("t")
        await pair.drain()
        texts = [document["s"] for document in pair.docs["t"].find({"_id": {"$lte": 6}}).sort("_id", 1)]
        assert texts == [
            "infinity", "-infinity", "+294276-12-31T23:59:59.500Z", "+010000-01-01T00:00:00.000Z",
            "+000000-12-31T00:00:00.000Z", "-004712-01-01T00:00:00.000Z",
        ]  # fmt: skip
        pair.docs["t"].update_one({"_id": 3}, {"$set": {"s": "infinity"}})
        assert kinds(await pair.verify()) == {"3": "different"}


async def test_the_nearest_date_still_sorts_and_compares_as_a_date(database, mongo_url, mongo_db):
    """`expires > now` finds what never expires: the reason for the default."""
    async with paired(database, mongo_url, mongo_db, DDL, [entity("t")]) as pair:
        await pair.backfill("t")
        await pair.drain()
        later = plain_client(pair).find({"z": {"$gt": datetime(2026, 1, 1)}})  # noqa: DTZ001
        assert sorted(document["_id"] for document in later) == [1, 3, 4]
        pair.docs["t"].update_one({"_id": 1}, {"$set": {"z": INFINITY}})
        assert kinds(await pair.verify()) == {"1": "different"}


async def test_installations_of_before_are_marked_again(database, mongo_url, mongo_db):
    """A changed default changes the fingerprint of what holds dates, and of nothing else."""
    ddl = DDL + "CREATE TABLE plain (id int PRIMARY KEY, name text, n numeric)"
    entities = [entity("t"), entity("plain"), entity("chosen", table="t", fields=Fields(dates="exact"))]
    async with paired(database, mongo_url, mongo_db, ddl, entities) as pair:
        prints = {name: pair.plan(name).projection.fingerprint for name in ("t", "plain", "chosen")}
        assert len(set(prints.values())) == 3
        # What the release before wrote: the fingerprint without a choice of dates, which `exact` still has.
        as_before = entity("t", fields=Fields(dates="exact"))
        from syncline.model.mapping import Projection

        before = Projection(as_before, pair.plan("t").projection.shape).fingerprint
        assert before != prints["t"]
        pair.conn.execute("UPDATE syncline.entity SET fingerprint = %s WHERE name = 't'", (before,))
        pair.conn.execute("UPDATE syncline.entity SET fingerprint = %s WHERE name = 'plain'", (prints["plain"],))
        pair.docs["t"].insert_one({"_id": 1, "_originalId": "1", "z": INFINITY, "_v": 0})
        async with pair.worker() as relay:
            await relay.drained(tasks=True)
            reasons = pair.sql("SELECT message FROM syncline.notice WHERE name = 'MappingChanged'")
        assert [message.split(":")[0] for (message,) in reasons] == ["entity t"]
        assert pair.docs["t"].find_one({"_id": 1})["z"] == LAST


@pytest.mark.parametrize(
    ("millis", "text"),
    [
        (253402300800000, "+010000-01-01T00:00:00.000Z"),
        (-62135596800001, "+000000-12-31T23:59:59.999Z"),
        (-62167219200000, "+000000-01-01T00:00:00.000Z"),
        (-62167219200001, "-000001-12-31T23:59:59.999Z"),
        (8210298412799999, "+262143-12-31T23:59:59.999Z"),
    ],
)
def test_far_dates_are_written_in_iso_8601(millis, text):
    assert far_text(DatetimeMS(millis)) == text
    assert (far_text(INFINITY), far_text(MINUS_INFINITY)) == ("infinity", "-infinity")


def test_the_canonical_forms_of_infinity_and_of_what_stands_for_it_differ():
    """A target that still holds the old form is told apart from one that was written anew."""
    for stands in (LAST, "infinity"):
        assert differences({"z": stands}, {"z": INFINITY})
        assert not differences({"z": stands}, {"z": stands})


async def test_a_number_of_38_digits_parks_its_record_alone(database, mongo_url, mongo_db):
    ddl = "CREATE TABLE t (id int PRIMARY KEY, n numeric)"
    async with paired(database, mongo_url, mongo_db, ddl, [entity("t")]) as pair, pair.worker() as relay:
        pair.sql(
            "INSERT INTO t SELECT i, CASE WHEN i = 50 THEN repeat('7', 38)::numeric ELSE i END FROM generate_series(1, 100) i"
        )
        await relay.drained()
        assert relay.parked() == {"50": relay.parked()["50"]}
        assert pair.docs["t"].count_documents({}) == 99
