"""Rows in an SQL target: every type exactly, rows that others stand in the way of, rows that it refuses."""

from __future__ import annotations

import asyncio
import random

import psycopg
import pytest

from syncline.engines.postgres.target import known as known_module
from syncline.engines.postgres.target import session as sessions
from syncline.engines.postgres.target.target import SqlTarget
from syncline.errors import (
    LaneLostError,
    PrivilegeError,
    TargetError,
    TargetRefusedError,
    TargetUnavailableError,
    UnsuitableTargetError,
)
from syncline.ports import Absence, Batch, Beat, State
from syncline.relay.conflicts import PATIENCE
from tests.acceptance.values import TYPES, random_pair
from tests.sql_target import LANES, Stage, entity, stage

COLUMNS = {f"c{number:02}": type_ for number, type_ in enumerate(TYPES)}


async def test_every_type_arrives_exactly(database):
    columns = ", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())
    types = (
        "CREATE TYPE mood AS ENUM ('sad', 'so-so', 'überglücklich')",
        "CREATE DOMAIN price AS numeric(12,2)",
        "CREATE TYPE pair AS (a int, b text[])",
    )
    tables = [
        f'CREATE TABLE {name} (id int PRIMARY KEY, {columns}, odd pair, name name, one "char")'
        for name in ("here", "there")
    ]
    async with stage(database, *types, *tables, tables=["here", "there"]) as on:
        dice = random.Random(7)
        with psycopg.connect(database, autocommit=True) as connection:
            for number in range(60):
                values = [random_pair(type_, dice)[0] for type_ in COLUMNS.values()]
                casts = ", ".join(f"%s::text::{type_.removesuffix(' NOT NULL')}" for type_ in COLUMNS.values())
                odd = dice.choice(['(1,"{a,\\"b c\\",NULL}")', "(,)", None])
                connection.execute(
                    f"INSERT INTO here VALUES (%s, {casts}, %s::text::pair, %s, %s)",
                    [number, *values, odd, dice.choice(["a'\"\\", "", None]), dice.choice(["x", None])],
                )
        here = on.tables["here"]
        names = [column.name for column in here.columns]
        rows = await on.target.read_rows(here, names, [(str(number),) for number in range(60)])
        assert len(rows) == 60
        for _ in range(2):  # inserted, then written over
            assert await on.put("there", *rows) == await on.put("there")
        binary = "SELECT t.id, " + ", ".join(f"t.{name}" for name in names[1:]) + " FROM {} AS t ORDER BY id"
        with psycopg.connect(database) as connection:
            copies = []
            for name in ("here", "there"):
                with connection.cursor().copy(f"COPY ({binary.format(name)}) TO STDOUT (FORMAT binary)") as copy:
                    copies.append(b"".join(bytes(part) for part in copy))
        assert copies[0] == copies[1]


async def test_composite_keys_generated_and_identity_columns(database):
    table = """CREATE TABLE things (tenant text, n int, twice int GENERATED ALWAYS AS (n * 2) STORED,
        serial bigint GENERATED ALWAYS AS IDENTITY, note text, PRIMARY KEY (tenant, n))"""
    async with stage(database, table, tables=["things"]) as on:
        await on.put("things", ("a", 1, 99, 7, "x"), ('a,"b\\', 2, 99, 8, "y"))
        await on.put("things", ("a", 1, 99, 7, "new"), gone=[('a,"b\\', 2)])
        assert on.rows("things") == [("a", 1, 2, 7, "new")]


async def test_partitioned_tables(database):
    statements = (
        "CREATE TABLE things (id int, part int, note text, PRIMARY KEY (id, part)) PARTITION BY LIST (part)",
        "CREATE TABLE things_1 PARTITION OF things FOR VALUES IN (1)",
    )
    async with stage(database, *statements, tables=["things"]) as on:
        outcome = await on.put("things", (1, 1, "x"), (2, 2, "no such partition"))
        assert [(one.key, one.code) for _, one in outcome.rejected] == [("(2, 2)", "check")]
        await on.put("things", (1, 1, "new"))
        assert on.rows("things") == [(1, 1, "new")]


