"""From the CockroachDB-like database to the target: retries at any time, ids out of order, several writers, killed workers."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from syncline.engines.cockroach.past import STALENESS
from syncline.engines.cockroach.source import CockroachMarks
from syncline.engines.mongo.inspection import MongoInspection
from syncline.engines.opening import open_source
from syncline.engines.postgres.plans import compile_plans
from syncline.engines.postgres.source import SqlSource
from syncline.engines.postgres.verification.side import SqlSide
from syncline.errors import SourceUnavailableError
from syncline.ports import Acknowledgement, Rejection
from syncline.relay import keeper
from syncline.relay.worker import Worker
from syncline.verify.one_pass import Sides
from syncline.verify.report import Verdict
from syncline.verify.verifier import verify
from syncline.wiring.sides import open_plans, opened_source, opened_target
from tests.cockroach.server import Simulator
from tests.relay import ITEM, ITEMS, Relay, entity, relayed, until

TABLES = ITEMS + "; CREATE TABLE pair (a int, b text, note text, PRIMARY KEY (a, b))"
PAIR = entity("pair")
ALL = -1
LANES = list(range(64))
POLL = {"poll": timedelta(seconds=0.2)}


@contextlib.asynccontextmanager
async def synced(cockroach: Simulator, mongo: tuple[str, str] | None = None) -> AsyncIterator[Relay]:
    """Both sides; the relay's own connection looks behind the proxy, where nothing fails."""
    async with relayed(cockroach.url, mongo, ddl=TABLES, entities=[ITEM, PAIR], **POLL) as relay:
        relay.conn.close()
        relay.conn = psycopg.connect(cockroach.postgres_url, autocommit=True)
        relay.sql("SET search_path = public, crdb_sim, pg_catalog")
        relay.sql("SET crdb.retry_p = 0")
        yield relay


@pytest.fixture
async def memory(cockroach: Simulator) -> AsyncIterator[Relay]:
    async with synced(cockroach) as relay:
        yield relay


@pytest.fixture
async def relay(cockroach: Simulator, mongo_url: str, mongo_db: str) -> AsyncIterator[Relay]:
    async with synced(cockroach, (mongo_url, mongo_db)) as found:
        yield found


@pytest.fixture
async def source(memory: Relay) -> AsyncIterator[SqlSource]:
    async with opened(memory) as found:
        yield found


@contextlib.asynccontextmanager
async def opened(relay: Relay) -> AsyncIterator[SqlSource]:
    found = await open_source(relay.url, worker=str(uuid4()))
    assert isinstance(found.marks, CockroachMarks)
    await found.journal.lanes.renew(name="test", version="1", ttl=timedelta(seconds=30), confirmed=0, report={})
    try:
        yield found
    finally:
        await found.close()


async def marks(source: SqlSource) -> list[str]:
    return [mark[3] for mark in await source.marks.read(after=0, lanes=ALL, limit=100)]


async def past() -> None:
    """Wait until now is what is read."""
    await asyncio.sleep(STALENESS.total_seconds() + 0.3)


class Writer(threading.Thread):
    """An application: random transactions, repeated when the database asks for it."""

    def __init__(self, url: str, number: int, seconds: float) -> None:
        super().__init__()
        self.retries = self.commits = 0
        self._url, self._random, self._until = url, random.Random(number), time.monotonic() + seconds

    def run(self) -> None:
        with psycopg.connect(self._url) as connection:
            while time.monotonic() < self._until:
                statements = [self._statement() for _ in range(self._random.randint(1, 4))]
                while True:
                    try:
                        for statement in statements:
                            connection.execute(statement)
                        connection.commit()
                        self.commits += 1
                        break
                    except (psycopg.errors.SerializationFailure, psycopg.errors.DeadlockDetected):
                        connection.rollback()
                        self.retries += 1
                    except psycopg.errors.UniqueViolation:
                        connection.rollback()
                        break
                time.sleep(0.005)

    def _statement(self) -> str:
        key, other = self._random.randint(1, 200), self._random.randint(1, 200)
        return self._random.choice(
            (
                f"INSERT INTO item VALUES ({key}, 'n', {other}) ON CONFLICT (id) DO UPDATE SET qty = excluded.qty",
                f"UPDATE item SET qty = qty + 1 WHERE id BETWEEN {key} AND {key + 5}",
                f"DELETE FROM item WHERE id = {key}",
                f"UPDATE item SET id = {other} + 1000 WHERE id = {key}",
                f"INSERT INTO pair VALUES ({key % 9}, 'b{other}', 'x') ON CONFLICT (a, b) DO UPDATE SET note = 'y'",
                f"DELETE FROM pair WHERE a = {key % 9} AND b < 'b{other}'",
            )
        )


