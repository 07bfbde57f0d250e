"""A record that MongoDB, the driver or PostgreSQL cannot take is parked at once, and stops no other."""

from __future__ import annotations

import asyncio
import itertools
import time

import pytest
from bson.errors import InvalidDocument
from pymongo.errors import AutoReconnect, OperationFailure

from syncline.engines.mongo import errors as mongo_errors
from syncline.engines.mongo.target import MongoTarget
from syncline.engines.postgres.connections import Connections
from syncline.engines.postgres.records import PostgresRecords
from syncline.errors import SourceUnavailableError, TargetRefusedError, TargetUnavailableError
from syncline.model.entity import Computed, Fields, Index
from syncline.model.values import MAX_LEVELS, Unrepresentable, json_value, nesting
from syncline.ports import Batch, State
from syncline.relay.apart import STATEMENTS
from syncline.relay.planner import Planner
from syncline.relay.poison import Poison
from syncline.relay.reader import Reader
from tests.relay import AT_ONCE, entity, relayed, until

T = "CREATE TABLE t (id bigint PRIMARY KEY, j jsonb); CREATE TABLE other (id bigint PRIMARY KEY, n int)"


def brackets(levels: int) -> str:
    return "[" * levels + "]" * levels


@pytest.fixture
def searched(monkeypatch):
    """How often the search by halving was begun."""
    began = []
    monkeypatch.setattr(Poison, "bisect", lambda self, reason: began.append(reason))
    return began


# -- nesting: cases 31, 39


@pytest.mark.parametrize("levels", [180, 181, 197, 250, 985, 1100], ids=lambda n: f"case 31, 39: {n} levels")
async def test_json_that_is_too_deep_is_parked_at_once(database, mongo_url, mongo_db, searched, levels):
    async with relayed(database, (mongo_url, mongo_db), ddl=T, entities=[entity("t")]) as relay:
        relay.sql("INSERT INTO t SELECT n, '{}' FROM generate_series(2, 60) n")
        relay.sql("INSERT INTO t VALUES (1, %s)", brackets(levels))
        async with relay.worker():
            await relay.drained()
            assert relay.parked() == {"1": "mapping"}
            assert ("levels deep" if levels < 1000 else "JSON") in relay.value("SELECT error FROM syncline.parked")
            assert len(relay.raw(entity("t"))) == 59
            relay.sql("UPDATE t SET j = %s WHERE id = 1", brackets(MAX_LEVELS - 1))
            await until(lambda: not relay.parked())
            assert nesting(relay.document(1, entity("t"))) == MAX_LEVELS
    assert searched == []


async def test_levels_that_the_mapping_adds_are_counted(database, mongo_url, mongo_db, searched):
    """Sibling of 39: the JSON alone would do."""
    nested = entity("t", fields=Fields(rename={"j": "a.b.c.d"}))
    async with relayed(database, (mongo_url, mongo_db), ddl=T, entities=[nested]) as relay:
        for id_, levels in ((1, 179), (2, 176)):
            relay.sql("INSERT INTO t VALUES (%s, %s)", id_, brackets(levels))
        async with relay.worker():
            await relay.drained()
            assert relay.parked() == {"1": "too_deep"}
    assert searched == []


@pytest.mark.parametrize(
    ("text", "levels"), [(b'"' + b"[" * 500 + b'"', 0), (b"[" * 179 + b"]" * 179, 179), (b"[]" * 0 + b"{}", 1)]
)
def test_brackets_inside_of_strings_are_no_levels(text, levels):
    assert nesting(json_value(text)) == levels


def test_a_value_that_is_too_deep_is_told_before_it_is_sent():
    assert isinstance(json_value(brackets(180).encode()), Unrepresentable)


# -- what the driver raises


