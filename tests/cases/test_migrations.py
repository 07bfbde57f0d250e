"""``syncline db migrate|status|new|check|stamp``: a tree a database, in single and in split mode."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from syncline.embedded.postgres import PrivatePostgres
from tests import bouncer
from tests.cases.migrations import CARRIERS, USERS, Project, project
from tests.integration.split_case import variables

OURS = {"alembic_version_primary", "alembic_version_data"}


@pytest.fixture(params=["single", "split"])
def both(request: pytest.FixtureRequest, tmp_path: Path, postgres: PrivatePostgres) -> Iterator[Project]:
    with project(tmp_path, postgres.url, split=request.param == "split") as made:
        yield made


@pytest.fixture
def single(tmp_path: Path, postgres: PrivatePostgres) -> Iterator[Project]:
    with project(tmp_path, postgres.url, split=False) as made:
        yield made


def test_each_tree_goes_into_its_database_the_first_one_first(both: Project):
    both.first()
    assert [one["state"] for one in both.json("status", status=1)["databases"]] == ["pending", "pending"]
    shown = both.run("migrate")
    assert shown.index("primary: applying p1") < shown.index("data: applying d1")
    assert both.tables("primary") >= {"users", "alembic_version_primary"}
    assert both.tables("data") >= {"carriers", "zones", "alembic_version_data"}
    assert both.tables("primary").isdisjoint({"carriers"}) is both.split
    assert (both.version("primary"), both.version("data")) == (["p1"], ["d1"])
    assert [one["state"] for one in both.json("status")["databases"]] == ["up to date", "up to date"]
    assert "primary: up to date, at p1" in both.run("migrate")


def test_one_tree_alone_and_a_revision_of_it(both: Project):
    both.first()
    both.add("data", "d2", "op.add_column('carriers', sa.Column('code', sa.Text()))", before="d1")
    both.run("migrate", "data", "--to", "d1")
    assert both.tables("data") >= {"carriers"}
    assert "users" not in both.tables("primary")
    assert both.json("status", "data", status=1)["databases"][0]["pending"] == [
        {"revision": "d2", "message": "d2 it is"}
    ]
    assert "a revision is one tree's" in both.run("migrate", "--to", "d1", status=3)


def test_a_dry_run_and_sql_change_nothing(both: Project):
    both.first()
    assert "data: would apply d1 d1 it is" in both.run("migrate", "--dry-run")
    sql = {one["name"]: one["sql"] for one in both.json("migrate", "--sql")["databases"]}
    assert both.tables("primary") | both.tables("data") == set()
    for name in ("primary", "data"):
        with psycopg.connect(both.urls[name], autocommit=True) as connection:
            connection.execute(sql[name])
    assert [one["state"] for one in both.json("status")["databases"]] == ["up to date", "up to date"]


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("op.execute('UPDATE carriers SET name = NULL')", "carriers"),
        ("op.add_column('zones', sa.Column('x', sa.Text()))", "zones"),
        ("op.execute('CREATE TABLE roles (u int REFERENCES carriers)')", "carriers"),
        ("op.execute('INSERT INTO users (name) SELECT name FROM carriers')", "carriers"),
        ("op.execute('DO $$ BEGIN DELETE FROM zones; END $$')", "zones"),
        (
            (
                "op.execute('CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$"
                " BEGIN DELETE FROM carriers; END $$')"
            ),
            "carriers",
        ),
        ("op.drop_table('carriers')", "carriers"),
    ],
)
def test_a_revision_that_touches_the_other_sides_tables_is_refused_before_anything_is_applied(
    single: Project, statement: str, table: str
):
    single.first()
    single.add("primary", "p2", statement, before="p1")
    refused = single.run("migrate", status=3)
    assert f"p2.py: a migration of primary touches {table}, in data" in refused
    assert single.tables("primary") == set()
    found = single.json("check", status=1)
    assert [one["id"] for one in found["findings"] if one["kind"] == "migration"] == ["migration:primary.p2"]


def test_what_is_exempt_is_run(single: Project):
    single.configure(
        more='[[split.exempt]]\nfinding = "migration:primary.p2"\nreason = "moved once"\nuntil = 2999-01-01\n'
    )
    single.first()
    single.add("primary", "p2", "op.execute('CREATE TABLE copies AS SELECT * FROM users')", before="p1")
    single.add("primary", "p3", "pass", before="p2")
    single.run("migrate")
    single.add("primary", "p2", "op.execute('INSERT INTO users (name) SELECT name FROM carriers')", before="p1")
    single.ask("primary", "UPDATE alembic_version_primary SET version_num = 'p1'")
    single.ask("data", "INSERT INTO carriers (name) VALUES ('a')")
    single.run("migrate", "primary")
    assert single.ask("primary", "SELECT name FROM users") == [("a",)]


def test_what_its_sql_does_not_show_is_refused_when_it_is_sent(single: Project):
    """A revision that reads from the database cannot be written as SQL: a finding; its statements are looked at."""
    single.first()
    reads = "[op.execute(f'DELETE FROM {t}') for (t,) in op.get_bind().execute(sa.text(\"SELECT 'car' || 'riers'\"))]"
    single.add("primary", "p2", reads, before="p1")
    assert "unseen:primary.p2" in single.run("check", status=1)
    single.run("migrate", "data")
    said = single.run("migrate", status=3)
    assert "primary: revision p2 (p2 it is) failed" in said
    assert "belongs to data" in said or "in data" in said
    assert single.version("primary") == ["p1"]


def test_a_table_of_which_no_rule_says_whose_it_is_is_a_finding(single: Project):
    single.first()
    single.add("data", "d2", "op.execute('CREATE TABLE stray (id int); CREATE TABLE passing (id int)')", before="d1")
    single.add("data", "d3", "op.drop_table('passing')", before="d2")
    assert [one["id"] for one in single.json("check", status=1)["findings"]] == ["unowned:stray"]


def test_a_revision_that_fails_leaves_nothing_and_names_itself(both: Project):
    both.first()
    both.add("primary", "p2", "op.execute('CREATE TABLE roles (id int)'); op.execute('SELECT 1/0')", before="p1")
    both.configure(primary='tables = ["roles"]')
    said = both.run("migrate", status=3)
    assert "primary: revision p2 (p2 it is) failed" in said
    assert "division by zero" in said
    assert "nothing of it is kept, what came before it is" in said
    assert both.tables("primary") == {"users", "alembic_version_primary"}  # the other tree has not begun
    assert both.version("primary") == ["p1"]


def test_a_revision_with_a_block_of_its_own_says_what_is_kept(single: Project):
    single.first()
    concurrently = (
        "op.execute('ALTER TABLE users ADD code int')\n"
        "    op.execute('INSERT INTO users (name, code) VALUES (1, 1), (2, 1)')\n"
        "    with op.get_context().autocommit_block():\n"
        "        op.execute('CREATE UNIQUE INDEX CONCURRENTLY one_code ON users (code)')"
    )
    path = single.add("primary", "p2", concurrently, before="p1")
    said = single.run("migrate", status=3)
    assert "what came before that is kept" in said
    assert "left behind invalid: one_code" in said
    single.ask("primary", "DROP INDEX one_code; UPDATE users SET code = id")
    path.write_text(path.read_text().replace("ADD code", "ADD IF NOT EXISTS code").replace("(1, 1), (2, 1)", "(1, 9)"))
    single.run("migrate")
    assert single.version("primary") == ["p2"]
    assert single.ask("primary", "SELECT count(*) FROM pg_index WHERE indexrelid = 'one_code'::regclass") == [(1,)]


def test_several_heads_are_refused_and_merged(single: Project):
    single.first()
    for name in ("p2a", "p2b"):
        single.add("primary", name, "pass", before="p1")
    for command in (("migrate",), ("check",)):
        said = single.run(*command, status=3)
        assert "primary: the tree has 2 heads: p2a, p2b" in said
        assert "--merge" in said
    assert "2 heads" in single.json("status", status=1)["databases"][0]["message"]
    single.run("new", "primary", "--merge", "-m", "join")
    single.run("migrate")
    assert len(single.version("primary")) == 1


def test_a_database_ahead_of_the_tree_is_refused(both: Project):
    both.first()
    both.run("migrate")
    both.ask("primary", "UPDATE alembic_version_primary SET version_num = 'p9'")
    said = both.run("migrate", status=3)
    assert "primary: the database is at revision p9, which" in said
    assert both.json("status", status=1)["databases"][0]["state"] == "wrong"


def test_a_revision_of_the_other_tree_is_named_as_such(single: Project):
    single.first()
    single.run("migrate")
    single.ask("primary", "UPDATE alembic_version_primary SET version_num = 'd1'")
    assert "alembic_version_primary holds d1, a revision of data" in single.run("migrate", status=3)


def test_swapped_urls_and_the_same_database_twice_are_refused(tmp_path: Path, postgres: PrivatePostgres):
    with project(tmp_path, postgres.url, split=True) as made:
        made.first()
        made.run("migrate", "primary")
        swapped = variables(made.urls["data"], made.urls["primary"])
        said = made.run("migrate", "data", status=3, **swapped)
        assert "where primary was migrated and data was not" in said
        twice = variables(made.urls["primary"], made.urls["primary"])
        assert "lead to the same database" in made.run("migrate", status=3, **twice)
    assert "carriers" not in str(said)


def test_new_writes_what_its_own_models_lack_and_drops_nothing_of_others(both: Project):
    both.ask("primary", "CREATE SCHEMA syncline; CREATE TABLE syncline.outbox (id int); CREATE TABLE unknown (id int)")
    both.ask("data", "CREATE TABLE django_migrations (id int)")
    for name in ("primary", "data"):
        path = Path(both.json("new", name, "-m", "first")["path"])
        assert path.parent == both.home / f"migrations-{name}" / "versions"
        text = path.read_text()
        assert ("create_table('users'" in text, "create_table('carriers'" in text) == (
            name == "primary",
            name == "data",
        )
        assert "drop_table" not in text.partition("def downgrade")[0]
    assert "the database lacks revisions" in both.run("new", "primary", "-m", "second", status=3)
    both.run("migrate")
    for name in ("primary", "data"):
        assert "do not differ" in both.run("new", name, "-m", "nothing")
    assert both.json("check")["findings"] == []


def test_new_with_rest_still_drops_nothing_of_synclines_or_extensions(single: Project):
    single.configure(primary="rest = true")
    single.first()
    single.run("migrate")
    single.ask(
        "primary",
        "CREATE TABLE ours (id int); COMMENT ON TABLE ours IS 'Syncline: revocations'; CREATE TABLE alembic_version (v int)",
    )
    assert "do not differ" in single.run("new", "primary", "-m", "nothing")


AT_WORK = """
SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'syncline db'
AND (query LIKE '%pg_try_advisory_lock%' AND state = 'idle' OR wait_event = 'advisory')
"""


def test_runners_at_once_apply_each_revision_once(single: Project):
    single.first()
    slow = "op.execute('SELECT pg_advisory_xact_lock(42)'); op.execute('INSERT INTO users (name) VALUES (1)')"
    single.add("primary", "p2", slow, before="p1")
    begin = "import tests.mutants.plugin; from syncline.cli.main import main; main()"  # a mutant is one there, too
    command = [sys.executable, "-c", begin, "db", "migrate"]
    command += ["--config", str(single.home / "syncline.toml")]
    env = {**os.environ, **single.env}
    with psycopg.connect(single.urls["primary"], autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(42)")
        runners = [subprocess.Popen(command, env=env, stderr=subprocess.PIPE) for _ in range(3)]
        while holder.execute(AT_WORK).fetchone() != (3,) and all(one.poll() is None for one in runners):
            time.sleep(0.05)
    ends = [one.communicate()[1] for one in runners]
    assert [one.returncode for one in runners] == [0, 0, 0], ends
    assert single.ask("primary", "SELECT count(*) FROM users") == [(1,)]


def test_a_runner_that_is_killed_in_a_revision_leaves_nothing_and_no_lock(single: Project):
    single.first()
    slow = "op.execute('INSERT INTO users (name) VALUES (1)'); op.execute('SELECT pg_advisory_xact_lock(42)')"
    single.add("primary", "p2", slow, before="p1")
    command = [sys.executable, "-m", "syncline.cli.main", "db", "migrate"]
    command += ["--config", str(single.home / "syncline.toml")]
    with psycopg.connect(single.urls["primary"], autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(42)")
        runner = subprocess.Popen(command, env={**os.environ, **single.env})
        while holder.execute(AT_WORK).fetchone() != (1,):
            assert runner.poll() is None
            time.sleep(0.05)
        runner.kill()
        runner.wait()
        holder.execute("SELECT pg_advisory_unlock(42)")
    single.run("migrate")
    assert single.ask("primary", "SELECT count(*) FROM users") == [(1,)]
    assert (single.version("primary"), single.version("data")) == (["p2"], ["d1"])


def test_a_second_runner_is_told_who_the_first_one_is(single: Project):
    single.first()
    with psycopg.connect(single.urls["primary"], autocommit=True, application_name="somebody") as other:
        other.execute("SELECT pg_advisory_lock(1398361667, 3)")
        said = single.run("migrate", "--wait", "0", status=3)
    assert "another runner is migrating this database: pid" in said
    assert "(somebody)" in said


def test_a_runner_that_waits_does_not_hold_up_an_index_made_concurrently(single: Project):
    """A statement that waits for a lock has a snapshot, and CREATE INDEX CONCURRENTLY waits for all of them."""
    single.first()
    single.run("migrate")
    concurrently = (
        "with op.get_context().autocommit_block():\n        op.execute('CREATE INDEX CONCURRENTLY i ON users (name)')"
    )
    single.add("primary", "p2", concurrently, before="p1")
    with psycopg.connect(single.urls["primary"], autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(1398361667, 3)")
        waiting = threading.Thread(target=single.run, args=("migrate",))
        waiting.start()
        holder.execute("CREATE INDEX CONCURRENTLY j ON users (name)")
        holder.execute("SELECT pg_advisory_unlock(1398361667, 3)")
        waiting.join()
    assert single.version("primary") == ["p2"]


def test_a_lock_on_a_table_is_waited_for_only_so_long(single: Project):
    single.first()
    single.run("migrate")
    single.add("primary", "p2", "op.execute('ALTER TABLE users ADD x int')", before="p1")
    with psycopg.connect(single.urls["primary"]) as other:
        other.execute("LOCK TABLE users")
        said = single.run("migrate", "--lock-timeout", "0.1", status=3)
    assert "somebody holds a lock that it needs" in said
    assert single.version("primary") == ["p1"]


def test_a_table_that_is_there_already_is_noted_by_stamp(both: Project):
    both.first()
    both.ask("data", "CREATE TABLE carriers (id int)")
    assert "syncline db stamp data d1" in both.run("migrate", status=3)
    assert "data: base → d1" in both.run("stamp", "data", "d1")
    assert [one["state"] for one in both.json("status")["databases"]] == ["up to date", "up to date"]
    assert "d7" in both.run("stamp", "data", "d7", status=3)


def test_a_pooled_url_without_a_direct_one_is_refused_and_with_one_is_not_used(single: Project):
    single.first()
    with bouncer.bouncer(single.urls["primary"]) as pooled:
        for url in (f"{pooled}&pgbouncer=true", pooled):  # said, and found out
            said = single.run("migrate", status=3, DATABASE_URL=url)
            assert "pooler" in said
            assert "DATABASE_URL" in said
        assert single.tables("primary") == set()
        single.run("migrate", DATABASE_URL=f"{pooled}&pgbouncer=true", DIRECT_URL=single.urls["primary"])
    assert single.version("data") == ["d1"]


def test_a_table_of_versions_of_another_name_is_nobodys(single: Project):
    single.configure(primary='version_table = "history"', data="rest = true")
    single.first()
    single.run("migrate")
    assert single.ask("primary", "SELECT version_num FROM history") == [("p1",)]
    assert "do not differ" in single.run("new", "data", "-m", "nothing")


def test_the_two_trees_may_not_share_a_table_of_versions(single: Project):
    single.configure(primary='version_table = "v"', data='version_table = "v"')
    assert "'v' is primary's" in single.run("status", status=3)


def test_alembic_itself_runs_a_tree_with_the_same_rules(both: Project):
    both.first()
    (both.home / "alembic.ini").write_text("[alembic]\nscript_location = migrations-data\n")
    command = [sys.executable, "-m", "alembic", "upgrade", "head"]
    done = subprocess.run(
        command,
        cwd=both.home,
        env={**os.environ, **both.env, "PYTHONPATH": str(Path.cwd())},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert both.version("data") == ["d1"]


def test_a_file_that_cannot_be_run_and_a_missing_tree_are_said(single: Project):
    assert "there is no tree of migrations" in single.run("migrate", status=3)
    single.first()
    path = single.add("data", "d2", "pass", before="d1")
    path.write_text("def upgrade(:\n")
    assert "d2.py:1" in single.run("check", status=3)
    path.write_text("import nothing_of_that_name\n")
    said = single.run("migrate", status=3)
    assert "No module named 'nothing_of_that_name'" in said
    assert single.tables("primary") == set()
    path.unlink()
    single.add("data", "d2", "pass", before="d0")
    assert "d0" in single.run("check", status=3)


OLD = f"{USERS}\n    {CARRIERS}"


def old_tree(made: Project, revision: str) -> None:
    """Leave a database as the one tree of before has left it."""
    made.ask("primary", "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY)")
    made.ask("primary", f"INSERT INTO alembic_version VALUES ('{revision}')")
    made.ask("primary", "CREATE TABLE users (id serial PRIMARY KEY, name varchar NOT NULL)")
    made.ask("primary", "CREATE TABLE carriers (id serial PRIMARY KEY, name varchar NOT NULL)")
    made.ask("primary", "CREATE TABLE zones (id serial PRIMARY KEY, carrier_id int NOT NULL REFERENCES carriers)")


def test_a_database_of_one_tree_goes_on_with_two(single: Project):
    """Adoption: the first revision of each tree replaces the tree of before, and is noted where that has come as far."""
    empty = {"DATABASE_URL": single.urls["primary"]}
    for name in ("primary", "data"):
        single.run("new", name, "-m", "baseline", "--replaces", "old7", **empty)
    old_tree(single, "old6")
    assert "alembic upgrade old7" in single.run("migrate", status=3)
    single.ask("primary", "UPDATE alembic_version SET version_num = 'old7'")
    assert all(one["adopts"] for one in single.json("status", status=1)["databases"])
    shown = single.run("migrate")
    assert shown.count("noted as done by the tree of before") == 2
    for name in ("primary", "data"):
        assert "do not differ" in single.run("new", name, "-m", "nothing")
    single.ask("primary", "DROP TABLE alembic_version")
    assert [one["state"] for one in single.json("status")["databases"]] == ["up to date", "up to date"]


def test_a_new_database_runs_the_baselines(both: Project):
    for name in ("primary", "data"):
        both.run("new", name, "-m", "baseline", "--replaces", "old7")
    assert "noted" not in both.run("migrate")
    assert both.tables("data") >= {"carriers", "zones"}
