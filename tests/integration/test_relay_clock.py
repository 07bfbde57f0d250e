"""The source's clock is set back: lanes of the dead do not stay theirs for that long, and the living keep theirs."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.relay import Relay, relayed, until

SET_BACK = "UPDATE syncline.worker SET expires_at = expires_at + interval '1 hour'"
"""What remains when the clock goes back by an hour."""


@pytest.fixture
async def relay(database):
    async with relayed(database, lease=timedelta(seconds=30)) as relay:
        yield relay


async def test_lanes_of_a_dead_worker_are_taken_over_after_its_lease(relay: Relay) -> None:
    relay.sql(
        "INSERT INTO syncline.worker (id, name, version, expires_at, report) VALUES"
        " (gen_random_uuid(), 'dead', '0', clock_timestamp() + interval '2 s', '{\"lease_seconds\": 2.0}')"
    )
    relay.sql("UPDATE syncline.lane SET owner = (SELECT id FROM syncline.worker), epoch = 1, confirmed = 1")
    relay.sql("UPDATE syncline.meta SET epoch = 1")
    relay.sql(SET_BACK)
    relay.sql("INSERT INTO item VALUES (1, 'a')")
    async with relay.worker(ready=False) as worker:
        await until(lambda: relay.owners().get(worker.id) == 64, seconds=20, what="the lanes are taken over")
        await relay.equal()


async def test_living_workers_go_on_as_if_nothing_had_happened(relay: Relay) -> None:
    async with relay.worker() as one, relay.worker() as other:
        await until(lambda: relay.owners() == {one.id: 32, other.id: 32}, seconds=20, what="the lanes are shared")
        epochs = relay.sql("SELECT lane, epoch FROM syncline.lane ORDER BY lane")
        relay.sql(SET_BACK)
        seconds = "SELECT extract(epoch FROM max(expires_at) - clock_timestamp())::float8 FROM syncline.worker"
        await until(lambda: relay.value(seconds) < 60, seconds=20, what="both live by the new clock")
        relay.sql("INSERT INTO item SELECT n, 'a' FROM generate_series(1, 200) AS n")
        await relay.equal()
        assert relay.sql("SELECT lane, epoch FROM syncline.lane ORDER BY lane") == epochs
