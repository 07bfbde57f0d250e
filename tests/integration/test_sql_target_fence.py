"""The fence of an SQL target: the interleavings that its model (tests/model/sql) finds when a rule is taken out."""

from __future__ import annotations

import asyncio
import contextlib

import psycopg
import pytest

from syncline.engines.postgres.target.session import connect
from syncline.errors import LaneLostError, TargetUnavailableError
from tests.sql_target import LANES, session, stage, waiting

TABLE = "CREATE TABLE things (id int PRIMARY KEY, note text)"
ENTER = "SELECT syncline_target.enter('{0}', '{1}')"


async def test_an_announcement_waits_for_the_lanes_open_batches(database):
    async with stage(database, TABLE, tables=["things"]) as on:
        with session(database) as old:
            old.execute(ENTER)
            old.execute("INSERT INTO things VALUES (1, 'old')")
            announcing = asyncio.create_task(on.target.announce({0: 2}))
            await waiting(database, announcing, locktype="advisory")
            assert not announcing.done()
            old.commit()
            assert await announcing == {0}
        # What the old owner had open is seen by the new one's delete.
        await on.target.write({0: 2}, [on.changes("things", gone=[1])])
        assert on.rows("things") == []


async def test_lanes_without_an_open_batch_are_announced_together_and_wait_for_no_other(database):
    async with stage(database, TABLE, tables=["things"]) as on:
        with session(database) as old, session(database) as looking:
            old.execute(ENTER)
            announcing = asyncio.create_task(on.target.announce(dict.fromkeys(range(64), 2)))
            await waiting(database, announcing, locktype="advisory")
            told = "SELECT count(*), count(DISTINCT xmin::text) FROM syncline_target.lane_epoch WHERE epoch = 2"
            assert looking.execute(told).fetchone() == (63, 1)
            old.commit()
            assert await announcing == set(range(64))


async def test_an_announced_epoch_shuts_out_older_batches(database):
    async with stage(database, TABLE, tables=["things"]) as on:
        await on.target.announce({0: 2})
        with pytest.raises(LaneLostError) as lost:
            await on.put("things", (1, "late"))
        assert (lost.value.lanes, lost.value.unknown) == ({0}, False)
        assert on.rows("things") == []
        await on.target.write({5: 1}, [on.changes("things", (2, "another lane"))])
        assert on.rows("things") == [(2, "another lane")]


async def test_the_epoch_is_read_after_the_wait_for_the_lock(database):
    """A snapshot from before the wait would still show the old epoch."""
    async with stage(database, TABLE, tables=["things"]) as on:
        with session(database) as new:
            new.execute("SELECT pg_advisory_xact_lock((SELECT lock FROM syncline_target.link), 0)")
            writing = asyncio.create_task(on.put("things", (1, "late")))
            await waiting(database, writing, locktype="advisory")
            new.execute("UPDATE syncline_target.lane_epoch SET epoch = 2 WHERE lane = 0")
            new.commit()
        with pytest.raises(LaneLostError):
            await writing
        assert on.rows("things") == []


async def test_a_lane_that_was_never_announced_takes_no_batch(database):
    async with stage(database, TABLE, tables=["things"]) as on:
        with pytest.raises(LaneLostError):
            await on.target.write({7: 1}, [on.changes("things", (1, "x"))])


async def test_a_batch_of_two_lanes_is_refused_whole_when_one_is_lost(database):
    async with stage(database, TABLE, tables=["things"]) as on:
        await on.target.announce({5: 3})
        with pytest.raises(LaneLostError) as lost:
            await on.put("things", (1, "x"), (2, "y"))
        assert lost.value.lanes == {5}
        assert on.rows("things") == []


async def test_an_unknown_outcome_costs_the_epoch(database):
    """The server ends the session; whether it had committed nobody knows: nothing may follow under the same epoch."""
    async with stage(database, TABLE, "INSERT INTO things VALUES (1, 'before')", tables=["things"]) as on:
        with session(database) as somebody:
            somebody.execute("UPDATE things SET note = 'held' WHERE id = 1")
            writing = asyncio.create_task(on.put("things", (1, "new")))
            await waiting(database, writing)
            on.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database()"
            )
            with pytest.raises(LaneLostError) as lost:
                await writing
            assert lost.value.unknown
        assert lost.value.lanes == set(LANES)
        with pytest.raises(LaneLostError):
            await on.put("things", (1, "again"))
        await on.target.announce({0: 2})
        with pytest.raises(LaneLostError):
            await on.put("things", (1, "half of the lanes"))
        await on.target.announce({5: 2})
        await on.target.write({0: 2, 5: 2}, [on.changes("things", (1, "under new epochs"))])
        assert on.rows("things") == [(1, "under new epochs")]


async def test_a_call_that_was_cancelled_costs_the_epoch(database):
    async with stage(database, TABLE, "INSERT INTO things VALUES (1, 'before')", tables=["things"]) as on:
        with session(database) as somebody:
            somebody.execute("UPDATE things SET note = 'held' WHERE id = 1")
            writing = asyncio.create_task(on.put("things", (1, "new")))
            await waiting(database, writing)
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writing
        with pytest.raises(LaneLostError):
            await on.put("things", (1, "again"))


async def test_a_known_failure_keeps_the_epoch(database):
    async with stage(database, TABLE, tables=["things"], timeout_seconds=0.3) as on:
        on.run("INSERT INTO things VALUES (1, 'before')")
        with session(database) as somebody:
            somebody.execute("UPDATE things SET note = 'held' WHERE id = 1")
            with pytest.raises(TargetUnavailableError) as timeout:
                await on.put("things", (1, "new"))
            assert not isinstance(timeout.value, LaneLostError), timeout.value
        await on.put("things", (1, "again"))
        assert on.rows("things") == [(1, "again")]


