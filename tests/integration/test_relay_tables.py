"""Tables change under way: picked up or loudly reported, and one entity's trouble is not the others'."""

from __future__ import annotations

import pytest

from syncline.model.entity import Fields
from syncline.relay import keeper
from tests.relay import ITEM, ITEMS, Relay, entity, relayed, until

OTHER = entity("other")
TWO = ITEMS + "; CREATE TABLE other (id int PRIMARY KEY, note text)"


@pytest.fixture
async def relay(database, monkeypatch):
    monkeypatch.setattr(keeper, "TABLES_SECONDS", 0.3)
    async with relayed(database, ddl=TWO, entities=[ITEM, OTHER]) as found:
        yield found


async def test_a_new_column_is_picked_up_and_every_record_marked(relay: Relay) -> None:
    async with relay.worker():
        relay.sql("INSERT INTO item SELECT n, 'x' FROM generate_series(1, 50) AS n")
        await relay.equal()
        relay.sql("ALTER TABLE item ADD COLUMN colour text DEFAULT 'red'")
        await until(lambda: "MappingChanged" in relay.notices())
        await relay.equal(tasks=True)
        assert relay.document(3)["colour"] == "red"
        relay.sql("UPDATE item SET colour = 'blue' WHERE id = 3")
        await relay.equal()


async def test_a_dropped_column_disappears_from_the_documents(relay: Relay) -> None:
    async with relay.worker():
        relay.sql("INSERT INTO item SELECT n, 'x' FROM generate_series(1, 50) AS n")
        await relay.equal()
        relay.sql("ALTER TABLE item DROP COLUMN qty")
        await until(lambda: "MappingChanged" in relay.notices())
        await relay.equal(tasks=True)
        assert "qty" not in relay.document(3)


async def test_g5_a_renamed_table_stops_its_entity_only(relay: Relay) -> None:
    async with relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'x'); INSERT INTO other VALUES (1, 'x')")
        await relay.equal()
        relay.sql("ALTER TABLE item RENAME TO renamed")
        relay.sql("INSERT INTO renamed VALUES (2, 'waits')")
        await until(lambda: "EntityStopped" in relay.notices())
        relay.sql("INSERT INTO other VALUES (2, 'flows')")
        await until(lambda: relay.document(2, OTHER) and relay.counts()["outbox"] == 1)
        assert relay.parked() == {}
        relay.sql("ALTER TABLE renamed RENAME TO item")
        await relay.equal(seconds=20)


async def test_a_column_that_is_neither_included_nor_excluded_is_reported(database, monkeypatch) -> None:
    monkeypatch.setattr(keeper, "TABLES_SECONDS", 0.3)
    chosen = entity("item", fields=Fields(include=("name",)))
    async with relayed(database, entities=[chosen]) as relay, relay.worker():
        await until(lambda: "ColumnNotMapped" in relay.notices())
        assert "qty" in relay.value("SELECT message FROM syncline.notice WHERE name = 'ColumnNotMapped'")


async def test_an_entity_that_is_installed_but_not_configured_is_served_and_that_is_said(database) -> None:
    other = entity("other")
    ddl = ITEMS + "; CREATE TABLE other (id int PRIMARY KEY, name text)"
    async with relayed(database, ddl=ddl, entities=(ITEM, other)) as relay:
        relay.entities = [ITEM]
        async with relay.worker():
            relay.sql("INSERT INTO other VALUES (1, 'x')")
            relay.sql("INSERT INTO item VALUES (1, 'x')")
            await relay.drained()
        assert [document["name"] for document in relay.raw(other)] == ["x"]
        assert any("installed, but not in the configuration" in message for _, message in relay.seen.notices)


async def test_a_truncated_table_empties_its_collection(relay: Relay) -> None:
    async with relay.worker():
        relay.sql("INSERT INTO item SELECT n, 'x' FROM generate_series(1, 50) AS n")
        await relay.equal()
        relay.sql("TRUNCATE item")
        relay.sql("INSERT INTO item VALUES (7, 'reloaded')")
        await relay.equal(tasks=True)
        assert [document["_id"] for document in relay.raw()] == [7]