async def test_a_table_that_is_all_key(database):
    async with stage(database, "CREATE TABLE things (id int PRIMARY KEY)", tables=["things"]) as on:
        await on.put("things", (1,), (2,))
        await on.put("things", (1,), gone=[2])
        assert on.rows("things") == [(1,)]


# -- other rows in the way

PARENTS = "CREATE TABLE parents (id int PRIMARY KEY, u text UNIQUE)"
CHILDREN = "CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents)"


@pytest.mark.parametrize(
    "how",
    ["u text UNIQUE", "u text UNIQUE NOT NULL", "u int UNIQUE NOT NULL", "u text NOT NULL UNIQUE DEFERRABLE"],
)
@pytest.mark.parametrize("referred", [False, True])
async def test_records_exchange_a_unique_value(database, how, referred):
    """Whether NULL or a placeholder can stand there meanwhile; the children of those that are referred to stay."""
    statements = [f"CREATE TABLE things (id int PRIMARY KEY, {how})"]
    if referred:
        statements.append("CREATE TABLE children (id int PRIMARY KEY, thing int REFERENCES things ON DELETE CASCADE)")
    async with stage(database, *statements, tables=["things"]) as on:
        await on.put("things", (1, 10), (2, 20), (3, 30))
        if referred:
            on.run("INSERT INTO children VALUES (1, 1), (2, 2), (3, 3)")
        assert not (await on.put("things", (1, 20), (2, 30), (3, 10))).refused
        assert [(id_, str(u)) for id_, u in on.rows("things")] == [(1, "20"), (2, "30"), (3, "10")]
        if referred:
            assert len(on.rows("children")) == 3


async def test_a_unique_value_moves_in_any_order(database):
    async with stage(database, PARENTS, tables=["parents"]) as on:
        await on.put("parents", (1, "a"), (2, "b"))
        first = await on.put("parents", (2, "a"), (3, "c"))
        assert [(one.key, one.why, one.other) for one in first.refused] == [("2", "value", ("1",))]
        assert on.rows("parents") == [(1, "a"), (2, "b"), (3, "c")]
        await on.put("parents", (1, "d"))
        assert not (await on.put("parents", (2, "a"))).refused
        assert on.rows("parents") == [(1, "d"), (2, "a"), (3, "c")]


async def test_a_value_moves_on_from_a_record_that_is_deleted_with_it(database):
    async with stage(database, PARENTS, tables=["parents"]) as on:
        await on.put("parents", (1, "a"))
        assert not (await on.put("parents", (2, "a"), gone=[1])).refused
        assert on.rows("parents") == [(2, "a")]


async def test_records_of_two_batches_give_way_to_each_other(database):
    """As if of two workers: neither has both in a batch."""
    async with stage(database, PARENTS, CHILDREN[:-1] + " ON DELETE CASCADE)", tables=["parents", "children"]) as on:
        await on.put("parents", (1, "a"), (2, "b"))
        await on.put("children", (1, 1), (2, 2))
        rounds = 0
        while on.rows("parents") != [(1, "b"), (2, "a")]:
            await on.put("parents", (1, "b"))
            await on.put("parents", (2, "a"))
            rounds += 1
            assert rounds < 6
        assert on.rows("children") == [(1, 1), (2, 2)]


async def test_a_child_waits_for_its_parent(database):
    async with stage(database, PARENTS, CHILDREN, tables=["parents", "children"]) as on:
        first = await on.put("children", (1, 7), (2, None))
        assert [(one.key, one.why, one.other) for one in first.refused] == [("1", "parent", ("7",))]
        await on.put("parents", (7, None))
        assert not (await on.put("children", (1, 7))).refused
        assert on.rows("children") == [(1, 7), (2, None)]


