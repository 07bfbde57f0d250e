"""Several workers share the work; whoever dies, freezes or is stopped, nothing is lost and the others go on."""

from __future__ import annotations

import asyncio
import signal
import time
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from syncline.engines.opening import open_source
from syncline.errors import NotInstalledError, SourceUnavailableError
from syncline.relay.leases import Leases
from syncline.relay.restores import Restores
from syncline.telemetry.observer import NullObserver
from syncline.wiring.sides import open_target
from tests.relay import AT_ONCE, PATIENCE, Relay, relayed, until

LEASES = {
    "lease": timedelta(seconds=3),
    "renew": timedelta(seconds=1),
    "max_batch_age": timedelta(seconds=1.5),
    "grace": timedelta(seconds=4),
}
"""Leases as by default: what is promised is promised with these."""


@pytest.fixture
async def relay(database, mongo_url, mongo_db):
    async with relayed(database, (mongo_url, mongo_db), **LEASES) as found:
        yield found


@pytest.fixture
async def memory(database):
    async with relayed(database) as found:
        yield found


def insert(relay: Relay, low: int, high: int) -> None:
    relay.sql("INSERT INTO item SELECT n, 'n' || n FROM generate_series(%s::int, %s::int) AS n", low, high)


async def test_workers_share_the_lanes_evenly_and_take_over_after_a_kill(relay: Relay, tmp_path) -> None:
    with relay.process(tmp_path), relay.process(tmp_path, ready=False) as second:
        await until(lambda: sorted(relay.owners().values()) == [32, 32])
        insert(relay, 1, 2000)
        second.kill()
        died = time.monotonic()
        insert(relay, 2001, 4000)
        await relay.drained()
        assert time.monotonic() - died < AT_ONCE, "taken over when the lease has run out, not after a poll"
        relay.assert_equal()
        assert list(relay.owners().values()) == [64]
        assert relay.parked() == {}


async def test_g3_a_frozen_worker_that_wakes_up_late_changes_nothing_back(relay: Relay, tmp_path) -> None:
    with relay.process(tmp_path) as first:
        insert(relay, 1, 500)
        await relay.drained()
        insert(relay, 501, 4000)
        await asyncio.sleep(0.15)
        first.send_signal(signal.SIGSTOP)  # somewhere in the middle of its batches
        with relay.process(tmp_path, ready=False):
            relay.sql("UPDATE item SET qty = 1")
            relay.sql("DELETE FROM item WHERE id % 3 = 0")
            await relay.drained(seconds=90)
            relay.assert_equal()
            first.send_signal(signal.SIGCONT)
            await until(lambda: sorted(relay.owners().values()) == [32, 32])
            relay.sql("UPDATE item SET qty = 2 WHERE id % 7 = 0")
            await relay.equal(deferred=True)
            assert first.poll() is None


async def test_sigterm_finishes_the_batch_and_gives_the_lanes_back(relay: Relay, tmp_path) -> None:
    with relay.process(tmp_path) as process:
        insert(relay, 1, 30000)
        await asyncio.sleep(0.1)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, PATIENCE) == 0
        assert time.monotonic() - began < AT_ONCE
        assert relay.owners() == {}
        assert relay.value("SELECT count(*) FROM syncline.worker") == 0
        left = relay.counts()["outbox"]
        assert len(relay.raw()) + left == 30000, "what was written is acknowledged, the rest still marked"
    async with relay.worker():
        await relay.equal()


async def test_a_stopping_worker_hands_over_at_once(memory: Relay) -> None:
    memory.worker_options["lease"] = timedelta(minutes=5)
    async with memory.worker():
        async with memory.worker():
            await until(lambda: sorted(memory.owners().values()) == [32, 32])
        took = await until(lambda: list(memory.owners().values()) == [64])
        assert took < AT_ONCE, "without waiting for the lease to run out"


async def test_a_stop_waits_only_so_long_for_a_stuck_target(memory: Relay) -> None:
    async def stuck(_batch) -> None:
        await asyncio.sleep(600)

    memory.target.before_apply = stuck
    async with memory.worker() as worker:
        memory.sql("INSERT INTO item VALUES (1, 'x')")
        await until(lambda: memory.target.writes)
        began = time.monotonic()
        worker.stop()
        await until(lambda: not memory.owners())
        assert time.monotonic() - began < AT_ONCE
    memory.target.before_apply = None
    async with memory.worker():
        await memory.equal()


async def test_a_stop_while_the_target_is_away_at_the_start(relay: Relay) -> None:
    """The worker has not even begun."""
    relay.mongo = ("mongodb://%2Fnobody%2Fhere.sock", "nowhere")
    relay.target = open_target(relay.settings)
    async with relay.worker(ready=False) as worker:
        await asyncio.sleep(0.7)
        began = time.monotonic()
        worker.stop()
        await until(lambda: not relay.workers[0]._pump)
        assert time.monotonic() - began < AT_ONCE
    await relay.target.close()


