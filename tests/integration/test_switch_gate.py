"""The gate of the switch, on a server: who passes, who is refused, and that a change waits for whoever has passed."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest
from psycopg import IsolationLevel

from syncline.errors import SupersededError, SwitchError
from syncline.model.entity import TableName
from syncline.split.switching.gate import Gate, GateBusyError, GateRow, Mode, Verb
from syncline.split.switching.install import install, unguarded, uninstall
from tests.switch_stage import AS_LINK, address

SOON, LONG = timedelta(milliseconds=50), timedelta(seconds=60)
TABLES = """
CREATE TABLE items (id int PRIMARY KEY, note text);
CREATE TABLE parts (id int, region text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE parts_north PARTITION OF parts FOR VALUES IN ('north');
CREATE TABLE "Odd ""name" (id int);
CREATE TABLE parent (id int PRIMARY KEY);
CREATE TABLE child (id int PRIMARY KEY REFERENCES parent ON DELETE CASCADE);
"""
MOVED = [TableName("public", name) for name in ("items", "parts", 'Odd "name', "child")]


@pytest.fixture
async def gate(database):
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(TABLES)
    gate = Gate("data", "primary", address(database))
    try:
        await install(gate, Mode.APPLICATION, MOVED)
        yield gate
    finally:
        await gate.aclose()


@pytest.fixture
def writer(gate):
    with psycopg.connect(gate.session.address.conninfo) as connection:
        yield connection


def refused(connection: psycopg.Connection, statement: str) -> str:
    """Say why the gate refuses a statement; empty: it does not."""
    try:
        connection.execute(statement)
    except psycopg.errors.SerializationFailure as error:
        return error.diag.constraint_name or "serialization"
    finally:
        connection.rollback()
    return ""


WRITES = {
    "insert": "INSERT INTO items VALUES (1)",
    "update": "UPDATE items SET note = 'x'",
    "delete": "DELETE FROM items",
    "truncate": "TRUNCATE items",
    "merge": "MERGE INTO items USING (VALUES (1)) v(id) ON items.id = v.id WHEN NOT MATCHED THEN INSERT VALUES (v.id)",
    "in a query": "WITH w AS (INSERT INTO items VALUES (1) RETURNING 1) SELECT * FROM w",
    "into the partitioned table": "INSERT INTO parts VALUES (1, 'north')",
    "into a partition": "INSERT INTO parts_north VALUES (1, 'north')",
    "an odd name": 'INSERT INTO "Odd ""name" VALUES (1)',
    "a cascade": "DELETE FROM parent",
    "a function": "DO $$ BEGIN INSERT INTO items VALUES (1); END $$",
    "a trigger's role": "SET LOCAL session_replication_role = replica; INSERT INTO items VALUES (1)",
}
NO_WRITES = ["SELECT * FROM items FOR UPDATE", "SELECT * FROM parts", "INSERT INTO parent VALUES (2)"]


@pytest.mark.parametrize("statement", WRITES.values(), ids=WRITES)
async def test_a_closed_gate_refuses_every_write(gate, writer, statement):
    if statement.startswith("MERGE") and writer.info.server_version < 150000:
        pytest.skip("MERGE: PostgreSQL 15")
    writer.execute("INSERT INTO parent VALUES (1)")
    writer.execute("INSERT INTO child VALUES (1)")
    writer.commit()
    assert refused(writer, statement) == ""
    await gate.change(1, Verb.CLOSE, LONG)
    assert refused(writer, statement) == "closed"
    await gate.change(1, Verb.LINK, LONG)
    assert refused(writer, statement) == "moved"
    assert [refused(writer, read) for read in NO_WRITES] == ["", "", ""]


async def test_copy_is_a_write(gate, writer):
    await gate.change(1, Verb.CLOSE, LONG)
    with pytest.raises(psycopg.errors.SerializationFailure), writer.cursor().copy("COPY items (id) FROM STDIN") as copy:
        copy.write_row([1])


async def test_a_partition_made_later_is_gated_too(gate, writer):
    writer.execute("CREATE TABLE parts_south PARTITION OF parts FOR VALUES IN ('south')")
    writer.commit()
    await gate.change(1, Verb.CLOSE, LONG)
    assert refused(writer, "INSERT INTO parts_south VALUES (1, 'south')") == "closed"
    # But for TRUNCATE, which has no rows: it is named until the gates are installed again.
    assert await unguarded(gate, MOVED) == ["primary: public.parts_south has no gate, or it is disabled"]
    await install(gate, Mode.APPLICATION, MOVED)
    assert await unguarded(gate, MOVED) == []
    assert refused(writer, "TRUNCATE parts_south") == "closed"


async def test_a_disabled_gate_is_named_and_put_back(gate, writer):
    writer.execute("ALTER TABLE items DISABLE TRIGGER ALL")
    writer.execute("ALTER TABLE items ENABLE TRIGGER ALL")  # as pg_restore --disable-triggers leaves it
    writer.commit()
    assert await unguarded(gate, MOVED) == ["primary: public.items has no gate, or it is disabled"]
    await install(gate, Mode.LINK, MOVED)
    assert await unguarded(gate, MOVED) == []
    assert (await gate.read()).mode is Mode.APPLICATION  # a row that is there stays as it is


async def test_a_change_waits_for_whoever_has_passed(gate, writer):
    """A frozen writer needs the lock up to its commit: what it wrote is seen by whoever drains."""
    writer.execute("INSERT INTO items VALUES (1)")
    with pytest.raises(GateBusyError):
        await gate.change(1, Verb.CLOSE, SOON)
    assert (await gate.read()).mode is Mode.APPLICATION
    assert [f"pid {writer.info.backend_pid} " in who for who in await gate.writers()] == [True]
    changing = asyncio.create_task(gate.change(1, Verb.CLOSE, LONG))
    with psycopg.connect(gate.session.address.conninfo, options="-c lock_timeout=20s") as other:  # nobody waits here
        while (why := await asyncio.to_thread(refused, other, "INSERT INTO items VALUES (2)")) == "":
            await asyncio.sleep(0.005)
    assert why == "closing"  # nobody gets in while a coordinator waits, or it would wait for ever
    writer.execute("INSERT INTO items VALUES (3)")  # but who has passed is not refused half-way
    writer.commit()
    assert (await changing).mode is Mode.NOBODY


async def test_a_savepoint_that_is_rolled_back_takes_the_passing_with_it(gate, writer):
    writer.execute("SAVEPOINT s")
    writer.execute("INSERT INTO items VALUES (1)")
    writer.execute("ROLLBACK TO s")
    await gate.change(1, Verb.CLOSE, LONG)
    assert refused(writer, "INSERT INTO items VALUES (1)") == "closed"


@pytest.mark.parametrize("level", [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE])
async def test_a_snapshot_from_before_the_closing_does_not_pass(gate, writer, level):
    writer.isolation_level = level
    writer.execute("SELECT 1 FROM items")
    await gate.change(1, Verb.CLOSE, LONG)
    assert refused(writer, "INSERT INTO items VALUES (1)") == "serialization"
    await gate.change(1, Verb.OPEN, LONG)
    assert refused(writer, "INSERT INTO items VALUES (1)") == ""


async def test_a_transaction_older_than_the_opening_is_refused(gate, writer):
    await gate.change(1, Verb.CLOSE, LONG)
    writer.execute("SELECT 1")
    await gate.change(1, Verb.OPEN, LONG)
    assert refused(writer, "INSERT INTO items VALUES (1)") == "early"
    assert refused(writer, "INSERT INTO items VALUES (1)") == ""


async def test_a_statement_older_than_the_opening_is_refused(gate, writer):
    """It counts with a snapshot from before the link's last write."""
    await gate.change(1, Verb.CLOSE, LONG)
    slow = "WITH w AS (INSERT INTO items SELECT count(*) FROM items) SELECT pg_advisory_xact_lock_shared(1)"
    with psycopg.connect(gate.session.address.conninfo) as other:
        other.execute("SELECT pg_advisory_xact_lock(1)")
        writing = asyncio.create_task(asyncio.to_thread(refused, writer, slow))
        while not other.execute(
            f"SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = {writer.info.backend_pid}"
        ).fetchone()[0]:
            await asyncio.sleep(0.005)
        await gate.change(1, Verb.OPEN, LONG)
    assert await writing == "early"


async def test_a_lower_number_changes_nothing(gate):
    await gate.change(5, Verb.NUMBER, LONG)
    with pytest.raises(SupersededError):
        await gate.change(4, Verb.CLOSE, LONG)
    row = await gate.change(5, Verb.CLOSE, LONG)
    assert (row.mode, row.number, row.opened) == (Mode.NOBODY, 5, 0)


async def test_a_coordinator_of_the_move_before_changes_nothing_of_the_next_one_of_that_name(gate):
    await gate.change(5, Verb.OPEN, LONG)
    await uninstall(gate, MOVED)
    with pytest.raises(SupersededError):
        await gate.change(5, Verb.CLOSE, LONG)
    await install(gate, Mode.APPLICATION, MOVED)
    with pytest.raises(SupersededError):
        await gate.change(4, Verb.CLOSE, LONG)
    assert await gate.read() == GateRow(Mode.APPLICATION, 5, 0, 0)


def linked(connection: psycopg.Connection, number: object) -> str:
    connection.execute(AS_LINK, [str(number)])
    return refused(connection, "INSERT INTO items VALUES (1)")


async def test_the_link_writes_where_it_may_with_the_number_that_it_read(gate, writer):
    assert linked(writer, 0) == "link"  # applications write here
    await gate.change(1, Verb.CLOSE, LONG)
    assert linked(writer, 0) == "link"
    row = await gate.change(2, Verb.LINK, LONG)
    assert row.link == 2
    assert linked(writer, 2) == ""
    assert [linked(writer, number) for number in (1, 3, "")] == ["link"] * 3
    assert (await gate.change(3, Verb.LINK, LONG)).link == 2  # it stays the link's: what it has read is good
    await gate.change(4, Verb.OPEN, LONG)
    assert linked(writer, 2) == "link"


async def test_a_link_shows_each_gate_what_that_one_has_said(gate, writer):
    """A transaction of a link may write tables of several moves."""
    other = Gate("archive", "primary", gate.session.address)
    await install(other, Mode.APPLICATION, [TableName("public", "parent")])
    await gate.change(2, Verb.LINK, LONG)
    await other.change(5, Verb.LINK, LONG)
    both = "INSERT INTO items VALUES (1); INSERT INTO parent VALUES (1)"
    for shown, refusal in (
        ('{"data": 2, "archive": 5}', ""),
        ('{"data": 2}', "link"),
        ('{"archive": 5}', "link"),
        ("", "link"),
    ):
        writer.execute(
            "SELECT set_config('syncline.link', 'x', true), set_config('syncline.gate_link', %s, true)", [shown]
        )
        assert refused(writer, both) == refusal
    await other.aclose()


async def test_without_a_row_nobody_writes(gate, writer):
    writer.execute("DELETE FROM syncline_gate.gate")
    writer.commit()
    assert refused(writer, "INSERT INTO items VALUES (1)") == "closed"


async def test_moves_have_gates_of_their_own(gate, writer):
    other = Gate("archive", "primary", gate.session.address)
    await install(other, Mode.APPLICATION, [TableName("public", "parent")])
    await other.change(1, Verb.CLOSE, LONG)
    assert refused(writer, "INSERT INTO items VALUES (1)") == ""
    assert refused(writer, "INSERT INTO parent VALUES (1)") == "closed"
    assert refused(writer, "INSERT INTO items VALUES (1); INSERT INTO parent VALUES (1)") == "closed"
    await other.aclose()


@pytest.fixture
def roles(database):
    """An owner without any right beside its tables, and one that may only write them."""
    with psycopg.connect(database, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"""
            CREATE ROLE {name}_owner LOGIN; CREATE ROLE {name}_writer LOGIN;
            GRANT CREATE ON DATABASE {name} TO {name}_owner; CREATE SCHEMA shop AUTHORIZATION {name}_owner;
            GRANT USAGE ON SCHEMA shop TO {name}_writer; SET ROLE {name}_owner;
            CREATE TABLE shop.items (id int PRIMARY KEY); GRANT INSERT ON shop.items TO {name}_writer
        """)
    yield f"{name}_owner", f"{name}_writer"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY {name}_owner, {name}_writer CASCADE; DROP ROLE {name}_owner, {name}_writer")


async def test_it_needs_no_superuser_and_writers_no_right(database, roles):
    owner, writer = roles
    as_role = database.replace("postgres@", f"{owner}@") if "postgres@" in database else f"{database}&user={owner}"
    gate = Gate("data", "primary", address(as_role))
    await install(gate, Mode.APPLICATION, [TableName("shop", "items")])
    await gate.change(1, Verb.NUMBER, LONG)
    with psycopg.connect(database) as connection:
        for level in (IsolationLevel.READ_COMMITTED, IsolationLevel.SERIALIZABLE):
            connection.isolation_level = level
            connection.execute(f"SET LOCAL ROLE {writer}")
            connection.execute("INSERT INTO shop.items VALUES (1)")
            connection.rollback()
        connection.execute(f"SET LOCAL ROLE {writer}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT syncline_gate.change('data', 9, 'close', 1)")
        connection.rollback()
    await gate.aclose()


async def test_a_statement_that_the_server_refuses_does_not_count_as_a_database_that_is_away(gate):
    await gate.session.rows("SELECT set_config('statement_timeout', '20ms', false)", {})
    with pytest.raises(SwitchError, match="statement timeout"):
        await gate.session.rows("SELECT pg_sleep(60)", {})
    assert await gate.session.rows("SELECT 1", {}) == [(1,)]
