"""Installing: idempotent, repairing, refusing with a reason, leaving without trace."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from syncline.capture.postgres.install import InstallOptions, install, plan
from syncline.capture.postgres.rendering import render
from syncline.embedded.postgres import PrivatePostgres
from syncline.errors import MappingError, NotInstalledError, OvertakenError, PrivilegeError, SourceError, VersionError
from syncline.journal.registry import check, installed
from syncline.model.entity import Embed, Entity, Fields, TableName
from syncline.postgres.connection import connect
from tests import engines, programs
from tests.integration.capture_case import Case, assert_captured, entity

TABLES = """
CREATE TABLE todo (id bigint PRIMARY KEY, code text NOT NULL UNIQUE, title text);
CREATE TABLE tag (id int PRIMARY KEY, todo_id bigint);
CREATE TABLE part (id int PRIMARY KEY) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (100);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (100) TO (200);
CREATE TABLE base (id int PRIMARY KEY);
CREATE TABLE child (PRIMARY KEY (id)) INHERITS (base);
"""
TODO = entity("todo", "todo", embeds=(Embed("tags", TableName.parse("tag"), ("todo_id",)),))
ENTITIES = [TODO, entity("part", "part"), entity("base", "base")]
CATALOG = """
SELECT 'namespace', nspname::text, nspacl::text, obj_description(oid, 'pg_namespace') FROM pg_namespace
    WHERE nspname !~ '^pg_(temp|toast_temp)'
UNION ALL SELECT 'class', c.oid::regclass::text || relkind::text, relacl::text || relhastriggers::text, obj_description(c.oid, 'pg_class')
    FROM pg_class AS c WHERE relnamespace::regnamespace::text !~ '^(pg_toast|information_schema|pg_catalog|pg_temp)'