async def test_a_parent_waits_for_its_children_to_go(database):
    async with stage(database, PARENTS, CHILDREN, tables=["parents", "children"]) as on:
        await on.put("parents", (1, "a"), (2, "b"))
        await on.put("children", (5, 1))
        first = await on.put("parents", (3, "c"), gone=[1, 2])
        assert [(one.key, one.why, one.other) for one in first.refused] == [("1", "child", ("5",))]
        assert on.rows("parents") == [(1, "a"), (3, "c")]
        await on.put("children", (5, 3))
        assert not (await on.put("parents", gone=[1])).refused


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "SET DEFAULT"])
async def test_a_delete_takes_no_other_record_along(database, action):
    """That one may have been written since, and would have no mark; a table that is not synced is the target's own."""
    children = f"{CHILDREN[:-1]} ON DELETE {action})"
    mine = children.replace("children", "mine")
    async with stage(database, PARENTS, children, mine, tables=["parents", "children"]) as on:
        await on.put("parents", (1, "a"), (2, "b"))
        await on.put("children", (5, 1))
        on.run("INSERT INTO mine VALUES (9, 2)")
        first = await on.put("parents", gone=[1, 2])
        assert [(one.key, one.why, one.other) for one in first.refused] == [("1", "child", ("5",))]
        assert (on.rows("parents"), on.rows("children")) == ([(1, "a")], [(5, 1)])
        assert on.rows("mine") == ([] if action == "CASCADE" else [(9, None)])
        await on.put("children", gone=[5])
        assert not (await on.put("parents", gone=[1])).refused
        assert on.rows("parents") == []


async def test_a_delete_takes_no_row_along_of_a_table_that_was_refused(database):
    """That one is described anew; until then it is synced all the same."""
    children = f"{CHILDREN[:-1]} ON DELETE CASCADE)"
    async with stage(database, PARENTS, children, tables=["parents", "children"]) as on:
        await on.put("parents", (1, "a"))
        await on.put("children", (5, 1))
        batch = Batch(entity("children"), upserts=[State("5", {"id": "5"}, 1, {"id": "5", "parent": "1"})], lanes=LANES)
        on.run("ALTER TABLE children RENAME COLUMN parent TO boss")
        with pytest.raises(TargetRefusedError):
            await on.target.apply(batch)
        on.run("ALTER TABLE children RENAME COLUMN boss TO parent")
        assert [one.key for one in (await on.put("parents", gone=[1])).refused] == ["1"]
        assert on.rows("children") == [(5, 1)]
        await on.target.apply(batch)


async def test_what_changes_in_the_targets_catalog_is_seen_with_the_next_renewal(database, monkeypatch):
    """A foreign key that takes rows along; a column that computes itself no more."""
    monkeypatch.setattr(known_module, "LOOK_SECONDS", 0.0)
    monkeypatch.setattr(known_module, "LOOK_SHARE", 0.0)
    tables = (
        PARENTS,
        "CREATE TABLE children (id int PRIMARY KEY, parent int, twice int GENERATED ALWAYS AS (id * 2) STORED)",
    )
    async with stage(database, *tables, tables=["parents", "children"]) as on:
        row = State("5", {"id": "5"}, 1, {"id": "5", "parent": "1", "twice": "7"})
        batch = Batch(entity("children"), upserts=[row], lanes=LANES)
        await on.put("parents", (1, "a"))
        await on.target.apply(batch)
        assert on.rows("children") == [(5, 1, 10)]
        on.run(
            "ALTER TABLE children ADD FOREIGN KEY (parent) REFERENCES parents ON DELETE CASCADE",
            "ALTER TABLE children ALTER COLUMN twice DROP EXPRESSION",
        )
        await on.target.beat(Beat("i", "s", 1))
        await on.target.apply(batch)
        assert on.rows("children") == [(5, 1, 7)]
        gone = Batch(entity("parents"), deletes=[Absence("1", {"id": "1"}, 2)], lanes=LANES)
        assert [one.why for one in (await on.target.apply(gone)).conflicts] == ["child"]
        assert on.rows("children") == [(5, 1, 7)]


