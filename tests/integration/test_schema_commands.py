"""``syncline schema sql`` makes the tables of documents, ``syncline schema check`` says what a database lacks of them."""

from __future__ import annotations

import json
import subprocess
import sys

import psycopg
import pytest
import sqlalchemy
from alembic.migration import MigrationContext
from alembic.operations import Operations
from typer.testing import CliRunner

from syncline.cli.main import app
from syncline.config.documents import load_documents
from syncline.engines.postgres.documents.differences import differences
from syncline.engines.postgres.documents.inspection import look
from syncline.insight.document_schema import judge
from syncline.model.documents.query_shapes import QueryShape
from syncline.phases.in_postgresql import InPostgreSQL

DECLARED = """
[collections.labels]
columns = { name = "text" }
[collections.tasks]
indexes = [["status", "title"]]
[collections.tasks.columns]
title = "text"
status = { type = "text", values = ["open", "done's"], enum = "task_status" }
kind = { type = "text", values = ["a", "b"] }
count = { type = "bigint", default = 0 }
price = "numeric"
ratio = "double"
due = "timestamptz"
owner = { type = "objectid", index = true }
code = { type = "text", unique = true }
must = { type = "integer", required = true }
[collections.tasks.arrays.labels]
type = "objectid"
references = "labels"
[collections.tasks.arrays.steps]
columns = { text = "text" }
"""


@pytest.fixture
def declared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "syncline.toml").write_text(DECLARED)
    return load_documents().mappings


def called(*words: str):
    return CliRunner().invoke(app, words)


@pytest.fixture
def made(database, declared):
    script = called("schema", "sql", "--foreign-keys").stdout
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(script)
    return database


def test_the_script_makes_what_is_declared_and_may_run_again(made):
    again = called("schema", "sql", "--foreign-keys").stdout
    with psycopg.connect(made, autocommit=True) as connection:
        connection.execute(again)
        keys = "SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND confrelid = 'postgres_labels'::regclass"
        assert connection.execute(keys).fetchone() == (1,)
        connection.execute("INSERT INTO postgres_tasks (mongo_id, must) VALUES ('x', 1)")
        for bad in ("status = 'other'", "kind = 'c'", "must = NULL", "sync_status = 'GONE'"):
            with pytest.raises(psycopg.Error):
                connection.execute(f"UPDATE postgres_tasks SET {bad}")
        with pytest.raises(psycopg.errors.ForeignKeyViolation):
            connection.execute("INSERT INTO postgres_tasks_labels VALUES ('x', 0, 'nobody')")
        connection.execute("INSERT INTO postgres_tasks_steps VALUES ('x', 0, 'y'); DELETE FROM postgres_tasks")
        assert connection.execute("SELECT count(*) FROM postgres_tasks_steps").fetchone() == (0,)


def test_what_is_as_declared_is_well(made):
    found = called("schema", "check", "--url", made, "--json")
    assert (found.exit_code, json.loads(found.stdout)["findings"][0]["message"]) == (0, "4 tables as declared")


def test_queries_that_no_index_serves_are_named(made):
    served = [
        QueryShape("tasks", ("owner", "title")),
        QueryShape("tasks", ("status",), ("due",)),
        QueryShape("tasks", ("code",)),
        QueryShape("tasks", ("labels",)),
        QueryShape("tasks", (), ("title",)),  # by code points: no index of the database's language would
        QueryShape("gone", ("x",)),
    ]
    place = InPostgreSQL(made)
    try:
        place.prepare()
        place.asked(served)
        assert called("schema", "check", "--url", made).exit_code == 0
        place.asked([QueryShape("tasks", ("kind",), ("due",)), QueryShape("labels", ("name",))])
    finally:
        place.close()
    found = called("schema", "check", "--url", made, "--json")
    assert found.exit_code == 1
    told = {one["message"]: one["fix"] for one in json.loads(found.stdout)["findings"]}
    assert list(told) == ["no index serves queries of labels by name", "no index serves queries of tasks by kind, due"]
    fixes = [fix.partition("; ")[0] for fix in told.values()]
    assert (
        fixes[1]
        == 'CREATE INDEX CONCURRENTLY "postgres_tasks_kind_due_idx" ON "public"."postgres_tasks" ("kind", "due")'
    )
    with psycopg.connect(made, autocommit=True) as connection:
        for fix in fixes:
            connection.execute(fix)
    assert called("schema", "check", "--url", made).exit_code == 0


