"""What is committed in PostgreSQL is in MongoDB, at once, in few statements."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest

from syncline.config.settings import HistorySettings
from syncline.engines.postgres.records import PostgresDurability
from syncline.model.entity import Embed, Fields, TableName
from syncline.model.link import UNNAMED
from syncline.ports import Waker
from syncline.relay.keeper import Keeper
from tests import engines
from tests.relay import AT_ONCE, ITEM, ITEMS, Relay, entity, relayed, until

TWO = ITEMS + "; CREATE TABLE pair (a int, b text, note text, PRIMARY KEY (a, b))"
PAIR = entity("pair")


@pytest.fixture
async def relay(database, mongo_url, mongo_db):
    async with relayed(database, (mongo_url, mongo_db), ddl=TWO, entities=[ITEM, PAIR]) as found:
        yield found


@pytest.fixture
async def memory(database):
    async with relayed(database) as found:
        yield found


async def test_g1_exactly_what_was_committed_arrives(relay: Relay) -> None:
    async with relay.worker():
        relay.sql("INSERT INTO item SELECT n, 'n' || n FROM generate_series(1, 500) AS n")
        with relay.conn.transaction(force_rollback=True):
            relay.sql("INSERT INTO item VALUES (9001, 'rolled back')")
            relay.sql("UPDATE item SET name = 'rolled back' WHERE id = 1")
        with relay.conn.transaction():
            relay.sql("UPDATE item SET name = 'committed' WHERE id = 2")
            with relay.conn.transaction(force_rollback=True):
                relay.sql("DELETE FROM item WHERE id = 3")
        await relay.equal()
        assert relay.document(9001) is None
        assert relay.document(1)["name"] == "n1"
        assert relay.document(2)["name"] == "committed"
        assert relay.document(3) is not None


async def test_g2_every_way_of_changing_rows_arrives(relay: Relay) -> None:
    async with relay.worker():
        relay.sql("INSERT INTO item SELECT n, 'n' || n FROM generate_series(1, 1500) AS n")
        relay.sql("INSERT INTO pair SELECT n % 7, 'b' || n, 'x' FROM generate_series(1, 300) AS n")
        relay.sql("UPDATE item SET qty = qty + 1 WHERE id % 3 = 0")
        relay.sql("DELETE FROM item WHERE id % 5 = 0")
        relay.sql("UPDATE item SET id = id + 100000 WHERE id BETWEEN 1 AND 50")
        relay.sql("INSERT INTO item VALUES (2, 'again') ON CONFLICT (id) DO UPDATE SET name = 'again'")
        relay.sql("UPDATE pair SET b = b || '!' WHERE a = 3")
        relay.sql("DELETE FROM pair WHERE a = 4")
        for n in range(50):
            relay.sql("UPDATE item SET qty = %s WHERE id = 77", n)
        await relay.equal(deferred=True)
        assert relay.document(77)["qty"] == 49


async def test_documents_say_where_they_come_from(relay: Relay) -> None:
    async with relay.worker():
        relay.sql("INSERT INTO item VALUES (5, 'five')")
        relay.sql("INSERT INTO pair VALUES (1, 'x', 'n')")
        await relay.drained()
    found = relay.document(5)
    assert found["_originalId"] == "5"
    assert found["_source"] == "postgresql"
    assert found["_v"] > 0
    assert relay.raw(PAIR)[0]["_id"] == {"a": 1, "b": "x"}


async def test_what_was_marked_before_the_worker_started_arrives(relay: Relay) -> None:
    relay.sql("INSERT INTO item SELECT n, 'n' FROM generate_series(1, 300) AS n")
    relay.sql("DELETE FROM item WHERE id < 100")
    async with relay.worker():
        await relay.equal(deferred=True)


async def test_a_childs_change_reaches_its_parents_document(database, mongo_url, mongo_db) -> None:
    album = entity("album", embeds=(Embed("tracks", TableName("public", "track"), ("album_id",), fields=Fields()),))
    ddl = """CREATE TABLE album (id int PRIMARY KEY, title text);
             CREATE TABLE track (id int PRIMARY KEY, album_id int REFERENCES album ON DELETE CASCADE, name text)"""
    async with relayed(database, (mongo_url, mongo_db), ddl=ddl, entities=[album]) as relay, relay.worker():
        relay.sql("INSERT INTO album VALUES (1, 'one'), (2, 'two')")
        relay.sql("INSERT INTO track VALUES (1, 1, 'a'), (2, 1, 'b')")
        await relay.drained()
        assert [t["name"] for t in relay.document(1, album)["tracks"]] == ["a", "b"]
        relay.sql("UPDATE track SET album_id = 2 WHERE id = 1")
        await relay.drained()
        assert [t["name"] for t in relay.document(1, album)["tracks"]] == ["b"]
        assert [t["name"] for t in relay.document(2, album)["tracks"]] == ["a"]
        relay.sql("DELETE FROM album WHERE id = 2")
        await relay.drained()
        assert relay.document(2, album) is None


async def test_parent_and_children_are_of_one_snapshot(database, mongo_url, mongo_db) -> None:
    """A transaction that changes both is never seen by half, whatever else the worker does."""
    album = entity("album", embeds=(Embed("tracks", TableName("public", "track"), ("album_id",)),))
    ddl = """CREATE TABLE album (id int PRIMARY KEY, version int);
             CREATE TABLE track (id int PRIMARY KEY, album_id int, version int)"""
    async with relayed(database, (mongo_url, mongo_db), ddl=ddl, entities=[album]) as relay, relay.worker():
        relay.sql("INSERT INTO album VALUES (1, 0); INSERT INTO track VALUES (1, 1, 0)")
        await relay.drained()
        ends = time.monotonic() + 1.5
        version = 0
        while time.monotonic() < ends:
            version += 1
            with relay.conn.transaction():
                relay.sql("UPDATE track SET version = %s", version)
                relay.sql("UPDATE album SET version = %s", version)
            await asyncio.sleep(0)
            found = relay.document(1, album)
            assert found["tracks"][0]["version"] == found["version"]
        await relay.drained()
        assert relay.document(1, album)["version"] == version


# -- waking


async def test_a_commit_wakes_an_idle_worker_without_polling(memory: Relay) -> None:
    async with memory.worker():
        await asyncio.sleep(0.3)
        for n in range(5):
            memory.sql("INSERT INTO item VALUES (%s, 'x')", n)
            assert await memory.drained() < AT_ONCE
            await asyncio.sleep(0.2)


async def test_a_commit_wakes_while_another_writers_transaction_is_open(memory: Relay) -> None:
    async with memory.worker():
        await asyncio.sleep(0.3)
        with psycopg.connect(memory.url) as open_writer:
            open_writer.execute("INSERT INTO item VALUES (100, 'uncommitted')")
            for n in range(3):
                memory.sql("INSERT INTO item VALUES (%s, 'x')", n)
                assert await memory.drained() < AT_ONCE
                await asyncio.sleep(0.2)
            open_writer.commit()
        assert await memory.drained() < AT_ONCE
        memory.assert_equal()


async def test_a_commit_that_drew_its_number_early_arrives_late(memory: Relay) -> None:
    """Transactions commit in another order than they draw numbers: no cursor may go past one that is still open."""
    with psycopg.connect(memory.url) as early:
        async with memory.worker():
            early.execute("INSERT INTO item VALUES (1, 'drawn first')")
            for n in range(2, 40):
                memory.sql("INSERT INTO item VALUES (%s, 'x')", n)
            await memory.drained()
            await asyncio.sleep(0.3)
            early.commit()
            await until(lambda: memory.document(1))
            await memory.equal()


async def test_a_worker_notices_that_the_holder_of_the_wake_lock_has_died(memory: Relay) -> None:
    """Nobody says so; where the dead one had no lanes any more, nothing else changes either."""
    with psycopg.connect(memory.url, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s, %s)", UNNAMED.wake_lock)
        async with memory.worker() as worker:
            await until(lambda: worker._pump.relies_on_another, what="it relies on the other")
            await asyncio.sleep(1)  # and has nothing more to do by itself
            holder.close()
            await until(lambda: worker._pump._reader._source.waker.holds, what="it has the lock itself")
            memory.sql("INSERT INTO item VALUES (1, 'x')")
            await memory.drained()


async def nobody_looks(keeper: Keeper, waker: Waker) -> bool:
    """Take away the look at each renewal, which makes a missed wake good a little later."""
    return False


async def test_every_worker_is_woken_while_another_one_is_busy(memory: Relay, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that holds the wake lock gives it back when it is busy: then the others must be woken all the same."""
    monkeypatch.setattr(Keeper, "_wakes_nobody", nobody_looks)
    memory.worker_options |= {"batch_size": 1}
    async with memory.worker(), memory.worker():
        await until(lambda: set(memory.owners().values()) == {32})
        await asyncio.sleep(0.5)
        (holder,) = (worker for worker in memory.workers if worker._pump._reader._source.waker.holds)
        owners = dict(memory.sql("SELECT lane, owner::text FROM syncline.lane"))
        lanes = dict(memory.sql("SELECT n, syncline.lane_of(1::smallint, n::text) FROM generate_series(1, 1000) AS n"))
        busy = [n for n in lanes if owners[lanes[n]] == holder.id]
        quiet = [n for n in lanes if owners[lanes[n]] != holder.id]
        memory.target.delay_seconds = 0.02
        memory.sql("INSERT INTO item SELECT unnest(%s::bigint[]), 'x'", busy[:200])
        await until(lambda: not holder._pump._reader._source.waker.holds, what="it is busy")
        for n in quiet[:5]:
            memory.sql("INSERT INTO item VALUES (%s, 'x')", n)
            await until(lambda n=n: memory.document(n), seconds=20)
        await memory.equal()


