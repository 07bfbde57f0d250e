"""Our own schema: an older installation becomes what a new one is, whatever interrupts it, and keeps what it has."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql

from syncline.capture.postgres import migrate
from syncline.capture.postgres.carry_out import prologue
from syncline.capture.postgres.install import InstallOptions, install, plan
from syncline.capture.postgres.migrate import Each
from syncline.capture.postgres.rendering import render
from syncline.errors import SourceError, VersionError
from syncline.journal.migration import FIRST, SCHEMA_VERSION, migrations, numbers
from syncline.journal.registry import installed
from syncline.model.entity import Embed, TableName
from syncline.postgres.connection import connect
from syncline.postgres.dialect import Dialect
from tests import engines, programs
from tests.cockroach.server import Simulator, simulator
from tests.integration.capture_case import Case, entity

DATA = Path(__file__).parents[1] / "data"
TABLES = """
CREATE TABLE item (id bigint PRIMARY KEY, name text, qty int NOT NULL DEFAULT 0);
CREATE TABLE author (id uuid PRIMARY KEY, name text NOT NULL);
CREATE TABLE book (id int PRIMARY KEY, author_id uuid NOT NULL REFERENCES author, title text);
CREATE TABLE huge (id int PRIMARY KEY, n numeric);
"""
ENTITIES = (
    entity("item", "item"),
    entity("author", "author", embeds=(Embed("books", TableName.parse("book"), ("author_id",)),)),
    entity("huge", "huge"),
)
CATALOG = """
WITH ours AS (
    SELECT c.* FROM pg_class AS c WHERE c.relnamespace = 'syncline'::regnamespace AND c.relname !~ '^history_[0-9]'
)
SELECT 'relation', c.relname::text, concat_ws(' ', c.relkind, c.relpersistence, c.reloptions, pg_get_partkeydef(c.oid)) FROM ours AS c
UNION ALL SELECT 'column', c.relname || '.' || a.attname,
    concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid))
    FROM ours AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
UNION ALL SELECT 'sequence', s.seqrelid::regclass::text, (s.seqcache, s.seqincrement, s.seqstart)::text FROM pg_sequence AS s JOIN ours AS c ON c.oid = s.seqrelid
UNION ALL SELECT 'index', i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) || i.indisvalid FROM pg_index AS i JOIN ours AS c ON c.oid = i.indexrelid
UNION ALL SELECT 'constraint', o.conrelid::regclass || ' ' || o.conname, pg_get_constraintdef(o.oid) FROM pg_constraint AS o JOIN ours AS c ON c.oid = o.conrelid
UNION ALL SELECT 'trigger', tgrelid::regclass || ' ' || tgname, pg_get_triggerdef(oid) || tgenabled::text FROM pg_trigger WHERE tgname ~ 'syncline'
UNION ALL SELECT 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid) || coalesce((p.proacl)::text, '') FROM pg_proc AS p WHERE p.pronamespace = 'syncline'::regnamespace
UNION ALL SELECT 'view', c.oid::regclass::text, pg_get_viewdef(c.oid) FROM pg_class AS c WHERE c.relkind = 'v' AND c.relnamespace::regnamespace::text IN ('syncline', 'public')
UNION ALL SELECT 'comment', pg_describe_object(d.classoid, d.objoid, d.objsubid), d.description FROM pg_description AS d
    WHERE pg_describe_object(d.classoid, d.objoid, d.objsubid) ~ 'syncline|Outbox|Syncline' AND d.objoid >= 16384
    AND pg_describe_object(d.classoid, d.objoid, d.objsubid) !~ 'history_[0-9]'
UNION ALL SELECT 'migration', number::text, name FROM syncline.migration
UNION ALL SELECT 'version', schema_version::text, '' FROM syncline.meta
ORDER BY 1, 2
"""
KEPT = ("outbox", "deferred", "parked", "history", "task", "verification", "certificate", "notice")


def catalog(url: str) -> list[Any]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(CATALOG).fetchall()


def older(url: str) -> None:
    """Put the installation of schema version 1 into an empty database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute((DATA / "schema_1.sql").read_bytes())


@pytest.fixture
def old(database: str) -> Iterator[Case]:
    older(database)
    with Case(database, ENTITIES) as case:
        yield case


@pytest.fixture
def new(postgres: Any) -> Iterator[Case]:
    with engines.fresh_database(postgres.url) as url, Case(url, ENTITIES) as case:
        case.sql(TABLES)
        case.install()
        yield case


def finished(case: Case) -> Case:
    case.options["finish"] = True
    return case


def test_an_older_installation_becomes_what_a_new_one_is(old: Case, new: Case) -> None:
    finished(old).install()

    assert catalog(old.url) == catalog(new.url)
    assert not old.plan().changes


