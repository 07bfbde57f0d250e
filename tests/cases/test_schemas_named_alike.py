"""An application's schemas that are called as ours might be: they are seen, not filled, and not dropped."""

from __future__ import annotations

import psycopg
import pytest

from syncline.capture.postgres.install import install, plan, plan_uninstall
from syncline.errors import SourceError
from syncline.model.link import Link, entered
from syncline.postgres.catalog import read_shapes
from syncline.split.catalogue import read_catalogue
from tests.relay import entity
from tests.sql_target import stage

ITEM = "CREATE TABLE item (id int PRIMARY KEY)"
ALIKE = (
    "CREATE SCHEMA syncline_reports",
    "CREATE TABLE syncline_reports.daily (id int PRIMARY KEY)",
    "CREATE TABLE syncline_reports.heartbeat (id int PRIMARY KEY)",
    "CREATE SCHEMA synclines",
    "CREATE TABLE synclines.daily (id int PRIMARY KEY)",
)
REPORTS = Link("reports")


async def _installed(database: str, *links: Link) -> None:
    for link in links:
        with entered(link):
            async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
                await install(connection, await plan(connection, [entity("item")]))


async def test_an_applications_schemas_are_seen_and_ours_are_not(database):
    async with stage(database, ITEM, *ALIKE, tables=["item"]):
        await _installed(database, Link(), Link("orders"))
        names = {"item", "daily", "heartbeat"}
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
            assert {shape.table.name for shape in await read_shapes(connection) if shape.kind == "r"} == names
        with psycopg.connect(database, autocommit=True) as connection:
            catalogue = read_catalogue(connection)
            found = {str(name) for oid, name in catalogue.names.items() if catalogue.kinds[oid] == "r"}
        assert {name.rpartition(".")[2] for name in found} == names
        assert len(found) == 4


async def test_a_link_is_not_installed_into_an_applications_schema(database):
    async with stage(database, ITEM, *ALIKE) as on:
        with pytest.raises(SourceError, match="schema syncline_reports that is not Syncline's"):
            await _installed(database, REPORTS)
        on.run("ALTER SCHEMA syncline_reports RENAME TO reports")
        await _installed(database, REPORTS)


async def test_our_schema_is_not_dropped_with_a_table_of_others(database):
    async with stage(database, ITEM) as on:
        await _installed(database, REPORTS)
        on.run(
            "CREATE TABLE syncline_reports.daily (id int PRIMARY KEY)", "COMMENT ON TABLE syncline_reports.task IS NULL"
        )
        with entered(REPORTS):
            async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
                with pytest.raises(SourceError, match="daily in the schema syncline_reports would be dropped too"):
                    await plan_uninstall(connection)
                on.run("ALTER TABLE syncline_reports.daily SET SCHEMA public")
                assert "drop schema syncline_reports" in (await plan_uninstall(connection)).summary