@contextlib.contextmanager
def writers(url: str, *, seconds: float, count: int = 3) -> Iterator[list[Writer]]:
    running = [Writer(url, number, seconds) for number in range(count)]
    for one in running:
        one.start()
    try:
        yield running
    finally:
        for one in running:
            one.join()


async def test_changes_arrive(relay: Relay) -> None:
    async with relay.worker():
        with psycopg.connect(relay.url, autocommit=True) as application:
            application.execute("INSERT INTO item SELECT n, 'n' || n FROM generate_series(1, 1500) AS n")
            application.execute("UPDATE item SET id = id + 10000 WHERE id % 3 = 0")
            application.execute("DELETE FROM item WHERE id % 5 = 0")
            application.execute("INSERT INTO pair VALUES (1, 'é', 'x')")
        await relay.equal(deferred=True)
    assert {document["_source"] for document in relay.raw()} == {"cockroachdb"}


async def test_a_table_that_is_away_stops_its_entity_and_the_notice_ends_when_it_is_back(
    memory: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeper, "TABLES_SECONDS", 0.2)
    stopped = "SELECT count(*) FROM syncline.notice WHERE name = 'EntityStopped' AND resolved_at IS NULL"
    async with memory.worker():
        memory.sql("INSERT INTO item VALUES (1, 'n')")
        await memory.equal()
        memory.sql("ALTER TABLE item RENAME TO away")
        await until(lambda: memory.value(stopped) == 1, seconds=30, what="it is said")
        memory.sql("INSERT INTO pair VALUES (1, 'b', 'the other entity goes on')")
        await until(lambda: memory.documents(PAIR), seconds=30, what="the other entity goes on")
        memory.sql("ALTER TABLE away RENAME TO item")
        await until(lambda: memory.value(stopped) == 0, seconds=30, what="it has ended")
        memory.sql("UPDATE item SET qty = 5")
        await memory.equal(seconds=30, tasks=True)


@pytest.mark.slow
async def test_nothing_is_lost_under_retries_with_killed_workers(
    cockroach: Simulator, relay: Relay, tmp_path: Path
) -> None:
    relay.worker_options |= {"grace": timedelta(seconds=30)}  # what a configuration file may say
    cockroach.retry(0.2)
    with writers(cockroach.url, seconds=9) as running:
        with relay.process(tmp_path):
            await asyncio.sleep(2)
            with relay.process(tmp_path) as victim:
                await asyncio.sleep(2)
                victim.kill()
            await asyncio.sleep(1)
        async with relay.worker():
            while any(one.is_alive() for one in running):
                await asyncio.sleep(0.1)
            await relay.equal(seconds=60)
    assert sum(one.commits for one in running) > 200
    assert sum(one.retries for one in running) > 20


async def test_a_worker_does_its_whole_work_under_retries(cockroach: Simulator, memory: Relay) -> None:
    cockroach.retry(0.3)
    async with memory.worker(), memory.worker():
        memory.sql("INSERT INTO item SELECT n, 'n' FROM generate_series(1, 3000) AS n")
        memory.sql("DELETE FROM item WHERE id % 2 = 0")
        await memory.equal(seconds=40, deferred=True)
    assert memory.owners() == {}


async def test_verify_finds_what_a_truncate_removed_and_a_sweep_mends_it(cockroach: Simulator, relay: Relay) -> None:
    cockroach.retry(0.2)
    relay.worker_options |= {"grace": timedelta(seconds=30)}
    async with relay.worker() as worker:
        relay.sql("INSERT INTO item SELECT n, 'n' FROM generate_series(1, 50) AS n")
        await relay.equal()
        relay.sql("TRUNCATE item")
        relay.sql("INSERT INTO item VALUES (7, 'again')")
        await relay.drained()
        assert await verdict(relay) == (Verdict.DIVERGENT, 49), (relay.notices(), relay.counts(), relay.seen.notices)
        await asked(worker)
        await relay.equal(tasks=True, seconds=30)
        assert await verdict(relay) == (Verdict.EQUAL, 0)