def test_a_database_without_them_lacks_each_table(database, declared, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", database)
    found = called("schema", "check")
    assert found.exit_code == 2
    for table in ("labels", "tasks", "tasks_labels", "tasks_steps"):
        assert f"there is no table public.postgres_{table}\n" in found.stdout


ALTERED = {
    "ALTER TABLE postgres_tasks DROP COLUMN due": ("critical", "has no column due (of due)", 'ADD COLUMN "due" timestamptz(3)'),
    "ALTER TABLE postgres_tasks ALTER title TYPE varchar(20)": ("warning", "title is character varying(20): too narrow for text", 'ALTER COLUMN "title" TYPE text'),
    "ALTER TABLE postgres_tasks ALTER title TYPE char(20)": ("critical", "title is character(20): too narrow", "TYPE text"),
    "ALTER TABLE postgres_tasks ALTER count TYPE int": ("warning", "count is integer: too narrow for bigint", "TYPE bigint"),
    "ALTER TABLE postgres_tasks ALTER price TYPE numeric(10,2)": ("critical", "price is numeric(10,2): too narrow", "TYPE numeric"),
    "ALTER TABLE postgres_tasks ALTER ratio TYPE real": ("critical", "ratio is real: too narrow for double precision", "TYPE double precision"),
    "ALTER TABLE postgres_tasks ALTER due TYPE timestamptz(0)": ("critical", "due is timestamp(0) with time zone: too narrow", "TYPE timestamptz(3)"),
    "ALTER TABLE postgres_tasks ALTER due TYPE timestamp": ("critical", "due is timestamp without time zone, not timestamptz(3)", "TYPE"),
    "ALTER TABLE postgres_tasks ALTER rest TYPE json USING rest::json": ("critical", "rest is json, not jsonb", "TYPE jsonb"),
    "ALTER TABLE postgres_tasks ALTER title SET NOT NULL": ("warning", "title is NOT NULL (of title)", "DROP NOT NULL"),
    "ALTER TABLE postgres_tasks ADD extra text NOT NULL": ("critical", "extra is NOT NULL without a default", 'ALTER COLUMN "extra" DROP NOT NULL'),
    "ALTER TABLE postgres_tasks ADD extra text": ("warning", "no field fills public.postgres_tasks.extra", "declare it"),
    "ALTER TABLE postgres_tasks DROP COLUMN sync_error": ("critical", "has no column sync_error", "schema sql"),
    "ALTER TABLE postgres_tasks_steps DROP CONSTRAINT postgres_tasks_steps_pkey": ("critical", "has no primary key (mongo_id, position)", 'ADD PRIMARY KEY ("mongo_id", "position")'),
    "DROP INDEX postgres_tasks_status_title_idx": ("warning", "has no index on status, title", "CREATE INDEX CONCURRENTLY"),
    "DROP INDEX postgres_tasks_code_key": ("warning", "has no unique index on code", "CREATE UNIQUE INDEX CONCURRENTLY"),
    "DROP INDEX postgres_tasks_labels_labels_idx": ("warning", "postgres_tasks_labels has no index on labels", "CREATE INDEX"),
    "CREATE TYPE s2 AS ENUM ('open'); ALTER TABLE postgres_tasks ALTER status TYPE s2 USING NULL": ("warning", "status is public.s2, without done's", "TYPE"),
    "CREATE TYPE s3 AS ENUM ('x'); ALTER TABLE postgres_tasks ALTER title TYPE s3 USING NULL": ("warning", "title is public.s3; any text is declared", "TYPE text"),
    "DROP TABLE postgres_tasks_steps": ("critical", "there is no table public.postgres_tasks_steps", "schema sql"),
}  # fmt: skip
LISTED = {
    "ALTER TABLE postgres_tasks DROP CONSTRAINT postgres_tasks_kind_check, ADD CHECK (kind IN ('a', 'z'))": ("warning", "kind takes a, z only", "CHECK (\"kind\" IN ('a', 'b'))"),
    "CREATE TYPE s4 AS ENUM ('a', 'b'); ALTER TABLE postgres_tasks DROP CONSTRAINT postgres_tasks_kind_check, ALTER kind TYPE s4 USING NULL, ALTER title TYPE varchar(5)": ("warning", "title is character varying(5)", "TYPE text"),
}  # fmt: skip
HARMLESS = [
    "ALTER TABLE postgres_tasks ALTER due TYPE timestamptz",
    "ALTER TABLE postgres_tasks ALTER title TYPE varchar",
    "ALTER TABLE postgres_tasks ALTER count TYPE numeric",
    "ALTER TABLE postgres_tasks ADD extra serial",
    "DROP INDEX postgres_tasks_status_title_idx; CREATE INDEX ON postgres_tasks (status, title, count)",
]


async def looked(url: str, declared):
    async with await psycopg.AsyncConnection.connect(url) as connection:
        return await look(connection, declared)


async def judged(url: str, declared, statement: str):
    async with await psycopg.AsyncConnection.connect(url) as connection:
        await connection.execute(statement)
        found = judge(declared, await look(connection, declared))
        await connection.rollback()
        return found


@pytest.mark.postgresql
async def test_each_thing_that_is_wrong_is_said_with_the_statement_that_mends_it(made, declared):
    for statement, (level, message, fix) in (ALTERED | LISTED).items():
        found = await judged(made, declared, statement)
        said = [(one.level.name.lower(), message in one.message, fix in one.fix) for one in found]
        assert (level, True, True) in said, (statement, found)
    for statement in HARMLESS:
        assert [one.level for one in await judged(made, declared, statement)] == [0], statement


async def test_columns_that_nothing_fills_are_named(made, declared):
    rows = "INSERT INTO postgres_tasks (mongo_id, must, title, rest) VALUES ('x', 1, 'a', '{}'), ('y', 1, NULL, NULL)"
    found = await judged(made, declared, rows)
    assert {one.message for one in found if one.check == "filled"} == {
        f"public.postgres_tasks.{name} is empty in all 2 rows"
        for name in ("status", "kind", "price", "ratio", "due", "owner", "code")
    }


def test_a_collection_that_is_not_declared_is_said(declared):
    found = called("schema", "sql", "--collection", "task")
    assert (found.exit_code, found.stderr) == (3, "error: there is no collection 'task'\n  declared: labels, tasks\n")
    assert "postgres_tasks" not in called("schema", "sql", "--collection", "labels").stdout


@pytest.mark.postgresql
async def test_what_differs_is_mended_by_the_statements_that_are_printed(made, declared):
    async with await psycopg.AsyncConnection.connect(made) as connection:
        for statement in ALTERED | LISTED:
            if "extra" not in statement:  # what nobody declared stays
                await connection.execute(statement)
                for one in differences(declared, await look(connection, declared)):
                    await connection.execute(one)
                there = await look(connection, declared)
                assert [one.message for one in judge(declared, there) if one.check != "filled"] in (
                    [],
                    ["4 tables as declared"],
                )
                assert differences(declared, there) == []
                await connection.rollback()


CHANGED = {
    'title = "text"': 'title = "text"\nadded = { type = "text", values = ["x:y", "z"], default = "z" }',
    '"done\'s"]': '"done\'s", "new"]',
    'values = ["a", "b"]': 'values = ["a", "b", "c"]',
    "[collections.tasks.arrays.steps]": '[collections.tasks.arrays.steps.arrays.who]\ntype = "text"\n[collections.tasks.arrays.steps]',
}  # fmt: skip


@pytest.mark.parametrize("alembic", [False, True])
def test_a_changed_declaration_has_its_migration(made, tmp_path, monkeypatch, alembic):
    monkeypatch.setenv("DATABASE_URL", made)
    text = DECLARED
    for old, new in CHANGED.items():
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "syncline.toml").write_text(text)
    if alembic:
        migrated(made, called("schema", "sql", "--changes", "--alembic", "base").stdout)
    else:
        with psycopg.connect(made, autocommit=True) as connection:
            for statement in called("schema", "sql", "--changes").stdout.split(";\n\n")[:-1]:
                connection.execute(statement)
    assert called("schema", "sql", "--changes").stdout == ""
    assert called("schema", "check").exit_code == 0
    with psycopg.connect(made, autocommit=True) as connection:
        connection.execute("INSERT INTO postgres_tasks (mongo_id, must, status, kind) VALUES ('x', 1, 'new', 'c')")
        assert connection.execute("SELECT added FROM postgres_tasks").fetchone() == ("z",)


