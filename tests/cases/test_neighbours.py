"""Bad records of different kinds beside each other, and good ones between them: each has its own fate."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import bson
import psycopg
import pytest
from pymongo import MongoClient

from syncline.config.settings import HistorySettings
from syncline.engines.memory.target import MemoryTarget
from syncline.engines.mongo.errors import MAX_DOCUMENT_BYTES
from syncline.model.entity import Computed, Fields, Index
from syncline.relay.conflicts import FIRST_PAUSE, MOST_PAUSE, PATIENCE, Conflicts
from tests.relay import Relay, entity, relayed, until

WIDE = "('1.' || repeat('1', 40))::numeric"
UNIQUE = entity("t", indexes=(Index((("u", 1),), unique=True),))
EXCHANGED = "CREATE TABLE t (id bigint PRIMARY KEY, u int, wide numeric)"


# -- a unique value that belongs to a record which cannot be written


@pytest.fixture
async def exchanged(database: str) -> Any:
    """Two records have exchanged their unique values, and the first cannot be written."""
    async with relayed(database, ddl=EXCHANGED, entities=[UNIQUE]) as relay, relay.worker():
        relay.sql("INSERT INTO t VALUES (1, 1, 1), (2, 2, 1)")
        await relay.equal()
        relay.sql(f"UPDATE t SET u = 3 - u, wide = CASE WHEN id = 1 THEN {WIDE} ELSE 1 END")
        await until(lambda: conflicts(relay)._waits.get((1, "2"), 0) > PATIENCE + 3)
        yield relay


def conflicts(relay: Relay) -> Conflicts:
    return relay.workers[0]._pump._conflicts


async def test_nobody_takes_its_document_away_behind_a_record_that_cannot_be_written(exchanged: Relay) -> None:
    """It would be absent until somebody mends the other one."""
    assert {d["_id"]: d["u"] for d in exchanged.raw(UNIQUE)} == {1: 1, 2: 2}
    assert exchanged.parked() == {"1": "mapping"}


async def test_a_record_that_cannot_be_written_is_not_tried_at_every_turn_of_who_waits_for_it(exchanged: Relay) -> None:
    """Each try is a line in the log, and counts for who reads `retry_count`."""
    ((tried,),) = exchanged.sql("SELECT retry_count FROM syncline.parked")
    assert tried <= 3


async def test_who_waits_is_written_when_the_other_one_is_mended(exchanged: Relay) -> None:
    exchanged.sql("UPDATE t SET wide = 2 WHERE id = 1")
    await exchanged.equal()
    assert conflicts(exchanged)._refused == {}


async def test_who_waits_is_written_when_the_other_one_is_deleted(exchanged: Relay) -> None:
    exchanged.sql("DELETE FROM t WHERE id = 1")
    await exchanged.equal(deferred=True)


def test_who_waits_for_long_is_tried_less_often() -> None:
    found = Conflicts(None, MemoryTarget(), {})  # type: ignore[arg-type]  # none is asked
    record = (1, "2")
    assert found.pause(record) == FIRST_PAUSE
    found._waits[record] = PATIENCE
    assert found.pause(record) == FIRST_PAUSE
    found._waits[record] = 10_000
    assert found.pause(record) == MOST_PAUSE


# -- a unique value that belongs to a document which no record can have


@pytest.fixture
def latin1(postgres: Any) -> Iterator[str]:
    """A source whose encoding has no bytes for most of what a document may hold."""
    name = "latin1_neighbours"
    with psycopg.connect(postgres.url, autocommit=True) as conn:
        conn.execute(f"DROP DATABASE IF EXISTS {name}")
        conn.execute(f"CREATE DATABASE {name} ENCODING LATIN1 LOCALE 'C' TEMPLATE template0")
        yield psycopg.conninfo.make_conninfo(postgres.url, dbname=name)
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


async def test_a_holder_that_the_source_cannot_write_is_nobodys_record(
    latin1: str, mongo_url: str, mongo_db: str
) -> None:
    """Neither its key nor the message about it stops the others, or comes again and again."""
    ddl = "CREATE TABLE t (id text PRIMARY KEY, u text); CREATE TABLE other (id bigint PRIMARY KEY)"
    async with relayed(latin1, (mongo_url, mongo_db), ddl=ddl, entities=[UNIQUE, entity("other")]) as relay:
        with MongoClient[dict[str, Any]](mongo_url) as client:
            client[mongo_db].t.insert_one({"_id": "имя", "u": "x"})
        async with relay.worker():
            relay.sql("INSERT INTO t VALUES ('1', 'x')")
            relay.sql("INSERT INTO other VALUES (1)")
            await relay.drained()
        assert relay.parked() == {"1": "unique_value"}
        ((error,),) = relay.sql("SELECT error FROM syncline.parked")
        assert "belongs to t/'\\u0438\\u043c\\u044f', which is not a record of this entity" in error
        assert relay.document(1, entity("other"))


@pytest.mark.parametrize("type_", ["json", "jsonb", "text"])
async def test_a_document_that_the_source_cannot_write_is_applied_and_remembered(latin1: str, type_: str) -> None:
    """A `json` keeps the escapes of characters that its database has not; the history spells them out."""
    ddl = f"CREATE TABLE t (id bigint PRIMARY KEY, u text, j {type_})"
    async with relayed(latin1, ddl=ddl, entities=[entity("t")]) as relay:
        relay.history = HistorySettings(documents=True)
        async with relay.worker():
            value = r'{"a": "\u4e2d \u00e4", "b": ["\ud83d\ude00"]}' if type_ == "json" else '{"a": "ä"}'
            relay.sql(f"INSERT INTO t VALUES (1, 'ü', '{value}'), (2, 'plain', '{{}}')")
            await relay.drained()
        assert relay.parked() == {}
        found = dict(relay.sql("SELECT key, payload::text FROM syncline.history"))
        assert "ü" in found["1"]
        assert ("\\\\u4e2d" in found["1"]) == (type_ == "json")
        (document,) = [one for one in relay.raw(entity("t")) if one["_id"] == 1]
        assert document["j"] == {"json": {"a": "中 ä", "b": ["😀"]}, "jsonb": {"a": "ä"}, "text": '{"a": "ä"}'}[type_]


async def test_a_long_value_leaves_a_short_message(database: str, mongo_url: str, mongo_db: str) -> None:
    """MongoDB cuts its own within a character: that is no reason to take the record for too large."""
    ddl = "CREATE TABLE t (id bigint PRIMARY KEY, u text)"
    async with relayed(database, (mongo_url, mongo_db), ddl=ddl, entities=[UNIQUE]) as relay, relay.worker():
        for pad in range(3):  # one of them is cut there
            relay.sql(
                "INSERT INTO t SELECT %s + g, repeat('x', %s) || repeat('ä', 9000) FROM generate_series(0, 1) g",
                10 * pad,
                pad,
            )
        await relay.drained()
        assert relay.parked() == {"1": "unique_value", "11": "unique_value", "21": "unique_value"}
        assert all(len(error) < 1000 for (error,) in relay.sql("SELECT error FROM syncline.parked"))


# -- in one batch


async def test_rejected_beside_unreadable_and_good_ones(database: str) -> None:
    one = entity("t", fields=Fields(computed={"share": Computed("100 / u")}))
    async with relayed(database, ddl=EXCHANGED, entities=[one]) as relay:
        relay.sql(f"INSERT INTO t SELECT i, i % 3, CASE WHEN i % 5 = 0 THEN {WIDE} END FROM generate_series(1, 60) i")
        async with relay.worker():
            await relay.drained()
        assert {int(key) for key in relay.parked()} == {n for n in range(1, 61) if n % 3 == 0 or n % 5 == 0}
        assert {d["_id"] for d in relay.raw(one)} == {n for n in range(1, 61) if n % 3 and n % 5}


async def test_a_document_of_exactly_16_mb_is_written_and_changed(database: str, mongo_url: str, mongo_db: str) -> None:
    """And one with a byte more is parked alone, in the same batch."""
    one = entity("t")
    ddl = "CREATE TABLE t (id bigint PRIMARY KEY, b text)"
    async with relayed(database, (mongo_url, mongo_db), ddl=ddl, entities=[one]) as relay, relay.worker():
        relay.sql("INSERT INTO t VALUES (1, '')")
        await relay.drained()
        room = MAX_DOCUMENT_BYTES - len(bson.encode(relay.raw(one)[0]))
        relay.sql("INSERT INTO t SELECT 2 + n, repeat('a', %s + n) FROM generate_series(0, 1) n", room)
        await relay.drained()
        relay.sql("UPDATE t SET b = 'b' || substr(b, 2)")
        await relay.drained()
        assert relay.parked() == {"3": "too_large"}
        assert [(d["_id"], d["b"][:1], len(d["b"])) for d in relay.raw(one)] == [(1, "b", 1), (2, "b", room)]