@pytest.mark.parametrize("raised", [RecursionError("deep"), InvalidDocument("odd"), TypeError("odd"), MemoryError()])
@pytest.mark.parametrize("place", ["inserts", "upserts"])
async def test_whatever_the_driver_raises_while_encoding_is_one_records(
    mongo_url, mongo_db, monkeypatch, raised, place
):
    target = MongoTarget(mongo_url, mongo_db)
    encode = mongo_errors.bson.encode

    def fails(document, **options):
        if "bad" in document or document.get("name") == "bad":
            raise raised
        return encode(document, **options)

    command = target._writes.command

    async def refuses(name, collection, field, operations):
        if any("bad" in str(one) for one in operations):
            raise raised
        return await command(name, collection, field, operations)

    monkeypatch.setattr(mongo_errors.bson, "encode", fails)
    monkeypatch.setattr(target._writes, "command", refuses)
    states = [State(str(n), n, 1 << 32, {"_id": n, "name": "bad" if n == 7 else "good"}) for n in range(20)]
    report = await target.apply(Batch(entity("t"), **{place: states}))
    assert [one.key for one in report.rejected] == ["7"]
    assert await target.count(entity("t")) == 19
    await target.close()


async def test_a_defect_under_a_write_ends_no_worker(database, searched, monkeypatch):
    """Sibling of 31: whatever is raised, the worker goes on and looks for the record."""
    async with relayed(database, ddl=T, entities=[entity("other")]) as relay:
        apply = relay.target.apply

        async def fails(batch):
            if searched:
                return await apply(batch)
            raise AttributeError("a defect")

        monkeypatch.setattr(relay.target, "apply", fails)
        relay.sql("INSERT INTO other VALUES (1, 1)")
        async with relay.worker():
            await relay.equal()
    assert searched == ["AttributeError: a defect"]


async def test_a_defect_under_a_conflict_ends_no_worker(database, searched, monkeypatch):
    """Sibling: a value that the driver stumbles over when its holder is looked for."""
    one = entity("other", indexes=(Index((("n", 1),), unique=True),))
    async with relayed(database, ddl=T, entities=[one]) as relay:
        holders = relay.target.holders

        async def fails(entity, values):
            if searched:
                return await holders(entity, values)
            raise InvalidDocument("cannot encode object")

        monkeypatch.setattr(relay.target, "holders", fails)
        relay.sql("INSERT INTO other VALUES (1, 1), (2, 1)")
        async with relay.worker():
            await relay.drained()
        assert list(relay.parked().values()) == ["unique_value"]
    assert searched == ["InvalidDocument: cannot encode object"]


# -- write errors of one document: cases 34, 35


async def test_write_errors_of_one_document_park_it_at_once(database, mongo_url, mongo_db, searched):
    """Cases 34, 35: text indexes and languages, shapes that a 2dsphere index refuses."""
    shapes = {
        1: '{"type": "Polygon", "coordinates": [[[0, 0], [0, 1], [1, 1]]]}',
        2: '{"type": "Point", "coordinates": [500, 0]}',
        3: '{"type": "Nothing"}',
        4: '{"type": "LineString", "coordinates": [[0, 0]]}',
        5: '"no shape"',
        6: '{"type": "Point", "coordinates": [1, 2]}',
    }
    ddl = (
        "CREATE TABLE place (id bigint PRIMARY KEY, shape jsonb);"
        "CREATE TABLE note (id bigint PRIMARY KEY, title text, language text);"
        "CREATE TABLE other (id bigint PRIMARY KEY, n int)"
    )
    entities = [
        entity("place", indexes=(Index((("shape", "2dsphere"),)),)),
        entity("note", indexes=(Index((("title", "text"),)),)),
        entity("other"),
    ]
    async with relayed(database, (mongo_url, mongo_db), ddl=ddl, entities=entities) as relay, relay.worker():
        began = time.monotonic()
        for id_, shape in shapes.items():
            relay.sql("INSERT INTO place VALUES (%s, %s)", id_, shape)
        relay.sql("INSERT INTO note SELECT n, 'x', NULL FROM generate_series(11, 40) n")
        relay.sql("INSERT INTO note VALUES (41, 'x', 'en-US'), (42, 'x', 'english')")
        relay.sql("INSERT INTO other SELECT n, n FROM generate_series(1, 100) n")
        await relay.drained()
        parked = relay.parked()
        assert set(parked) == {*"12345", *map(str, range(11, 42))}
        assert {parked["11"], parked["41"]} == {"text_language"}
        assert parked["1"] == "geo_key"
        assert len(relay.raw(entities[2])) == 100
        assert time.monotonic() - began < AT_ONCE
    assert searched == []
    assert relay.seen.outages == []


