"""Which marks say that their transaction commits asynchronously; and the one that cannot know."""

from __future__ import annotations

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
