"""Users' schema changes are never refused and their writes never fail because of what captures them (cases 7 to 10)."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from syncline.engines.postgres.tasks import SqlTasks
from syncline.errors import MappingError
from syncline.model.entity import Embed, TableName
from syncline.postgres.connection import connect
from tests.integration.capture_case import Case, entity

TABLES = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE size AS ENUM ('small', 'large');
CREATE DOMAIN state AS mood;
CREATE TABLE plain (id bigint PRIMARY KEY, note text);
CREATE TABLE parted (id bigint PRIMARY KEY, note text) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE pair (a int, b text, c int, PRIMARY KEY (a, b));
CREATE TABLE felt (m mood PRIMARY KEY, note text);
CREATE TABLE duo (s size, d state, n int, PRIMARY KEY (s, d, n));
CREATE TABLE child (cid bigint PRIMARY KEY, pid bigint, note text);
INSERT INTO plain VALUES (1, 'a'), (2, 'b');
INSERT INTO parted VALUES (1, 'a'), (2, 'b');
INSERT INTO pair VALUES (1, 'x', 1), (2, 'y', 2);
INSERT INTO child VALUES (1, 1, 'a'), (2, 2, 'b');
"""
ENTITIES = [
    entity("plain", "plain", embeds=(Embed("children", TableName("public", "child"), ("pid",)),)),
    entity("parted", "parted"),
    entity("pair", "pair"),
    entity("felt", "felt"),
    entity("duo", "duo"),
]
SWEPT, PARENTS = ["backfill", "sweep"], ["backfill"]

GAPS = {
    "key renamed": ("plain", "ALTER TABLE plain RENAME id TO plain_id", "INSERT INTO plain VALUES (3, 'c')", SWEPT),
    "key renamed, update": ("plain", "ALTER TABLE plain RENAME id TO plain_id", "UPDATE plain SET note = 'z'", SWEPT),
    "key renamed, delete": ("plain", "ALTER TABLE plain RENAME id TO plain_id", "DELETE FROM plain", SWEPT),
    "key dropped": ("plain", "ALTER TABLE plain DROP id", "INSERT INTO plain VALUES ('c')", SWEPT),
    "partitioned, renamed": ("parted", "ALTER TABLE parted RENAME id TO nr", "UPDATE parted SET note = 'z'", SWEPT),
    "partition, renamed": ("parted", "ALTER TABLE parted RENAME id TO nr", "INSERT INTO parted_1 VALUES (3)", SWEPT),
    "part of a key renamed": ("pair", "ALTER TABLE pair RENAME b TO bb", "INSERT INTO pair VALUES (3, 'z')", SWEPT),
    "parent's column renamed": ("plain", "ALTER TABLE child RENAME pid TO oid", "UPDATE child SET note = 'z'", PARENTS),
    "parent's column dropped": ("plain", "ALTER TABLE child DROP pid", "INSERT INTO child VALUES (3, 'c')", PARENTS),
    "our outbox dropped": ("plain", "DROP TABLE syncline.outbox CASCADE", "UPDATE plain SET note = 'z'", SWEPT),
    "outbox dropped, row": ("parted", "DROP TABLE syncline.outbox CASCADE", "UPDATE parted SET note = 'z'", SWEPT),
}  # fmt: skip


@pytest.fixture
def case(database: str) -> Iterator[Case]:
    with Case(database, ENTITIES) as made:
        made.sql(TABLES)
        made.install()
        made.forget()
        yield made


def _gaps(case: Case) -> list[tuple[str, str]]:
    return case.sql(
        "SELECT e.name, t.kind FROM syncline.task AS t JOIN syncline.entity AS e ON e.id = t.entity "
        "WHERE t.reason = 'capture gap' ORDER BY 1, 2"
    )


@pytest.mark.parametrize("gap", GAPS)
def test_a_write_that_cannot_be_marked_goes_on_and_leaves_a_note_in_its_transaction(case: Case, gap: str) -> None:
    name, change, write, kinds = GAPS[gap]
    case.sql(change)
    with case.conn.transaction():
        case.sql(write, write.replace("(3", "(4").replace("('c", "('d"))
    assert _gaps(case) == [(name, kind) for kind in kinds], "once a transaction"
    case.sql(write.replace("(3", "(5").replace("('c", "('e"))
    assert len(_gaps(case)) == 2 * len(kinds)
    ((told, severity),) = case.sql("SELECT message, severity FROM syncline.notice WHERE name = 'CaptureBroken'")
    assert "syncline install" in told
    assert severity == "critical"


