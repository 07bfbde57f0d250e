"""An idle worker misses no change, in whatever order sessions come and go; a locked table holds up its own entity only."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from syncline.engines.postgres.waker import PostgresWaker
from syncline.errors import SourceError, StalePlanError
from syncline.relay.idle import Idler
from syncline.relay.reader import Reader
from syncline.relay.trouble import Strikes
from tests.relay import Relay, entity, relayed, until

WAKE_LOCK = (1398361667, 1)
T = "CREATE TABLE t (id bigint PRIMARY KEY, n int); CREATE TABLE other (id bigint PRIMARY KEY, n int)"


@pytest.fixture
async def relay(database):
    async with relayed(database, ddl=T, entities=[entity("t"), entity("other")]) as found:
        yield found


@pytest.fixture
def resting(monkeypatch) -> asyncio.Event:
    """Set while a worker sleeps for as long as its poll."""
    found, sleep = asyncio.Event(), Idler.sleep

    async def noted(self, seconds):
        if seconds >= 60:
            found.set()
        await sleep(self, seconds)
        found.clear()

    monkeypatch.setattr(Idler, "sleep", noted)
    return found


async def test_what_is_committed_before_a_session_listens_is_seen(relay: Relay, resting, monkeypatch) -> None:
    """The connection that listens may be late: the pump sleeps by then, and its lock has made writers notify nobody."""
    listen, late = PostgresWaker.listen, asyncio.Event()

    async def listens_late(self, wake):
        await late.wait()
        await listen(self, wake)

    monkeypatch.setattr(PostgresWaker, "listen", listens_late)
    async with relay.worker():
        await asyncio.wait_for(resting.wait(), 30)
        relay.sql("INSERT INTO t VALUES (1, 1)")
        late.set()
        await relay.equal(seconds=30)


async def test_what_is_committed_before_the_next_session_listens_is_seen(relay: Relay, resting, monkeypatch) -> None:
    """The same after a schema change has ended the session before."""
    listen, late = PostgresWaker.listen, asyncio.Event()
    async with relay.worker():
        await asyncio.wait_for(resting.wait(), 30)

        async def listens_late(self, wake):
            await late.wait()
            await listen(self, wake)

        monkeypatch.setattr(PostgresWaker, "listen", listens_late)
        resting.clear()
        relay.sql("ALTER TABLE t ADD COLUMN m int DEFAULT 7")
        await until(lambda: relay.seen.outages, seconds=30)
        await asyncio.wait_for(resting.wait(), 30)
        relay.sql("INSERT INTO t VALUES (1, 1)")
        late.set()
        await relay.equal(seconds=30)


async def test_a_change_between_two_holders_of_the_wake_lock_is_seen(relay: Relay, resting, monkeypatch) -> None:
    """Whoever relied on the one that is gone looks once, although another one has taken the lock since."""
    listen, listening = PostgresWaker.listen, asyncio.Event()

    async def listens(self, wake):
        await listen(self, lambda called: (listening.set(), wake(called)))

    monkeypatch.setattr(PostgresWaker, "listen", listens)
    with psycopg.connect(relay.url, autocommit=True) as first, psycopg.connect(relay.url, autocommit=True) as second:
        first.execute("SELECT pg_advisory_lock(%s, %s)", WAKE_LOCK)
        async with relay.worker() as worker:
            await asyncio.wait_for(listening.wait(), 30)
            await until(lambda: resting.is_set() and worker._pump.relies_on_another, seconds=30)
            first.execute("SELECT pg_advisory_unlock(%s, %s)", WAKE_LOCK)
            relay.sql("INSERT INTO t VALUES (1, 1)")
            second.execute("SELECT pg_advisory_lock(%s, %s)", WAKE_LOCK)
            await relay.equal(seconds=30)


async def test_a_locked_table_holds_up_no_other_entity(relay: Relay) -> None:
    async with relay.worker():
        with psycopg.connect(relay.url) as locking:
            relay.sql("INSERT INTO t VALUES (1, 1)")
            await relay.equal(seconds=30)
            locking.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
            relay.sql("SELECT syncline.mark((SELECT id FROM syncline.entity WHERE name = 't'), ARRAY['1', '2'], 'R')")
            for number in range(1, 6):
                relay.sql("INSERT INTO other VALUES (%s, 1)", number)
                await until(lambda number=number: relay.document(number, entity("other")), seconds=30)
            await until(lambda: relay.counts()["outbox"] == 2, seconds=30)  # seen, then acknowledged
        await relay.equal(seconds=30)
    assert relay.seen.outages == []
    assert relay.seen.drops == []


async def test_a_locked_outbox_ends_no_worker(relay: Relay) -> None:
    """`VACUUM FULL` of it, say."""
    async with relay.worker():
        relay.sql("INSERT INTO t VALUES (1, 1)")
        await relay.equal(seconds=30)
        relay.sql("INSERT INTO t SELECT n, 1 FROM generate_series(2, 9) n")
        with psycopg.connect(relay.url) as locking:
            locking.execute("LOCK TABLE syncline.outbox IN ACCESS EXCLUSIVE MODE")
            await until(lambda: relay.seen.outages, seconds=30)
        await relay.equal(seconds=30)


async def test_an_entity_that_stood_back_is_tried_again(relay: Relay, monkeypatch) -> None:
    """A cause that goes by itself needs nobody to restart the worker."""
    monkeypatch.setattr(Strikes.__init__, "__kwdefaults__", {"seconds": 1.0})
    fill, failures = Reader.fill, [0]

    async def fails(self, work):
        if failures[0] < 2 and any(plan.name == "t" for plan in map(self._plans.get, work.touched)):
            failures[0] += 1
            plan = next(plan for plan in self._plans.values() if plan.name == "t")
            raise StalePlanError("odd", entity=plan.id) from SourceError("odd")
        return await fill(self, work)

    monkeypatch.setattr(Reader, "fill", fails)
    relay.sql("INSERT INTO t VALUES (1, 1)")
    async with relay.worker():
        await relay.equal(seconds=30)
    assert failures == [2]