@pytest.mark.parametrize("bosses", [{1: None, 2: 1, 3: 2}, {1: None, 2: 1, 3: 1}])
async def test_a_delete_takes_no_newer_descendant_along(database, bosses):
    """The newer row is a child of one that goes with its own parent; or a child beside one that goes."""
    table = "CREATE TABLE staff (id int PRIMARY KEY, boss int REFERENCES staff ON DELETE CASCADE)"
    async with stage(database, table, tables=["staff"]) as on:
        await on.put("staff", *bosses.items())
        refused = (await on.put("staff", gone=[1, 2])).refused
        assert {one.key: one.other for one in refused}[str(bosses[3])] == ("3",)
        assert (3, bosses[3]) in on.rows("staff")
        await on.put("staff", gone=[3])
        assert not (await on.put("staff", gone=[1, 2])).refused
        assert on.rows("staff") == []


@pytest.mark.parametrize("deferrable", ["", "DEFERRABLE INITIALLY DEFERRED"])
async def test_circles_of_references_come_and_go_together(database, deferrable):
    statements = (
        "CREATE TABLE a (id int PRIMARY KEY, b int NOT NULL)",
        f"CREATE TABLE b (id int PRIMARY KEY, a int NOT NULL REFERENCES a {deferrable})",
        f"ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b {deferrable}",
    )
    async with stage(database, *statements, tables=["a", "b"]) as on:
        both = [on.changes("a", (1, 2)), on.changes("b", (2, 1))]
        assert (await on.target.write(LANES, both[:1])).refused
        assert not (await on.target.write(LANES, both)).refused
        assert (on.rows("a"), on.rows("b")) == ([(1, 2)], [(2, 1)])
        gone = [on.changes("a", gone=[1]), on.changes("b", gone=[2])]
        assert not (await on.target.write(LANES, gone)).refused
        assert (on.rows("a"), on.rows("b")) == ([], [])


async def test_a_table_that_refers_to_itself(database):
    table = "CREATE TABLE staff (id int PRIMARY KEY, boss int REFERENCES staff)"
    async with stage(database, table, tables=["staff"]) as on:
        assert not (await on.put("staff", (1, 2), (2, 1), (3, 1))).refused
        assert not (await on.put("staff", gone=[1, 2, 3])).refused
        assert on.rows("staff") == []


async def test_a_unique_value_that_the_target_computes_stops_nothing(database):
    """Which row has it is not looked up, as with an index over an expression: those that need it wait."""
    table = """CREATE TABLE things (id int PRIMARY KEY, mail text,
        low text GENERATED ALWAYS AS (lower(mail)) STORED UNIQUE)"""
    async with stage(database, table, tables=["things"]) as on:
        await on.put("things", (1, "A@x", None), (2, "B@x", None))
        outcome = await on.put("things", (1, "b@x", None), (2, "a@x", None), (3, "c@x", None))
        assert {(one.key, one.why) for one in outcome.refused} == {("1", "value"), ("2", "value")}
        assert on.rows("things") == [(1, "A@x", "a@x"), (2, "B@x", "b@x"), (3, "c@x", "c@x")]
        await on.put("things", (1, None, None))
        assert not (await on.put("things", (2, "a@x", None))).refused


async def test_percent_signs_in_names(database):
    statements = (
        "CREATE TYPE \"10%d\" AS ENUM ('low', 'high')",
        'CREATE TABLE "50%d" ("k%" int PRIMARY KEY, "a %s%" text UNIQUE, "up%" int REFERENCES "50%d", c "10%d")',
    )
    async with stage(database, *statements, tables=["50%d"]) as on:
        table = on.tables["50%d"]
        assert await on.target.remarks([entity("50%d")]) == []
        await on.put("50%d", (1, "a", None, "low"), (2, "b", 1, "high"))
        assert not (await on.put("50%d", (1, "b", None, "low"), (2, "a", 1, "low"))).refused
        assert {one.why for one in (await on.put("50%d", (3, "c", 9, None), gone=[1])).refused} == {"parent", "child"}
        found = await on.target.read_rows(table, [one.name for one in table.columns], [("1",), ("2",)])
        assert found == [("1", "b", None, "low"), ("2", "a", "1", "low")]
        assert len([page async for page in on.target.walk(entity("50%d", "k%"), size=1)]) == 2


