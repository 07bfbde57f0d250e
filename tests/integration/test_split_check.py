"""``syncline split check``: ties of every sort, planted in one database that is to become two, are found; nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
from typer.testing import CliRunner

from syncline.cli.main import app
from syncline.config.databases import load_databases
from syncline.config.named import Exemption, SplitSettings
from syncline.split.check import check
from syncline.split.databases import Databases
from syncline.split.findings import Kind
from syncline.split.names import Name
from tests.engines import running_postgres

CONFIG = """
[databases.primary]
tables = ["users", "roles", "audit_*", "grants"]
[databases.data]
tables = ["carriers", "zones", "prices*"]
schemas = ["ref"]
"""
TODAY = date(2026, 5, 1)
SOUND = """
CREATE TYPE mood AS ENUM ('ok', 'sad');
CREATE TABLE roles (id serial PRIMARY KEY, name text UNIQUE);
CREATE TABLE users (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, role_id int REFERENCES roles ON DELETE CASCADE, mood mood);
CREATE TABLE audit_users (id bigserial PRIMARY KEY, what jsonb, at timestamptz DEFAULT now()) PARTITION BY RANGE (id);
CREATE TABLE audit_1 PARTITION OF audit_users FOR VALUES FROM (0) TO (1000);
CREATE TABLE carriers (id serial PRIMARY KEY, name text, code text GENERATED ALWAYS AS (upper(name)) STORED);
CREATE SCHEMA ref;
CREATE TABLE ref.zones (id int PRIMARY KEY, carrier int REFERENCES carriers ON UPDATE CASCADE);
CREATE VIEW people AS SELECT u.id, r.name FROM users u JOIN roles r ON r.id = u.role_id;
CREATE MATERIALIZED VIEW zone_names AS SELECT z.id, c.name FROM ref.zones z JOIN carriers c ON c.id = z.carrier;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE carriers int := 1;  -- a variable of that name is no table
BEGIN INSERT INTO audit_users (what) SELECT to_jsonb(new_rows) FROM new_rows; RETURN NULL; END $$;
CREATE TRIGGER noted AFTER INSERT ON users REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION note();
CREATE FUNCTION zones_of(int) RETURNS SETOF ref.zones LANGUAGE sql AS 'SELECT * FROM ref.zones WHERE carrier = $1';
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON users USING (EXISTS (SELECT FROM roles r WHERE r.id = role_id AND r.name <> current_user));
"""
PLANTED = {
    Kind.FOREIGN_KEY: (
        "ALTER TABLE carriers ADD owner int CONSTRAINT owned REFERENCES users ON DELETE CASCADE",
        "foreign_key:public.carriers.owned",
        "ON DELETE CASCADE",
    ),
    Kind.VIEW: (
        "CREATE VIEW through AS SELECT p.name, c.id FROM people p, carriers c",
        "view:public.through",
        "public.roles, public.users in primary; public.carriers in data",
    ),
    Kind.RULE: (
        "CREATE RULE copied AS ON DELETE TO users DO ALSO DELETE FROM carriers WHERE id = OLD.id",
        "rule:public.users.copied",
        "carriers",
    ),
    Kind.POLICY: (
        "CREATE POLICY seen ON users USING (EXISTS (SELECT FROM carriers c WHERE c.id = users.id))",
        "policy:public.users.seen",
        "carriers",
    ),
    Kind.COLUMN: (
        "ALTER TABLE users ADD last carriers[]",
        "column:public.users.last",
        "public.users in primary; public.carriers in data",
    ),
    Kind.TRIGGER: (
        (
            "CREATE TRIGGER noted AFTER INSERT ON carriers REFERENCING NEW TABLE AS new_rows"
            " FOR EACH STATEMENT EXECUTE FUNCTION note()"
        ),
        "trigger:public.carriers.noted",
        "audit_users",
    ),
    Kind.FUNCTION: (
        (
            "CREATE FUNCTION price(who int) RETURNS text LANGUAGE plpgsql AS $$"
            " DECLARE found text; BEGIN IF EXISTS (SELECT FROM users WHERE id = who) THEN PERFORM zones_of(who); END IF;"
            " RETURN found; END $$"
        ),
        "function:public.price(who integer)",
        "ref.zones in data",
    ),
    Kind.INHERITANCE: (
        "CREATE TABLE prices_old () INHERITS (roles)",
        "inheritance:public.prices_old",
        "child or partition",
    ),
    Kind.SEQUENCE: (
        "CREATE TABLE prices (id int DEFAULT nextval('roles_id_seq') PRIMARY KEY)",
        "sequence:public.roles_id_seq",
        "prices",
    ),
    Kind.EXPRESSION: (
        (
            "CREATE FUNCTION known(int) RETURNS bool LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM users WHERE id = $1)';"
            "ALTER TABLE carriers ADD CONSTRAINT known CHECK (known(id))"
        ),
        "expression:public.carriers.known",
        "users",
    ),
    Kind.UNOWNED: ("CREATE TABLE stray (id int PRIMARY KEY)", "unowned:public.stray", "no rule says"),
    Kind.UNSEEN: (
        "CREATE FUNCTION anything(t text) RETURNS void LANGUAGE plpgsql AS $$ BEGIN EXECUTE 'DELETE FROM ' || t; END $$",
        "unseen:public.anything(t text)",
        "dynamic SQL",
    ),
}


BODY = "LANGUAGE plpgsql AS $$ BEGIN {} RETURN NULL; END $$"
MORE = {
    Kind.FOREIGN_KEY: {
        "public.carriers.a": "ALTER TABLE carriers ADD a int CONSTRAINT a REFERENCES users ON UPDATE CASCADE",
        "public.users.b": "ALTER TABLE users ADD b int CONSTRAINT b REFERENCES carriers ON DELETE SET NULL DEFERRABLE",
        "ref.zones.c": "ALTER TABLE ref.zones ADD c int, ADD CONSTRAINT c FOREIGN KEY (c) REFERENCES roles NOT VALID",
    },
    Kind.VIEW: {
        "public.v1": "CREATE VIEW v1 AS SELECT u.id FROM users u WHERE EXISTS (SELECT FROM carriers c WHERE c.id = u.id)",
        "public.v2": "CREATE MATERIALIZED VIEW v2 AS SELECT id FROM roles UNION SELECT id FROM ref.zones",
        "public.v3": "CREATE VIEW v3 AS WITH c AS (SELECT * FROM carriers) SELECT c.id FROM c, people",
    },
    Kind.TRIGGER: {
        "public.users.t1": (
            f"CREATE FUNCTION f1() RETURNS trigger {BODY.format('DELETE FROM carriers WHERE id = OLD.id;')};"
            "CREATE TRIGGER t1 AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION f1()"
        ),
        "public.carriers.t2": (
            f"CREATE FUNCTION f2() RETURNS trigger {BODY.format('PERFORM 1 FROM roles FOR SHARE;')};"
            "CREATE CONSTRAINT TRIGGER t2 AFTER UPDATE ON carriers DEFERRABLE FOR EACH ROW EXECUTE FUNCTION f2()"
        ),
        "ref.zones.t3": (
            f"CREATE FUNCTION f3() RETURNS trigger {BODY.format('IF EXISTS (SELECT FROM users) THEN RAISE; END IF;')};"
            "CREATE TRIGGER t3 BEFORE TRUNCATE ON ref.zones EXECUTE FUNCTION f3()"
        ),
    },
    Kind.FUNCTION: {
        "public.g1()": "CREATE FUNCTION g1() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM users, carriers'",
        "public.g2()": "CREATE PROCEDURE g2() LANGUAGE plpgsql AS 'BEGIN DELETE FROM roles; COMMIT; DELETE FROM ref.zones; END'",
        "public.g3(r users)": (
            "CREATE FUNCTION g3(r users) RETURNS SETOF carriers LANGUAGE plpgsql AS $$ DECLARE one record; BEGIN"
            " FOR one IN SELECT * FROM users LOOP RETURN QUERY SELECT * FROM carriers WHERE id = one.id; END LOOP; END $$"
        ),
    },
}  # fmt: skip
"""What is planted together: three of each, each found under its name, and nothing else."""


def test_three_of_each_kind_are_found_and_nothing_else(databases: Databases, sound: str):
    for plants in MORE.values():
        for sql in plants.values():
            plant(sound, sql)
    found = {one.id: one.message for one in check(databases, SplitSettings(), today=TODAY).findings}
    assert set(found) == {f"{kind}:{name}" for kind, plants in MORE.items() for name in plants}
    assert "ON UPDATE CASCADE" in found["foreign_key:public.carriers.a"]
    assert "ON DELETE SET NULL" in found["foreign_key:public.users.b"]


def test_postgresqls_own_relations_are_known_as_such(database: str):
    query = "SELECT relname FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v')"
    with psycopg.connect(database) as connection:
        names = [name for (name,) in connection.execute(query)]
    assert len(names) > 100
    assert [name for name in names if not Name(None, name).is_system] == []


@pytest.fixture
def sound(database: str, tmp_path: Path) -> str:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(SOUND)
    (tmp_path / "syncline.toml").write_text(CONFIG)
    return database


@pytest.fixture
def databases(sound: str, tmp_path: Path) -> Iterator[Databases]:
    with Databases(load_databases(tmp_path / "syncline.toml", {"DATABASE_URL": sound}, dotenv=None)) as opened:
        yield opened


def plant(url: str, sql: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql)


def test_a_sound_schema_has_no_finding(databases: Databases):
    found = check(databases, SplitSettings(), today=TODAY)
    assert found.findings == ()
    assert found.tables == 6


@pytest.mark.parametrize("kind", PLANTED)
def test_each_planted_tie_is_found_and_nothing_else(databases: Databases, sound: str, kind: Kind):
    sql, wanted, told = PLANTED[kind]
    plant(sound, sql)
    findings = {one.id: one for one in check(databases, SplitSettings(), today=TODAY).findings}
    assert told in findings.pop(wanted).message
    inherited = {"sequence:public.roles_id_seq"} if kind is Kind.INHERITANCE else set()  # with the column's default
    assert set(findings) == inherited


def test_what_is_exempt_is_no_obstacle_and_what_expired_is(databases: Databases, sound: str):
    plant(sound, PLANTED[Kind.FOREIGN_KEY][0])
    valid = Exemption(finding="foreign_key:public.carriers.*", reason="until June", until=TODAY)
    expired = Exemption(finding="view:*", reason="old", until=date(2026, 4, 30))
    found = check(databases, SplitSettings(exempt=(valid, expired)), today=TODAY)
    assert [one.id for one in found.obstacles] == ["exemption:view:*"]
    assert [one.exempt for one in found.findings] == [valid, None]


def run(tmp_path: Path, url: str, *arguments: str) -> Any:
    config = ["--config", str(tmp_path / "syncline.toml")]
    return CliRunner().invoke(app, ["split", "check", *config, *arguments], env={"DATABASE_URL": url})


def test_models_of_the_configuration_count_and_tables_of_versions_are_everywhere(
    sound: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    plant(sound, "CREATE TABLE stray (id int PRIMARY KEY); CREATE TABLE alembic_version_primary (version_num text)")
    (tmp_path / "strays.py").write_text(
        "from sqlalchemy import MetaData, Table\nstrays = MetaData()\nTable('stray', strays)\n"
    )
    path = tmp_path / "syncline.toml"
    monkeypatch.setattr(sys, "path", list(sys.path))
    for models, status in (("", 1), ('models = ["strays:strays"]', 0)):
        path.write_text(CONFIG + models)
        done = CliRunner().invoke(app, ["split", "check", "--config", str(path)], env={"DATABASE_URL": sound})
        assert done.exit_code == status, done.output
        assert ("unowned:public.stray" in done.output) is (status == 1)
        assert "alembic_version" not in done.output


def test_the_command_prints_findings_remedies_and_an_exit_status(sound: str, tmp_path: Path):
    assert run(tmp_path, sound).exit_code == 0
    plant(sound, PLANTED[Kind.FOREIGN_KEY][0])
    shown = run(tmp_path, sound)
    assert shown.exit_code == 1
    assert "foreign_key:public.carriers.owned" in shown.output
    assert "drop the constraint and keep the column" in shown.output
    assert "1 obstacles, 0 exempt; looked at 6 tables" in shown.output
    printed = json.loads(run(tmp_path, sound, "--json").output)
    assert (printed["obstacles"], printed["findings"][0]["databases"]) == (1, ["primary", "data"])


@pytest.fixture
def counting() -> Iterator[str]:
    """A server that keeps statistics of statements."""
    with running_postgres(settings={"shared_preload_libraries": "pg_stat_statements"}) as server:
        plant(server.url, SOUND)
        plant(server.url, "CREATE EXTENSION pg_stat_statements")
        yield server.url


@pytest.mark.engines
def test_what_the_server_counted_is_looked_at(counting: str, tmp_path: Path):
    (tmp_path / "syncline.toml").write_text(CONFIG)
    with psycopg.connect(counting, autocommit=True) as connection:
        for number in range(3):
            connection.execute(f"SELECT * FROM users, carriers WHERE users.id = {number}")
        connection.execute("SELECT * FROM users WHERE id = 1")
        connection.execute("SELECT price FROM (SELECT count(*) AS price FROM zones_of(1), people) AS through")
        connection.execute("SELECT now() - INTERVAL '1 day'")
        connection.execute("CREATE ROLE stranger LOGIN")
    printed = json.loads(run(tmp_path, counting, "--json").output)
    found = {one["message"].split(" [")[0]: one["calls"] for one in printed["findings"] if one["kind"] == "statement"}
    assert found == {
        "SELECT * FROM users, carriers WHERE users.id = $1": 3,
        "SELECT price FROM (SELECT count(*) AS price FROM zones_of($1), people) AS through": 1,
    }
    assert [one for one in printed["findings"] if one["kind"] != "statement"] == []
    assert printed["statements"] > 4
    as_stranger = json.loads(run(tmp_path, counting.replace("postgres@", "stranger@"), "--json").output)
    assert [one["id"] for one in as_stranger["findings"]] == ["unseen:pg_stat_statements"], "no clean answer"


APP = """
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from syncline.split import Databases

