"""Hundreds of entities: what is read is read for all of them at once, and what could not be read is not called missing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from syncline.capture.postgres.install import plan
from syncline.config.settings import Settings, SourceSettings, TargetSettings
from syncline.embedded.mongo import PrivateMongo
from syncline.engines.mongo.target import MongoTarget
from syncline.engines.postgres.plans import compile_plans
from syncline.insight.doctor import diagnose
from syncline.model.entity import Embed, Entity, TableName
from syncline.postgres.connection import connect
from tests.integration.capture_case import Case, entity
from tests.integration.doctor_case import TABLES, Clinic

MANY = 60


def entities(count: int) -> list[Entity]:
    return [
        entity(f"t{n}", f"t{n}", embeds=(Embed("lines", TableName("public", f"line{n}"), ("t",)),))
        for n in range(count)
    ]


def tables(count: int) -> list[str]:
    return [
        f"CREATE TABLE t{n} (id int PRIMARY KEY, a text); CREATE TABLE line{n} (id int PRIMARY KEY, t int)"
        for n in range(count)
    ]


@pytest.fixture
def case(database: str) -> Iterator[Case]:
    with Case(database, entities(2)) as made:
        made.sql(*tables(MANY))
        made.install()
        yield made


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """List the statements that are sent to PostgreSQL meanwhile."""
    sent: list[str] = []
    execute = psycopg.AsyncCursor.execute

    async def counting(self: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        sent.append(str(query))
        return await execute(self, query, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.AsyncCursor, "execute", counting)
        yield sent


async def _compiled(url: str, declared: list[Entity]) -> None:
    connection = await connect(url)
    try:
        assert len((await compile_plans(connection, declared)).by_id) == len(declared)
    finally:
        await connection.close()


async def _planned(url: str, declared: list[Entity]) -> None:
    connection = await connect(url)
    try:
        assert (await plan(connection, declared)).changes == 0
    finally:
        await connection.close()


async def _examined(url: str, declared: list[Entity], mongo: str) -> None:
    settings = Settings(
        SourceSettings(url=url), TargetSettings(url=mongo, database="nothing"), entities=tuple(declared)
    )
    target = MongoTarget(mongo, "nothing")
    try:
        found = await diagnose(settings, target)
    finally:
        await target.close()
    assert any(one.check == "configuration" and one.message == "is what is installed" for one in found.findings)


async def test_what_a_worker_reads_at_its_start_is_one_statement_for_all_entities(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = await _count(monkeypatch, _compiled, case)
    case.entities = entities(MANY)
    await _install(case)
    assert await _count(monkeypatch, _compiled, case) == few


async def test_an_installation_with_nothing_to_do_asks_as_much_with_many_entities_as_with_few(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = await _count(monkeypatch, _planned, case)
    case.entities = entities(MANY)
    await _install(case)
    assert await _count(monkeypatch, _planned, case) == few


async def test_the_doctor_asks_as_much_with_many_entities_as_with_few(
    case: Case, mongo: PrivateMongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = await _count(monkeypatch, _examined, case, mongo.url)
    case.entities = entities(MANY)
    await _install(case)
    assert await _count(monkeypatch, _examined, case, mongo.url) == few


async def _count(monkeypatch: pytest.MonkeyPatch, act: Any, case: Case, *more: Any) -> int:
    with counted(monkeypatch) as sent:
        await act(case.url, case.entities, *more)
    return len(sent)


async def _install(case: Case) -> None:
    await asyncio.to_thread(case.install)


@pytest.fixture
def clinic(database: str, mongo_url: str, mongo_db: str, tmp_path: Path) -> Iterator[Clinic]:
    made = Clinic(database, mongo_url, mongo_db, tmp_path)
    try:
        yield made
    finally:
        made.close()


LOCKED = ("pg_catalog.pg_constraint", "pg_catalog.pg_inherits")


@pytest.mark.parametrize("catalog", LOCKED)
def test_what_the_doctor_could_not_look_at_is_not_called_missing(clinic: Clinic, catalog: str) -> None:
    """Case 30: a catalog that somebody holds locked."""
    clinic.sql(TABLES)
    clinic.run("install", "--yes")
    with psycopg.connect(clinic.url) as other:
        other.execute(f"LOCK {catalog} IN ACCESS EXCLUSIVE MODE")  # type: ignore[arg-type]
        report = clinic.report()

    told = {name: one["message"] for name, one in report.items()}
    assert not [message for message in told.values() if "there is no table" in message], told
    assert told.get("catalog", str(told)).startswith(
        "could not be checked: PostgreSQL: canceling statement due to lock timeout"
    )
    for check in ("mapping", "privileges", "row security", "source indexes", "key", "configuration", "triggers"):
        assert told.get(check, "").startswith("could not be checked"), (check, told)
        assert report[check]["level"] == "warning"
    assert "mapping" not in clinic.wrong()
