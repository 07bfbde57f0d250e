"""The doctor on the CockroachDB-like database (``tests.cockroach``): what can go wrong there is found and cured."""

from __future__ import annotations

import psycopg
import pytest

from tests.integration.doctor_case import UNTOUCHED, Clinic, clinic

CITY = """
[entities.city]
table = "city"
[[entities.city.indexes]]
keys = ["name"]
"""


@pytest.fixture
def case(cockroach, mongo_url, mongo_db, tmp_path):
    with clinic(cockroach.postgres_url, mongo_url, mongo_db, tmp_path, installed=False) as found:
        with psycopg.connect(cockroach.url, autocommit=True) as application:
            application.execute("CREATE TABLE city (id bigint PRIMARY KEY, name text)")
        found.configure(cockroach.url)
        text = found.config.read_text("utf-8")
        found.config.write_text(text[: text.index("[entities")] + CITY, "utf-8")
        found.run("install", "--yes")
        yield found


def test_healthy_but_for_the_worker(case: Clinic) -> None:
    assert case.wrong().keys() == UNTOUCHED
    assert case.report()["restore"]["level"] == "ok"


def test_a_trigger_that_is_gone(case: Clinic) -> None:
    (name,) = case.sql("SELECT tgname FROM pg_trigger WHERE tgrelid = 'city'::regclass AND tgname ~ 'syncline'")[0]
    case.sql(f'DROP TRIGGER "{name}" ON city')
    case.cured(case.found("triggers", "critical", name))


def test_a_history_that_grows(case: Clinic, monkeypatch) -> None:
    monkeypatch.setattr("syncline.insight.checks.cockroach.BIG", 3)
    case.sql(
        "INSERT INTO syncline.history (seq, created_at, processed_at, entity, hint, key)"
        " SELECT n, now(), now(), 1, 'U', '1' FROM generate_series(1, 3) AS n"
    )
    assert '[history] keep = "1d"' in case.found("history", "warning", "3 rows or more")["fix"]