# -- thrift


class Counting:
    """Counts the statements that sessions execute, by connection and kind."""

    def __init__(self, monkeypatch) -> None:
        self.counts: Counter[str] = Counter()
        original = psycopg.AsyncCursor.execute

        async def execute(cursor, query, *args, **options):
            text = query if isinstance(query, str) else query.as_string(cursor)
            self.counts[self.kind(text)] += 1
            return await original(cursor, query, *args, **options)

        monkeypatch.setattr(psycopg.AsyncCursor, "execute", execute)
        streaming = psycopg.AsyncCursor.stream

        def stream(cursor, query, *args, **options):
            self.counts[self.kind(query)] += 1
            return streaming(cursor, query, *args, **options)

        monkeypatch.setattr(psycopg.AsyncCursor, "stream", stream)

    @staticmethod
    def kind(text: str) -> str:
        for name, sign in {
            "marks": "SELECT seq, lane, entity",
            "states": "/* syncline: state */",
            "ack": "DELETE FROM syncline.outbox",
        }.items():
            if sign in text:
                return name
        return text.strip().split("\n")[0][:60]


async def test_a_change_takes_three_statements(memory: Relay, monkeypatch) -> None:
    async with memory.worker():
        await asyncio.sleep(0.3)
        counting = Counting(monkeypatch)
        memory.sql("INSERT INTO item VALUES (1, 'x')")
        await memory.drained()
        counts = +counting.counts
    assert counts["states"] == 1
    assert counts["ack"] == 1
    assert counts["marks"] <= 3, "the one that finds it, and those that find nothing more"


