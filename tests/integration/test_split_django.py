"""Django over named databases: its models find theirs, in single and in split mode; what crosses is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from syncline.embedded.postgres import PrivatePostgres
from tests import engines
from tests.integration.split_case import variables

pytestmark = pytest.mark.engines


def run(env: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the project."""
    given = {name: value for name, value in os.environ.items() if "DATABASE" not in name and name != "SPLIT_DB_MODE"}
    return subprocess.run(
        [sys.executable, "-W", "error", *command], env={**given, **env}, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module", params=["single", "split"])
def outcome(request: pytest.FixtureRequest, postgres: PrivatePostgres):
    """What came of the scenario in each mode."""
    with engines.fresh_database(postgres.url) as one, engines.fresh_database(postgres.url) as other:
        done = run(
            variables(one, other if request.param == "split" else None),
            "-m",
            "tests.integration.django_project.scenario",
        )
        assert done.returncode == 0, done.stderr
        yield request.param, json.loads(done.stdout.splitlines()[-1])


def test_tables_are_made_where_they_belong(outcome):
    mode, found = outcome
    of_primary, of_data = ["shop_customer"], ["shop_carrier", "shop_carrier_zones", "shop_zone"]
    if mode == "split":
        assert found["tables"] == {"default": of_primary, "data": of_data}
        assert found["aliases"] == ["default", "data", "data"]
    else:
        both = sorted(of_primary + of_data)
        assert found["tables"] == {"default": both, "data": both}
        assert found["aliases"] == ["default", "default", "default"]


def test_queries_and_bulk_statements_find_theirs(outcome):
    _, found = outcome
    assert found["read"] == ["north", "ann"]
    assert (found["bulk"], found["using"], found["percent"], found["one after the other"]) == (2, 1, True, True)


def test_the_transaction_around_a_test_is_none_of_the_applications(outcome):
    _, found = outcome
    assert found["in a test case"] is True


@pytest.mark.parametrize("how", ["both", "both in two blocks", "both in a test case"])
def test_a_transaction_over_two_databases_is_refused_and_nothing_stays(outcome, how):
    _, found = outcome
    assert found[how].startswith("SecondDatabaseError: the transaction has changed primary and would now change data")
    assert found["lost"] == 0


def test_raw_statements_are_looked_at(outcome):
    mode, found = outcome
    assert found["across"].startswith("AcrossDatabasesError: one statement over several databases")
    assert found["wrong the other way"] == "WrongDatabaseError: shop_customer: in primary, not in data"
    if mode == "split":
        assert found["wrong"] == "WrongDatabaseError: shop_carrier: in data, not in primary"


def test_checks_name_models_without_a_database_and_relations_across():
    env = {"FAULTY": "1", "DJANGO_SETTINGS_MODULE": "tests.integration.django_project.settings"}
    done = run(env | variables("postgresql://h/a", "postgresql://h/b"), "-m", "django", "check")
    assert done.returncode == 1
    assert "(syncline.E004) no rule says in which database shop_customer_orders is" in done.stderr
    assert "(syncline.E005) a relation over two databases: from data to shop.Customer in primary" in done.stderr
    single = run(env | variables("postgresql://h/a", None), "-m", "django", "check")
    assert "(syncline.W005)" in single.stderr


def test_a_project_without_the_setting_is_told():
    script = (
        "from django.conf import settings; settings.configure(INSTALLED_APPS=['syncline.contrib.django']);"
        "import django; django.setup(); from django.core.management import call_command; call_command('check')"
    )
    done = run({}, "-c", script)
    assert "(syncline.E001) SYNCLINE_DATABASES is not set" in done.stderr


def test_a_write_follows_its_table_to_the_side_that_serves(postgres):
    with engines.fresh_database(postgres.url) as one, engines.fresh_database(postgres.url) as other:
        done = run(variables(one, other), "-m", "tests.integration.django_project.moving")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert (found["primary"], found["data"]) == (["before"], ["after"])
    assert found["calls"][:3] == ["before", "after", "after"]  # refused once, and run again whole
    # The second half of a transaction does not go to the other side, where it would stay when that is rolled back.
    assert (found["calls"][3:], found["raised"]) == (["rolled back"] * 2, "rolled back")
    assert "durable" in found["nested"]
    assert found["wrong"] == "data"