class Base(DeclarativeBase): ...

class Stray(Base):
    __tablename__ = "stray"
    id: Mapped[int] = mapped_column(primary_key=True)

databases = Databases.from_environment()
databases.declare("data", Base)
nothing = None
"""


def test_models_of_the_application_count(sound: str, tmp_path: Path):
    plant(sound, "CREATE TABLE stray (id int PRIMARY KEY REFERENCES users)")
    (tmp_path / "shop.py").write_text(APP)

    def asked(app_: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "syncline.cli.main", "split", "check", "--json", "--app", app_]
        environment = {"DATABASE_URL": sound, "PATH": ""}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    done = asked("shop:databases")
    assert [one["id"] for one in json.loads(done.stdout)["findings"]] == ["foreign_key:public.stray.stray_id_fkey"]
    assert done.returncode == 1
    for wrong, told in (
        ("shop", "MODULE:NAME"),
        ("shop:gone", "gone"),
        ("shop:nothing", "is no syncline.split.Databases"),
    ):
        done = asked(wrong)
        assert (done.returncode, told in done.stderr) == (3, True), done.stderr


@pytest.mark.parametrize("command", [["split", "check"], ["db", "doctor"]], ids=" ".join)
@pytest.mark.parametrize("package", ["postgast", "psycopg_pool"])
def test_without_the_extra_it_is_named(tmp_path: Path, command: list[str], package: str):
    script = f"import sys; sys.modules[{package!r}] = None; sys.argv[1:] = {command!r}\n"
    script += "from syncline.cli.main import main; main()"
    environment = {"DATABASE_URL": "postgresql:///x", "PATH": ""}
    run_ = [sys.executable, "-c", script]
    done = subprocess.run(run_, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert done.stderr == f"error: {package} is not installed\n  pip install 'syncline[split]'\n"


def test_a_database_that_cannot_be_reached_is_no_clean_answer(tmp_path: Path):
    (tmp_path / "syncline.toml").write_text(CONFIG)
    assert run(tmp_path, f"postgresql:///nothing?host={tmp_path}").exit_code == 3


TESTS = """
import psycopg, pytest
from syncline.config.databases import load_databases
from syncline.split.databases import Databases

