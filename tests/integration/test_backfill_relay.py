"""The relay under the marks of a backfill: each is written once, and wide rows stay within the bound on memory."""

from __future__ import annotations

import asyncio

import pytest

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
    await until(lambda: relay.counts()["outbox"] == 1 and not worker._pump._under_way, what="one is acknowledged")
    return stop


async def test_a_mark_acknowledged_while_it_is_read_is_not_written_again(relay: Relay, monkeypatch) -> None:
    """A backfill would be written twice in parts, and taken for one of records that are there: three times as slow."""
    steps = Steps(monkeypatch)
    async with relay.worker() as worker:
        stop = await _held_after_reading_what_is_under_way(relay, worker, steps)
        stop.resume()
        await relay.equal(seconds=30)
    written = [d["_id"] for batch in relay.target.writes for d in (*batch.inserts, *batch.upserts)]
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
        await until(lambda: relay.counts()["outbox"] == 1 and not worker._pump._under_way, what="it is acknowledged")
        stop.resume()
        await relay.equal(seconds=30)