async def test_a_frozen_workers_batch_is_ended_by_the_new_owner(database):
    """It has its lane's lock and says nothing more: neither its server's limits nor its own end are waited for."""
    async with stage(database, TABLE, tables=["things"]) as on:
        with session(database) as frozen:
            frozen.execute(ENTER)
            frozen.execute("INSERT INTO things VALUES (1, 'never committed')")
            assert await on.target.announce({0: 2}) == {0}
            with pytest.raises(psycopg.OperationalError):
                frozen.execute("COMMIT")
        assert on.rows("things") == []


async def test_without_a_number_for_its_locks_nothing_is_written_and_the_next_renewal_draws_one(database):
    """A lock of NULL is none: batches and announcements would pass each other."""
    async with stage(database, TABLE, tables=["things"]) as on:
        on.run("DELETE FROM syncline_target.link")
        with pytest.raises(TargetUnavailableError, match="no number to lock lanes by"):
            await on.put("things", (1, "unlocked"))
        with pytest.raises(TargetUnavailableError, match="no number to lock lanes by"):
            await on.target.announce({0: 2})
        assert on.rows("things") == []
        await on.target.prepare([])
        await on.put("things", (1, "locked"))
        assert await on.target.announce({0: 2}) == {0}
        assert on.rows("things") == [(1, "locked")]


async def test_another_number_is_drawn_when_no_batch_holds_lanes_by_the_old_one(database):
    """An announcement locks by the number that stands there: it would not wait for such a batch."""
    async with stage(database, TABLE, tables=["things"]) as on:
        with session(database) as old:
            old.execute(ENTER)
            old.execute("INSERT INTO things VALUES (1, 'old')")
            on.run("DELETE FROM syncline_target.link")
            drawing = asyncio.create_task(on.target.prepare([]))
            await waiting(database, drawing, locktype="relation")
            assert not drawing.done()
            old.commit()
            with contextlib.suppress(TargetUnavailableError):
                await drawing
        await on.target.prepare([])
        assert await on.target.announce({0: 2}) == {0}
        await on.target.write({0: 2}, [on.changes("things", gone=[1])])
        assert on.rows("things") == []


async def test_a_delete_runs_after_every_older_upsert_whichever_statement_that_has_come_to(database):
    """The old owner's batch has written its row and not committed: a delete does not see it, and may not run yet."""
    stops = """
        CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            PERFORM pg_advisory_xact_lock(CASE TG_OP WHEN 'INSERT' THEN 101 ELSE 102 END);
            RETURN NULL;
        END $$;
        CREATE TRIGGER stop AFTER INSERT OR DELETE ON things EXECUTE FUNCTION stop()
    """

    async def taken_over() -> None:
        await on.target.announce({0: 2, 5: 2})
        await on.target.write({0: 2, 5: 2}, [on.changes("things", gone=[1])])

    async with stage(database, TABLE, stops, tables=["things"]) as on:
        with session(database) as puts, session(database) as deletes:
            puts.execute("SELECT pg_advisory_lock(101)")
            deletes.execute("SELECT pg_advisory_lock(102)")
            old = asyncio.create_task(on.put("things", (1, "old")))
            await waiting(database, old, locktype="advisory")
            new = asyncio.create_task(taken_over())
            await waiting(database, new, locktype="advisory", number=2)
            puts.execute("SELECT pg_advisory_unlock(101)")
            with contextlib.suppress(LaneLostError):  # or its session was ended by the new owner
                await old
            deletes.execute("SELECT pg_advisory_unlock(102)")
            await new
        assert on.rows("things") == []


async def test_a_fence_of_an_older_release_is_replaced(database):
    async with stage(database, TABLE, tables=["things"]) as on:
        on.run(
            "CREATE OR REPLACE FUNCTION syncline_target.enter(lanes integer[], epochs bigint[]) RETURNS void"
            " LANGUAGE plpgsql AS 'BEGIN END'"
        )
        await on.target.prepare([])
        with pytest.raises(LaneLostError):
            await on.target.write({7: 1}, [on.changes("things", (1, "never announced"))])


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("synchronous_commit", "on"),
        ("idle_in_transaction_session_timeout", "2s"),
        ("client_connection_check_interval", "1s"),
        ("statement_timeout", "10s"),
        ("default_transaction_isolation", "read committed"),
        ("session_replication_role", "origin"),
        ("row_security", "off"),
    ],
)
async def test_sessions_do_not_take_what_the_role_has_set(database, setting, value):
    other = {"synchronous_commit": "off", "row_security": "on"}.get(setting)
    if setting == "default_transaction_isolation":
        other = "serializable"
    with psycopg.connect(database, autocommit=True) as connection:
        if other:
            connection.execute(f"ALTER DATABASE {connection.info.dbname} SET {setting} = '{other}'")
    connection = await connect(database, connect_seconds=5, statement_seconds=10)
    try:
        assert (await (await connection.execute(f"SHOW {setting}")).fetchone() or ("",))[0] == value
    finally:
        await connection.close()


async def test_an_idle_transaction_ends_by_itself(database):
    """Whoever is frozen between two statements loses its transaction, without anybody's doing."""
    connection = await connect(database, connect_seconds=5, statement_seconds=10)
    try:
        await connection.execute("BEGIN")
        await connection.execute("SELECT pg_advisory_xact_lock(1)")
        with session(database) as other:
            other.execute("SELECT pg_advisory_xact_lock(1)")
        with pytest.raises(psycopg.Error):
            await connection.execute("SELECT 1")
        assert connection.broken
    finally:
        await connection.close()
