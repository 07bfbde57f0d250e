"""The relay between two PostgreSQL databases: whatever order rows arrive in, and whoever is cut off, both end equal."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from syncline.engines.postgres.target.target import SqlTarget
from syncline.errors import LaneLostError
from syncline.model.entity import ROWS, Entity, Fields
from syncline.ports import Batch
from syncline.relay.reader import Reader
from syncline.testing import FaultyTarget
from tests import engines
from tests import relay as relays
from tests.acceptance.values import TYPES, random_pair
from tests.relay import Relay, until

DDL = """
    CREATE TYPE mood AS ENUM ('sad', 'glad');
    CREATE TABLE parent (id int PRIMARY KEY, code text UNIQUE, boss int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
    CREATE TABLE child (
        a int, b text, parent int NOT NULL REFERENCES parent ON DELETE CASCADE, mood mood, many numeric[],
        slot int NOT NULL UNIQUE, twice int GENERATED ALWAYS AS (a * 2) STORED, PRIMARY KEY (b, a)
    );
"""


def entity(name: str, **options: Any) -> Entity:
    """Declare an entity whose records become rows."""
    return relays.entity(name, form=ROWS, **options)


ENTITIES = [entity("parent"), entity("child")]


class Rows(Relay):
    """Two databases with the same tables."""

    target: SqlTarget
    there: psycopg.Connection[Any]

    def difference(self) -> list[Any]:
        """Compare both sides as texts."""
        differing = []
        for one in self.entities:
            query = f"SELECT t::text FROM {one.table} AS t ORDER BY 1"
            here, there = self.sql(query), self.there.execute(query.replace(str(one.table), one.collection)).fetchall()
            differing += [(one.name, row) for row in {*here} ^ {*there}]
        return sorted(differing)


@contextlib.asynccontextmanager
async def rows(source: str, target: str, ddl: str = DDL, **options: Any) -> AsyncIterator[Rows]:
    there = options.pop("there", ddl)
    relay = Rows(source, options.pop("entities", ENTITIES), SqlTarget(target, timeout_seconds=5), **options)
    relay.there = psycopg.connect(target, autocommit=True)
    try:
        relay.conn.execute(ddl)
        relay.there.execute(there)
        await relay.install()
        yield relay
    finally:
        relay.conn.close()
        relay.there.close()
        await relay.target.close()


@pytest.fixture
def other(postgres):
    with engines.fresh_database(postgres.url) as url:
        yield url


@pytest.fixture
async def relay(database, other):
    async with rows(database, other) as made:
        yield made


async def settled(relay: Rows) -> None:
    await until(
        lambda: relay.is_drained(deferred=True),
        what=lambda: f"{relay.counts()} {relay.difference()[:5]} {relay.seen.outages[-3:]} {relay.parked()}",
    )
    assert relay.parked() == {}
    assert relay.difference() == []


async def test_rows_arrive_and_go(relay: Rows) -> None:
    async with relay.worker():
        with relay.conn.transaction():
            relay.sql("INSERT INTO parent SELECT n, 'c' || n, 1 + n % 100 FROM generate_series(1, 100) AS n")
            relay.sql(
                "INSERT INTO child (a, b, parent, mood, many, slot) SELECT n, 'b\"\\,' || n, 1 + n % 100, 'glad', '{1.10,NaN}', n"
                " FROM generate_series(1, 300) AS n"
            )
        await settled(relay)
        relay.sql("UPDATE child SET slot = -slot")
        relay.sql("UPDATE parent SET code = NULL WHERE id % 7 = 0")
        relay.sql("UPDATE parent SET boss = NULL WHERE boss = 5")
        relay.sql("DELETE FROM parent WHERE id = 5")
        await settled(relay)
        relay.sql("DELETE FROM child")
        await relay.drained()
        assert relay.counts()["deferred"] == 0  # behind this fence nothing arrives late: one delete is enough


async def test_values_change_places_and_parents_come_late(relay: Rows) -> None:
    """Whichever lanes the records are in: no row that is referred to goes, and its children stay."""
    async with relay.worker():
        relay.sql("INSERT INTO parent SELECT n, 'c' || n FROM generate_series(1, 20) AS n")
        relay.sql(
            "INSERT INTO child (a, b, parent, slot) SELECT n, 'b', 1 + n % 20, n FROM generate_series(1, 20) AS n"
        )
        await settled(relay)
        with relay.conn.transaction():
            relay.sql("UPDATE parent SET code = NULL WHERE id <= 20")
            relay.sql("UPDATE parent SET code = 'c' || (1 + id % 20)")
        await settled(relay)


async def test_a_child_whose_parent_is_on_its_way_is_not_parked(relay: Rows) -> None:
    """However often it is tried meanwhile."""
    relay.there.autocommit = False
    async with relay.worker():
        relay.there.execute("LOCK TABLE parent IN SHARE MODE")
        relay.sql("INSERT INTO parent VALUES (1, 'a')")
        await until(
            lambda: relay.sql("SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'RowExclusiveLock'"),
            what="the parent is being written",
        )
        relay.sql("INSERT INTO child (a, b, parent, slot) VALUES (1, 'x', 1, 1)")
        tries = lambda: len([done for done in relay.seen.batches if done.entity == "child"])  # noqa: E731
        await until(lambda: tries() >= 5 or relay.parked(), what=lambda: f"{tries()} tries")
        assert relay.parked() == {}
        relay.there.rollback()
        relay.there.autocommit = True
        await settled(relay)


async def test_a_late_delete_takes_no_newer_child_along(relay: Rows) -> None:
    """The parent is deleted and comes again with a child, which is written and acknowledged before that delete."""
    relay.there.autocommit = False
    async with relay.worker():
        relay.sql("INSERT INTO parent VALUES (1, 'a')")
        await settled(relay)
        relay.there.rollback()
        relay.there.execute("SELECT FROM parent WHERE id = 1 FOR NO KEY UPDATE")
        relay.sql("DELETE FROM parent WHERE id = 1")
        await until(lambda: relay.sql("SELECT 1 FROM pg_locks WHERE NOT granted"), what="the delete waits")
        with relay.conn.transaction():
            relay.sql("INSERT INTO parent VALUES (1, 'again')")
            relay.sql("INSERT INTO child (a, b, parent, slot) VALUES (1, 'x', 1, 1)")
        await until(lambda: relay.value("SELECT count(*) FROM syncline.waiting WHERE key LIKE '[%'") == 0, what="acked")
        relay.there.rollback()
        relay.there.autocommit = True
        await settled(relay)


async def test_after_an_unknown_outcome_nothing_goes_under_the_same_epochs(relay: Rows) -> None:
    """Whatever the target itself remembers."""
    target, sent = FaultyTarget(relay.target), []

    async def lose_the_first(batch: Batch) -> None:
        sent.append(dict(batch.lanes))
        if len(sent) == 1:
            raise LaneLostError("the connection ended", lanes=batch.lanes, unknown=True)

    target.before_apply = lose_the_first
    async with relay.worker(target=target):
        relay.sql("INSERT INTO parent VALUES (1, 'a')")
        await settled(relay)
    ((lane, epoch),) = sent[0].items()
    assert len(sent) > 1
    assert all(lanes[lane] > epoch for lanes in sent[1:])


async def test_lanes_that_are_given_up_while_marks_are_read_are_not_written_under(
    relay: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, given_up, read = FaultyTarget(relay.target), {}, Reader._read

    async def outranked(self: Reader, *arguments: Any, **options: Any) -> Any:
        marks, states = await read(self, *arguments, **options)
        if marks and not given_up:
            given_up.update({mark[1]: self._leases.held[mark[1]] for mark in marks})
            self._leases.outrank(given_up)
        return marks, states

    monkeypatch.setattr(Reader, "_read", outranked)
    async with relay.worker(target=target):
        relay.sql("INSERT INTO parent VALUES (1, 'a')")
        await settled(relay)
    assert given_up
    assert all(batch.lanes[lane] > epoch for batch in target.writes for lane, epoch in given_up.items())


async def test_a_target_that_is_away_at_the_start_is_waited_for_by_a_worker_that_is_there(relay: Rows) -> None:
    """The source is well: the worker is known there, and says whose fault it is."""
    away = SqlTarget("postgresql://127.0.0.1:1/nowhere", timeout_seconds=1)
    async with relay.worker(target=away, ready=False):
        await until(lambda: relay.value("SELECT count(*) FROM syncline.worker") == 1, what="it is noted")
        await until(lambda: relay.seen.outages, what="it says what is away")
    assert {side for side, _ in relay.seen.outages} == {"target"}
    await away.close()


async def test_a_random_history_with_killed_sessions_ends_equal(relay: Rows) -> None:
    dice = random.Random(20_262)
    relay.there.execute("CREATE TABLE deletes (id int)")
    async with relay.worker(), relay.worker():
        for number in range(150):
            with contextlib.suppress(psycopg.errors.IntegrityError):
                relay.conn.execute(_change(dice))
            if number % 10 == 9:
                relay.there.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'syncline'"
                    " AND datname = current_database() ORDER BY random() LIMIT 1"
                )
            await asyncio.sleep(0.005)
        await settled(relay)


def _change(dice: random.Random) -> str:
    one, two, code = dice.randint(1, 12), dice.randint(1, 12), dice.randint(1, 15)
    return dice.choice((
        f"INSERT INTO parent VALUES ({one}, 'c{code}', {one}) ON CONFLICT (id) DO UPDATE SET code = excluded.code",
        f"INSERT INTO parent VALUES ({one}, NULL, {two}) ON CONFLICT (id) DO UPDATE SET boss = excluded.boss",
        f"UPDATE parent SET boss = NULL WHERE boss = {one}; DELETE FROM parent WHERE id = {one}",
        f"INSERT INTO child (a, b, parent, slot) VALUES ({one}, 'x', {two}, {code}) ON CONFLICT (a, b) DO UPDATE SET slot = excluded.slot",
        f"UPDATE child SET parent = {two} WHERE a = {one}",
        f"DELETE FROM child WHERE a = {one}",
        f"UPDATE child SET a = {code} WHERE a = {one}",
        f"UPDATE parent SET code = NULL WHERE id IN ({one}, {two}); UPDATE parent SET code = 'c' || (27 - id) WHERE id IN ({one}, {two})",
    ))  # fmt: skip


async def test_every_type_arrives_exactly(database, other) -> None:
    """As its output function writes it on both sides; a composite value of NULLs is not NULL."""
    columns = ", ".join(f"c{number} {type_}" for number, type_ in enumerate(TYPES))
    ddl = (
        "CREATE TYPE mood AS ENUM ('sad', 'so-so', 'überglücklich'); CREATE DOMAIN price AS numeric(12,2);"
        f"CREATE TYPE pair AS (a int, b text[]); CREATE TABLE item (id int PRIMARY KEY, {columns}, odd pair)"
    )
    dice = random.Random(11)
    values = ", ".join(["%s", *(f"%s::text::{type_.removesuffix(' NOT NULL')}" for type_ in TYPES), "%s::text::pair"])
    async with rows(database, other, ddl, entities=[entity("item")]) as relay:
        async with relay.worker():
            for number in range(40):
                odd = dice.choice(('(1,"{a,\\"b c\\",NULL}")', "(,)", None))
                drawn = [random_pair(one, dice)[0] for one in TYPES]
                relay.sql(f"INSERT INTO item VALUES ({values})", number, *drawn, odd)
            await settled(relay)
        nulls = "SELECT count(*), count(odd) FROM item"
        assert relay.sql(nulls) == relay.there.execute(nulls).fetchall()


async def test_what_only_the_target_forbids_is_parked_with_the_reason(database, other) -> None:
    here = "CREATE TABLE item (id int PRIMARY KEY, code text, ref int)"
    there = "CREATE TABLE item (id int PRIMARY KEY, code text UNIQUE, ref int REFERENCES item)"
    async with (
        rows(database, other, here, entities=[entity("item")], there=there) as relay,
        relay.worker(),
    ):
        relay.sql("INSERT INTO item VALUES (1, 'a', NULL), (2, 'b', 9)")
        await until(lambda: relay.parked() == {"2": "foreign_key"}, what=lambda: str(relay.parked()))
        relay.sql("INSERT INTO item VALUES (9, 'x', NULL), (3, 'a', NULL)")
        relay.sql("UPDATE item SET code = 'c' WHERE id = 2")
        await until(lambda: relay.parked() == {"3": "unique_value"}, what=lambda: str(relay.parked()))
        relay.sql("UPDATE item SET code = 'y' WHERE id = 1")
        relay.sql("UPDATE item SET code = 'a' WHERE id = 3")
        await settled(relay)


async def test_columns_are_renamed_and_left_out(database, other) -> None:
    fields = Fields(rename={"id": "key", "note": 'Text "of" it'}, exclude=("secret",))
    there = 'CREATE TABLE copies ("Text ""of"" it" text, key int PRIMARY KEY)'
    here = "CREATE TABLE item (id int PRIMARY KEY, note text, secret text)"
    made = [entity("item", fields=fields, collection="copies")]
    async with rows(database, other, here, entities=made, there=there) as relay, relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'a', 's'), (2, NULL, 's')")
        relay.sql("DELETE FROM item WHERE id = 1")
        await relay.drained(deferred=True)
        assert relay.there.execute("SELECT * FROM copies").fetchall() == [(None, 2)]


CIRCLE = """
    CREATE TABLE users (id int PRIMARY KEY, team int);
    CREATE TABLE teams (id int PRIMARY KEY, owner int NOT NULL REFERENCES users);
    ALTER TABLE users ADD FOREIGN KEY (team) REFERENCES teams;
"""


async def test_rows_of_two_tables_that_refer_to_each_other_go(database, other) -> None:
    """Neither can go before the other one: the reference that may be NULL is given up."""
    async with rows(database, other, CIRCLE, entities=[entity("users"), entity("teams")]) as relay, relay.worker():
        relay.sql("INSERT INTO users VALUES (1), (2)")
        relay.sql("INSERT INTO teams VALUES (7, 1), (8, 2)")
        relay.sql("UPDATE users SET team = id + 6")
        await settled(relay)
        relay.sql("WITH u AS (DELETE FROM users WHERE id = 1), t AS (DELETE FROM teams WHERE id = 7) SELECT")
        await settled(relay)
        assert relay.there.execute("SELECT * FROM users").fetchall() == [(2, 8)]


async def test_truncate_leaves_nothing(relay: Rows) -> None:
    async with relay.worker():
        relay.sql("INSERT INTO parent SELECT n FROM generate_series(1, 50) AS n")
        relay.sql(
            "INSERT INTO child (a, b, parent, slot) SELECT n, 'b' || n % 3, n, n FROM generate_series(1, 50) AS n"
        )
        await settled(relay)
        relay.sql("TRUNCATE parent, child")
        relay.sql("INSERT INTO parent VALUES (7, 'after')")
        await relay.drained(tasks=True, deferred=True)
        await settled(relay)


async def test_a_column_that_the_target_lacks_stops_the_flow_and_parks_nothing(relay: Rows) -> None:
    async with relay.worker():
        relay.sql("INSERT INTO parent VALUES (1, 'a')")
        await settled(relay)
        relay.there.execute("ALTER TABLE parent RENAME COLUMN code TO old")
        relay.sql("UPDATE parent SET code = 'b'")
        await until(lambda: relay.seen.outages, what="the target refuses")
        await until(lambda: "has no column code" in str(relay.seen.outages), what=lambda: str(relay.seen.outages))
        assert relay.parked() == {}
        relay.there.execute("ALTER TABLE parent RENAME COLUMN old TO code")
        await settled(relay)