async def asked(worker: Worker) -> None:
    """Ask for a sweep, until it is taken: a transaction may have to be tried again."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(SourceUnavailableError):
                if worker._pump is not None:
                    await worker._pump._reader._source.journal.tasks.request("sweep", 1, "test")
                    return
            await asyncio.sleep(0.05)


async def verdict(relay: Relay) -> tuple[Verdict, int]:
    async with (
        opened_target(relay.settings) as target,
        opened_source(relay.settings, keyed=True) as pages,
        opened_source(relay.settings, keyed=True) as looks,
    ):
        plans = await open_plans(relay.settings, looks)
        report = await verify(Sides(SqlSide(pages, looks), MongoInspection(target)), [plans.named("item")])
        return report.entities[0].verdict, sum(report.entities[0].counts.values())


async def test_states_are_as_old_as_their_marks(memory: Relay, source: SqlSource) -> None:
    plan = (await compile_plans(source.control, [ITEM])).named("item")
    memory.sql("INSERT INTO item VALUES (1, 'old')")
    await past()
    memory.sql("UPDATE item SET name = 'new'")
    assert await marks(source) == ["1"]
    (row,) = (await source.records.read(plan, ["1"])).rows
    assert "old" in row
    await past()
    assert await marks(source) == ["1", "1"]
    (row,) = (await source.records.read(plan, ["1"])).rows
    assert "new" in row


async def test_nothing_is_read_from_before_the_lease(memory: Relay, source: SqlSource) -> None:
    """Else the new owner would write the state of a mark that the old owner has acknowledged since."""
    memory.sql("INSERT INTO item VALUES (1, 'old')")
    await past()
    memory.sql("DELETE FROM syncline.outbox")  # the old owner's acknowledgement
    assert await marks(source) == ["1"]
    assert len(await source.journal.lanes.acquire(LANES, above=0)) == 64
    assert await marks(source) == []
    await past()
    assert await marks(source) == []


async def test_acknowledged_marks_are_not_met_again(memory: Relay, source: SqlSource) -> None:
    memory.sql("INSERT INTO item SELECT n FROM generate_series(1, 30) AS n")
    leases = await source.journal.lanes.acquire(LANES, above=0)
    await past()
    read = await source.marks.read(after=0, lanes=ALL, limit=20)
    ack = Acknowledgement(read, leases=leases)
    assert await source.marks.acknowledge(ack, grace=timedelta(seconds=1), history=False) == set(LANES)
    assert len(await marks(source)) == 10
    assert len(await source.marks.read(after=0, lanes=ALL, limit=5)) == 5


async def test_parks_and_clears_in_one_acknowledgement(memory: Relay, source: SqlSource) -> None:
    leases = await source.journal.lanes.acquire(LANES, above=0)

    async def acknowledged(*bad: str) -> dict[str, str]:
        memory.sql("UPDATE item SET qty = qty + 1")
        await past()
        read = await source.marks.read(after=0, lanes=ALL, limit=100)
        rejected = [(1, Rejection(key, "validation", "no")) for key in bad]
        ack = Acknowledgement(read, leases=leases, rejected=rejected, unpark=True)
        await source.marks.acknowledge(ack, grace=timedelta(seconds=1), history=True)
        return memory.parked()

    memory.sql("INSERT INTO item SELECT n FROM generate_series(1, 3) AS n")
    assert await acknowledged("1", "2") == {"1": "validation", "2": "validation"}
    assert await acknowledged("2", "3") == {"2": "validation", "3": "validation"}
    assert await acknowledged() == {}
    assert memory.counts()["outbox"] == 0


async def test_history_is_kept_and_its_old_rows_are_deleted(memory: Relay, source: SqlSource) -> None:
    memory.sql(
        "INSERT INTO syncline.history (id, seq, created_at, processed_at, entity, hint, key) "
        "SELECT n, n, now(), now() - n * interval '1 day', 1, 'U', 'k' FROM generate_series(0, 9) AS n"
    )
    await source.journal.rotate_history(timedelta(days=6.5))
    assert memory.counts()["history"] == 7


async def test_statements_are_repeated_until_they_are_through(cockroach: Simulator, memory: Relay) -> None:
    cockroach.retry(0.6)
    async with opened(memory) as source:
        for _ in range(10):
            await source.marks.add(1, ["1"], "R")
    assert memory.counts()["outbox"] == 10