def test_what_waits_is_kept(old: Case) -> None:
    before = [old.sql(f"SELECT count(*) FROM syncline.{table}") for table in KEPT]

    old.install()

    assert [old.sql(f"SELECT count(*) FROM syncline.{table}") for table in KEPT] == before
    assert old.sql("SELECT key FROM syncline.parked") == [("2",)]
    assert {("item", "21", "I"), ("item", "19", "D")} <= set(old.marks())


@pytest.mark.parametrize("done", [0.3, 0.7, 1])
def test_an_unfinished_migration_goes_on(old: Case, new: Case, done: float) -> None:
    steps = finished(old).plan().migrations
    for step in steps[: round(len(steps) * done) - 1]:
        old.sql(step.as_string(None))

    old.install()

    assert catalog(old.url) == catalog(new.url)


def test_every_step_may_be_repeated(old: Case, new: Case) -> None:
    for step in finished(old).plan().migrations:
        old.sql(step.as_string(None), step.as_string(None))

    old.install()

    assert catalog(old.url) == catalog(new.url)


def test_the_sql_for_a_database_administrator_does_the_same(old: Case, new: Case) -> None:
    text = render(finished(old).plan())

    programs.restore(old.url, text)

    assert catalog(old.url) == catalog(new.url)


def test_a_lock_is_waited_for_in_short_attempts(old: Case) -> None:
    with psycopg.connect(old.url) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(1398361667, 2)")
        release = threading.Timer(0.6, holder.rollback)
        release.start()
        old.install()
        release.join()

    assert old.sql("SELECT max(number) FROM syncline.migration") == [(SCHEMA_VERSION,)]


async def test_no_round_trip_lies_between_the_locks_of_a_step_and_its_commit(database: str, tmp_path: Path) -> None:
    made = "CREATE TABLE public.{name} (); ALTER TABLE public.{name} ADD n int"
    steps = [sql.SQL(made).format(name=sql.Identifier(name)) for name in ("one", "two")]
    traced = tmp_path / "traced"
    async with await connect(database) as connection:
        with traced.open("wb") as file:
            connection.pgconn.trace(file.fileno())
            await migrate.migrate(connection, steps, lambda timeout, holds: prologue(timeout, holds=holds))
            connection.pgconn.untrace()
        columns = "SELECT count(*) FROM pg_attribute WHERE attname = 'n' AND attrelid IN ('public.one'::regclass, 'public.two'::regclass)"
        found = await (await connection.execute(columns)).fetchone()

    assert tuple(found or ()) == (2,)
    assert traced.read_text().count("\tQuery\t") == len(steps)


LARGE = "history_20261129"
"""A partition of the older installation."""
FILL = f"""
INSERT INTO syncline.{LARGE} (seq, created_at, processed_at, entity, hint, key)
SELECT n, '2026-11-29 12:00Z', '2026-11-29 12:00Z', 1, 'U', repeat('k', 900) FROM generate_series(1, 40000) AS n"""


def test_large_partitions_get_their_key_beside_those_who_write_to_them(old: Case) -> None:
    old.sql(FILL)
    (each,) = [step for step in old.plan().migrations if isinstance(step, Each)]

    ((statement,),) = old.sql(each.as_string(None))

    assert statement.startswith(f"CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS {LARGE}_pkey ON syncline.{LARGE} ")
    old.sql(statement)
    made = old.sql(f"SELECT 'syncline.{LARGE}_pkey'::regclass::oid")
    old.install()
    key = old.sql(f"SELECT indexrelid FROM pg_index WHERE indrelid = 'syncline.{LARGE}'::regclass AND indisprimary")
    assert key == made
    assert old.sql(each.as_string(None)) == []


def test_an_installation_runs_what_may_be_no_transaction(old: Case) -> None:
    old.sql(FILL)

    old.install()

    assert old.sql(f"SELECT count(*) FROM pg_index WHERE indrelid = 'syncline.{LARGE}'::regclass AND indisprimary") == [
        (1,)
    ]


def test_what_waits_too_long_outside_of_a_transaction_ends_and_goes_on_later(old: Case, monkeypatch: Any) -> None:
    monkeypatch.setattr(migrate, "OUTSIDE", timedelta(seconds=0.5))
    old.sql(FILL)

    with psycopg.connect(old.url) as holder:
        holder.execute(f"LOCK TABLE syncline.{LARGE} IN ROW EXCLUSIVE MODE")
        with pytest.raises(SourceError, match=f"did not end within .* CREATE UNIQUE INDEX CONCURRENTLY .*{LARGE}"):
            old.install()
        waiting = "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^CREATE UNIQUE' AND state = 'active' AND datname = current_database()"
        assert old.sql(waiting) == [(0,)]
    monkeypatch.undo()
    old.install()

    assert not finished(old).install().backfill
    key = f"SELECT indisvalid FROM pg_index WHERE indrelid = 'syncline.{LARGE}'::regclass AND indisprimary"
    assert old.sql(key) == [(True,)]


