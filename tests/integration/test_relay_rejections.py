"""One bad record stops its own key and nothing else (G5)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import psycopg
import pytest

from syncline.insight.parked import discard_parked, retry_parked
from syncline.model.entity import Computed, Fields
from syncline.postgres.connection import connect
from syncline.relay.poison import KNOWN_TRIES
from tests.relay import ITEM, Relay, entity, relayed, until

PRICED = entity("item", fields=Fields(computed={"share": Computed("100 / qty")}))
ITEMS = "CREATE TABLE item (id bigint PRIMARY KEY, name text, qty int NOT NULL DEFAULT 1, price numeric)"
TOO_LONG = "1." + "1" * 40


@pytest.fixture
async def relay(database, mongo_url, mongo_db):
    async with relayed(database, (mongo_url, mongo_db), ddl=ITEMS) as found:
        yield found


@pytest.fixture
async def memory(database):
    async with relayed(database, ddl=ITEMS) as found:
        yield found


async def test_g5_a_rejected_record_is_parked_alone(relay: Relay) -> None:
    relay.sql("INSERT INTO item SELECT n, 'n', 1, n FROM generate_series(1, 500) AS n")
    relay.sql("UPDATE item SET price = %s WHERE id IN (7, 300)", TOO_LONG)
    async with relay.worker():
        await relay.drained()
        relay.assert_equal(without=["7", "300"])
        assert relay.parked() == {"7": "mapping", "300": "mapping"}
        error = relay.value("SELECT error FROM syncline.parked WHERE key = '7'")
        assert "price" in error
        relay.sql("UPDATE item SET qty = 5")
        await relay.drained()
        relay.assert_equal(without=["7", "300"])
        assert relay.sql("SELECT changes, retry_count FROM syncline.parked WHERE key = '7'") in ([(3, 2)], [(3, 3)])


async def test_a_document_over_16_megabytes_is_parked_alone(relay: Relay) -> None:
    async with relay.worker():
        relay.sql("INSERT INTO item SELECT n, 'n' FROM generate_series(1, 50) AS n")
        await relay.drained()
        relay.sql("INSERT INTO item VALUES (99, repeat('x', 17000000))")
        relay.sql("UPDATE item SET name = repeat('x', 16777216) WHERE id = 9")
        await relay.drained(seconds=30)
        assert relay.parked() == {"9": "too_large", "99": "too_large"}
        relay.assert_equal(without=["9", "99"])
        assert relay.document(9)["name"] == "n", "the newest state that could be written stays"


async def test_a_success_clears_a_parked_record(relay: Relay) -> None:
    async with relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'x', 1, %s)", TOO_LONG)
        await until(relay.parked)
        relay.sql("UPDATE item SET price = 1")
        await until(lambda: not relay.parked())
        await relay.equal()


async def test_a_new_failure_replaces_the_error(relay: Relay) -> None:
    async with relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'x', 1, %s)", TOO_LONG)
        await until(relay.parked)
        relay.sql("UPDATE item SET price = 1, name = repeat('x', 17000000)")
        await until(lambda: relay.parked() == {"1": "too_large"})
        assert relay.counts()["parked"] == 1


async def test_deleting_a_parked_record_clears_it(relay: Relay) -> None:
    async with relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'x', 1, %s)", TOO_LONG)
        await until(relay.parked)
        relay.sql("DELETE FROM item")
        await relay.equal(deferred=True)


async def test_a_record_parked_by_another_worker_is_cleared(memory: Relay) -> None:
    """Whoever has the lane next knows that something may be parked in it."""
    async with memory.worker():
        async with memory.worker() as other:
            await until(lambda: set(memory.owners().values()) == {32})
            lanes = dict(
                memory.sql("SELECT n, syncline.lane_of(1::smallint, n::text) FROM generate_series(1, 99) AS n")
            )
            owners = dict(memory.sql("SELECT lane, owner::text FROM syncline.lane"))
            key = next(n for n in lanes if owners[lanes[n]] == other.id)
            memory.sql("INSERT INTO item VALUES (%s, 'x', 1, %s)", key, TOO_LONG)
            await until(memory.parked)
        await until(lambda: set(memory.owners().values()) == {64})
        memory.sql("UPDATE item SET price = 1")
        await memory.equal()


async def test_parked_records_are_tried_again_on_demand(memory: Relay) -> None:
    async with memory.worker():
        memory.sql("INSERT INTO item SELECT n, 'x', 1, %s FROM generate_series(1, 3) AS n", TOO_LONG)
        await until(lambda: len(memory.parked()) == 3)
        with memory.conn.transaction():
            memory.sql("SET LOCAL session_replication_role = replica")
            memory.sql("ALTER TABLE item DISABLE TRIGGER USER")
        memory.sql("UPDATE item SET price = 2 WHERE id = 1")
        memory.sql("ALTER TABLE item ENABLE TRIGGER USER")
        conn = await connect(memory.url)
        assert await retry_parked(conn) == 3
        await memory.drained()
        assert set(memory.parked()) == {"2", "3"}
        assert memory.document(1)["price"] is not None
        assert await discard_parked(conn, keys=["2"]) == 1
        assert set(memory.parked()) == {"3"}
        await conn.close()


async def test_a_row_that_cannot_be_read_is_parked_and_its_document_stays(database) -> None:
    """A computed field that fails for one row fails the statement for all: the row is found by halving."""
    async with relayed(database, ddl=ITEMS, entities=[PRICED]) as relay, relay.worker():
        relay.sql("INSERT INTO item SELECT n, 'n', n FROM generate_series(1, 100) AS n")
        await relay.drained()
        relay.sql("UPDATE item SET qty = 0 WHERE id IN (20, 21, 77)")
        relay.sql("UPDATE item SET name = 'm'")
        await relay.drained()
        assert relay.parked() == dict.fromkeys(("20", "21", "77"), "mapping")
        found = {document["_id"]: document for document in relay.raw(PRICED)}
        assert len(found) == 100, "what cannot be read is not absent"
        assert found[20]["name"] == "n"
        assert all(document["name"] == "m" for id_, document in found.items() if id_ not in (20, 21, 77))
        assert relay.counts()["deferred"] == 0


async def test_a_key_that_is_no_key_is_parked(memory: Relay) -> None:
    async with memory.worker():
        memory.sql("SELECT syncline.mark(1::smallint, ARRAY['not a number', '5'], 'R')")
        memory.sql("INSERT INTO item VALUES (1, 'x')")
        await memory.drained()
        assert memory.parked() == {"not a number": "bad_key"}
        assert memory.document(1)


async def test_parked_marks_are_out_of_the_readers_way(memory: Relay) -> None:
    memory.worker_options |= {"batch_size": 10}
    async with memory.worker():
        memory.sql("INSERT INTO item SELECT n, 'x', 1, %s FROM generate_series(1, 100) AS n", TOO_LONG)
        await memory.drained()
        assert len(memory.parked()) == 100
        await until(lambda: sum(batch.marks for batch in memory.seen.batches) >= 100)
        before = len(memory.seen.batches)
        memory.sql("INSERT INTO item VALUES (1000, 'fine')")
        await memory.drained()
        await until(lambda: len(memory.seen.batches) > before)
        await asyncio.sleep(0.3)
        assert [batch.marks for batch in memory.seen.batches[before:]] == [1]
        assert memory.document(1000)


async def test_g5_a_record_that_the_target_cannot_stand_is_found_by_halving(memory: Relay) -> None:
    """The server breaks down under one record, and takes every other write: it is the record's fault."""
    memory.target.cannot_stand = lambda document: document["name"] == "poison"
    memory.sql("INSERT INTO item SELECT n, 'n' FROM generate_series(1, 1000) AS n")
    memory.sql("UPDATE item SET name = 'poison' WHERE id IN (333, 900)")
    async with memory.worker():
        await memory.drained(seconds=90)
        assert memory.parked() == {"333": "poison", "900": "poison"}
        memory.assert_equal(without=["333", "900"])
        memory.sql("UPDATE item SET name = 'cured' WHERE id = 333")
        await until(lambda: "333" not in memory.parked())


