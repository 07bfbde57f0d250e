"""A worker at rest, whose next renewal is an hour away: a change wakes it, and so does another worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from syncline.relay import rest
from syncline.relay.worker import Worker
from tests.relay import Relay, relayed, until

HOUR = timedelta(hours=1)
AT_REST = "SELECT count(*) FROM syncline.worker WHERE report->'usual_lease_seconds' IS NOT NULL"


@pytest.fixture
async def relay(database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Relay]:
    monkeypatch.setattr(rest, "WORK_PAUSE", timedelta(0))
    monkeypatch.setattr(rest, "QUIET", timedelta(seconds=0.2))
    monkeypatch.setattr(rest, "DEFERRED_SECONDS", 0.2)
    monkeypatch.setattr(rest, "PAUSE", HOUR)
    seconds = {"renew": 0.1, "lease": 2, "grace": 0.3, "max_batch_age": 0.2, "poll": 3600}
    worker: Any = {name: timedelta(seconds=value) for name, value in seconds.items()}
    async with relayed(database, **worker) as made:
        yield made


@asynccontextmanager
async def resting(relay: Relay) -> AsyncIterator[Worker]:
    """Run a worker that rests when the block begins."""
    async with relay.worker(one_of_many=True) as worker:
        await until(lambda: relay.value(AT_REST) == 1, what="it rests")
        yield worker


async def test_a_change_ends_a_rest(relay: Relay) -> None:
    """Else its second delete would not be marked before the next renewal."""
    async with resting(relay):
        relay.sql("INSERT INTO item (id, name) VALUES (1, 'one')")
        await relay.equal()
        await until(lambda: relay.value(AT_REST) == 1, what="it rests again")
        relay.sql("DELETE FROM item")
        await relay.equal(deferred=True)


async def test_a_worker_at_rest_shares_with_one_that_starts(relay: Relay) -> None:
    async with resting(relay), relay.worker(one_of_many=True):
        await until(lambda: sorted(relay.owners().values()) == [32, 32], what="they share")
        assert relay.value(AT_REST) == 0, "who is not alone does not rest"


async def test_a_worker_alone_at_work_shares_with_one_that_starts(
    relay: Relay, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writers' notifications do not have it renew; a call does."""
    monkeypatch.setattr(rest, "WORK_PAUSE", HOUR)
    monkeypatch.setattr(rest, "QUIET", HOUR)
    async with resting(relay):
        relay.sql("INSERT INTO item (id, name) VALUES (1, 'one')")
        await relay.equal()
        assert relay.value(AT_REST) == 1
        async with relay.worker(one_of_many=True):
            await until(lambda: sorted(relay.owners().values()) == [32, 32], what="they share")


async def test_lanes_of_a_worker_that_died_at_rest_are_free_after_a_usual_lease(relay: Relay) -> None:
    dead = str(uuid4())
    relay.sql(
        "INSERT INTO syncline.worker (id, name, version, expires_at, report) VALUES (%s, 'dead', '1',"
        " clock_timestamp() + interval '1 hour', '{\"lease_seconds\": 3600, \"usual_lease_seconds\": 0.5}')",
        dead,
    )
    relay.sql("UPDATE syncline.lane SET owner = %s, epoch = 1, confirmed = 1", dead)
    relay.sql("UPDATE syncline.meta SET epoch = 1")
    async with relay.worker() as worker:
        await until(lambda: relay.owners() == {worker.id: 64}, what="it has every lane")
        relay.sql("INSERT INTO item (id, name) VALUES (1, 'one')")
        await relay.equal()
