"""The doctor ends, whatever hangs, and a check that fails or hangs does not hide the others."""

from __future__ import annotations

import asyncio
import time

import psycopg
import pytest

from syncline.insight.checks import capture, server, work
from syncline.insight.checks.finding import Finding, Subject
from tests.integration.doctor_case import Clinic as Case
from tests.integration.doctor_case import clinic


@pytest.fixture
def case(database, mongo_url, mongo_db, tmp_path):
    with clinic(database, mongo_url, mongo_db, tmp_path) as found:
        yield found


async def breaks(_subject: Subject) -> list[Finding]:
    """Fail as a defect of ours would."""
    raise KeyError("a column")


async def sleeps_here(_subject: Subject) -> list[Finding]:
    """Hang outside of the database."""
    await asyncio.sleep(3600)
    return []


async def sleeps_there(subject: Subject) -> list[Finding]:
    """Hang in a statement."""
    await subject.connection.execute("SELECT pg_sleep(3600)")
    return []


async def writes(subject: Subject) -> list[Finding]:
    """Try to change something."""
    await subject.connection.execute("DELETE FROM person")
    return []


async def loses(subject: Subject) -> list[Finding]:
    """Lose the connection."""
    await subject.connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
    return []


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (breaks, "'a column'"),
        (sleeps_here, "no answer within 4 s"),
        (sleeps_there, "canceling statement due to statement timeout"),
        (writes, "cannot execute DELETE in a read-only transaction"),
        (loses, "terminating connection"),
    ],
)
def test_a_check_that_goes_wrong_does_not_hide_the_next(case: Case, monkeypatch, check, text: str) -> None:
    monkeypatch.setattr("syncline.insight.checks.server.CHECKS", (server.primary, check))
    monkeypatch.setattr("syncline.insight.checks.work.CHECKS", (work.bloat, check, work.workers))
    monkeypatch.setattr("syncline.insight.checks.capture.CHECKS", (capture.mapping,))
    with monkeypatch.context() as hasty:
        if check in (sleeps_here, sleeps_there):
            hasty.setattr("syncline.insight.examination.CHECK_SECONDS", 4)
        report = case.report()
    assert text in report[check.__name__.replace("_", " ")]["message"]
    assert report["mapping"]["level"] == "ok"
    assert report["workers"]["level"] == "warning"
    assert case.sql("SELECT count(*) FROM person") == [(20,)]


def test_it_ends_while_a_table_is_locked(case: Case, monkeypatch) -> None:
    monkeypatch.setattr("syncline.insight.examination.CHECK_SECONDS", 5)
    with psycopg.connect(case.url) as other:
        other.execute("LOCK TABLE person, syncline.outbox IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        report = case.report()
        assert time.monotonic() - began < 60
        assert report["mapping"]["level"] == "ok"
        assert "could not be checked" in report["workers"]["message"]
    assert "no worker is running" in case.report()["workers"]["message"]


@pytest.mark.slow
def test_it_ends_with_a_frozen_source(private_postgres, mongo_url, mongo_db, tmp_path, monkeypatch) -> None:
    async def freezes(_subject: Subject) -> list[Finding]:
        private_postgres.freeze()
        monkeypatch.setattr("syncline.insight.examination.CHECK_SECONDS", 1)  # nothing answers any more
        return []

    monkeypatch.setattr("syncline.insight.examination.CHECK_SECONDS", 5)
    with clinic(private_postgres.url, mongo_url, mongo_db, tmp_path) as case:
        monkeypatch.setattr("syncline.insight.checks.server.CHECKS", (freezes, server.primary))
        try:
            began = time.monotonic()
            report = case.report()
            assert time.monotonic() - began < 60
            assert report["source"]["level"] == "critical"
            assert "checks were not made" in report["source"]["message"]
            assert report["write concern"]["level"] == "ok"
            assert {name for name, one in report.items() if one["level"] != "ok"} == {"source", "freezes", "indexes"}
        finally:
            private_postgres.thaw()
            monkeypatch.setattr("syncline.insight.examination.CHECK_SECONDS", 10)
        assert case.report()["installation"]["level"] == "ok"


def test_it_ends_with_a_frozen_target(database, private_mongo, tmp_path) -> None:
    with clinic(database, private_mongo.url, "x", tmp_path) as case:
        private_mongo.freeze()
        try:
            assert case.wrong().keys() == {"target", "workers"}
        finally:
            private_mongo.thaw()
        assert case.report()["target"]["level"] == "ok"