@contextlib.asynccontextmanager
async def with_known_poison(memory: Relay, count: int = 1) -> AsyncIterator[None]:
    """A worker that has found out which records the target cannot stand: those with the lowest ids."""
    memory.target.cannot_stand = lambda document: document["name"] == "poison"
    async with memory.worker() as worker:
        for n in range(1, count + 1):
            memory.sql("INSERT INTO item VALUES (%s, 'poison')", n)
            await until(lambda n=n: str(n) in memory.parked(), seconds=90)
        memory.sql("INSERT INTO item SELECT n, 'n' FROM generate_series(100, 200) AS n")
        await memory.drained()
        assert worker._pump is not None
        assert len(worker._pump._poison.quarantined) == count
        yield


async def test_a_known_poison_that_changes_holds_nobody_up(memory: Relay) -> None:
    """The search stops everybody for seconds; what it found out is not searched for again with every change."""
    async with with_known_poison(memory, 3):
        outages, writes = len(memory.seen.outages), len(memory.target.writes)
        memory.sql("UPDATE item SET qty = 5")
        await memory.drained()
        assert memory.parked() == dict.fromkeys(("1", "2", "3"), "poison")
        memory.assert_equal(without=["1", "2", "3"])
        assert len(memory.seen.outages) == outages, "nobody else noticed"
        tried = [batch.upserts for batch in memory.target.writes[writes:] if batch.upserts]
        bad = [len(states) for states in tried if any(one.body["name"] == "poison" for one in states)]
        assert bad == [1] * 3 * KNOWN_TRIES, "each alone"
        memory.sql("UPDATE item SET name = 'cured'")
        await memory.equal()


