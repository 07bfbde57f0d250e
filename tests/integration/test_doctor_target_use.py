"""The doctor looks at which indexes are read by, how large they are, and at what runs for long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from syncline.insight.checks.finding import Level
from syncline.insight.checks.target_use import judge_indexes, judge_operations
from tests.integration.doctor_case import Clinic, clinic

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def case(database, mongo_url, mongo_db, tmp_path):
    with clinic(database, mongo_url, mongo_db, tmp_path) as found:
        yield found


def index(name: str = "a_1", *, uses: int = 0, days: int = 31, **options: bool) -> dict[str, object]:
    since = NOW - timedelta(days=days)
    options = {"unique": False, "expires": False} | options
    return {"collection": "todos", "name": name, "uses": uses, "since": since, "bytes": 3_000_000, **options}


def test_an_index_that_nobody_reads_by_is_named_with_its_size():
    (finding,) = judge_indexes([index("_id_"), index("a_1"), index("b_1", uses=1)], now=NOW)
    assert finding.level is Level.WARNING
    assert "todos.a_1 (3.0 MB)" in finding.message
    assert 'db.todos.dropIndex("a_1")' in finding.fix


@pytest.mark.parametrize(
    "serves",
    [index("_id_"), index(uses=1), index(days=29), index(unique=True), index(expires=True)],
    ids=["of _id", "read by", "counted for too short", "unique", "expiring"],
)
def test_an_index_that_serves_is_no_finding(serves):
    (finding,) = judge_indexes([serves], now=NOW)
    assert finding.level is Level.OK
    assert "1 indexes, 3.0 MB" in finding.message


def operation(**fields: object) -> dict[str, object]:
    return {"active": True, "op": "command", "ns": "app.todos", "opid": 7, "secs_running": 12, "command": {}} | fields


def test_what_runs_for_long_is_named():
    (finding,) = judge_operations([operation()])
    assert (finding.level, "command of app.todos (opid 7, 12 s)" in finding.message) == (Level.WARNING, True)
    assert "killOp(7)" in finding.fix


@pytest.mark.parametrize(
    "waits",
    [
        operation(command={"hello": 1}),
        operation(op="none"),
        operation(active=False),
        operation(ns=""),
        operation(command={"aggregate": "x", "pipeline": [{"$changeStream": {}}]}),
    ],
    ids=["hello", "none", "inactive", "the server's own", "a change stream"],
)
def test_who_waits_is_not_slow(waits):
    assert [finding.level for finding in judge_operations([waits])] == [Level.OK]


def test_both_are_looked_at_on_a_real_server(case: Clinic):
    case.found("index use", "ok", "none idle for 30 days")
    case.found("slow operations", "ok", "none runs for 10 s")
