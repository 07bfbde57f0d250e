"""A streaming replica takes the first look of a verification, and finds a backfill's ranges; never more than that."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from syncline.config import load
from syncline.engines.mongo.inspection import MongoInspection
from syncline.engines.postgres.verification.side import SqlSide
from syncline.errors import ConfigError, SourceUnavailableError
from syncline.postgres.connection import connect
from syncline.postgres.loaders import register_loaders
from syncline.verify.one_pass import Options, Sides
from syncline.verify.report import Mode
from syncline.verify.verifier import verify
from syncline.wiring.sides import open_ranges, opened_looks, opened_sides
from tests import engines
from tests.pairs import entity, kinds, paired
from tests.standby import in_database, standby_of

pytestmark = pytest.mark.engines

ITEMS = """
CREATE TABLE items (id int PRIMARY KEY, v text);
INSERT INTO items SELECT n, 'v' || n FROM generate_series(1, 3000) n;
CREATE TABLE words (word text PRIMARY KEY, v text);
INSERT INTO words SELECT 'w' || n, 'v' || n FROM generate_series(1, 50) n;
"""
SENT = "SELECT calls FROM pg_stat_statements"


@pytest.fixture(scope="module")
def both():
    """A primary and its standby."""
    with engines.running_postgres() as primary, standby_of(primary) as standby:
        yield primary, standby


@pytest.fixture
async def replicated(both, mongo_url, mongo_db):
    """Equal sides, and a connection to the standby for pages, whose statements are noted."""
    primary, standby = both
    with engines.fresh_database(primary.url) as database:
        async with paired(database, mongo_url, mongo_db, ITEMS, [entity("items"), entity("words")]) as pair:
            for name in ("items", "words"):
                await pair.backfill(name)
            await pair.drain()
            await caught_up(primary, standby)
            url = in_database(standby, database)
            replica = await connect(url, keyed=True)
            register_loaders(replica.adapters)
            pair.replica, pair.replica_url = replica, url
            try:
                yield pair
            finally:
                await replica.close()
                with psycopg.connect(standby.url, autocommit=True) as conn:
                    conn.execute("SELECT pg_wal_replay_resume()")


async def caught_up(primary, standby):
    with psycopg.connect(primary.url, autocommit=True) as conn:
        (end,) = conn.execute("SELECT pg_current_wal_flush_lsn()").fetchone()
    with psycopg.connect(standby.url, autocommit=True) as conn:
        async with asyncio.timeout(20):
            while conn.execute("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (end,)).fetchone() != (True,):
                await asyncio.sleep(0.02)


def paused(replicated, *, on: bool) -> None:
    with psycopg.connect(replicated.replica_url, autocommit=True) as conn:
        conn.execute("SELECT pg_wal_replay_pause()" if on else "SELECT pg_wal_replay_resume()")
        while on and conn.execute("SELECT pg_get_wal_replay_pause_state()").fetchone() != ("paused",):
            pass


def noted(connection):
    """Note the statements that a connection executes."""
    sent = []
    factory = connection.cursor_factory

    class Noting(factory):
        async def execute(self, query, *args, **options):
            sent.append(query if isinstance(query, str) else query.as_string(self))
            return await super().execute(query, *args, **options)

        async def stream(self, query, *args, **options):
            sent.append(query if isinstance(query, str) else query.as_string(self))
            async for row in super().stream(query, *args, **options):
                yield row

    connection.cursor_factory = Noting
    return sent


async def looked(pair, *names, patience=20.0, mode=Mode.FULL):
    sides = Sides(SqlSide(pair.replica, pair.looks, replica=True), MongoInspection(pair.target))
    chosen = [plan for plan in pair.plans.values() if not names or plan.name in names]
    return await verify(sides, chosen, Options(mode, patience=timedelta(seconds=patience)))


@pytest.mark.parametrize("mode", [Mode.FULL, Mode.KEYS])
async def test_the_first_look_is_at_the_replica_and_finds_what_is_wrong(replicated, mode):
    pages, looks = noted(replicated.replica), noted(replicated.looks)
    replicated.docs.items.delete_one({"_id": 7})
    replicated.docs.items.insert_one({"_id": 5000, "v": "x"})
    replicated.docs.words.delete_one({"_id": "w3"})
    report = await looked(replicated, mode=mode)
    assert kinds(report) == {"7": "missing", "5000": "extra", "w3": "missing"}
    walks = [text for text in pages if "items" in text or "words" in text]
    assert len(walks) >= 2
    again = [text for text in looks if 'FROM "public"."items"' in text and "LIMIT" in text]
    assert again == [], "the primary is asked for single keys only"


async def test_a_change_that_was_lost_before_the_pass_is_found_though_the_replica_is_behind(replicated):
    """On the replica row and document still agree; the pass must wait until the replica has the change."""
    paused(replicated, on=True)
    replicated.sql("UPDATE items SET v = 'lost' WHERE id = 9", "TRUNCATE syncline.outbox, syncline.block")
    running = asyncio.create_task(looked(replicated, "items"))
    await asyncio.sleep(0.5)
    assert not running.done(), "it waits"
    paused(replicated, on=False)
    assert kinds(await running) == {"9": "different"}


async def test_a_replica_that_stays_behind_is_an_error_and_leaves_nothing(replicated):
    paused(replicated, on=True)
    with pytest.raises(SourceUnavailableError, match="the replica has not replayed"):
        await looked(replicated, "items", patience=0.5)
    assert replicated.sql("SELECT count(*) FROM syncline.verification WHERE entity = 0") == [(0,)]
    assert replicated.sql("SELECT count(*) FROM syncline.certificate") == [(0,)]


async def test_changes_during_the_pass_that_the_replica_lacks_are_no_differences(replicated):
    """The second look is at the primary, where they are."""
    original, began = replicated.replica.cursor_factory, asyncio.Event()

    class Slow(original):
        async def execute(self, query, *args, **options):
            text = query if isinstance(query, str) else query.as_string(self)
            if "items" in text and not began.is_set():
                began.set()
                paused(replicated, on=True)
                replicated.sql("UPDATE items SET v = 'new' WHERE id <= 10", "DELETE FROM items WHERE id = 20")
                replicated.sql("INSERT INTO items VALUES (6000, 'new')")
                await replicated.drain()
            return await super().execute(query, *args, **options)

    replicated.replica.cursor_factory = Slow
    report = await looked(replicated, "items")
    assert began.is_set()
    assert (report.exit_status, kinds(report)) == (0, {})


async def test_ranges_are_found_on_the_replica_and_marked_on_the_primary(replicated):
    """Rows that the replica does not have yet are marked all the same."""
    paused(replicated, on=True)
    replicated.sql(
        "INSERT INTO items SELECT n, 'late' FROM generate_series(3001, 3500) n",
        "TRUNCATE syncline.outbox, syncline.block",
    )
    asked = noted(replicated.replica)
    await replicated.backfill("items", ranges=replicated.replica)
    assert len(asked) >= 2
    assert all("OFFSET" in text for text in asked), "nothing but boundaries"
    assert replicated.sql("SELECT count(DISTINCT key), count(*) FROM syncline.waiting WHERE hint = 'B'") == [
        (3500, 3500)
    ]


async def test_a_replica_that_goes_away_stops_no_backfill(replicated):
    replicated.sql("TRUNCATE syncline.outbox, syncline.block")
    with psycopg.connect(in_database_of(replicated), autocommit=True) as conn:
        conn.execute("SELECT pg_terminate_backend(%s)", (replicated.replica.info.backend_pid,))
    done = await replicated.backfill("items", ranges=replicated.replica)
    assert done.finished
    assert replicated.sql("SELECT count(*) FROM syncline.waiting") == [(3000,)]


def in_database_of(replicated):
    return replicated.replica_url


async def test_settings_open_it_and_a_primary_is_refused(replicated):
    env = {
        "SYNCLINE_SOURCE__URL": replicated.url,
        "SYNCLINE_TARGET__URL": replicated.mongo_url,
        "SYNCLINE_TARGET__DATABASE": replicated.mongo_db,
        "SYNCLINE_SOURCE__REPLICA_URL": "${ELSEWHERE}",
        "ELSEWHERE": replicated.replica_url,
    }
    settings = load(None, env=env)
    settings = replace(settings, entities=tuple(plan.entity for plan in replicated.plans.values()))
    assert "replica_url" not in repr(settings.source)
    async with opened_looks(settings) as (pages, looks, replica):
        assert replica
        assert await alone(pages, "SELECT pg_is_in_recovery()")
        assert not await alone(looks, "SELECT pg_is_in_recovery()")
    wrong = replace(settings, source=settings.source.model_copy(update={"replica_url": replicated.url}))
    with pytest.raises(ConfigError, match="no standby"):
        async with opened_sides(wrong, lambda _: None):
            pass
    async with contextlib.AsyncExitStack() as stack:
        assert await open_ranges(wrong, stack) is None, "a backfill does without"


async def alone(connection, query):
    return (await (await connection.execute(query)).fetchone())[0]