def write_error(code: int, text: str = "x", **extra):
    return {"n": 0, "writeErrors": [{"index": 0, "code": code, "errmsg": text, **extra}]}


@pytest.mark.parametrize("code", [17261, 17262, 510, 16766, 13027, 13068, 166, 121, 1, 8, 20, 123456, 72, 15, 2])
def test_any_code_of_a_write_error_is_the_records(code):
    """Case 35 and its siblings: a list of codes would never be whole."""
    (error,) = mongo_errors.of(write_error(code))
    assert not mongo_errors.is_conflict(error)
    assert mongo_errors.rejection_code(error)


OWN = {
    "a lost shard": write_error(6),
    "a shard that is gone": write_error(70, "Shard not found"),
    "the network": write_error(9001),
    "no member of the shard": write_error(133),
    "not primary": write_error(10107),
    "stepped down": write_error(189),
    "shutdown": write_error(91),
    "shutdown in the middle": write_error(11600),
    "disk full": write_error(14031, "not enough disk space"),
    "disk full, unnamed": write_error(8, "28: No space left on device"),
    "quota": write_error(8000, "you are over your space quota, using 512 MB of 512 MB"),
    "quota, unnamed": write_error(1, "Quota exceeded"),
    "privileges": write_error(13),
    "retriable": write_error(99999, errorLabels=["RetryableWriteError"]),
    "overloaded": write_error(99998) | {"errorLabels": ["SystemOverloadedError"]},
    "stale router": write_error(13388),
}
"""Errors of one document that are the server's."""


@pytest.mark.parametrize("reply", OWN.values(), ids=OWN)
def test_the_servers_own_state_parks_nothing(reply):
    with pytest.raises(TargetRefusedError), mongo_errors.translated():
        mongo_errors.of(reply)


@pytest.mark.parametrize("code", [50, 262, 24, 112, 11601])
def test_a_time_limit_is_looked_into_like_a_server_that_hangs(code):
    with pytest.raises(TargetUnavailableError) as raised, mongo_errors.translated():
        mongo_errors.of(write_error(code))
    assert not isinstance(raised.value, TargetRefusedError)


def test_a_documents_own_words_are_no_full_disk():
    """Validators show what a document says."""
    assert mongo_errors.of(write_error(121, "failed validation: 'no space left on device'"))


def test_a_label_of_a_whole_command_counts_but_the_networks_may_be_a_records():
    with pytest.raises(TargetRefusedError), mongo_errors.translated():
        raise OperationFailure("x", 4711, {"errorLabels": ["RetryableWriteError"]})
    with pytest.raises(TargetUnavailableError) as raised, mongo_errors.translated():
        raise AutoReconnect("the server died of it")
    assert not isinstance(raised.value, TargetRefusedError)


async def test_a_lost_shard_or_a_full_disk_parks_nothing(database, mongo_url, mongo_db, monkeypatch):
    """A mutant of this: the server's own codes are not asked for."""
    async with relayed(database, (mongo_url, mongo_db), ddl=T, entities=[entity("other")]) as relay:
        command = relay.target._writes.command
        troubles = [write_error(6), write_error(14031), write_error(8, "No space left on device")] * 2

        async def troubled(name, collection, field, operations):
            if collection.name == "other" and troubles:
                return troubles.pop()
            return await command(name, collection, field, operations)

        monkeypatch.setattr(relay.target._writes, "command", troubled)
        async with relay.worker():
            relay.sql("INSERT INTO other SELECT n, n FROM generate_series(1, 5) n")
            while troubles:
                assert relay.parked() == {}
                await asyncio.sleep(0.02)
            await relay.equal()


# -- rows that PostgreSQL cannot read: case 16 for the worker

DIVIDED = "CREATE TABLE t (id bigint PRIMARY KEY, n int); CREATE TABLE other (id bigint PRIMARY KEY, n int)"


