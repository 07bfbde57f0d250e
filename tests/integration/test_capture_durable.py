"""Which marks say that their transaction commits asynchronously; and the one that cannot know."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from syncline.postgres.sql import blocks
from tests.pairs import entity, paired

ITEMS = "CREATE TABLE item (id bigint PRIMARY KEY, name text)"
OFF = "SET LOCAL synchronous_commit = off"


async def test_what_a_mark_says_of_its_commit(database, mongo_url, mongo_db):
    async with paired(database, mongo_url, mongo_db, ITEMS, [entity("item")]) as pair:
        with pair.conn.transaction():
            pair.sql(OFF, "INSERT INTO item VALUES (1, 'off before')")
        with pair.conn.transaction():
            pair.sql("INSERT INTO item VALUES (2, 'off after')", OFF)
        with pair.conn.transaction():
            pair.sql(
                "INSERT INTO item VALUES (3, 'off in between')", OFF, "UPDATE item SET name = 'later' WHERE id = 3"
            )
        pair.sql("INSERT INTO item VALUES (4, 'on')")
        said = pair.sql("SELECT key, bool_and(durable) FROM syncline.waiting GROUP BY key ORDER BY key")
        assert said == [("1", False), ("2", True), ("3", False), ("4", True)]  # 2: a limit, see guarantees.md


@pytest.mark.parametrize("off", ["off", "false", "0", "NO"])
async def test_who_commits_asynchronously_is_known_however_it_is_spelt(database, off):
    with psycopg.connect(database, autocommit=True) as conn:
        name = sql.Identifier(conn.info.dbname)
        asked = blocks("queries.sql")["asynchronous_writers"]
        assert conn.execute(asked).fetchone() == (False,)
        conn.execute(sql.SQL("ALTER DATABASE {} SET synchronous_commit = {}").format(name, sql.Literal(off)))
        assert conn.execute(asked).fetchone() == (True,)
        conn.execute(sql.SQL("ALTER DATABASE {} RESET synchronous_commit").format(name))
    with psycopg.connect(database, options="-c synchronous_commit=off") as conn:
        conn.execute("SET synchronous_commit = on")  # as our sessions do
        assert conn.execute(asked).fetchone() == (True,)