def test_a_gap_of_a_savepoint_that_is_rolled_back_is_noted_by_the_next_write(case: Case) -> None:
    case.sql("ALTER TABLE plain RENAME id TO plain_id")
    with case.conn.transaction():
        with case.conn.transaction(force_rollback=True):
            case.sql("INSERT INTO plain VALUES (3, 'c')")
        case.sql("INSERT INTO plain VALUES (4, 'd')")
    assert _gaps(case) == [("plain", "backfill"), ("plain", "sweep")]
    with case.conn.transaction(force_rollback=True):
        case.sql("INSERT INTO plain VALUES (5, 'e')")
    assert len(_gaps(case)) == 2


def test_a_sound_statement_takes_no_subtransaction_id(case: Case) -> None:
    with case.conn.transaction():
        case.sql("INSERT INTO plain VALUES (3, 'c')")
        (first,) = case.sql("SELECT pg_current_xact_id()::text::bigint")[0]
        case.sql("UPDATE plain SET note = 'z'", "UPDATE parted SET note = 'z'", "DELETE FROM child")
        assert case.sql("SELECT DISTINCT xmin::text::bigint FROM syncline.outbox") == [(first,)]


async def test_one_task_does_for_all_gaps_that_were_committed_when_it_began(case: Case) -> None:
    case.sql("ALTER TABLE plain RENAME id TO plain_id", *[f"INSERT INTO plain VALUES ({n})" for n in range(3, 8)])
    entity_id = case.ids()["plain"]
    connection = await connect(case.url)
    try:
        tasks = SqlTasks(connection, str(uuid4()))
        first = await tasks.claim([entity_id])
        await tasks.cover(first)
        case.sql("INSERT INTO plain VALUES (9)")
        await tasks.finish(first)
        left = [task for task in await tasks.find(entity=entity_id) if task.kind is first.kind]
        assert len(left) == 1, "the one whose transaction was committed later"
        await tasks.cover(again := await tasks.claim([entity_id], left[0].id))
        await tasks.finish(again)
    finally:
        await connection.close()
    assert _gaps(case) == [("plain", "sweep")] * 6


def test_a_renamed_key_is_captured_again_after_the_next_installation(case: Case) -> None:
    case.sql("ALTER TABLE plain RENAME id TO plain_id", "INSERT INTO plain VALUES (3, 'c')")
    assert "plain" in case.install().backfill
    case.forget()
    case.sql("UPDATE plain SET plain_id = 9 WHERE plain_id = 3")
    assert case.marks() == [("plain", "9", "U"), ("plain", "3", "D")]


ALLOWED = {
    "key's type, the same": "ALTER TABLE plain ALTER id TYPE bigint",
    "key's type, another": "ALTER TABLE plain ALTER id TYPE integer",
    "parent column's type, the same": "ALTER TABLE child ALTER pid TYPE bigint",
    "parent column's type, another": "ALTER TABLE child ALTER pid TYPE integer",
    "partitioned key's type of a note": "ALTER TABLE parted ALTER note TYPE varchar(50)",
    "part of a key": "ALTER TABLE pair ALTER b TYPE varchar(20)",
    "a key's enum": "DROP TABLE felt; DROP TABLE duo; DROP DOMAIN state; DROP TYPE mood",
    "an enum of several": "DROP TABLE duo; DROP TYPE size",
    "key dropped": "ALTER TABLE plain DROP CONSTRAINT plain_pkey, DROP COLUMN id",
    "key's enum to text": "ALTER TABLE felt ALTER m TYPE text",
}


@pytest.mark.parametrize("change", ALLOWED)
def test_a_schema_change_is_not_refused(case: Case, change: str) -> None:
    case.sql(ALLOWED[change])
    case.sql("INSERT INTO child (cid) VALUES (7)", "UPDATE pair SET c = 9", "UPDATE parted SET note = 'z'")
    assert ("pair", '["1", "x"]', "U") in case.marks()


