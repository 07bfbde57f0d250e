"""Evidence for a switch: what the boundary guards of an application's processes have seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from syncline.errors import AcrossDatabasesError
from syncline.model.entity import TableName
from syncline.split import reports
from syncline.split.moving.guarded import Guarded, against_guard, read_guarded
from syncline.split.moving.state import Book
from syncline.split.switching.gate import Gate, Mode
from syncline.split.switching.install import install
from tests import engines
from tests.integration.split_case import create, declared, variables
from tests.relay import PATIENCE

pytestmark = pytest.mark.engines
AGES = {
    "nothing": ("since = at", "but has watched for 0.0 h only (24 h are asked)"),
    "a day": ("since = now() - interval '25 hours'", ""),
    "a silence": (
        "since = now() - interval '25 hours', at = now() - interval '20 minutes'",
        "has been silent for 20 min",
    ),
    "a finding": (
        "since = now() - interval '25 hours', findings = 2, found_at = now() - interval '2 hours', latest = 'x at y:1'",
        "has 2 findings, the last one x at y:1; clean for 2.0 h since",
    ),
    "one of yesterday": (
        "since = now() - interval '26 hours', findings = 2, found_at = now() - interval '25 hours', latest = 'x'",
        "",
    ),
}
REPORT = "SELECT syncline_gate.guarded(gen_random_uuid(), 'single', 1000, 0, NULL, 0.01)"


@pytest.fixture
def url(postgres) -> Iterator[str]:
    with engines.fresh_database(postgres.url) as made:
        create(made, made)
        yield made


def prepared(url: str) -> Gate:
    """Put in place what a move has at home; the gate is the home's."""
    with declared(variables(url, None)) as databases:
        gate = Gate("data", "primary", databases.data.address)

    async def begin() -> None:
        await install(gate, Mode.APPLICATION, [TableName("public", "carriers")])
        await gate.aclose()

    asyncio.run(begin())
    with psycopg.connect(url, autocommit=True) as connection:
        Book("data", connection).prepare()
    return gate


def read(gate: Gate) -> Guarded | None:
    async def reading() -> Guarded | None:
        try:
            return await read_guarded(gate)
        finally:
            await gate.aclose()

    return asyncio.run(reading())


def reported(gate: Gate, statements: int, findings: int) -> Guarded:
    """Wait until so much was reported."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = read(gate)
        if found and found.statements >= statements and found.findings >= findings:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def test_a_process_reports_what_its_guard_has_seen(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "EVERY_SECONDS", 0.0)
    gate = prepared(url)
    assert read(gate) is None
    assert "no process has reported" in against_guard(None)[0]
    with declared(variables(url, None)) as databases:
        with databases.data.connection() as connection:
            connection.execute("SELECT * FROM carriers")
        assert (found := reported(gate, 1, 0)).findings == 0
        assert (found.processes, found.logged_share) == (1, 0.01)
        with databases.data.connection() as connection, pytest.raises(AcrossDatabasesError):
            connection.execute("SELECT * FROM carriers JOIN users USING (id)")
        found = reported(gate, 2, 1)
    assert found.latest is not None
    assert found.latest.startswith("statement:")
    assert "test_split_evidence.py:" in found.latest


def test_a_switch_asks_for_a_day_without_a_finding_up_to_now(url: str) -> None:
    gate = prepared(url)
    with psycopg.connect(url, autocommit=True) as connection:
        for age, (change, said) in AGES.items():
            connection.execute("DELETE FROM syncline_gate.guard")
            connection.execute(REPORT)
            connection.execute(f"UPDATE syncline_gate.guard SET {change}".encode())
            speaks = against_guard(read(gate))
            assert bool(speaks) == bool(said), age
            assert said in "".join(speaks), age


def test_a_gap_between_two_processes_begins_the_day_anew_and_a_restart_does_not(url: str) -> None:
    gate = prepared(url)
    with psycopg.connect(url, autocommit=True) as connection:
        for since, at in (("30 hours", "10 hours"), ("11 hours", "5 hours"), ("5 hours", "0")):
            connection.execute(REPORT)
            moved = f"since = now() - interval '{since}', at = now() - interval '{at}', latest = 'set'"
            connection.execute(f"UPDATE syncline_gate.guard SET {moved} WHERE latest IS NULL".encode())
        whole = read(gate)
        connection.execute(
            "UPDATE syncline_gate.guard SET since = since + interval '1 hour' WHERE at > now() - interval '1 h'"
        )
        broken = read(gate)
    assert whole is not None
    assert broken is not None
    assert (round(whole.clean_seconds / 3600), whole.statements) == (30, 3000)
    assert (round(broken.clean_seconds / 3600), broken.statements) == (4, 1000)


def test_reports_stay_few_and_need_no_right_on_their_table(url: str) -> None:
    prepared(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "DO $$ BEGIN CREATE ROLE writer_only LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        many = REPORT.replace("SELECT ", "SELECT count(") + ") FROM generate_series(1, 1100)"
        connection.execute(many.encode())
        connection.execute("SET ROLE writer_only")
        connection.execute(REPORT)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM syncline_gate.guard")
        connection.execute("RESET ROLE")
        row: Any = connection.execute("SELECT count(*) FROM syncline_gate.guard").fetchone()
    assert row[0] <= 1001
