"""The schema of moving tables on the other side: every feature, resumed after a kill, compared by two independent checks."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from collections.abc import Iterator

import psycopg
import pytest
from typer.testing import CliRunner

from syncline.cli.main import app
from syncline.errors import SchemaMoveError
from syncline.split.names import Name
from syncline.split.ownership import Rules
from syncline.split.schema import planning
from syncline.split.schema.carrying import carry_out, script
from syncline.split.schema.comparing import compare
from syncline.split.schema.things import Level, Phase
from tests import engines, programs
from tests.integration.moving_case import RULES, create, planned

ALL = tuple(Phase)
EMPTY = """
DROP SERVER IF EXISTS files CASCADE;
DO $$ DECLARE one text; BEGIN
    FOR one IN SELECT quote_ident(nspname) FROM pg_namespace WHERE nspname IN ('public', 'ref', 'Odd.Schema') LOOP
        EXECUTE 'DROP SCHEMA ' || one || ' CASCADE';
    END LOOP;
    FOR one IN SELECT extname FROM pg_extension WHERE extname <> 'plpgsql' LOOP
        EXECUTE 'DROP EXTENSION ' || one || ' CASCADE';
    END LOOP;
END $$;
SELECT lo_unlink(oid) FROM pg_largeobject_metadata;
CREATE SCHEMA public;
"""


@pytest.fixture(scope="module")
def urls(postgres) -> Iterator[tuple[str, str]]:
    with engines.fresh_database(postgres.url) as one, engines.fresh_database(postgres.url) as other:
        yield one, other


@pytest.fixture
def both(urls) -> tuple[str, str]:
    """Two databases, made empty."""
    for url in urls:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(EMPTY)
    return urls


@pytest.fixture
def database(both) -> str:
    return both[0]


@pytest.fixture
def other(both) -> str:
    return both[1]


@contextlib.contextmanager
def connected(*urls: str) -> Iterator[list[psycopg.Connection]]:
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(psycopg.connect(url, autocommit=True)) for url in urls]


def move(source, target, *phases, rules=RULES, **options) -> int:
    return sum(carry_out(planned(source, target, rules, **options), target, phase) for phase in phases or ALL)


def test_every_feature_arrives_and_pg_dump_says_the_same(database, other):
    create(database)
    with connected(database, other) as (source, target):
        plan = planned(source, target)
        assert plan.obstacles == ()
        assert {one.id for one in plan.notices} == {"unlogged:ref.fleeting", "shared:type ref.mood", "owner"}
        # 371 on PostgreSQL 15; since 18 each NOT NULL is one more.
        assert len(compare(source, target, plan.tables)) > 350, "a comparison with an empty database"
        assert move(source, target) == len(plan.pending(*ALL)) > 100
        assert [str(one) for one in compare(source, target, plan.tables, opened=True)] == []
        assert planned(source, target).pending(*ALL) == ()
    dumps = [
        sorted(line for line in programs.dumped(url, "--schema-only", "--no-owner", "-n", "ref", "-n", "Odd*").splitlines()
               if not re.match(r"\\(un)?restrict ", line))
        for url in (database, other)
    ]  # fmt: skip
    assert dumps[0] == dumps[1]


def test_before_the_opening_nothing_acts_on_rows_that_are_carried_over(database, other):
    create(database)
    with connected(database, other) as (source, target):
        move(source, target, Phase.BEFORE, Phase.AFTER)
        differing = {
            (one.sort, one.name) for one in compare(source, target, planned(source, target).tables, opened=True)
        }
        assert {sort for sort, _ in differing} == {"opening"}
        assert compare(source, target, planned(source, target).tables) == []
        # a row before the one that it points to, in one transaction; a trigger would change the note
        with target.transaction():
            target.execute("INSERT INTO ref.measured VALUES ('2021-01-01', 1, 6, 'as it was')")
            target.execute("INSERT INTO ref.zone VALUES (1, 7, NULL, NULL)")
            target.execute("INSERT INTO ref.carrier VALUES (7, 1, 'A')")
        assert target.execute("SELECT note FROM ref.measured").fetchone() == ("as it was",)


class KilledError(Exception):
    pass


@pytest.mark.parametrize("every", [20])
def test_a_run_that_is_killed_anywhere_is_gone_on_with(database, other, every):
    create(database)
    with connected(database, other) as (source, target):
        runs = 0
        for phase in ALL:
            while True:
                told = 0

                def tell(_):
                    nonlocal told
                    told += 1
                    if told > every:
                        raise KilledError

                with contextlib.suppress(KilledError):
                    carry_out(planned(source, target), target, phase, tell=tell)
                    break
                runs += 1
                assert runs < 50, "it does not get on"
        assert runs > 3
        assert compare(source, target, planned(source, target).tables, opened=True) == []


def test_the_script_does_the_same(database, other):
    create(database)
    with connected(database, other) as (source, target):
        plan = planned(source, target)
        programs.restore(other, "\n".join(script(plan, *ALL)))
        assert compare(source, target, plan.tables, opened=True) == []


SMALL = """
CREATE TABLE users (id int PRIMARY KEY);
CREATE SCHEMA ref;
CREATE TABLE ref.a (id int PRIMARY KEY, note text);
"""
PLANTED = {
    "CREATE TABLE ref.b (id int PRIMARY KEY, u int CONSTRAINT across REFERENCES users)": "foreign_key:ref.b.across",
    "CREATE VIEW ref.v AS SELECT a.* FROM ref.a, users": "view:ref.v",
    "CREATE TABLE ref.kid () INHERITS (ref.a)": "inheritance:ref.a",
    "CREATE TABLE ref.b (id int)": "no_key:ref.b",
    "CREATE TABLE ref.b (id int PRIMARY KEY, u users)": "column:ref.b.u",
    "SELECT lo_create(0); CREATE TABLE ref.b (id int PRIMARY KEY, image oid)": "large_objects:ref.b.image",
    "CREATE AGGREGATE ref.agg (int) (sfunc = int4pl, stype = int); CREATE VIEW ref.v AS SELECT ref.agg(id) FROM ref.a": (
        "unmade:aggregate ref.agg(integer)"
    ),
    "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;"
    "CREATE FOREIGN TABLE ref.f (id int) SERVER files OPTIONS (filename '/nowhere')": "foreign_table:ref.f",
}


@pytest.mark.parametrize(("sql", "id_"), PLANTED.items(), ids=PLANTED.values())
def test_what_cannot_move_is_said_before_anything_is_done(database, other, sql, id_):
    with connected(database, other) as (source, target):
        source.execute(SMALL)
        source.execute(sql)
        plan = planned(source, target)
        assert id_ in {one.id for one in plan.obstacles}
        with pytest.raises(SchemaMoveError, match=re.escape(plan.obstacles[0].message)):
            carry_out(plan, target, Phase.BEFORE)
        assert target.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'ref'").fetchone() == (0,)


def test_an_exempt_foreign_key_is_left_out_and_said(database, other):
    exempt = [{"finding": "foreign_key:ref.b.*", "reason": "it goes with the switch", "until": "2027-01-31"}]
    with connected(database, other) as (source, target):
        source.execute(SMALL)
        source.execute("CREATE TABLE ref.b (id int PRIMARY KEY, u int REFERENCES users)")
        (note,) = (one for one in planned(source, target, exempt=exempt).notices if one.id.startswith("foreign_key"))
        assert note.level is Level.NOTE
        assert "it goes with the switch" in note.message
        assert move(source, target, exempt=exempt) == 5
        assert target.execute("SELECT count(*) FROM pg_constraint WHERE contype = 'f'").fetchone() == (0,)


def test_a_role_that_is_missing_is_said_and_its_rights_left_out(database, other, monkeypatch):
    """Roles are the server's: that it lacks one is played here by one that the plan does not see."""
    with connected(database, other) as (source, target):
        source.execute(SMALL)
        source.execute(
            "GRANT SELECT ON ref.a TO pg_monitor WITH GRANT OPTION; GRANT UPDATE (note) ON ref.a TO pg_database_owner"
        )
        real = planning.read_target
        monkeypatch.setattr(
            planning, "read_target", lambda *given, **options: _without(real(*given, **options), "pg_monitor")
        )
        plan = planned(source, target)
        assert "role:pg_monitor" in {one.id for one in plan.notices}
        assert move(source, target) == 3
        rights = (
            "SELECT has_table_privilege(%s, 'ref.a', 'SELECT'), has_column_privilege(%s, 'ref.a', 'note', 'UPDATE')"
        )
        assert target.execute(rights, ["pg_monitor", "pg_database_owner"]).fetchone() == (False, True)
        (left,) = compare(source, target, plan.tables)
        assert str(left) == 'right SELECT on "ref"."a" of pg_monitor: only here'


