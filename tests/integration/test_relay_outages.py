"""A target that is away stops the flow, consumes nothing, and is caught up with when it is back (G5, G6)."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest
from pymongo import MongoClient

from syncline.engines.mongo.target import MongoTarget
from syncline.errors import TargetUnavailableError
from syncline.testing.contract import THINGS, document, state
from tests.relay import Relay, relayed, until


@pytest.fixture
async def memory(database):
    async with relayed(database) as found:
        yield found


def untouched(relay: Relay, marks: int) -> None:
    counts = relay.counts()
    assert counts["outbox"] == marks, "nothing is consumed"
    assert counts["parked"] == 0
    assert relay.value("SELECT max(retry_count) FROM syncline.changes") == 0, "no attempt is counted"


async def test_g5_a_target_that_is_away_at_the_start_is_waited_for(memory: Relay) -> None:
    memory.target.unavailable = True
    memory.sql("INSERT INTO item SELECT n, 'x' FROM generate_series(1, 300) AS n")
    async with memory.worker(ready=False):
        await until(lambda: memory.target.attempts > 3)
        untouched(memory, 300)
        memory.target.unavailable = False
        await memory.equal()


async def test_g5_an_outage_consumes_nothing_however_long(memory: Relay, monkeypatch) -> None:
    """Hundreds of attempts, and the one record that waits is not given up."""
    monkeypatch.setattr("syncline.relay.clock.Backoff.next", lambda _self: timedelta(milliseconds=3))
    async with memory.worker():
        memory.target.unavailable = True
        memory.sql("INSERT INTO item VALUES (1, 'x')")
        await until(lambda: memory.target.attempts > 100 or memory.parked(), seconds=20)
        untouched(memory, 1)
        memory.target.unavailable = False
        await memory.equal()
    assert any(side == "target" for side, _ in memory.seen.outages)


async def test_an_outage_is_not_retried_in_a_hurry(memory: Relay) -> None:
    """With backoff and jitter, though writers go on and wake the worker."""
    async with memory.worker():
        memory.target.unavailable = True
        for n in range(40):
            memory.sql("INSERT INTO item VALUES (%s, 'x')", n)
            await asyncio.sleep(0.05)
        assert len([1 for side, _ in memory.seen.outages if side == "target"]) < 30  # with each write it would be 40
        memory.target.unavailable = False
        await memory.equal()


async def test_a_failing_batch_is_not_retried_in_a_hurry(memory: Relay) -> None:
    """Also when the server takes the probe."""
    memory.target.cannot_stand = lambda _document: True
    async with memory.worker():
        memory.sql("INSERT INTO item SELECT n, 'x' FROM generate_series(1, 64) AS n")
        await asyncio.sleep(0.5)
        assert len(memory.target.writes) < 60
        memory.target.cannot_stand = lambda _document: False
        await memory.drained()


async def test_g6_the_application_writes_on_while_the_target_is_away(memory: Relay) -> None:
    memory.target.unavailable = True
    async with memory.worker(ready=False):
        with psycopg.connect(memory.url, autocommit=True, options="-c statement_timeout=1000") as application:
            for n in range(200):
                application.execute("INSERT INTO item VALUES (%s, 'x')", (n,))
            application.execute("UPDATE item SET qty = 1")
            application.execute("DELETE FROM item WHERE id % 2 = 0")
        untouched(memory, 500)
        memory.target.unavailable = False
        await memory.equal(deferred=True)


async def test_g6_the_application_writes_on_while_no_worker_runs(memory: Relay) -> None:
    memory.sql("INSERT INTO item SELECT n, 'x' FROM generate_series(1, 300) AS n")
    memory.sql("DELETE FROM item WHERE id > 250")
    async with memory.worker():
        await memory.equal(deferred=True)


async def test_a_killed_mongodb_is_caught_up_with(database, private_mongo) -> None:
    async with relayed(database, (private_mongo.url, "copy")) as relay, relay.worker():
        relay.sql("INSERT INTO item SELECT n, 'x' FROM generate_series(1, 2000) AS n")
        await relay.drained()
        relay.sql("INSERT INTO item SELECT n, 'x' FROM generate_series(2001, 9000) AS n")
        private_mongo.kill()
        relay.sql("DELETE FROM item WHERE id % 10 = 0")
        await until(lambda: relay.seen.outages)
        await asyncio.sleep(0.5)
        assert relay.counts()["parked"] == 0
        private_mongo.start()
        await relay.equal(seconds=30)


async def test_g2_what_is_acknowledged_survives_a_kill_of_mongodb(private_mongo) -> None:
    """With the driver's default write concern the last documents before the kill are forgotten."""
    for round_ in range(2):
        target = MongoTarget(private_mongo.url, "durable", timeout=timedelta(seconds=3))
        try:
            written = await _write_until_killed(target, private_mongo, round_)
        finally:
            await target.close()
        private_mongo.start()
        with MongoClient(private_mongo.url) as client:
            found = {d["_id"] for d in client["durable"]["things"].find({}, {"_id": 1})}
        assert written - found == set(), "acknowledged, and gone"


async def _write_until_killed(target: MongoTarget, server, round_: int) -> set[int]:
    from syncline.ports import Batch

    written: set[int] = set()
    killing = asyncio.get_running_loop().call_later(0.8, server.kill)
    for n in range(100_000):
        ids = [round_ * 10**6 + n * 3 + k for k in range(3)]
        first, *others = (state(document(id_, 1)) for id_ in ids)
        try:
            await target.apply(Batch(THINGS, inserts=[first], upserts=others))
        except TargetUnavailableError:
            break
        written.update(ids)
    killing.cancel()
    assert not server.running
    return written


async def test_a_refusal_of_the_server_parks_no_record(memory: Relay, monkeypatch) -> None:
    """The control collection may be written, the entity's may not: the probe succeeds, and no record is at fault."""
    monkeypatch.setattr("syncline.relay.clock.Backoff.next", lambda _self: timedelta(milliseconds=3))
    memory.target.refuses = True
    async with memory.worker():
        memory.sql("INSERT INTO item VALUES (1, 'x')")
        await until(lambda: len(memory.target.writes) > 30)
        untouched(memory, 1)
        memory.target.refuses = False
        await memory.equal()


async def test_a_wrong_password_parks_nothing(database) -> None:
    """Nor does anything else that is the server's."""
    async with (
        relayed(database, ("mongodb://u:wrong@%2Fnobody%2Fhere.sock/x", "x")) as relay,
        relay.worker(ready=False),
    ):
        relay.sql("INSERT INTO item VALUES (1, 'x')")
        await asyncio.sleep(1.5)
        untouched(relay, 1)