async def test_a_record_whose_conflict_is_real_keeps_its_row(database):
    """It gives way to nobody before the relay has had the time to see that, and to park it."""
    async with stage(database, PARENTS, tables=["parents"]) as on:
        await on.put("parents", (1, "a"), (2, "b"))
        for _ in range(PATIENCE):
            assert (await on.put("parents", (2, "a"))).refused
        assert on.rows("parents") == [(1, "a"), (2, "b")]


# -- rows that are refused, servers that cannot

ROW = """CREATE TABLE things (id int PRIMARY KEY, short varchar(3), small int2, must text NOT NULL DEFAULT '',
    day date, mood mood, low int CHECK (low < 10), cents price, many int[])"""
MOOD = ("CREATE TYPE mood AS ENUM ('sad')", "CREATE DOMAIN price AS numeric(4,2) CHECK (value > 0)")


@pytest.mark.parametrize(
    ("column", "value", "code", "named"),
    [
        ("short", "long", "too_long", True),
        ("small", "40000", "out_of_range", True),
        ("must", None, "not_null", True),
        ("day", "2026-02-30", "22008", True),
        ("mood", "glad", "invalid_text", True),
        ("low", "11", "check", False),
        ("cents", "-1", "check", True),
        ("many", "{1,x}", "invalid_text", False),
    ],
)
async def test_a_record_that_the_target_refuses_is_named_with_its_column(database, column, value, code, named):
    async with stage(database, *MOOD, ROW, tables=["things"]) as on:
        names = [one.name for one in on.tables["things"].columns]
        good = ["abc", 1, "", "2026-01-01", "sad", 1, "1.50", "{1}"]
        bad = [value if name == column else other for name, other in zip(names[1:], good, strict=True)]
        outcome = await on.put("things", *([n, *good] for n in range(5)), [5, *bad], *([n, *good] for n in range(6, 9)))
        ((_, rejection),) = outcome.rejected
        assert (rejection.key, rejection.code) == ("5", code)
        assert not named or rejection.message.startswith(f"column {column}: "), rejection.message
        assert len(on.rows("things")) == 8


RAISES = """CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = '{}'; END $$"""


@pytest.mark.parametrize("code", ["40001", "40P01", "53100", "53200", "55P03", "57P03", "57014", "58030"])
async def test_what_the_server_cannot_do_now_parks_nothing(database, code):
    trigger = "CREATE TRIGGER stop BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION stop()"
    table = "CREATE TABLE things (id int PRIMARY KEY)"
    async with stage(database, table, RAISES.format(code), trigger, tables=["things"]) as on:
        with pytest.raises(TargetUnavailableError) as error:
            await on.put("things", (1,))
        assert not isinstance(error.value, LaneLostError)
        assert isinstance(error.value, TargetRefusedError) is (code == "53100")
        on.run("DROP TRIGGER stop ON things")
        await on.put("things", (1,))


async def test_a_trigger_of_the_targets_own_refuses_a_record(database):
    trigger = "CREATE TRIGGER stop BEFORE INSERT ON things FOR EACH ROW WHEN (NEW.id = 2) EXECUTE FUNCTION stop()"
    table = "CREATE TABLE things (id int PRIMARY KEY)"
    async with stage(database, table, RAISES.format("P0001"), trigger, tables=["things"]) as on:
        assert on.tables["things"].triggers == ("stop",)
        outcome = await on.put("things", (1,), (2,), (3,))
        assert [(one.key, one.code, one.message) for _, one in outcome.rejected] == [("2", "trigger", "not now")]
        assert on.rows("things") == [(1,), (3,)]


# -- what can be a target


