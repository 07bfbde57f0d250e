"""``syncline db doctor``, and the check at an application's start: wrong URLs are named, never printed."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest
from typer.testing import CliRunner

from syncline.cli.main import app
from syncline.embedded.postgres import PrivatePostgres
from syncline.errors import NamedDatabaseError
from syncline.split.databases import Databases
from tests import engines
from tests.bouncer import bouncer
from tests.integration.split_case import create, declared, variables
from tests.pooler import transaction_pooler

pytestmark = pytest.mark.engines

TOML = """
[databases.primary]
tables = ["users"]
[databases.data]
tables = ["carriers", "zones"]
"""


@pytest.fixture(scope="module")
def pair(postgres: PrivatePostgres) -> Iterator[tuple[str, str]]:
    """Two databases, each with its own tables."""
    with engines.fresh_database(postgres.url) as one, engines.fresh_database(postgres.url) as other:
        create(one, other)
        yield one, other


def doctor(env: dict[str, str], tmp_path, *options: str):
    """Run the command; give its exit status and its report."""
    (tmp_path / "syncline.toml").write_text(TOML)
    ran = CliRunner().invoke(app, ["db", "doctor", "--config", str(tmp_path / "syncline.toml"), *options], env=env)
    return ran.exit_code, ran.output


def findings(output: str) -> dict[str, dict[str, tuple[str, str]]]:
    """Read the JSON form: by database and check, level and message."""
    return {
        one["name"]: {finding["check"]: (finding["level"], finding["message"]) for finding in one["findings"]}
        for one in json.loads(output)["databases"]
    }


def test_two_databases_in_order_are_told_apart_and_found_well(pair, tmp_path):
    status, output = doctor(variables(*pair), tmp_path, "--json")
    report = json.loads(output)
    assert (status, report["mode"], report["level"]) == (0, "split", "ok")
    assert [one["name"] for one in report["databases"]] == ["primary", "data", "all"]
    primary = report["databases"][0]
    assert (primary["variable"], primary["pooler"], primary["poolSize"]) == ("PRIMARY_DATABASE_URL", "none", 10)
    assert primary["freeConnections"] > 0
    assert primary["latencyMs"] > 0
    assert findings(output)["data"]["rights"][1].endswith("may read and write all 2 known tables")
    assert findings(output)["all"]["databases"] == ("ok", "primary and data are different databases")


def test_single_mode_is_looked_at_for_people(pair, tmp_path):
    status, output = doctor({"DATABASE_URL": pair[0]}, tmp_path)
    assert status == 1
    assert output.startswith("single mode\n")
    assert "public.carriers, public.zones: not in this database" in output
    assert "PostgreSQL" not in doctor({"DATABASE_URL": pair[0]}, tmp_path, "--quiet")[1]


def test_the_same_database_twice_is_found_whatever_the_urls_say(pair, tmp_path):
    one = pair[0]
    env = variables(one, one.replace("postgresql://postgres@", "postgres://postgres:s3cret@") + "&application_name=x")
    status, output = doctor(env, tmp_path)
    assert status == 2
    assert "PRIMARY_DATABASE_URL and DATA_DATABASE_URL lead to the same database" in output
    assert "s3cret" not in output
    with declared(env) as databases, pytest.raises(NamedDatabaseError, match="lead to the same database"):
        databases.check()


def test_swapped_urls_are_found(pair, tmp_path):
    env = variables(*reversed(pair))
    status, output = doctor(env, tmp_path)
    assert status == 2
    assert (
        "PRIMARY_DATABASE_URL leads to a database without public.users but with public.carriers, public.zones" in output
    )
    with declared(env) as databases, pytest.raises(NamedDatabaseError, match="PRIMARY_DATABASE_URL") as told:
        databases.check()
    assert "swapped" in str(told.value)


def test_databases_in_order_pass_the_check_at_the_start(pair):
    with declared(variables(*pair)) as databases:
        databases.check()
    with declared(variables(pair[0], None)) as databases:
        databases.check()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://u:s3cret@127.0.0.1:1/x", "PRIMARY_DATABASE_URL: x at 127.0.0.1:1 cannot be reached"),
        ("postgresql://u:s3cret@nowhere.invalid/x", "PRIMARY_DATABASE_URL: x at nowhere.invalid cannot be reached"),
    ],
)
def test_what_cannot_be_reached_is_a_finding_without_secrets(pair, tmp_path, url, said):
    status, output = doctor(variables(url, pair[1]), tmp_path)
    assert status == 2
    assert said in output
    assert "s3cret" not in output


def test_a_wrong_password_is_told_by_the_variable(private_postgres: PrivatePostgres):
    with psycopg.connect(private_postgres.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE app LOGIN PASSWORD 'right'")
        hba = connection.execute("SHOW hba_file").fetchone()[0]
        with open(hba, "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write("local all app scram-sha-256\nlocal all all trust\n")
        connection.execute("SELECT pg_reload_conf()")
    url = private_postgres.url.replace("postgres@", "app:wr0ng@", 1)
    with Databases.from_environment(None, {"DATABASE_URL": url}, dotenv=None) as databases:
        for use in (databases.check, databases.primary.engine.connect):
            with pytest.raises(NamedDatabaseError, match="DATABASE_URL: the server refuses the password") as told:
                use()
            assert "wr0ng" not in str(told.value)


def test_missing_variables_and_a_bad_file_end_in_one_line(tmp_path):
    status, output = doctor({"SPLIT_DB_MODE": "true", "DATABASE_URL": ""}, tmp_path)
    assert status == 3
    assert output.startswith(
        "error: split mode (SPLIT_DB_MODE): PRIMARY_DATABASE_URL and DATA_DATABASE_URL are not set"
    )


def test_missing_rights_are_named_with_the_grant(pair, tmp_path):
    with psycopg.connect(pair[0], autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN CONNECTION LIMIT 3")
        connection.execute("GRANT SELECT ON users TO reader")
    env = variables(pair[0].replace("postgres@", "reader@", 1), pair[1])
    status, output = doctor(env, tmp_path)
    with psycopg.connect(pair[0], autocommit=True) as connection:
        connection.execute("REVOKE ALL ON users FROM reader; DROP ROLE reader")
    assert status == 1
    assert "fix: GRANT INSERT, UPDATE, DELETE ON public.users TO reader;" in " ".join(output.split())
    assert "a pool of 10, and the server has 2 connections left for this role" in output


@pytest.mark.parametrize(
    ("mode", "query", "level", "said"),
    [
        ("transaction", "", "critical", "a pooler in transaction mode, of which PRIMARY_DATABASE_URL does not say"),
        ("transaction", "&pgbouncer=true", "ok", "in transaction mode, as pgbouncer=true says"),
        ("session", "", "ok", "in session mode"),
        ("statement", "&pgbouncer=true", "critical", "a pooler in statement mode: it allows no transactions"),
    ],
)
def test_the_poolers_mode_is_found(pair, tmp_path, mode, query, level, said):
    with bouncer(pair[0], mode=mode) as url:
        _, output = doctor(variables(url + query, pair[1]), tmp_path, "--json")
    assert findings(output)["primary"]["pooler"] == (level, said)


def test_a_direct_url_must_lead_to_the_same_database_past_the_pooler(pair, tmp_path):
    with transaction_pooler(pair[0]) as pooler:
        url = f"{pooler}&pgbouncer=true"
        told = {
            direct: findings(doctor(variables(url, pair[1]) | {"PRIMARY_DIRECT_URL": direct}, tmp_path, "--json")[1])
            for direct in (pair[0], pair[1], url)
        }
        missing = findings(doctor(variables(url, pair[1]), tmp_path, "--json")[1])
    checks = [told[direct]["primary"]["direct URL"] for direct in told]
    assert [level for level, _ in checks] == ["ok", "critical", "warning"]
    assert checks[1][1].startswith("PRIMARY_DIRECT_URL leads to another database")
    assert missing["primary"]["direct URL"][0] == "warning"


def test_a_role_that_may_not_read_the_clusters_identifier_is_no_hindrance(pair):
    with psycopg.connect(pair[0], autocommit=True) as connection:
        connection.execute("CREATE ROLE bare LOGIN; REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    try:
        url = pair[0].replace("postgres@", "bare@", 1)
        for other in (url, pair[0]):
            with declared(variables(url, other)) as databases, pytest.raises(NamedDatabaseError, match="same database"):
                databases.check()
        with declared(variables(url, pair[1])) as databases:
            databases.check()
    finally:
        with psycopg.connect(pair[0], autocommit=True) as connection:
            connection.execute("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC; DROP ROLE bare")