@pytest.mark.parametrize(
    "expression",
    [
        "100 / n",
        "(SELECT x FROM generate_series(1, 2 - sign(n)::int) AS x)",
        "repeat('x', CASE n WHEN 0 THEN 1500000000 ELSE 1 END)",
        "public.picky(n)",
    ],
    ids=["case 16", "more than one row", "a value that is too long", "an error of a function"],
)
async def test_rows_that_cannot_be_read_are_parked_by_themselves(database, expression):
    ddl = DIVIDED + (
        "; CREATE FUNCTION public.picky(n int) RETURNS int LANGUAGE plpgsql AS"
        " 'BEGIN IF n = 0 THEN RAISE EXCEPTION ''no''; END IF; RETURN n; END'"
    )
    one = entity("t", fields=Fields(computed={"share": Computed(expression, "text")}))
    async with relayed(database, ddl=ddl, entities=[one, entity("other")]) as relay, relay.worker():
        relay.sql("INSERT INTO t SELECT i, CASE WHEN i % 50 = 0 THEN 0 ELSE 1 END FROM generate_series(1, 200) i")
        relay.sql("INSERT INTO other SELECT i, i FROM generate_series(1, 50) i")
        await relay.drained()
        assert relay.parked() == dict.fromkeys(["50", "100", "150", "200"], "mapping")
        assert len(relay.raw(one)) == 196
        assert len(relay.raw(entity("other"))) == 50
        relay.sql("UPDATE t SET n = 2 WHERE n = 0")
        await until(lambda: not relay.parked())
        await relay.drained()
        assert len(relay.raw(one)) == 200
    assert relay.seen.outages == []


async def test_many_rows_that_cannot_be_read_are_all_found(database):
    """They are found little by little: none is lost, none of the others waits for the search to end."""
    one = entity("t", fields=Fields(computed={"share": Computed("100 / n")}))
    async with relayed(database, ddl=DIVIDED, entities=[one, entity("other")]) as relay, relay.worker():
        relay.sql("INSERT INTO t SELECT i, 0 FROM generate_series(1, 300) i")
        relay.sql("INSERT INTO other VALUES (1, 1)")
        await until(lambda: relay.document(1, entity("other")))
        await relay.drained()
        assert len(relay.parked()) == 300


async def test_the_search_for_rows_that_cannot_be_read_is_cut_into_batches(database, monkeypatch):
    """Each batch takes a bounded number of statements; a mutant takes as many as there are rows."""
    counts: list[int] = []
    fill, read = Planner.fill_part, PostgresRecords.read

    async def counted(self, work, group):
        counts.append(0)
        await fill(self, work, group)

    async def one(self, *args, apart=False, **options):
        if apart:
            counts[-1] += 1
        return await read(self, *args, apart=apart, **options)

    monkeypatch.setattr(Planner, "fill_part", counted)
    monkeypatch.setattr(PostgresRecords, "read", one)
    divided = entity("t", fields=Fields(computed={"share": Computed("100 / n")}))
    async with relayed(database, ddl=DIVIDED, entities=[divided]) as relay:
        relay.sql("INSERT INTO t SELECT i, 0 FROM generate_series(1, 200) i")
        async with relay.worker():
            await relay.drained()
        assert len(relay.parked()) == 200
    assert sum(counts) >= 200
    assert max(counts) <= STATEMENTS


# -- rows that cannot be read beside other entities


