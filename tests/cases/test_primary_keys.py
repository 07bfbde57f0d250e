"""Every table of ours has a primary key: replication, dumps and generators of models ask for one."""

from __future__ import annotations

from typing import Any

import psycopg

from tests.cockroach.server import Simulator
from tests.integration.capture_case import Case, entity

ENTITIES = (entity("item", "item"),)
TABLE = "CREATE TABLE item (id bigint PRIMARY KEY, name text)"
TABLES = """
SELECT c.relname::text, EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indisvalid)
FROM pg_class AS c WHERE c.relnamespace = 'syncline'::regnamespace AND c.relkind IN ('r', 'p')
"""


def assert_keys(tables: dict[str, Any]) -> None:
    assert {"meta", "outbox", "history", "task"} <= tables.keys()
    assert [name for name, key in tables.items() if not key] == []


def test_every_table_of_ours_has_a_primary_key(database: str) -> None:
    with Case(database, ENTITIES) as case:
        case.sql(TABLE)
        case.install()
        case.sql("SELECT syncline.rotate_history('7 days')")
        tables = dict(case.sql(TABLES))
    assert sum(name.startswith("history_2") for name in tables) == 2
    assert_keys(tables)


def test_cockroachdb_every_table_of_ours_has_a_primary_key(cockroach: Simulator) -> None:
    with Case(cockroach.url, ENTITIES) as case:
        case.sql(TABLE)
        case.install()
    with psycopg.connect(cockroach.postgres_url) as connection:
        assert_keys(dict(connection.execute(TABLES).fetchall()))