async def test_batches_take_few_statements(memory: Relay, monkeypatch) -> None:
    memory.sql("INSERT INTO item SELECT n, 'n' FROM generate_series(1, 20000) AS n")
    counting = Counting(monkeypatch)
    async with memory.worker():
        await memory.drained()
    batches = len(memory.seen.batches)
    assert counting.counts["states"] <= batches + 20 + 4, "one a batch, of at most 1,000 keys; fewer keys at the start"
    assert counting.counts["ack"] <= batches
    assert counting.counts["marks"] <= 4 * batches + 8


@pytest.fixture
async def alone() -> AsyncIterator[Relay]:
    """On a server of its own: transaction ids are the server's, and autovacuum and sessions of others draw some."""
    with engines.running_postgres(settings={"autovacuum": "off"}) as server:
        async with relayed(server.url) as found:
            yield found


def transaction_ids(relay: Relay) -> int:
    """How many transaction ids the server has given out; looking takes one."""
    return relay.value("SELECT pg_current_xact_id()::text::bigint")


@pytest.mark.postgresql
async def test_an_idle_worker_only_renews(alone: Relay, monkeypatch) -> None:
    beside = []
    async with alone.worker():
        await alone.drained()
        await asyncio.sleep(2)  # what it notes at its start is noted
        counting = Counting(monkeypatch)
        while len(beside) < 20 and min(beside, default=3) > 2:
            before, began = transaction_ids(alone), time.monotonic()
            await asyncio.sleep(1.5)
            renewals = (time.monotonic() - began) / 0.25
            beside.append(transaction_ids(alone) - before - 1 - renewals)
    assert min(beside) <= 2, "one transaction id a renewal, and nothing else"
    assert counting.counts["marks"] <= 2 * len(beside) + 2
    assert counting.counts["ack"] == 0
    assert alone.target.writes == []