@pytest.mark.parametrize("change", ["UPDATE item SET name = 'cured' WHERE id = 1", "DELETE FROM item WHERE id = 1"])
async def test_g5_an_outage_parks_no_record_in_quarantine(memory: Relay, change: str) -> None:
    """It was found before; that the target is away now is not its fault."""
    async with with_known_poison(memory):
        memory.target.unavailable = True
        memory.sql(change)
        await until(lambda: memory.target.attempts > 5)
        memory.target.unavailable = False
        await memory.equal(seconds=90)


async def test_g5_a_lost_reply_parks_no_record_in_quarantine(memory: Relay) -> None:
    async with with_known_poison(memory):
        memory.target.lose_replies = 1
        memory.sql("UPDATE item SET name = 'cured' WHERE id = 1")
        await memory.equal()


async def test_the_application_does_not_notice_a_bad_record(memory: Relay) -> None:
    """G6: writes never wait for the target."""
    stuck = asyncio.Event()

    async def stand_still(_batch) -> None:
        await stuck.wait()

    memory.target.before_apply = stand_still
    async with memory.worker():
        memory.sql("INSERT INTO item VALUES (1, 'x')")
        await until(lambda: memory.target.writes)
        with psycopg.connect(memory.url, autocommit=True, options="-c statement_timeout=1000") as application:
            application.execute("UPDATE item SET name = 'y'")
            application.execute("INSERT INTO item SELECT n, 'z' FROM generate_series(2, 500) AS n")
            application.execute("DELETE FROM item WHERE id = 2")
        stuck.set()
        await memory.equal(deferred=True)


async def test_an_unlisted_record_keeps_its_old_document_when_parked(memory: Relay) -> None:
    async with memory.worker():
        memory.sql("INSERT INTO item VALUES (1, 'old', 1, 1)")
        await memory.drained()
        memory.sql("UPDATE item SET name = 'new', price = %s", TOO_LONG)
        await until(memory.parked)
        assert memory.document(1, ITEM)["name"] == "old"