def test_roles_may_use_the_new_tables_too(old: Case) -> None:
    with psycopg.connect(old.url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS migrated_worker")
        connection.execute("CREATE ROLE migrated_worker")
    old.sql("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA syncline TO migrated_worker")

    old.install()

    lacking = old.sql(
        "SELECT relname FROM pg_class WHERE relnamespace = 'syncline'::regnamespace AND relkind IN ('r', 'p')"
        " AND NOT has_table_privilege('migrated_worker', oid, 'UPDATE')"
    )
    old.sql("DROP OWNED BY migrated_worker", "DROP ROLE migrated_worker")
    assert lacking == []


async def _entities(url: str) -> Any:
    async with await connect(url) as connection:
        return await installed(connection)


def test_an_older_schema_asks_for_an_installation(old: Case) -> None:
    with pytest.raises(VersionError, match=f"schema version {FIRST}, this Syncline needs {SCHEMA_VERSION}") as error:
        asyncio.run(_entities(old.url))
    assert error.value.hint == "run `syncline install` to migrate it"


def test_a_schema_that_a_newer_package_has_finished_is_refused(new: Case) -> None:
    new.sql("UPDATE syncline.meta SET schema_version = 9999")

    with pytest.raises(VersionError, match=f"schema version 9999, this Syncline knows {SCHEMA_VERSION}"):
        asyncio.run(_entities(new.url))


def test_a_schema_that_a_newer_package_has_not_finished_works_but_is_not_installed_over(new: Case) -> None:
    new.sql("INSERT INTO syncline.migration VALUES (9999, 'of_next_year')")

    assert asyncio.run(_entities(new.url)).keys() == {"item", "author", "huge"}
    with pytest.raises(VersionError, match="9999"):
        new.plan()


def test_until_it_is_finished_the_previous_release_may_work_here(old: Case) -> None:
    done = old.install()

    assert any("`syncline install --finish`" in warning for warning in done.warnings)
    assert old.sql("SELECT schema_version FROM syncline.meta") == [(FIRST,)]
    finished(old).install()
    assert old.sql("SELECT schema_version FROM syncline.meta") == [(SCHEMA_VERSION,)]


def test_numbers_are_unique_and_both_dialects_have_the_same() -> None:
    names = [(one.number, one.name) for one in migrations(Dialect.POSTGRESQL)]

    assert len(numbers()) == len(names)
    assert names == [(one.number, one.name) for one in migrations(Dialect.COCKROACHDB)]
    assert min(numbers()) == FIRST + 1


COCKROACH_ENTITIES = (entity("item", "item"),)


@pytest.fixture
def old_cluster(cockroach: Simulator) -> Iterator[Case]:
    with Case(cockroach.url, COCKROACH_ENTITIES) as case:
        case.sql("CREATE TABLE item (id bigint PRIMARY KEY, name text)")
        for block in (DATA / "schema_1_cockroach.sql").read_text().split("\n-- name: ")[1:]:
            case.sql(block.partition("\n")[2].strip().removesuffix(";"))
        case.sql("INSERT INTO syncline.meta (schema_version, package, cluster) VALUES (1, '0.1.0', 'c/d')")
        case.sql("INSERT INTO syncline.notice (name, severity, message) VALUES ('TargetRestored', 'warning', 'kept')")
        yield case


@pytest.fixture
def new_cluster(postgres: Any) -> Iterator[tuple[Case, str]]:
    with (
        engines.fresh_database(postgres.url) as url,
        simulator(url) as cluster,
        Case(cluster.url, COCKROACH_ENTITIES) as case,
    ):
        case.sql("CREATE TABLE item (id bigint PRIMARY KEY, name text)")
        case.install()
        yield case, url


def test_cockroachdb_an_older_installation_becomes_what_a_new_one_is(
    old_cluster: Case, new_cluster: tuple[Case, str], cockroach: Simulator
) -> None:
    finished(old_cluster).install()

    assert catalog(cockroach.postgres_url) == catalog(new_cluster[1])
    assert old_cluster.sql("SELECT message FROM syncline.notice") == [("kept",)]
    assert not old_cluster.plan().changes


def test_cockroachdb_an_unfinished_migration_goes_on(
    old_cluster: Case, new_cluster: tuple[Case, str], cockroach: Simulator
) -> None:
    for step in finished(old_cluster).plan().migrations[:-2]:
        old_cluster.sql(step.as_string(None))

    old_cluster.install()

    assert catalog(cockroach.postgres_url) == catalog(new_cluster[1])


async def _plan_and_install(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as conn:
        await install(conn, await plan(conn, ENTITIES, InstallOptions()))


def test_two_installers_at_once_do_not_disturb_each_other(old: Case) -> None:
    async def both() -> list[Any]:
        return await asyncio.gather(*(_plan_and_install(old.url) for _ in range(2)), return_exceptions=True)

    outcomes = asyncio.run(both())

    assert any(outcome is None for outcome in outcomes)
    assert not [o for o in outcomes if o is not None and not isinstance(o, SourceError)]
    assert not old.plan().changes