pytest_plugins = ["syncline.testing.boundary"]

@pytest.fixture
def databases():
    with Databases(load_databases(None, dotenv=None)) as opened:
        yield opened

def test_a_join(databases):
    with databases.primary.connection() as connection:
        connection.execute("SELECT * FROM users, carriers")

def test_one_side(databases):
    with databases.primary.connection() as connection:
        connection.execute("DO $$ BEGIN EXECUTE 'SELECT' || ' 1'; END $$")
"""


@pytest.mark.parametrize("processes", [[], ["-n2"]], ids=["alone", "xdist"])
def test_the_pytest_plugin_refuses_what_production_only_warns_of(sound: str, tmp_path: Path, processes: list[str]):
    (tmp_path / "conftest.py").write_text(TESTS.split("def test_", maxsplit=1)[0])
    (tmp_path / "test_app.py").write_text("def test_" + TESTS.split("def test_", maxsplit=1)[1])
    (tmp_path / "syncline.toml").write_text('[split]\ncrossings = "warn"\n' + CONFIG)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--syncline-findings", "seen.jsonl"]
    command += processes
    environment = {"DATABASE_URL": sound, "PATH": ""}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "1 failed, 1 passed" in done.stdout, done.stdout
    assert "one statement over several databases: users in primary; carriers in data" in done.stdout
    assert "between databases" in done.stdout
    assert "dynamic SQL" in done.stdout
    assert [one.name for one in tmp_path.glob("seen*")] == ["seen.jsonl"]
    printed = json.loads(run(tmp_path, sound, "--json", "--seen", str(tmp_path / "seen.jsonl")).output)
    where = {one["kind"]: Path(one["where"]).name for one in printed["findings"]}
    assert where == {"statement": "test_app.py:3", "unseen": "test_app.py:7"}