async def test_batches_grow_with_the_backlog_up_to_the_limit(memory: Relay) -> None:
    memory.sql("INSERT INTO item SELECT n, 'n' FROM generate_series(1, 20000) AS n")
    async with memory.worker():
        await memory.drained()
    sizes = [done.marks for done in memory.seen.batches]
    assert 100 <= sizes[0] <= 1000, "a block"
    assert 4000 < max(sizes) <= 5000
    memory.assert_equal()


async def test_many_changes_of_one_record_are_one_write(memory: Relay) -> None:
    memory.sql("INSERT INTO item VALUES (1, 'x')")
    for n in range(60):
        memory.sql("UPDATE item SET qty = %s", n)
    async with memory.worker():
        await memory.equal()
    assert sum(map(len, memory.target.writes)) == 1


async def test_marks_of_asynchronous_commits_wait_for_the_flush(memory: Relay, monkeypatch) -> None:
    """A change that a crash of the source could take back must not be seen in the target."""
    waits = []
    original = PostgresDurability.wait

    async def wait_flushed(durability, **options):
        waits.append(len(memory.target.writes))
        await original(durability, **options)

    monkeypatch.setattr(PostgresDurability, "wait", wait_flushed)
    async with memory.worker():
        memory.sql("INSERT INTO item VALUES (1, 'durable')")
        await memory.drained()
        assert waits == []
        memory.sql("SET synchronous_commit = off")
        memory.sql("INSERT INTO item VALUES (2, 'not yet')")
        await memory.drained()
    assert waits
    assert waits[0] == 1, "before the write of that batch"


async def test_wide_rows_keep_within_the_memory_bound(memory: Relay) -> None:
    bound = 4 * 1024 * 1024
    memory.worker_options |= {"bytes_in_flight": bound}
    memory.sql("INSERT INTO item SELECT n, repeat('x', 50000) FROM generate_series(1, 600) AS n")
    most = 0

    async def weigh(_batch) -> None:
        nonlocal most
        await asyncio.sleep(0.005)
        for worker in memory.workers:
            most = max(most, sum(work.bytes for work in worker._pump.in_flight.works))

    memory.target.before_apply = weigh
    async with memory.worker():
        await memory.equal(seconds=30)
    assert 0 < most < 3 * bound, "the first batch is read before the width of a row is known"


async def test_a_slow_target_gets_smaller_batches(memory: Relay) -> None:
    """A batch that cannot be sent before its states are too old must not be read in the same size for ever."""
    memory.worker_options |= {"max_batch_age": timedelta(seconds=0.3), "batch_size": 5000}
    memory.target.delay_seconds = 0.2
    memory.sql("INSERT INTO item SELECT n, 'n' FROM generate_series(1, 12000) AS n")
    async with memory.worker():
        await memory.equal(seconds=20)
    assert memory.seen.drops, "it was too slow"


# -- history


@pytest.mark.parametrize(
    ("history", "kept"), [(HistorySettings(keep=None), 0), (HistorySettings(keep=timedelta(days=7)), 3)]
)
async def test_history_is_kept_or_not(memory: Relay, history, kept) -> None:
    memory.history = history
    async with memory.worker():
        memory.sql("INSERT INTO item VALUES (1, 'x')")
        memory.sql("UPDATE item SET name = 'y'")
        await memory.drained()
        memory.sql("DELETE FROM item")
        await memory.drained(deferred=True)
    assert memory.counts()["history"] == kept, "second deletes are not part of it"
    if kept:
        found = memory.sql("SELECT event_type, aggregate_id, processed FROM syncline.changes ORDER BY id")
        assert found == [("item.created", "1", True), ("item.updated", "1", True), ("item.deleted", "1", True)]


async def test_history_may_keep_the_applied_documents(memory: Relay) -> None:
    memory.history = HistorySettings(documents=True)
    async with memory.worker():
        memory.sql("INSERT INTO item VALUES (1, 'kept')")
        await memory.drained()
    payload = memory.value("SELECT payload FROM syncline.history")
    assert payload["name"] == "kept"
    assert payload["_originalId"] == "1"
