"""What ``install`` grants to a worker's role goes with ``uninstall``; what the role had before stays."""

from __future__ import annotations

from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from syncline.capture.postgres.install import InstallOptions, install, plan, uninstall
from syncline.model.entity import Entity, TableName
from syncline.postgres.connection import connect


@pytest.fixture
def role(database):
    name = f"worker_{uuid4().hex[:8]}"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(
            "CREATE TABLE had (id int PRIMARY KEY); CREATE TABLE gets (id int PRIMARY KEY); CREATE SCHEMA own;"
            " CREATE TABLE own.inside (id int PRIMARY KEY); CREATE TABLE own.renamed (id int PRIMARY KEY)"
        )
        conn.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
        conn.execute(sql.SQL("GRANT SELECT ON had TO {}").format(sql.Identifier(name)))
        yield name
        conn.execute(sql.SQL("DROP OWNED BY {}; DROP ROLE {}").format(*2 * [sql.Identifier(name)]))


async def test_uninstall_leaves_no_grant_of_ours_and_takes_none_of_others(database, role):
    conn = await connect(database)
    tables = ("public.had", "public.gets", "own.inside", "own.renamed")
    entities = [Entity(t.replace(".", "_"), TableName.parse(t), t.replace(".", "_")) for t in tables]

    async def may(table: str) -> tuple[bool, ...]:
        asked = "SELECT has_table_privilege(%s, %s, 'SELECT'), has_schema_privilege(%s, 'own', 'USAGE')"
        (row,) = await (await conn.execute(asked, (role, table, role))).fetchall()
        return tuple(row)

    try:
        await install(conn, await plan(conn, entities, InstallOptions(worker_role=role)))
        assert [await may(table) for table in tables] == [(True, True)] * 4
        await conn.execute("ALTER TABLE own.renamed RENAME TO other_name")
        removal = await uninstall(conn)
        assert [await may(table) for table in tables[:3]] == [(True, False), (False, False), (False, False)]
        assert f"revoke select on own.inside from {role}" in removal.summary
        assert f"revoke usage of schema own from {role}" in removal.summary
        assert not any("public.had" in line for line in removal.summary if line.startswith("revoke"))
    finally:
        await conn.close()


async def test_a_role_that_is_gone_hinders_nothing(database):
    conn = await connect(database)
    name = f"gone_{uuid4().hex[:8]}"
    try:
        await conn.execute("CREATE TABLE thing (id int PRIMARY KEY)")
        await conn.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
        thing = Entity("thing", TableName("public", "thing"), "things")
        await install(conn, await plan(conn, [thing], InstallOptions(worker_role=name)))
        await conn.execute(sql.SQL("DROP OWNED BY {}; DROP ROLE {}").format(*2 * [sql.Identifier(name)]))
        await uninstall(conn)
        (row,) = await (await conn.execute("SELECT to_regnamespace('syncline') IS NULL")).fetchall()
        assert row == (True,)
    finally:
        await conn.close()
