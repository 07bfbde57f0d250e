"""Our own schema in halves: what another tool has dropped is put back, or the commands that start over are named (case 26)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from syncline.capture.postgres import install
from syncline.capture.postgres.state import read_members
from syncline.errors import DamagedError, MappingError, SourceError
from syncline.journal.parts import Kind, Part, parts
from syncline.postgres.dialect import Dialect
from syncline.postgres.sql import blocks
from tests.cockroach.server import Simulator
from tests.integration.capture_case import Case, entity
from tests.integration.test_migrations import catalog, older

ENTITIES = (entity("item", "item"),)
TABLE = "CREATE TABLE item (id bigint PRIMARY KEY, name text)"
REMEMBER = {"entity", "outbox", "block", "deferred", "parked", "task"}
PARTS = [part for part in parts(Dialect.POSTGRESQL) if "meta" not in (part.name, part.table)]


@pytest.fixture
def case(database: str) -> Iterator[Case]:
    with Case(database, ENTITIES, backfill=True) as made:
        made.sql(TABLE)
        made.install()
        made.forget()
        yield made


@pytest.fixture
def roles(case: Case) -> Iterator[tuple[str, str]]:
    """A worker's and a writer's."""
    names = tuple(f"{name}_{uuid4().hex[:8]}" for name in ("worker", "writer"))
    case.sql(*(f"CREATE ROLE {name}" for name in names))
    yield names[0], names[1]
    case.sql(*(f"DROP OWNED BY {name}; DROP ROLE {name}" for name in names))


def drop(part: Part) -> str:
    if part.kind is Kind.COLUMN:
        return f"ALTER TABLE syncline.{part.table} DROP COLUMN {part.name.split('.')[1]} CASCADE"
    if part.kind is Kind.KEY:
        return f"ALTER TABLE syncline.{part.table} DROP CONSTRAINT {part.name} CASCADE"
    if part.kind is Kind.IDENTITY:
        return f"ALTER TABLE syncline.{part.table} ALTER COLUMN {part.name.split('.')[1]} DROP IDENTITY"
    return f"DROP {part.kind} syncline.{part.name} CASCADE"


def numberless(case: Case) -> set[Any]:
    """Name what there is; numbers of entities are never given out twice."""
    return {row[:2] for row in catalog(case.url) if not any(f"_{number}" in row[1] for number in range(1, 100))}


def assert_captured(case: Case) -> None:
    case.forget()
    case.sql("INSERT INTO item VALUES (1, 'a')", "DELETE FROM item")
    assert case.marks() == [("item", "1", "I"), ("item", "1", "D")]
    case.forget()


def remembers(part: Part) -> bool:
    return part.kind in (Kind.TABLE, Kind.COLUMN) and (part.table or part.name) in REMEMBER


@pytest.mark.parametrize("kind", [Kind.TABLE, Kind.KEY, Kind.IDENTITY, Kind.INDEX, Kind.FUNCTION, Kind.VIEW])
def test_case_26_what_another_tool_dropped_is_put_back(case: Case, kind: Kind) -> None:
    before = numberless(case)
    for part in [part for part in PARTS if part.kind is kind]:
        case.sql(drop(part))

        done = case.install()

        assert numberless(case) == before, part
        assert not case.plan().changes, part
        assert done.backfill == (["item"] if remembers(part) else []), part
        assert {kind for kind, _ in case.tasks()} == ({"backfill", "sweep"} if remembers(part) else set()), part
        assert_captured(case)


@pytest.mark.parametrize("odd", [0, 1])
def test_case_26_columns_that_another_tool_dropped_are_put_back(case: Case, odd: int) -> None:
    before = numberless(case)
    columns = [part for part in PARTS if part.kind is Kind.COLUMN and part.name != "history.processed_at"][odd::2]
    case.sql(*map(drop, columns))

    case.install()

    assert numberless(case) == before
    assert not case.plan().changes
    assert_captured(case)


@pytest.mark.parametrize(("column", "marked"), [("notice.name", False), ("history.seq", False), ("task.kind", True)])
def test_only_what_remembers_changes_has_records_marked(case: Case, column: str, marked: bool) -> None:
    case.sql(*(drop(part) for part in PARTS if part.kind is Kind.COLUMN and part.name == column))

    assert bool(case.install().backfill) == marked


def test_every_column_of_ours_is_known(case: Case) -> None:
    found = case.sql(
        "SELECT c.relname || '.' || a.attname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid"
        " WHERE c.relnamespace = 'syncline'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0"
    )

    assert {name for (name,) in found} == {p.name for p in parts(Dialect.POSTGRESQL) if p.kind is Kind.COLUMN}


def test_new_marks_stand_above_all_that_workers_have_read(case: Case) -> None:
    case.sql("INSERT INTO item SELECT n FROM generate_series(1, 100) AS n")
    ((newest,),) = case.sql("SELECT max(seq) FROM syncline.outbox")
    case.sql("DROP TABLE syncline.outbox CASCADE")

    case.install()
    case.sql("INSERT INTO item VALUES (0)")

    assert case.sql("SELECT seq > %d FROM syncline.outbox" % newest) == [(True,)]  # noqa: UP031  no percent of psycopg


def test_numbers_that_somebody_set_back_are_put_forward(case: Case) -> None:
    case.sql("INSERT INTO item SELECT generate_series(1, 9)", "SELECT syncline.rotate_history('7 days')")
    case.sql(
        "INSERT INTO syncline.notice (name, severity, message) SELECT 'A', 'info', n FROM generate_series(1, 9) AS n"
    )
    for name in ("outbox_seq_seq", "notice_id_seq"):
        case.sql(f"ALTER SEQUENCE syncline.{name} RESTART")

    assert "put forward the numbers of syncline.notice, syncline.outbox" in case.install().summary

    case.forget()
    case.sql("UPDATE item SET name = 'b'")
    assert case.sql("SELECT count(*) FROM syncline.outbox") == [(9,)]
    assert not case.install().changes


def test_numbers_are_put_forward_above_those_that_are_ahead_of_the_clock(case: Case) -> None:
    """They go by 512: of many marks they overtake the microseconds, from which they began when they were put forward."""
    case.sql(
        "INSERT INTO syncline.outbox (seq, entity, lane, hint, key) OVERRIDING SYSTEM VALUE"
        " SELECT (extract(epoch FROM now()) * 1e6)::bigint + 10000000000, id, 0, 'U', '1' FROM syncline.entity"
    )
    ((highest,),) = case.sql("SELECT max(seq) FROM syncline.outbox")

    assert "put forward the numbers of syncline.outbox" in case.install().summary

    case.sql("INSERT INTO item VALUES (2)")
    ((newest,),) = case.sql("SELECT max(seq) FROM syncline.outbox WHERE key = '2'")
    assert newest >= highest + 512
    assert not case.install().changes


@pytest.mark.parametrize("drop", ["DROP TABLE syncline.block CASCADE", "ALTER TABLE syncline.block DROP keys CASCADE"])
def test_keys_of_blocks_that_are_put_back_are_stored_as_before(case: Case, drop: str) -> None:
    stored = (
        "SELECT attstorage = 'e' FROM pg_attribute WHERE attrelid = 'syncline.block'::regclass AND attname = 'keys'"
    )
    assert case.sql(stored) == [(True,)]
    case.sql(drop)

    case.install()

    assert case.sql(stored) == [(True,)]


def test_an_emptied_table_of_lanes_is_filled(case: Case) -> None:
    case.sql("TRUNCATE syncline.lane")

    assert case.install().summary == ["put back rows of syncline.lane"]
    assert case.sql("SELECT count(*) FROM syncline.lane") == [(64,)]


def test_roles_that_worked_with_our_tables_work_with_the_new_ones(case: Case, roles: tuple[str, str]) -> None:
    worker, writer = roles
    case.options |= {"worker_role": worker, "writer_role": writer}
    case.install()
    del case.options["worker_role"], case.options["writer_role"]
    case.sql("DROP TABLE syncline.lane, syncline.task", "DROP FUNCTION syncline.rotate_history(interval)")

    case.install()

    may = "SELECT has_table_privilege('{}', 'syncline.{}', '{}')"
    for role, table, privilege, right in (
        (worker, "lane", "UPDATE", True),
        (worker, "task", "DELETE", True),
        (writer, "task", "SELECT", True),
        (writer, "task", "INSERT", False),
        (writer, "lane", "SELECT", False),
    ):
        assert case.sql(may.format(role, table, privilege)) == [(right,)], (role, table, privilege)
    rotate = f"SELECT has_function_privilege('{worker}', 'syncline.rotate_history(interval)', 'EXECUTE')"
    assert case.sql(rotate) == [(True,)]


def test_open_notices_say_again_whom_they_are_about(case: Case) -> None:
    """Else nobody could end them when their cause is gone."""
    case.sql(
        "INSERT INTO syncline.notice (name, severity, message, entity) VALUES"
        " ('CaptureBroken', 'critical', 'entity item: a trigger is missing; run `syncline install`', 'item'),"
        " ('EntityStopped', 'critical', 'entity item is not served: there is no table', 'item'),"
        " ('TaskFailed', 'critical', 'item: a backfill or sweep failed', 'item'),"
        " ('Restored', 'info', 'the source was restored', NULL)",
        "ALTER TABLE syncline.notice DROP COLUMN entity CASCADE",
    )

    case.install()

    of = case.sql("SELECT name, entity FROM syncline.notice ORDER BY name")
    assert of == [("CaptureBroken", "item"), ("EntityStopped", "item"), ("Restored", None), ("TaskFailed", "item")]


@pytest.mark.parametrize("how", ["DROP COLUMN resolved_at CASCADE", "ALTER resolved_at TYPE text USING 'somewhen'"])
def test_notices_of_long_ago_do_not_open_again(case: Case, how: str) -> None:
    """Nobody knows any more which were open: the newest of a name and a subject may have been, none that something ended."""
    case.sql(
        "INSERT INTO syncline.notice (name, severity, message, entity, resolved_at) VALUES"
        " ('CaptureBroken', 'critical', 'long ago', 'item', now()), ('CaptureBroken', 'critical', 'now', 'item', NULL),"
        " ('EntityStopped', 'critical', 'of another', 'other', NULL), ('Repair', 'info', 'once', NULL, now()),"
        " ('Restored', 'critical', 'the source, first', NULL, now()), ('Restored', 'critical', 'the target', NULL, NULL),"
        " ('Restored', 'critical', 'the source, first', NULL, NULL), ('ResyncDone', 'info', 'a', NULL, now()),"
        " ('ResyncRunning', 'info', 'b', NULL, NULL), ('Diverged', 'warning', 'it differed', 'item', now())",
        "INSERT INTO syncline.certificate (entity, as_of, records, verdict, report) SELECT id, now(), 1, 'equal', '{}' FROM syncline.entity",
        f"ALTER TABLE syncline.notice {how}",
    )

    case.install()

    assert case.sql("SELECT id, name FROM syncline.notice WHERE resolved_at IS NULL ORDER BY id") == [
        (2, "CaptureBroken"),
        (3, "EntityStopped"),
        (6, "Restored"),
        (7, "Restored"),
        (9, "ResyncRunning"),
    ]


def test_a_table_that_goes_away_while_it_is_looked_at_is_named(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    async def late(conn: Any, tables: Any) -> Any:
        case.sql("ALTER TABLE item RENAME TO away")
        return await read_members(conn, tables)

    monkeypatch.setattr(install, "read_members", late)

    with pytest.raises(MappingError, match=r"there is no table public\.item any more"):
        case.plan()


BEYOND_REPAIR = {
    "meta": "DROP TABLE syncline.meta",
    "its row": "TRUNCATE syncline.meta",
    "its id": "ALTER TABLE syncline.meta DROP COLUMN installation",
    "most of it": "DROP TABLE syncline.meta, syncline.migration, syncline.entity, syncline.granted CASCADE",
}


@pytest.mark.parametrize("what", BEYOND_REPAIR)
def test_case_26_without_the_installation_s_id_the_commands_that_start_over_are_named_and_do(
    case: Case, what: str
) -> None:
    case.sql(BEYOND_REPAIR[what])

    with pytest.raises(DamagedError, match=r"another tool has dropped .*syncline\.meta") as error:
        case.plan()
    assert error.value.hint is not None
    assert error.value.hint.startswith("`syncline uninstall`, then `syncline install`")

    case.uninstall()
    case.install()
    assert_captured(case)


def test_an_empty_schema_of_the_name_is_used_and_a_full_one_is_not(database: str) -> None:
    with Case(database, ENTITIES) as case:
        case.sql(TABLE, "CREATE SCHEMA syncline", "CREATE TABLE syncline.theirs (id int)")
        with pytest.raises(SourceError, match="a schema syncline that is not Syncline's"):
            case.install()

        case.sql("DROP TABLE syncline.theirs")
        case.install()
        assert_captured(case)


def test_names_of_ours_differ_by_more_than_case(case: Case) -> None:
    names = case.sql("SELECT lower(relname) FROM pg_class WHERE relnamespace = 'syncline'::regnamespace")

    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ["entity", "outbox", "lane", "notice", "changes"])
def test_cockroachdb_simulated_what_another_tool_dropped_is_put_back(cockroach: Simulator, name: str) -> None:
    with Case(cockroach.url, ENTITIES, backfill=True) as case:
        case.sql(TABLE)
        case.install()
        case.sql(f"DROP {'VIEW' if name == 'changes' else 'TABLE'} syncline.{name} CASCADE")

        case.install()

        assert not case.plan().changes
        case.forget()
        case.sql("INSERT INTO item VALUES (1, 'a')")
        assert [key for _, key, _ in case.marks()] == ["1"]


UNSIGNED = """
WITH ours AS (
    SELECT 'pg_class'::regclass AS catalog, c.oid FROM pg_class AS c
    WHERE c.relnamespace = 'syncline'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'i', 'I', 'S', 'c')
      AND NOT (c.relkind = 'S' AND EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'i'))  -- an identity's
      AND NOT (c.relkind IN ('i', 'I') AND (c.relispartition OR EXISTS (SELECT FROM pg_constraint AS o WHERE o.conindid = c.oid)))
    UNION ALL SELECT 'pg_proc'::regclass, oid FROM pg_proc WHERE pronamespace = 'syncline'::regnamespace
    UNION ALL SELECT 'pg_type'::regclass, t.oid FROM pg_type AS t
    WHERE t.typnamespace = 'syncline'::regnamespace AND t.typrelid = 0 AND t.typelem = 0
    UNION ALL SELECT 'pg_trigger'::regclass, t.oid FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
    WHERE p.pronamespace = 'syncline'::regnamespace AND t.tgparentid = 0
    UNION ALL SELECT 'pg_event_trigger'::regclass, e.oid FROM pg_event_trigger AS e JOIN pg_proc AS p ON p.oid = e.evtfoid
    WHERE p.pronamespace = 'syncline'::regnamespace
    UNION ALL SELECT 'pg_namespace'::regclass, oid FROM pg_namespace WHERE nspname = 'syncline'
)
SELECT pg_describe_object(catalog, oid, 0), obj_description(oid, catalog::text) FROM ours
"""


@pytest.mark.parametrize("since", ["now", "schema version 1"])
def test_a_comment_on_every_object_of_ours_says_whose_it_is(database: str, since: str) -> None:
    with Case(database, ENTITIES, event_triggers=True, finish=True) as case:
        if since == "now":
            case.sql("CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id)", TABLE)
            case.sql("CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10)")
            case.entities = [*ENTITIES, entity("part", "part")]
        else:
            older(database)
            case.entities = [entity(name, name) for (name,) in case.sql("SELECT name FROM syncline.entity ORDER BY id")]
        case.install()
        case.sql("SELECT syncline.rotate_history(interval '7 days')", blocks("tracing.sql")["on"])

        found = case.sql(UNSIGNED)

        assert len(found) > 40
        assert [name for name, comment in found if not (comment or "").startswith("Syncline: ")] == []