def migrated(url: str, text: str) -> None:
    """Run a revision as Alembic does."""
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection, Operations.context(MigrationContext.configure(connection)):
        module: dict = {}
        exec(compile(text, "revision", "exec"), module)  # noqa: S102
        assert (len(module["revision"]), module["down_revision"]) == (12, None)
        module["upgrade"]()
    engine.dispose()


async def test_indexes_whose_words_are_the_same_are_both_made(database, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "syncline.toml").write_text(
        """
        [collections.user]
        indexes = [["a", "b_c"], ["a_b", "c"]]
        columns = { role_name = { type = "text", unique = true }, a = "text", b_c = "text", a_b = "text", c = "text" }
        [collections.user_role]
        columns = { name = { type = "text", unique = true } }
        """
    )
    mappings = load_documents().mappings
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(called("schema", "sql").stdout)
        assert [one.message for one in judge(mappings, await looked(database, mappings)) if one.level] == []
        connection.execute("DROP INDEX postgres_user_role_name_key")
        [missing] = [one for one in judge(mappings, await looked(database, mappings)) if one.level]
        connection.execute(missing.fix)
        assert differences(mappings, await looked(database, mappings)) == []


async def test_times_without_a_zone_become_instants_of_utc_whoever_runs_the_migration(made, declared):
    with psycopg.connect(made, autocommit=True) as connection:
        connection.execute("SET timezone = 'Asia/Kolkata'; ALTER TABLE postgres_tasks ALTER due TYPE timestamp")
        connection.execute("INSERT INTO postgres_tasks (mongo_id, must, due) VALUES ('x', 1, '2024-05-01 12:00')")
        for statement in differences(declared, await looked(made, declared)):
            connection.execute(statement)
        due = connection.execute("SELECT due AT TIME ZONE 'UTC' FROM postgres_tasks").fetchone()
        assert str(due[0]) == "2024-05-01 12:00:00"


