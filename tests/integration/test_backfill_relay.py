"""The relay under the marks of a backfill: each is written once, and wide rows stay within the bound on memory."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from syncline.engines.postgres.bounded import Bound
from syncline.engines.postgres.plans import compile_plans
from syncline.errors import SourceUnavailableError
from syncline.ports import Excerpt
from syncline.postgres.connection import connect
from syncline.postgres.loaders import register_loaders
from syncline.wiring import worker as wiring
from tests.relay import Relay, relayed, until
from tests.steps import Steps


@pytest.fixture
async def relay(database):
    async with relayed(database) as found:
        yield found


def has_key(key: str):
    return lambda marks: key in {mark[3] for mark in marks}


async def _held_after_reading_what_is_under_way(relay: Relay, worker, steps: Steps):
    """One is being written while it is read a second time, together with two; then its write is acknowledged."""
    gate = asyncio.Event()
    relay.target.before_apply = lambda _: gate.wait()
    relay.sql("INSERT INTO item VALUES (1, 'x')")
    await until(lambda: relay.target.writes, what="one is on its way")
    stop = steps.stop(worker, "after read_marks", wanted=has_key("2"))
    relay.sql("INSERT INTO item VALUES (2, 'y')")
    await stop.wait_reached(20)
    gate.set()
    await until(lambda: relay.counts()["outbox"] == 1 and not worker._pump.in_flight.works, what="one is acknowledged")
    return stop


async def test_a_mark_acknowledged_while_it_is_read_is_not_written_again(relay: Relay, monkeypatch) -> None:
    """A backfill would be written twice in parts, and taken for one of records that are there: three times as slow."""
    steps = Steps(monkeypatch)
    async with relay.worker() as worker:
        stop = await _held_after_reading_what_is_under_way(relay, worker, steps)
        stop.resume()
        await relay.equal(seconds=30)
    written = [state.id for batch in relay.target.writes for state in batch.states]
    assert sorted(written) == [1, 2]


async def test_a_newer_mark_of_a_key_that_ends_meanwhile_is_found(relay: Relay, monkeypatch) -> None:
    """Nobody wakes the worker for it a second time, and it polls once a minute."""
    steps = Steps(monkeypatch)
    gate = asyncio.Event()
    async with relay.worker() as worker:
        relay.target.before_apply = lambda _: gate.wait()
        relay.sql("INSERT INTO item VALUES (1, 'x')")
        await until(lambda: relay.target.writes, what="it is on its way")
        stop = steps.stop(worker, "after read_marks", wanted=lambda marks: len(marks) == 2)
        relay.sql("UPDATE item SET name = 'y'")
        await stop.wait_reached(20)
        gate.set()
        await until(
            lambda: relay.counts()["outbox"] == 1 and not worker._pump.in_flight.works, what="it is acknowledged"
        )
        stop.resume()
        await relay.equal(seconds=30)


WIDE = """
CREATE TABLE item (id bigint PRIMARY KEY, name text, qty int NOT NULL DEFAULT 0);
ALTER TABLE item ALTER name SET STORAGE EXTERNAL;
INSERT INTO item SELECT n, 'narrow' FROM generate_series(1, 2000) AS n;
"""
SLOW = {"bytes_in_flight": 8 * 1024 * 1024, "grace": timedelta(seconds=20), "max_batch_age": timedelta(seconds=10)}


async def test_a_worker_holds_few_of_a_backfills_wide_rows_at_a_time(database, mongo_url, mongo_db, tmp_path) -> None:
    """It has seen narrow rows only when it comes to them, and reads a thousand at a time."""
    async with relayed(database, (mongo_url, mongo_db), ddl=WIDE, **SLOW) as relay:
        with relay.process(tmp_path) as process:
            await relay.drained(seconds=30, tasks=True)
            before = peak(process.pid)
            relay.sql("ALTER TABLE item DISABLE TRIGGER ALL")
            relay.sql("INSERT INTO item SELECT n, 'narrow' FROM generate_series(2001, 5000) AS n")
            relay.sql("INSERT INTO item SELECT n, repeat(n::text, 200000) FROM generate_series(10001, 10250) AS n")
            relay.sql("INSERT INTO syncline.task (kind, entity, reason) VALUES ('backfill', 1, 'test')")
            await relay.drained(seconds=60, tasks=True)
            assert (grown := peak(process.pid) - before) < 180, grown
        found = relay.raw()
        assert len(found) == 5250
        assert {len(document["name"]) for document in found if document["_id"] > 10000} == {1_000_000}


def peak(pid: int) -> float:
    """Highest resident memory of a process, in megabytes."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


async def test_without_room_for_one_more_connection_tasks_wait_and_all_else_goes_on(relay: Relay, monkeypatch) -> None:
    held = "SELECT count(*) FROM syncline.notice WHERE name = 'TaskHeld' AND resolved_at IS NULL"
    opened = wiring.opened_source

    def refused(*_, **__):
        raise SourceUnavailableError("sorry, too many clients already")

    monkeypatch.setattr(wiring, "TASK_SECONDS", 0.05)
    monkeypatch.setattr(wiring, "opened_source", refused)
    relay.sql("INSERT INTO syncline.task (kind, entity, reason) VALUES ('backfill', 1, 'test')")
    async with relay.worker():
        await until(lambda: relay.value(held) == 1, what="it is said that the task waits")
        relay.sql("INSERT INTO item VALUES (1, 'x')")
        await relay.equal()
        assert relay.counts()["task"]
        monkeypatch.setattr(wiring, "opened_source", opened)
        await relay.equal(tasks=True)
        assert relay.value(held) == 0
    assert relay.seen.outages == []


async def test_states_that_do_not_fit_are_left_for_the_next_read(database):
    async with relayed(database, ddl=WIDE) as relay:
        relay.sql("INSERT INTO item SELECT n, repeat(n::text, 20000) FROM generate_series(10001, 10100) AS n")
        connection = await connect(database, keyed=True)
        try:
            register_loaders(connection.adapters)
            plan = (await compile_plans(connection, relay.entities)).by_id[1]
            bound = Bound(2_000_000)
            left = [str(n) for n in (*range(1, 41), *range(10001, 10101), 99999)]
            reads = []
            while left:
                states = await bound.read(connection, plan, left)
                found = {row[-1] for row in states.rows}
                assert found
                assert sum(len(str(row)) for row in states.rows) < 4_000_000
                reads.append(type(states))
                left = [key for key in left if key not in found] if isinstance(states, Excerpt) else []
            assert reads[0] is Excerpt
            assert reads[-1] is not Excerpt
            assert len(reads) > 4
        finally:
            await connection.close()
