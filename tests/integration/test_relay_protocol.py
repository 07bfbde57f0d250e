"""The protocol, step by step: each test brings about one interleaving that a missing mechanism would not survive.

The interleavings are those that the model (``tests/model``) finds when a mechanism is taken out.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest

from syncline.engines.opening import open_source
from syncline.engines.postgres.waker import PostgresWaker
from syncline.model.mark import epoch_of
from syncline.ports import Acknowledgement, Batch
from syncline.relay import reader
from tests.relay import AT_ONCE, ITEM, Relay, relayed, until
from tests.steps import Steps

GRACE = timedelta(seconds=1)


@pytest.fixture
async def relay(database):
    async with relayed(database) as found:
        yield found


@pytest.fixture
def steps(monkeypatch) -> Steps:
    return Steps(monkeypatch)


def expire(relay: Relay, worker) -> None:
    relay.sql("UPDATE syncline.worker SET expires_at = clock_timestamp() - interval '1 s' WHERE id = %s", worker.id)


def keys_of(batch: Batch) -> set[str]:
    return {state.key for state in batch.states} | {gone.key for gone in batch.deletes}


# -- marks, ticket, state, write, acknowledgement: in this order


async def test_a_change_after_the_marks_were_read_is_not_lost(relay: Relay, steps: Steps) -> None:
    async with relay.worker() as worker:
        stop = steps.stop(worker, "after read_marks")
        relay.sql("INSERT INTO item VALUES (1, 'first')")
        await stop.wait_reached()
        relay.sql("UPDATE item SET name = 'second'")
        stop.resume()
        await relay.equal()


async def test_g2_a_change_after_the_states_were_read_is_not_lost(relay: Relay, steps: Steps) -> None:
    """Its mark was not read: whoever acknowledges it all the same has seen the state before the mark."""
    async with relay.worker() as worker:
        stop = steps.stop(worker, "after read_states", wanted=lambda states: bool(states.rows))
        relay.sql("INSERT INTO item VALUES (1, 'first')")
        await stop.wait_reached()
        relay.sql("UPDATE item SET name = 'second'")
        stop.resume()
        await relay.equal()
        assert relay.document(1)["name"] == "second"


async def test_g2_a_change_while_the_batch_is_written_is_not_lost(relay: Relay) -> None:
    changed = False

    async def change(_batch) -> None:
        nonlocal changed
        if not changed:
            changed = True
            relay.sql("UPDATE item SET name = 'second'")

    relay.target.after_apply = change
    async with relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'first')")
        await relay.equal()
        assert relay.document(1)["name"] == "second"


async def test_g2_marks_stay_until_the_target_has_the_state(relay: Relay) -> None:
    gate = asyncio.Event()

    async def wait(_batch) -> None:
        await gate.wait()

    relay.target.before_apply = wait
    async with relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'x')")
        await until(lambda: relay.target.writes)
        await asyncio.sleep(0.3)
        assert relay.counts()["outbox"] == 1
        gate.set()
        await relay.equal()


async def test_g4_a_key_is_in_one_write_at_a_time(relay: Relay) -> None:
    relay.worker_options |= {"writers": 8}
    gate = asyncio.Event()

    async def wait(_batch) -> None:
        await gate.wait()

    relay.target.before_apply = wait
    async with relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'x')")
        await until(lambda: relay.target.writes)
        relay.sql("UPDATE item SET name = 'y'")
        relay.sql("INSERT INTO item VALUES (2, 'other')")
        await until(lambda: len(relay.target.writes) == 2)
        await asyncio.sleep(0.3)
        assert [keys_of(batch) for batch in relay.target.writes] == [{"1"}, {"2"}]
        gate.set()
        await relay.equal()


async def test_g3_a_retry_reads_again_under_a_new_ticket(relay: Relay) -> None:
    """The write was executed, its reply was lost, and the record has changed since."""
    relay.target.lose_replies = 1

    async def change(_batch) -> None:
        relay.target.after_apply = None
        relay.sql("UPDATE item SET name = 'second'")

    relay.target.after_apply = change
    async with relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'first')")
        await relay.equal()
        assert relay.document(1)["name"] == "second"
    tickets = [state.ticket for batch in relay.target.writes for state in batch.states]
    assert tickets == sorted(set(tickets)), "each write has a ticket of its own"


async def test_g4_readers_never_see_a_state_go_back(relay: Relay) -> None:
    """Ever new states of few records, with replies lost and writes delivered late, from two workers."""
    seen: dict[int, int] = {}

    async def look(_batch) -> None:
        for document in relay.raw():
            assert document["qty"] >= seen.get(document["_id"], 0), "went back"
            seen[document["_id"]] = document["qty"]

    relay.target.after_apply = look
    relay.sql("INSERT INTO item SELECT n, 'x' FROM generate_series(1, 5) AS n")
    async with relay.worker(), relay.worker():
        for round_ in range(40):
            relay.sql("UPDATE item SET qty = qty + 1")
            if round_ % 8 == 3:
                relay.target.lose_replies = 1
            if round_ % 8 == 6:
                relay.target.hold_writes = 1
            await asyncio.sleep(0.02)
            for held in relay.target.held:
                await held.deliver()
                await look(held.batch)
        relay.target.lose_replies = relay.target.hold_writes = 0
        await relay.equal()


async def test_a_batch_that_waited_too_long_is_not_sent(relay: Relay, steps: Steps) -> None:
    """Its states may be older than the grace of a second delete."""
    relay.worker_options |= {"max_batch_age": timedelta(seconds=0.3)}
    async with relay.worker() as worker:
        stop = steps.stop(worker, "after read_states", wanted=lambda states: bool(states.rows))
        relay.sql("INSERT INTO item VALUES (1, 'old')")
        await stop.wait_reached()
        relay.sql("UPDATE item SET name = 'new'")
        await asyncio.sleep(0.5)
        stop.resume()
        await relay.equal()
    names = [state.body["name"] for batch in relay.target.writes for state in batch.states]
    assert set(names) == {"new"}
    assert relay.seen.drops


# -- who may acknowledge, and under which epoch


async def test_g3_a_worker_frozen_with_a_state_cannot_bring_it_back(relay: Relay, steps: Steps) -> None:
    """It read the state, lost its lanes, another one wrote a newer state, and it got the lanes again."""
    async with relay.worker() as first:
        pump = steps.stop(first, "after read_states", wanted=lambda states: bool(states.rows))
        relay.sql("INSERT INTO item VALUES (1, 'old')")
        await pump.wait_reached()
        keeper = steps.stop(first, "before renew")
        await keeper.wait_reached()
        expire(relay, first)
        async with relay.worker():
            relay.sql("UPDATE item SET name = 'new'")
            await relay.drained()
            assert relay.document(1)["name"] == "new"
        keeper.resume()
        await until(lambda: list(relay.owners().items()) == [(first.id, 64)])
        await asyncio.sleep(0.3)
        pump.resume()
        await until(lambda: len(relay.target.writes) >= 3, what="it has sent its state")
        await relay.equal()


async def test_g3_a_worker_frozen_with_a_state_cannot_bring_back_a_deleted_record(relay: Relay, steps: Steps) -> None:
    """The one case that no fence stops: the second delete mends it."""
    async with relay.worker() as first:
        pump = steps.stop(first, "after read_states", wanted=lambda states: bool(states.rows))
        relay.sql("INSERT INTO item VALUES (1, 'old')")
        await pump.wait_reached()
        keeper = steps.stop(first, "before renew")
        await keeper.wait_reached()
        expire(relay, first)
        async with relay.worker():
            relay.sql("DELETE FROM item")
            await relay.drained()
            acknowledging = steps.stop(first, "before acknowledge")
            pump.resume()
            await acknowledging.wait_reached()
            assert relay.document(1), "the late write is there"
            await relay.equal(deferred=True)
            acknowledging.resume()
            keeper.resume()
            await relay.equal(deferred=True)


async def test_g2_an_acknowledgement_without_the_lease_removes_nothing(relay: Relay, steps: Steps) -> None:
    async with relay.worker() as first:
        pump = steps.stop(first, "before acknowledge")
        relay.sql("INSERT INTO item VALUES (1, 'x')")
        await pump.wait_reached()
        keeper = steps.stop(first, "before renew")
        await keeper.wait_reached()
        expire(relay, first)
        async with relay.worker(ready=False) as second:
            reading = steps.stop(second, "before read_marks")
            await reading.wait_reached()
            assert relay.owners() == {second.id: 64}
            pump.resume()
            await until(lambda: relay.seen.drops, what="it is refused")
            marks = relay.sql("SELECT hint::text FROM syncline.waiting ORDER BY seq")
            assert marks == [("I",), ("R",)], "still there, and marked once more"
            reading.resume()
            keeper.resume()
            await relay.equal()


async def test_g2_an_acknowledgement_waits_for_an_uncommitted_takeover(relay: Relay) -> None:
    """The lease row is locked: else the marks would go under a lease that is lost a moment later."""
    relay.sql("INSERT INTO item VALUES (1, 'x')")
    worker = "00000000-0000-0000-0000-000000000001"
    source = await open_source(relay.url, worker=worker)
    try:
        await source.journal.lanes.renew(name="w", version="1", ttl=timedelta(seconds=60), confirmed=0, report={})
        taken = await source.journal.lanes.acquire(range(64), above=0)
        (mark,) = await source.marks.read(after=0, lanes=-1, limit=10)
        ack = Acknowledgement([mark], leases={mark[1]: taken[mark[1]]})
        with psycopg.connect(relay.url) as other:
            other.execute("UPDATE syncline.lane SET owner = gen_random_uuid(), epoch = epoch + 1")
            acknowledging = asyncio.create_task(source.marks.acknowledge(ack, grace=GRACE, history=False))
            await asyncio.sleep(0.3)
            assert not acknowledging.done()
            other.commit()
            assert await acknowledging == set()
        assert relay.counts()["outbox"] == 1
    finally:
        await source.close()


async def test_epochs_are_above_what_the_target_has_seen(relay: Relay) -> None:
    """After a restore of the source its counter is behind; a lower ticket would be taken for old."""
    await relay.target.announce(dict.fromkeys(range(64), 5000))
    relay.target.target.store(ITEM, {"_id": 1, "_originalId": "1", "name": "before the restore", "_v": 5000 << 31})
    async with relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'after')")
        await relay.equal(tasks=True)
    assert relay.value("SELECT min(epoch) FROM syncline.lane") > 5000
    assert epoch_of(relay.document(1)["_v"]) > 5000


async def test_nothing_is_written_before_the_epoch_stands_in_the_target(relay: Relay) -> None:
    """An acquisition that the target was not told of is none."""
    original = relay.target.target.announce
    told = 0

    async def silent(epochs):
        nonlocal told
        told += 1
        return set()

    relay.target.target.announce = silent
    async with relay.worker(ready=False):
        relay.sql("INSERT INTO item VALUES (1, 'x')")
        before = told
        await until(lambda: told >= before + 4 or relay.target.writes)  # four renewals, however slow the machine
        assert relay.target.writes == []
        assert relay.value("SELECT max(confirmed) FROM syncline.lane") == 0
        relay.target.target.announce = original
        await relay.equal()


# -- deletes are done twice


async def test_g3_a_delete_is_done_twice(relay: Relay) -> None:
    async with relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'x')")
        await relay.drained()
        relay.sql("DELETE FROM item")
        await relay.drained()
        assert relay.document(1) is None
        due = relay.value("SELECT due - clock_timestamp() FROM syncline.deferred")
        assert timedelta(seconds=0.2) < due <= GRACE
        await relay.equal(deferred=True)
    assert sum(bool(batch.deletes) for batch in relay.target.writes) == 2


async def test_g3_a_late_write_of_a_deleted_record_is_removed(relay: Relay) -> None:
    """Sent before the delete, given up by its sender, executed after it."""
    relay.target.hold_writes = 1

    async def delete(_batch) -> None:
        relay.target.before_apply = None
        relay.sql("DELETE FROM item")

    relay.target.before_apply = delete
    async with relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'x')")
        await until(lambda: any(batch.deletes for batch in relay.target.writes))
        await relay.drained()
        await asyncio.sleep(0.4)
        await relay.target.held[0].deliver()
        assert relay.document(1) is not None, "no fence can stop it"
        await relay.equal(deferred=True)
        assert relay.document(1) is None


async def test_a_record_that_comes_back_is_not_deleted_again(relay: Relay) -> None:
    async with relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'x')")
        relay.sql("DELETE FROM item")
        await relay.drained()
        relay.sql("INSERT INTO item VALUES (1, 'back')")
        await relay.equal(deferred=True)
        assert relay.document(1)["name"] == "back"


async def test_a_second_delete_that_is_due_while_the_target_is_away_waits(relay: Relay) -> None:
    async with relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'x')")
        await relay.drained()
        relay.sql("DELETE FROM item")
        await relay.drained()
        relay.target.unavailable = True
        await until(lambda: relay.counts()["deferred"] == 0, what="it is due")
        await asyncio.sleep(0.3)
        assert relay.counts()["outbox"] == 1
        relay.target.unavailable = False
        await relay.equal(deferred=True)


# -- reading without a cursor


async def test_g2_the_floor_waits_for_open_transactions(relay: Relay, monkeypatch) -> None:
    """A pass may start above zero only where no mark can appear any more."""
    monkeypatch.setattr(reader, "FLOOR_SECONDS", 0.0)
    monkeypatch.setattr(reader, "PASS_SECONDS", 0.0)
    async with relay.worker() as worker:
        relay.sql("INSERT INTO item VALUES (0, 'x')")
        await relay.drained()
        with psycopg.connect(relay.url) as early:
            early.execute("INSERT INTO item VALUES (1, 'drawn first')")
            for n in range(2, 30):
                relay.sql("INSERT INTO item VALUES (%s, 'x')", n)
                await asyncio.sleep(0.01)
            await until(lambda: relay.counts()["outbox"] == 0)
            early.commit()
        await until(lambda: relay.document(1))
        for n in range(30, 60):
            relay.sql("INSERT INTO item VALUES (%s, 'x')", n)
            await asyncio.sleep(0.01)
        assert worker._pump._reader._floor.value > 20, "it does rise"
        await relay.equal()


async def test_a_commit_between_the_last_look_and_the_wake_lock_is_seen(relay: Relay, steps: Steps) -> None:
    """Whoever becomes idle looks once more after taking the lock: no writer has notified before."""
    inserted = []

    def insert(waker: PostgresWaker) -> None:
        if not inserted and not waker.holds:
            inserted.append(1)
            relay.sql("INSERT INTO item VALUES (1, 'just in time')")

    steps.hooks["before arm"] = insert
    async with relay.worker():
        await until(lambda: inserted)
        assert await relay.drained() < AT_ONCE
        await relay.equal()


async def test_a_key_under_way_is_found_again(relay: Relay) -> None:
    """Its newer mark was passed over; nobody wakes the worker for it a second time."""
    gate = asyncio.Event()

    async def wait(_batch) -> None:
        await gate.wait()

    relay.target.before_apply = wait
    async with relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'x')")
        await until(lambda: relay.target.writes)
        relay.sql("UPDATE item SET name = 'y'")
        await asyncio.sleep(0.3)
        gate.set()
        assert await relay.drained() < AT_ONCE
        await relay.equal()