def _without(target, role):
    return dataclasses.replace(target, roles=target.roles - {role})


def test_a_role_without_rights_is_told_so(database, other, postgres):
    with connected(database, postgres.url) as (source, server):
        source.execute(SMALL)
        server.execute("CREATE ROLE mover_without_rights LOGIN")
        try:
            with (
                connected(other.replace("postgres@", "mover_without_rights@")) as (poor,),
                pytest.raises(SchemaMoveError, match="may not create the schema ref"),
            ):
                move(source, poor)
        finally:
            server.execute("DROP ROLE mover_without_rights")


def test_rows_or_another_table_on_the_other_side_are_refused(database, other):
    with connected(database, other) as (source, target):
        source.execute(SMALL)
        target.execute(SMALL)
        target.execute("INSERT INTO ref.a VALUES (1)")
        with pytest.raises(SchemaMoveError, match=r"not empty: ref\.a has rows"):
            move(source, target)
        assert carry_out(planned(source, target), target, Phase.BEFORE, rows=True) == 0
        target.execute("ALTER TABLE ref.a ALTER note TYPE varchar(3)")
        with pytest.raises(
            SchemaMoveError, match=r"another table ref\.a: here note text; there note character varying\(3\)"
        ):
            move(source, target)


@pytest.mark.parametrize(
    ("here", "there", "id_"),
    [
        ("TYPE ref.mood AS ENUM ('a', 'b')", "TYPE ref.mood AS ENUM ('b', 'a')", "ref.mood"),
        ("DOMAIN ref.mood AS text CHECK (VALUE <> '')", "DOMAIN ref.mood AS text", "ref.mood"),
        (
            "FUNCTION ref.mood() RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "FUNCTION ref.mood() RETURNS int LANGUAGE sql AS 'SELECT 2'",
            "ref.mood()",
        ),
    ],
)
def test_another_type_or_function_of_the_same_name_is_refused(database, other, here, there, id_):
    with connected(database, other) as (source, target):
        source.execute(SMALL)
        source.execute(f"CREATE {here}")
        used = "int DEFAULT ref.mood()" if "FUNCTION" in here else "ref.mood"
        source.execute(f"ALTER TABLE ref.a ADD COLUMN mood {used}")
        target.execute("CREATE SCHEMA ref")
        target.execute(f"CREATE {there}")
        assert {one.id for one in planned(source, target).obstacles} == {f"not_empty:{id_}"}