async def test_preparing_again_changes_nothing_and_many_may_at_once(database):
    targets = [SqlTarget(database) for _ in range(4)]
    try:
        await asyncio.gather(*(target.prepare([]) for target in targets))
        await targets[0].announce({0: 3})
        await targets[1].prepare([])
        assert await targets[1].lane_epochs() == {0: 3}
        with psycopg.connect(database) as connection:
            assert connection.execute("SELECT count(*), min(lock) > 0 FROM syncline_target.link").fetchone() == (
                1,
                True,
            )
    finally:
        for target in targets:
            await target.close()


async def test_two_links_into_one_database_have_locks_of_their_own(database):
    one, two = SqlTarget(database), SqlTarget(database, schema="syncline_target_2")
    try:
        await one.prepare([])
        await two.prepare([])
        with psycopg.connect(database) as connection:
            locks = [
                connection.execute(f"SELECT lock FROM {s}.link").fetchone()
                for s in ("syncline_target", "syncline_target_2")
            ]
        assert locks[0] != locks[1]
        await one.announce({0: 9})
        assert await two.lane_epochs() == {}
    finally:
        await one.close()
        await two.close()


async def test_cockroachdb_is_refused_by_name(cockroach):
    target = SqlTarget(cockroach.url)
    with pytest.raises(UnsuitableTargetError, match="CockroachDB"):
        await target.prepare([])


async def test_an_old_server_is_refused(database, monkeypatch):
    monkeypatch.setattr(sessions, "OLDEST_POSTGRES", 99)
    with pytest.raises(UnsuitableTargetError, match="needs PostgreSQL 99 or newer"):
        await SqlTarget(database).prepare([])


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("SELECT 1", "the target has no table public.things"),
        ("CREATE VIEW things AS SELECT 1 AS id", "public.things in the target is a view"),
        ("CREATE TABLE things (id int)", "nothing makes the key"),
        ("CREATE TABLE things (id int PRIMARY KEY DEFERRABLE)", "DEFERRABLE"),
        ("CREATE TABLE things (id int); CREATE UNIQUE INDEX ON things (id) WHERE id > 5", "nothing makes the key"),
        ("CREATE EXTENSION citext; CREATE TABLE things (id citext PRIMARY KEY)", "different texts are equal: id"),
    ],
)
async def test_a_table_that_cannot_be_a_target_is_named(database, statement, says):
    target = SqlTarget(database)
    on = Stage(database, target)
    on.run(*statement.split("; "))
    with pytest.raises(UnsuitableTargetError, match=says):
        await target.prepare([entity("things", "id")])
    await target.close()


async def test_rights_that_lack_are_named_and_a_role_without_create_can_work(database):
    with psycopg.connect(database, autocommit=True) as connection:
        name = f"r_{connection.info.dbname}"
        connection.execute("CREATE TABLE things (id int PRIMARY KEY)")
        connection.execute(f"CREATE ROLE {name} LOGIN")
        try:
            url = database.replace("postgres@", f"{name}@") if "postgres@" in database else f"{database}&user={name}"
            plain = SqlTarget(url)
            with pytest.raises(PrivilegeError, match="syncline_target cannot be created"):
                await plain.prepare([])
            admin = SqlTarget(database)
            await admin.prepare([])
            await admin.close()
            connection.execute(f"GRANT USAGE ON SCHEMA syncline_target TO {name}")
            connection.execute(f"GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA syncline_target TO {name}")
            with pytest.raises(PrivilegeError, match=r"lacks SELECT, INSERT, UPDATE, DELETE on public\.things"):
                await plain.prepare([entity("things")])
            connection.execute(f"GRANT ALL ON things TO {name}")
            await plain.prepare([entity("things")])
            await plain.announce({0: 1})
            await plain.close()
        finally:
            connection.execute(f"DROP OWNED BY {name}")
            connection.execute(f"DROP ROLE {name}")


async def test_a_column_that_the_target_lacks_is_named(database):
    async with stage(database, "CREATE TABLE things (id int PRIMARY KEY)", tables=["things"]) as on:
        with pytest.raises(TargetError, match="has no column note"):
            on.tables["things"].written(["id", "note"])