UNION ALL SELECT 'proc', p.oid::regprocedure::text, md5(prosrc), proacl::text FROM pg_proc AS p WHERE pronamespace::regnamespace::text !~ '^pg_catalog'
UNION ALL SELECT 'trigger', tgname::text, tgrelid::regclass::text, tgenabled::text FROM pg_trigger WHERE tgname !~ '^RI_'
UNION ALL SELECT 'type', t.oid::regtype::text, NULL, NULL FROM pg_type AS t WHERE typnamespace::regnamespace::text = 'public'
UNION ALL SELECT 'description', count(*)::text, NULL, NULL FROM pg_description
UNION ALL SELECT 'depend', count(*)::text, NULL, NULL FROM pg_depend
UNION ALL SELECT 'default acl', count(*)::text, NULL, NULL FROM pg_default_acl
ORDER BY 1, 2, 3
"""


@pytest.fixture
def case(database: str) -> Iterator[Case]:
    with Case(database, ENTITIES) as made:
        made.sql(TABLES)
        yield made


def test_a_second_installation_has_nothing_to_do(case: Case) -> None:
    assert case.install().backfill == ["todo", "part", "base"]
    again = case.plan()

    assert (again.statements, again.summary, again.backfill) == ([], [], [])
    assert render(again) == "-- nothing to do\n"


DAMAGES = {
    "trigger dropped": ("DROP TRIGGER syncline_1_update ON todo", "todo"),
    "trigger disabled": ("ALTER TABLE todo DISABLE TRIGGER syncline_1_insert", "todo"),
    "all triggers disabled": ("ALTER TABLE todo DISABLE TRIGGER ALL", "todo"),
    "trigger not in replicas": ("ALTER TABLE todo ENABLE TRIGGER syncline_1_delete", "todo"),
    "row trigger disabled": ("ALTER TABLE part DISABLE TRIGGER syncline_2_row", "part"),
    "partition's copy disabled": ("ALTER TABLE part_2 DISABLE TRIGGER syncline_2_row", "part"),
    "partition's truncate missing": ("DROP TRIGGER syncline_2_truncate ON part_1", "part"),
    "child's trigger missing": ("DROP TRIGGER syncline_3_row ON child", "base"),
    "embed's trigger missing": ("DROP TRIGGER syncline_1_embed_1_update ON tag", "todo"),
    "function altered": (
        "CREATE OR REPLACE FUNCTION syncline.capture_1_statement() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
        "todo",
    ),
    "function's settings lost": ("ALTER FUNCTION syncline.capture_2_row() RESET ALL", "part"),
    "function as its caller": ("ALTER FUNCTION syncline.capture_2_row() SECURITY INVOKER", "part"),
    "key function altered": ("CREATE OR REPLACE FUNCTION syncline.key_1(int8) RETURNS text LANGUAGE sql AS 'SELECT NULL::text'", None),
    "wake altered": ("CREATE OR REPLACE FUNCTION syncline.wake() RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$", None),
    "trigger for other events": (
        "CREATE OR REPLACE TRIGGER syncline_1_insert AFTER DELETE ON todo REFERENCING OLD TABLE AS changed EXECUTE FUNCTION syncline.capture_1_statement()",
        "todo",
    ),
    "trigger under a condition": (
        "DROP TRIGGER syncline_1_update ON todo; CREATE TRIGGER syncline_1_update AFTER UPDATE ON todo FOR EACH ROW WHEN (OLD.title IS DISTINCT FROM NEW.title) EXECUTE FUNCTION syncline.capture_1_update()",
        "todo",
    ),
    "view dropped": ('DROP VIEW public."Outbox"', None),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_found_and_repaired(case: Case, damage: str) -> None:
    case.install()
    statement, suspect = DAMAGES[damage]
    case.sql(statement)

    repair = case.install()

    assert 1 <= len(repair.summary) <= 7
    assert repair.backfill == ([suspect] if suspect else [])
    assert any("may be missing" in warning for warning in repair.warnings) == bool(suspect)
    assert case.plan().statements == []
    before = case.contents()
    case.sql(
        "INSERT INTO todo VALUES (1, 'a'), (2, 'b')", "UPDATE todo SET id = 3 WHERE id = 2", "DELETE FROM todo WHERE id = 3",
        "INSERT INTO part VALUES (1), (150)", "INSERT INTO child VALUES (1)", "INSERT INTO tag VALUES (1, 7)",
        "UPDATE tag SET todo_id = 8",
    )  # fmt: skip
    assert_captured(case, before, also=[("todo", "2"), ("todo", "3"), ("todo", "7")])


def test_a_partition_made_later_gets_its_truncate_trigger_with_the_next_installation(case: Case) -> None:
    case.install()
    case.sql("CREATE TABLE part_3 PARTITION OF part FOR VALUES FROM (200) TO (300)")

    assert case.install().summary == ["public.part_3: create trigger syncline_2_truncate"]
    case.sql("TRUNCATE part_3")
    assert case.tasks() == [("sweep", "part")]


def test_a_table_that_gets_children_is_captured_row_by_row(case: Case) -> None:
    case.install()
    case.sql("CREATE TABLE special (PRIMARY KEY (id)) INHERITS (todo)")

    case.install()
    before = case.contents()
    case.sql("INSERT INTO special VALUES (5, 'x')", "UPDATE todo SET title = 'y'")

    assert assert_captured(case, before) == {("todo", "5")}


def test_entities_are_added_changed_and_removed(case: Case) -> None:
    case.install()
    case.sql("INSERT INTO part VALUES (1)", "INSERT INTO todo VALUES (1, 'a')")
    case.entities = [entity("tag", "tag"), entity("todo", "todo", fields=Fields(exclude=("title",)))]

    changes = case.install()

    assert case.ids() == {"tag": 4, "todo": 1}
    assert changes.backfill == ["tag", "todo"]
    assert case.marks() == [("todo", "1", "I")]
    assert not case.sql("SELECT FROM pg_trigger WHERE tgrelid = 'part'::regclass")
    case.entities = ENTITIES
    case.install()
    assert case.ids() == {"todo": 1, "part": 5, "base": 6}
    assert case.plan().statements == []


def test_another_key_forgets_the_marks_of_the_old_one(case: Case) -> None:
    case.install()
    case.sql("INSERT INTO todo VALUES (1, 'a')")
    case.entities = [Entity("todo", TableName.parse("todo"), "todos", key=("code",)), *ENTITIES[1:]]

    changes = case.install()

    assert "todo: its key is another one now; records under old keys stay until a sweep" in changes.warnings
    assert case.marks() == []
    case.sql("UPDATE todo SET title = 'x'")
    assert case.marks() == [("todo", "a", "U")]


def test_a_key_columns_type_changes_under_capture(case: Case) -> None:
    case.install()
    case.sql("ALTER TABLE todo ALTER COLUMN id TYPE int", "INSERT INTO todo VALUES (1, 'a')")
    case.sql("ALTER TABLE todo ALTER COLUMN id TYPE int", "UPDATE todo SET id = 2")
    assert case.marks() == [("todo", "1", "I"), ("todo", "2", "U"), ("todo", "1", "D")]


def test_other_columns_come_and_go_without_an_installation(case: Case) -> None:
    case.install()
    case.sql("ALTER TABLE todo DROP COLUMN title, ADD COLUMN extra jsonb", "INSERT INTO todo VALUES (1, 'a')")
    case.sql("ALTER TABLE part ADD COLUMN extra int", "INSERT INTO part VALUES (1, 2)", "UPDATE todo SET extra = '{}'")

    assert case.marks() == [("todo", "1", "I"), ("part", "1", "I"), ("todo", "1", "U")]
    noted = case.plan()
    assert [line.partition(": ")[2] for line in noted.summary] == ["take note of new columns: extra"] * len(noted.rows)
    assert (noted.statements, noted.steps) == ([], {})
    case.install()
    assert not case.plan().changes


def test_the_registry_knows_what_is_installed(case: Case) -> None:
    case.install()

    async def read():
        async with await psycopg.AsyncConnection.connect(case.url) as conn:
            return await installed(conn)

    present = asyncio.run(read())
    assert (present["todo"].id, present["todo"].key_columns, present["todo"].key_types) == (1, ("id",), ("bigint",))
    assert check(ENTITIES, present) == []
    changed = entity("todo", "todo", where="title IS NOT NULL")
    assert check([changed, entity("new", "tag")], present) == [
        "base: installed, but not in the configuration; run `syncline install`",
        "new: not installed; run `syncline install`",
        "part: installed, but not in the configuration; run `syncline install`",
        "todo: changed since the installation (embeds, where); run `syncline install`",
    ]
    case.sql("DROP SCHEMA syncline CASCADE")
    with pytest.raises(NotInstalledError):
        asyncio.run(read())


def test_uninstalling_leaves_no_trace(case: Case) -> None:
    case.sql("INSERT INTO todo VALUES (1, 'a')")
    before = case.sql(CATALOG)
    case.install()
    case.sql("INSERT INTO todo VALUES (2, 'b')", "SELECT syncline.rotate_history('7 days')")
    assert case.sql(CATALOG) != before

    case.uninstall()

    def without(rows):
        return [
            (kind, name, (acl or "").removesuffix("true").removesuffix("false"), more) for kind, name, acl, more in rows
        ]

    assert without(case.sql(CATALOG)) == without(before)
    with pytest.raises(NotInstalledError):
        case.uninstall()


def test_uninstalling_refuses_to_take_others_views_along(case: Case) -> None:
    case.install()
    case.sql("CREATE VIEW mine AS SELECT count(*) FROM syncline.outbox")

    with pytest.raises(SourceError, match=r"public\.mine"):
        case.uninstall()


def test_the_plan_as_sql_does_the_same_in_psql(case: Case) -> None:
    text = render(case.plan())
    run = programs.psql(case.url, text, "--set=ON_ERROR_STOP=1")

    assert (run.returncode, run.stderr) == (0, "")
    assert case.plan().statements == []


REFUSED = {
    "view": ("CREATE VIEW v AS SELECT 1 AS id", entity("x", "v"), "a view"),
    "materialised view": ("CREATE MATERIALIZED VIEW v AS SELECT 1 AS id", entity("x", "v"), "a materialised view"),
    "partition": ("SELECT", entity("x", "part_1"), "is a partition"),
    "missing": ("SELECT", entity("x", "Todo"), r"no table public\.Todo\n  did you mean public\.todo"),
    "temporary": ("CREATE TEMP TABLE t (id int PRIMARY KEY)", Entity("x", TableName("pg_temp", "t"), "x"), "no table"),
    "without key": ("CREATE TABLE t (id int)", entity("x", "t"), "no primary key"),
    "key is nullable": ("CREATE TABLE t (id int UNIQUE)", entity("x", "t", key=("id",)), "no complete unique constraint"),
    "key is partial": ("CREATE TABLE t (id int NOT NULL); CREATE UNIQUE INDEX ON t (id) WHERE id > 0", entity("x", "t", key=("id",)), "no complete unique"),
    "key is an expression": ("CREATE TABLE t (id text NOT NULL); CREATE UNIQUE INDEX ON t (lower(id))", entity("x", "t", key=("id",)), "no complete unique"),
    "key is a float": ("CREATE TABLE t (id float8 PRIMARY KEY)", entity("x", "t"), "cannot be a key"),
    "unknown key column": ("SELECT", entity("x", "todo", key=("nope",)), "no column 'nope'"),
    "embed's column": ("SELECT", entity("x", "todo", embeds=(Embed("t", TableName.parse("tag"), ("nope",)),)), "nope"),
    "embed's type": ("CREATE TABLE t (id int PRIMARY KEY, todo text)", entity("x", "todo", embeds=(Embed("t", TableName.parse("t"), ("todo",)),)), "todo"),
    "our own": ("SELECT", entity("x", "syncline.parked"), "own tables"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_captured_is_refused_with_a_reason(case: Case, what: str) -> None:
    setup, refused, message = REFUSED[what]
    case.install()
    case.sql(setup)
    case.entities = [*ENTITIES, refused]

    with pytest.raises(MappingError, match=message):
        case.plan()


def test_an_unlogged_table_is_taken_with_a_warning(case: Case) -> None:
    case.sql("CREATE UNLOGGED TABLE loose (id int PRIMARY KEY)")
    case.entities = [entity("loose", "loose")]

    assert "unlogged" in case.install().warnings[0]


def test_a_database_without_an_encoding_is_refused(postgres: PrivatePostgres) -> None:
    name = "t_sql_ascii"
    with psycopg.connect(postgres.url, autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {name}")
        server.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'")
        try:
            url = urlsplit(postgres.url)._replace(path=f"/{name}").geturl()
            with Case(url, ENTITIES) as case:
                case.sql(TABLES)
                with pytest.raises(MappingError, match="SQL_ASCII"):
                    case.plan()
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_newer_schema_is_left_alone(case: Case) -> None:
    case.install()
    case.sql("UPDATE syncline.meta SET schema_version = 99")

    with pytest.raises(VersionError, match="99"):
        case.plan()


def test_the_outbox_view_can_live_elsewhere(case: Case) -> None:
    case.install()
    case.sql("CREATE SCHEMA ops", "INSERT INTO todo VALUES (1, 'a')")
    case.options = {"view_schema": "ops"}

    assert case.install().summary == ['drop view public."Outbox"', 'create view ops."Outbox"']
    assert case.sql('SELECT aggregate_type, aggregate_id, event_type FROM ops."Outbox"') == [
        ("todo", "1", "todo.created")
    ]


def test_two_installations_at_once_end_in_one(case: Case) -> None:
    async def both() -> list[object]:
        async with (
            await psycopg.AsyncConnection.connect(case.url, autocommit=True) as one,
            await psycopg.AsyncConnection.connect(case.url, autocommit=True) as two,
        ):
            plans = [await plan(one, ENTITIES), await plan(two, ENTITIES)]
            return await asyncio.gather(install(one, plans[0]), install(two, plans[1]), return_exceptions=True)

    results = asyncio.run(both())

    assert [type(result) for result in results if result is not None] == [OvertakenError]
    assert case.plan().statements == []


def test_without_wake_nobody_is_notified(case: Case) -> None:
    case.install()
    case.options = {"wake": False}

    assert case.install().summary == ["syncline.wake(): writers do not wake the worker, it polls"]
    with psycopg.connect(case.url, autocommit=True) as relay:
        relay.execute("LISTEN syncline")
        relay.execute("SELECT pg_advisory_lock(1398361667, 1)")
        case.sql("INSERT INTO todo VALUES (1, 'a')")
        assert not list(relay.notifies(timeout=0.1))
    case.options = {}
    assert case.install().summary == ["syncline.wake(): writers wake an idle worker"]


@pytest.mark.engines
def test_prepared_transactions_are_captured(tmp_path: Path) -> None:
    with engines.scratch_folder() as folder:
        server = engines.small_postgres(folder / "pg", settings={"max_prepared_transactions": 5})
        try:
            server.start()
            with Case(server.url, ENTITIES) as case:
                case.sql(TABLES)
                assert any("prepared" in warning for warning in case.install().warnings)
                # A worker that is idle waits to be woken, as it did when the setting was 0.
                idle = psycopg.connect(case.url, autocommit=True)
                idle.execute("SELECT pg_advisory_lock(1398361667, 1)")
                with contextlib.closing(idle):
                    case.sql(
                        "BEGIN; INSERT INTO todo VALUES (1, 'a'); INSERT INTO part VALUES (1); PREPARE TRANSACTION 'p'"
                    )
                assert case.marks() == []
                case.sql("COMMIT PREPARED 'p'")
                assert case.marks() == [("todo", "1", "I"), ("part", "1", "I")]
        finally:
            server.kill()


def test_session_capture_installs_no_trigger(case: Case) -> None:
    case.options = {"capture": "session"}
    case.install()

    assert not case.sql("SELECT FROM pg_trigger WHERE tgname ~ '^syncline'")
    assert case.sql("SELECT DISTINCT capture FROM syncline.entity") == [("session",)]
    assert case.plan().statements == []


@pytest.fixture
def roles(case: Case) -> Iterator[Case]:
    names = ("capture_owner", "capture_worker", "capture_stranger")
    case.sql(*(f"DROP ROLE IF EXISTS {name}" for name in names), *(f"CREATE ROLE {name} LOGIN" for name in names))
    yield case
    case.sql(*(f"DROP OWNED BY {name} CASCADE" for name in names), *(f"DROP ROLE {name}" for name in names))


def _as(case: Case, role: str) -> Case:
    return Case(case.url.replace("postgres@", f"{role}@"), case.entities, **case.options)


def test_a_role_without_privileges_is_told_what_to_grant(roles: Case) -> None:
    with _as(roles, "capture_stranger") as stranger:
        with pytest.raises(PrivilegeError, match="GRANT CREATE ON DATABASE"):
            stranger.plan()
        roles.sql(
            "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO capture_stranger', current_database()); END $$"
        )
        with pytest.raises(PrivilegeError, match='GRANT "postgres" TO "capture_stranger"'):
            stranger.plan()


def test_an_owner_who_is_no_superuser_installs_and_a_small_worker_role_suffices(roles: Case) -> None:
    roles.sql(
        "DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO capture_owner', current_database()); END $$",
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",  # the default since PostgreSQL 15
        *(
            f"ALTER TABLE {table} OWNER TO capture_owner"
            for table in ("todo", "tag", "part", "part_1", "part_2", "base", "child")
        ),
        "INSERT INTO todo VALUES (1, 'a')",
    )
    roles.options = {"worker_role": "capture_worker"}
    with _as(roles, "capture_owner") as owner:
        assert any("no CREATE on schema public" in warning for warning in owner.install().warnings)
        assert owner.plan().statements == []
        owner.sql("UPDATE todo SET title = 'x'")
    with _as(roles, "capture_worker") as worker:
        assert worker.marks() == [("todo", "1", "U")]
        worker.sql(
            "SELECT syncline.key_1(id), todo.* FROM todo",
            "DELETE FROM syncline.outbox",
            "SELECT last_value FROM syncline.outbox_seq_seq",
            "INSERT INTO syncline.task (kind, entity, reason) VALUES ('backfill', 1, 'test')",
            "SELECT syncline.mark(1::smallint, '{1}', 'R'), syncline.rotate_history('1 day')",
            "SELECT system_identifier FROM pg_control_system()",
            "INSERT INTO syncline.history (seq, created_at, processed_at, entity, hint, key) VALUES (1, now(), now(), 1, 'U', '1')",
        )
        for denied in ("UPDATE todo SET title = 'y'", "TRUNCATE syncline.outbox", "DROP TABLE syncline.outbox"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                worker.sql(denied)


def test_a_worker_below_row_level_security_is_warned_of(roles: Case) -> None:
    roles.sql("ALTER TABLE todo ENABLE ROW LEVEL SECURITY")
    roles.options = {"worker_role": "capture_worker"}

    assert any("BYPASSRLS" in warning for warning in roles.plan().warnings)
    roles.sql("ALTER ROLE capture_worker BYPASSRLS")
    assert not any("BYPASSRLS" in warning for warning in roles.plan().warnings)


def test_a_writer_role_may_mark_and_nothing_else(roles: Case) -> None:
    roles.options = {"writer_role": "capture_stranger", "capture": "session"}
    roles.install()

    with _as(roles, "capture_stranger") as writer:
        assert writer.sql("SELECT syncline.mark(1::smallint, '{1}', 'E', 'todo.created', '{\"a\": 1}')") == [(1,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            writer.sql("DELETE FROM syncline.outbox")
    assert roles.plan().statements == []


def test_options_have_safe_defaults() -> None:
    assert InstallOptions() == InstallOptions(capture="triggers", wake=True, view_schema="public", worker_role=None)


async def test_the_backfills_that_it_makes_necessary_stand_with_the_installation(database):
    conn = await connect(database)
    try:
        await conn.execute("CREATE TABLE thing (id int PRIMARY KEY)")
        things = Entity("thing", TableName("public", "thing"), "things")
        wanted = await plan(conn, [things], InstallOptions(backfill=True))
        await install(conn, wanted)
        tasks = await (await conn.execute("SELECT kind, reason FROM syncline.task")).fetchall()
        again = await plan(conn, [things], InstallOptions(backfill=True))
    finally:
        await conn.close()
    assert tasks == [("backfill", "install")]
    assert again.statements == []