def test_a_later_phase_waits_for_the_earlier(database, other):
    with connected(database, other) as (source, target):
        source.execute(SMALL)
        with pytest.raises(SchemaMoveError, match="3 steps of earlier phases are not done, such as schema ref"):
            move(source, target, Phase.AFTER)


def test_swapped_urls_are_told(database, other):
    with connected(database, other) as (source, target):
        target.execute(SMALL)
        with pytest.raises(SchemaMoveError) as caught:
            planned(source, target)
        assert "are the two URLs swapped?" in str(caught.value)


def test_only_the_tables_of_the_other_database_may_move_too(database, other):
    rules = {"primary": Rules(tables=("ref.a",)), "data": Rules(rest=True)}
    with connected(database, other) as (source, target):
        source.execute(SMALL)
        assert planned(source, target, rules).tables == (Name("public", "users"),)


class TestCommand:
    @pytest.fixture
    def run(self, database, other, tmp_path, monkeypatch):
        (tmp_path / "syncline.toml").write_text(
            '[databases.primary]\nrest = true\n[databases.data]\nschemas = ["ref"]\n'
        )
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("DATABASE_URL", database)
        monkeypatch.setenv("DATA_DATABASE_URL", other)
        for name in ("SPLIT_DB_MODE", "SYNCLINE_CONFIG", "DIRECT_URL"):
            monkeypatch.delenv(name, raising=False)
        with connected(database) as (source,):
            source.execute(SMALL)
        return lambda *words: CliRunner().invoke(app, ["split", *words])

    def test_a_move_by_command(self, run, database, other):
        planned_ = run("plan", "--json")
        assert planned_.exit_code == 0, planned_.output
        told = json.loads(planned_.stdout)
        assert [one["table"] for one in told["tables"]] == ["ref.a"]
        assert [(one["phase"], one["kind"], one["done"]) for one in told["steps"]] == [
            ("before", "schema", False),
            ("before", "table", False),
            ("before", "primary key", False),
        ]
        assert run("schema", "--check").exit_code == 1
        assert (
            "schema ref\ntable ref.a\nprimary key a_pkey on ref.a\n3 steps to do" in run("schema", "--dry-run").stdout
        )
        assert "CREATE TABLE ref.a" in run("schema", "--sql").stdout
        assert run("schema").exit_code == 0
        assert "0 steps done" in run("schema", "--phase", "after").stdout
        compared = run("schema", "--check")
        assert (compared.exit_code, compared.stdout) == (0, "1 table compared; 0 differences\n")

    def test_one_database_twice_is_refused(self, run, database, monkeypatch):
        monkeypatch.setenv("DATA_DATABASE_URL", database)
        done = run("plan")
        assert done.exit_code == 3
        assert "DATABASE_URL and DATA_DATABASE_URL lead to the same database" in done.stderr

    def test_the_other_url_is_asked_for(self, run, monkeypatch):
        monkeypatch.delenv("DATA_DATABASE_URL")
        done = run("plan")
        assert done.exit_code == 3
        assert "DATA_DATABASE_URL is not set" in done.stderr


def test_settings_by_which_values_mean_something_else_over_there_are_said(database, other):
    create(database)
    with psycopg.connect(database, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET timezone = 'Europe/Berlin'".encode())
        connection.execute(
            f"ALTER ROLE {connection.info.user} IN DATABASE {name} SET statement_timeout = '9s'".encode()
        )
    with psycopg.connect(database, autocommit=True) as source, psycopg.connect(other, autocommit=True) as target:
        found = {one.id: one for one in planned(source, target).notices if one.id.startswith("setting")}
        assert found.keys() == {"setting:TimeZone", f"setting:statement_timeout@{source.info.user}"}
        assert "'Europe/Berlin' here" in found["setting:TimeZone"].message
        assert not any(one.level is Level.OBSTACLE for one in found.values())