def test_several_enums_in_a_key_make_one_text(case: Case) -> None:
    case.sql("INSERT INTO duo VALUES ('large', 'happy', 3)", "INSERT INTO felt VALUES ('happy')")
    assert case.marks() == [("duo", '["large", "happy", "3"]', "I"), ("felt", "happy", "I")]
    key = case.ids()["duo"]
    assert case.sql(f"SELECT syncline.key_{key}(s, d, n) FROM duo") == [('["large", "happy", "3"]',)]


def test_a_schema_change_in_a_session_that_has_written_before(case: Case) -> None:
    """Plans are kept for the session: they must follow the table."""
    case.sql("UPDATE plain SET note = 'z'", "UPDATE parted SET note = 'z'")
    for table in ("plain", "parted"):
        case.sql(
            f"ALTER TABLE {table} ADD extra int", f"ALTER TABLE {table} DROP note", f"ALTER TABLE {table} ADD note int"
        )
    case.forget()
    case.sql(
        "UPDATE plain SET note = 1 WHERE id = 2", "UPDATE plain SET id = 8 WHERE id = 1", "UPDATE parted SET note = 2"
    )
    assert sorted(case.marks()) == [
        ("parted", "1", "U"), ("parted", "2", "U"), ("plain", "1", "D"), ("plain", "2", "U"), ("plain", "8", "U"),
    ]  # fmt: skip


def test_a_bulk_update_after_a_small_one_compares_keys_in_linear_time(case: Case) -> None:
    case.sql(
        "UPDATE plain SET note = 'z' WHERE id = 1", "INSERT INTO plain SELECT g FROM generate_series(10, 20000) AS g"
    )
    case.forget()
    case.sql("SET statement_timeout = '20s'", "UPDATE plain SET id = id + 1000000 WHERE id >= 10")
    assert len(case.marks()) == 2 * 19991


@pytest.mark.postgres(18, "VIRTUAL columns")
@pytest.mark.parametrize("kind", ["", "PARTITION BY RANGE (cid)"])
def test_a_virtual_column_that_names_the_parent_is_refused(database: str, kind: str) -> None:
    embed = Embed("children", TableName("public", "kid"), ("pid",), order_by=("cid",))
    with Case(database, [entity("parent", "parent", embeds=(embed,))]) as case:
        case.sql(
            "CREATE TABLE parent (id int PRIMARY KEY)",
            f"CREATE TABLE kid (cid int PRIMARY KEY, base int, pid int GENERATED ALWAYS AS (base / 10) VIRTUAL) {kind}",
        )
        with pytest.raises(MappingError, match="virtual generated column"):
            case.install()


def test_a_stored_generated_column_names_the_parent(database: str) -> None:
    embed = Embed("children", TableName("public", "kid"), ("pid",))
    with Case(database, [entity("parent", "parent", embeds=(embed,))]) as case:
        case.sql(
            "CREATE TABLE parent (id int PRIMARY KEY)",
            "CREATE TABLE kid (cid int PRIMARY KEY, base int, pid int GENERATED ALWAYS AS (base / 10) STORED)",
        )
        case.install()
        case.sql("INSERT INTO kid VALUES (1, 20)", "UPDATE kid SET base = 30")
        assert case.marks() == [("parent", "2", "U"), ("parent", "3", "U"), ("parent", "2", "U")]


def test_our_whole_schema_may_go(case: Case) -> None:
    """Dropped with CASCADE it takes the functions and so the triggers along."""
    case.sql("DROP SCHEMA syncline CASCADE", "INSERT INTO plain VALUES (3, 'c')", "TRUNCATE parted")
    assert case.sql("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal") == [(0,)]


def test_tables_of_ours_may_go_one_by_one(case: Case) -> None:
    case.sql("DROP TABLE syncline.outbox, syncline.task, syncline.notice CASCADE")
    case.sql("INSERT INTO plain VALUES (3, 'c')", "UPDATE parted SET note = 'z'", "TRUNCATE parted")
    with pytest.raises(psycopg.errors.UndefinedTable):
        case.marks()
