"""Unique indexes whose holder is hard to find, or cannot make room: nobody waits for ever (G5)."""

from __future__ import annotations

from typing import Any

import pytest

from syncline.model.entity import Index
from syncline.relay import conflicts
from tests.relay import Relay, entity, relayed

ITEMS = "CREATE TABLE item (id bigint PRIMARY KEY, name text, meta jsonb, price numeric)"
TOO_LONG = "1." + "1" * 40


def indexed(field: str, **options: Any):
    return entity("item", indexes=(Index(((field, 1),), unique=True, options=options),))


@pytest.fixture
def relay_with(database, mongo_url, mongo_db):
    return lambda one: relayed(database, (mongo_url, mongo_db), ddl=ITEMS, entities=[one])


def holder(relay: Relay, key: str) -> str:
    return relay.value("SELECT error FROM syncline.parked WHERE key = %s", key)


async def test_an_index_with_a_collation(relay_with) -> None:
    async with relay_with(indexed("name", collation={"locale": "en", "strength": 2})) as relay, relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'bob'), (2, 'eve')")
        await relay.drained()
        relay.sql("INSERT INTO item VALUES (3, 'BOB')")
        await relay.drained()
        assert "item/1" in holder(relay, "3")
        relay.sql("DELETE FROM item WHERE id = 3")
        relay.sql("UPDATE item SET name = CASE id WHEN 1 THEN 'EVE' ELSE 'Bob' END")
        await relay.equal()


async def test_an_index_that_covers_some_documents_only(relay_with) -> None:
    one = indexed("name", partialFilterExpression={"price": {"$type": "decimal"}})
    async with relay_with(one) as relay, relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'a', NULL, NULL), (2, 'a', NULL, 1)")
        await relay.equal()
        with relay.conn.transaction():
            relay.sql("INSERT INTO item VALUES (3, 'a', NULL, 2)")
            relay.sql("UPDATE item SET name = 'b' WHERE id = 2")
        await relay.equal()
        relay.sql("INSERT INTO item VALUES (4, 'a', NULL, 3)")
        await relay.drained()
        assert "item/3" in holder(relay, "4")


async def test_a_value_that_looks_like_a_query(relay_with) -> None:
    async with relay_with(indexed("meta")) as relay, relay.worker():
        relay.sql("""INSERT INTO item VALUES (1, 'a', '"abc"'), (2, 'a', '{"$gt": ""}')""")
        await relay.drained()
        relay.sql("""INSERT INTO item VALUES (3, 'a', '{"$gt": ""}')""")
        await relay.drained()
        assert "item/2" in holder(relay, "3")


async def test_a_holder_that_cannot_be_written_is_not_waited_for_for_ever(relay_with, monkeypatch) -> None:
    monkeypatch.setattr(conflicts, "STUCK_SECONDS", 0.5)
    async with relay_with(indexed("name")) as relay, relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'a'), (2, 'b')")
        await relay.drained()
        relay.sql("UPDATE item SET name = 'c', price = %s WHERE id = 1", TOO_LONG)
        relay.sql("UPDATE item SET name = 'a' WHERE id = 2")
        await relay.drained()
        assert relay.parked() == {"1": "mapping", "2": "unique_value"}
        assert "item/1" in holder(relay, "2")
        assert "cannot be written" in holder(relay, "2")
        relay.sql("UPDATE item SET price = 1 WHERE id = 1")
        await relay.drained()
        relay.sql("UPDATE item SET price = 1 WHERE id = 2")
        await relay.equal()