ODD = """
[collections."odd.one"]
id = "any"
[collections."odd.one".columns]
class = "text"
"a__b" = "text"
"a.b" = "text"
"1st" = "integer"
id = "integer"
pk = "uuid"
by = { type = "objectid", references = "tasks" }
by_id = "objectid"
[collections.elsewhere]
table = "other.place"
"""
IN_DJANGO = """
import sys
import django
from django.conf import settings
host, port, name = sys.argv[1:4]
database = {"ENGINE": "django.db.backends.postgresql", "HOST": host, "PORT": port, "NAME": name, "USER": sys.argv[4]}
settings.configure(INSTALLED_APPS=["generated"], DATABASES={"default": database}, USE_TZ=True)
django.setup()
from django.apps import apps
from django.core.checks import run_checks
assert run_checks() == [], run_checks()
for model in apps.get_app_config("generated").get_models():
    print(model.__name__, [*model.objects.values_list()])
from generated.models import PostgresTasks, PostgresTasksLabels
print(PostgresTasks.objects.get(pk="k").count, PostgresTasksLabels.objects.get().labels_id)
"""


def test_models_of_django_read_what_is_declared(made, declared, tmp_path):
    (tmp_path / "syncline.toml").write_text(DECLARED + ODD)
    with psycopg.connect(made, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA other")
        connection.execute(called("schema", "sql").stdout)
        connection.execute("INSERT INTO postgres_labels (mongo_id) VALUES ('of-a-label')")
        connection.execute("INSERT INTO postgres_tasks (mongo_id, count, must) VALUES ('k', 5, 1)")
        connection.execute("INSERT INTO postgres_tasks_labels VALUES ('k', 0, 'of-a-label')")
        place = connection.info
        where = [place.host, str(place.port), place.dbname, place.user]
    (tmp_path / "generated").mkdir()
    (tmp_path / "generated" / "__init__.py").touch()
    (tmp_path / "generated" / "models.py").write_text(called("schema", "sql", "--django").stdout)
    done = subprocess.run(
        [sys.executable, "-c", IN_DJANGO, *where], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "5 of-a-label"
    assert len(done.stdout.splitlines()) == 4 + 2 + 1
    refused = called("schema", "sql", "--django", "--changes")
    assert (refused.exit_code, "--django prints models" in refused.output) == (3, True)