async def test_lanes_move_only_when_nothing_of_them_is_under_way(memory: Relay) -> None:
    gate = asyncio.Event()

    async def wait(_batch) -> None:
        await gate.wait()

    async with memory.worker() as first:
        memory.target.before_apply = wait
        memory.sql("INSERT INTO item SELECT n, 'x' FROM generate_series(1, 90) AS n")
        await until(lambda: memory.target.writes)
        busy = set(first._pump.in_flight.lanes())
        assert len(busy) > 32
        async with memory.worker(ready=False) as second:
            await asyncio.sleep(1)
            owners = dict(memory.sql("SELECT lane, owner::text FROM syncline.lane"))
            assert {lane for lane, owner in owners.items() if owner == second.id} & busy == set()
            gate.set()
            await until(lambda: sorted(memory.owners().values()) == [32, 32])
            await memory.equal()
            assert memory.seen.drops == []


async def test_many_workers_come_and_go_under_load(memory: Relay) -> None:
    async def live(delay: float, seconds: float) -> None:
        await asyncio.sleep(delay)
        async with memory.worker(ready=False):
            await asyncio.sleep(seconds)

    async def write() -> None:
        for n in range(150):
            memory.sql("INSERT INTO item VALUES (%s, 'x') ON CONFLICT (id) DO UPDATE SET qty = item.qty + 1", n % 40)
            if n % 7 == 0:
                memory.sql("DELETE FROM item WHERE id = %s", n % 40 - 1)
            await asyncio.sleep(0.02)

    async with memory.worker():
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(write())
            for start, length in ((0.2, 1.0), (0.5, 2.0), (1.0, 0.8), (1.5, 1.0)):
                tasks.create_task(live(start, length))
        await memory.equal(deferred=True)
    assert memory.seen.outages == []


# -- the source


async def test_a_restart_of_the_source_is_survived(private_postgres, mongo_url, mongo_db) -> None:
    async with relayed(private_postgres.url, (mongo_url, mongo_db)) as relay, relay.worker():
        insert(relay, 1, 100)
        await relay.drained()
        private_postgres.kill()
        await asyncio.sleep(0.5)
        private_postgres.start()
        relay.conn.close()
        relay.conn = psycopg.connect(relay.url, autocommit=True)
        insert(relay, 101, 200)
        await relay.equal()
        assert any(side == "source" for side, _ in relay.seen.outages)


async def test_cut_connections_are_made_again(memory: Relay) -> None:
    async with memory.worker() as worker:
        for n in range(4):
            await until(lambda: memory._owns(worker))
            role = ("reader", "acker", "control", "listener")[n]
            memory.sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", f"syncline {role}"
            )
            memory.sql("INSERT INTO item VALUES (%s, 'x')", n)
            await until(lambda n=n: len([1 for side, _ in memory.seen.outages if side == "source"]) > n, what=role)
        memory.sql("INSERT INTO item VALUES (9, 'x')")
        await memory.equal()


async def test_a_worker_without_installation_says_so(database) -> None:
    async with relayed(database) as relay:
        await relay.uninstall()
        with pytest.raises(NotInstalledError):
            async with relay.worker():
                pass


async def test_a_worker_whose_source_cannot_be_reached_says_so(memory: Relay) -> None:
    memory.url = "postgresql://postgres@127.0.0.1:1/nowhere"
    with pytest.raises(SourceUnavailableError):
        async with memory.worker():
            pass


async def test_an_uninstallation_under_way_ends_the_worker(memory: Relay) -> None:
    async def uninstalled() -> None:
        async with memory.worker(ready=False) as worker:
            await until(lambda: memory._owns(worker))
            await memory.uninstall()
            await until(lambda: worker._pump is None)

    with pytest.raises(NotInstalledError, match="gone"):
        await uninstalled()


async def test_a_new_session_gives_back_what_is_above_its_share(memory):
    """Another worker has come between two sessions: the lanes of the first one would be nobody's, and never free."""
    source = await open_source(memory.url, worker=str(uuid4()))

    def session() -> Leases:
        restores = Restores(source.journal, {}, NullObserver())
        return Leases(source, memory.target, restores, NullObserver(), name="one", ttl=timedelta(hours=1))

    try:
        first = session()
        await first.renew()
        assert len(first.held) == 64
        memory.sql(
            "INSERT INTO syncline.worker (id, name, version, expires_at)"
            " VALUES (gen_random_uuid(), 'two', '0', clock_timestamp() + interval '1 hour')"
        )
        second = session()
        await second.renew()
        assert len(second.held) == 32
        assert memory.owners() == {source.worker: 32}
    finally:
        await source.close()