class Gate:
    """Holds up what is read apart."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()

    async def passed(self) -> None:
        self.reached.set()
        await self.opened.wait()


@pytest.fixture
def gate(monkeypatch) -> Gate:
    """Closed until it is opened."""
    found, read = Gate(), PostgresRecords.read

    async def gated(self, *args, apart=False, **options):
        if apart:
            await found.passed()
        return await read(self, *args, apart=apart, **options)

    monkeypatch.setattr(PostgresRecords, "read", gated)
    return found


@pytest.fixture
async def divided(database):
    """An entity with an expression that fails where ``n`` is 0, and another one."""
    one = entity("t", fields=Fields(computed={"share": Computed("100 / n")}))
    async with relayed(database, ddl=DIVIDED, entities=[one, entity("other")]) as relay:
        yield relay


async def test_no_other_entity_waits_while_rows_that_cannot_be_read_are_looked_for(divided, gate):
    """A mutant: they are looked for on the way that all share."""
    async with divided.worker():
        divided.sql("INSERT INTO t SELECT i, i % 2 FROM generate_series(1, 20) i")
        await asyncio.wait_for(gate.reached.wait(), 30)
        for number in range(1, 6):
            divided.sql("INSERT INTO other VALUES (%s, 1)", number)
            await until(lambda number=number: divided.document(number, entity("other")), seconds=30)
        divided.sql("INSERT INTO t VALUES (21, 1)")
        assert divided.parked() == {}
        gate.opened.set()
        await divided.drained(seconds=30)
        assert set(divided.parked()) == {str(n) for n in range(2, 21, 2)}
        assert len(divided.raw(divided.entities[0])) == 11


async def test_marks_that_come_while_an_entity_is_read_apart_stay_above_the_floor(divided, gate, monkeypatch):
    """Passes leave them out: what is seen then says nothing of where the next one may start."""
    monkeypatch.setattr("syncline.relay.reader.FLOOR_SECONDS", 0.0)
    async with divided.worker():
        divided.sql("INSERT INTO t VALUES (1, 0)")
        await asyncio.wait_for(gate.reached.wait(), 30)
        divided.sql("INSERT INTO t VALUES (2, 1)")
        for number in range(1, 9):
            divided.sql("INSERT INTO other VALUES (%s, 1)", number)
            await until(lambda number=number: divided.document(number, entity("other")), seconds=30)
        gate.opened.set()
        await divided.drained(seconds=30)
        assert divided.document(2, divided.entities[0])


async def test_rows_that_cannot_be_read_are_found_when_their_lanes_move(divided, gate):
    """A lane that another worker has got meanwhile is that one's; nothing is lost, nothing is parked twice."""
    async with divided.worker():
        divided.sql("INSERT INTO t SELECT i, i % 2 FROM generate_series(1, 100) i")
        await asyncio.wait_for(gate.reached.wait(), 30)
        async with divided.worker():
            gate.opened.set()
            await divided.drained(seconds=30)
            assert set(divided.parked()) == {str(n) for n in range(2, 101, 2)}
            assert len(divided.raw(divided.entities[0])) == 50


async def test_an_outage_while_an_entity_is_read_apart_loses_nothing(divided, gate):
    async with divided.worker():
        divided.sql("INSERT INTO t SELECT i, i % 2 FROM generate_series(1, 100) i")
        await asyncio.wait_for(gate.reached.wait(), 30)
        divided.target.unavailable = True
        gate.opened.set()
        await until(lambda: divided.seen.outages, seconds=30)
        divided.target.unavailable = False
        await divided.drained(seconds=30)
        assert len(divided.parked()) == 50
        assert len(divided.raw(divided.entities[0])) == 50


async def test_without_room_for_one_more_connection_rows_are_found_all_the_same(divided, monkeypatch):
    async def refused(self):
        raise SourceUnavailableError("sorry, too many clients already")

    monkeypatch.setattr(Connections, "_opened_apart", refused)
    async with divided.worker():
        divided.sql("INSERT INTO t SELECT i, i % 2 FROM generate_series(1, 20) i")
        await divided.drained(seconds=30)
        assert len(divided.parked()) == 10
    assert divided.seen.outages == []


async def test_batch_numbers_never_fall_however_many_are_drawn_while_marks_are_read(divided, monkeypatch):
    """A lower one would make a newer state lose against an older one of the same record."""
    read, numbers = Reader._read, []
    async with divided.worker():

        async def overtaken(self, *args, **options):
            found = await read(self, *args, **options)
            self._number += 5  # parts that were read apart meanwhile
            numbers.append(self._number)
            return found

        monkeypatch.setattr(Reader, "_read", overtaken)
        for number in range(1, 6):
            divided.sql("INSERT INTO other VALUES (%s, 1)", number)
            await until(lambda number=number: divided.document(number, entity("other")), seconds=30)
        assert numbers
        assert numbers == sorted(numbers)
        assert all(after - before >= 5 for before, after in itertools.pairwise(numbers))
