"""Tasks of a running worker: what they must wait for, and whom they must not stop."""

from __future__ import annotations

from datetime import timedelta

import pytest

from syncline.relay.keeper import Keeper
from tests.relay import ITEM, ITEMS, Relay, entity, relayed, until

NARROW = entity("narrow", where="qty < 100")
TWO = ITEMS + "; CREATE TABLE narrow (id bigint PRIMARY KEY, name text, qty int NOT NULL DEFAULT 0)"


@pytest.fixture
async def relay(database):
    async with relayed(database, ddl=TWO, entities=(ITEM, NARROW), grace=timedelta(seconds=6)) as found:
        yield found


async def test_g3_what_is_written_while_a_truncated_table_is_swept_does_not_stay(relay: Relay) -> None:
    async with relay.worker():
        relay.target.delay_seconds = 2.5
        relay.sql("INSERT INTO item SELECT n FROM generate_series(1, 50) AS n")
        await until(lambda: relay.target.writes)
        relay.sql("TRUNCATE item")
        await relay.drained(tasks=True, seconds=20)
    assert relay.raw() == []


async def test_g5_a_task_that_cannot_be_done_stops_its_own_entity_only(relay: Relay) -> None:
    relay.sql("INSERT INTO narrow VALUES (1, 'a')")
    async with relay.worker():
        await relay.drained()
        relay.sql("ALTER TABLE narrow DROP COLUMN qty")
        await until(lambda: "TaskFailed" in relay.notices(), seconds=15)
        relay.sql("INSERT INTO item VALUES (1, 'a')")
        await until(lambda: relay.document(1))
        relay.sql("INSERT INTO syncline.task (kind, entity, reason) VALUES ('backfill', 1, 'test')")
        await until(lambda: not relay.value("SELECT count(*) FROM syncline.task WHERE entity = 1"))
        relay.sql("ALTER TABLE narrow ADD COLUMN qty int NOT NULL DEFAULT 0")
        await relay.equal(tasks=True, seconds=30)


async def test_g3_a_worker_that_notices_a_new_column_late_writes_its_records_again(relay: Relay, monkeypatch) -> None:
    unaware: set[str] = set()

    def unless_unaware(look):
        async def looked(keeper: Keeper) -> None:
            if keeper._source.worker not in unaware:
                await look(keeper)

        return looked

    for name in ("_look_at_tables", "_look_at_catalog"):
        monkeypatch.setattr(Keeper, name, unless_unaware(getattr(Keeper, name)))
    async with relay.worker(), relay.worker() as late:
        await until(lambda: len(relay.owners()) == 2)
        relay.sql("INSERT INTO item SELECT n FROM generate_series(1, 100) AS n")
        await relay.equal()
        unaware.add(late.id)
        relay.sql("ALTER TABLE item ADD COLUMN colour text NOT NULL DEFAULT 'red'")
        await until(lambda: "MappingChanged" in relay.notices())
        await relay.drained(tasks=True)
        assert 0 < sum("colour" in document for document in relay.raw()) < 100
        unaware.clear()
        await until(lambda: all("colour" in document for document in relay.raw()), seconds=20)
        await relay.equal(tasks=True)


async def test_records_that_a_narrower_filter_leaves_out_are_removed(relay: Relay) -> None:
    relay.sql("INSERT INTO narrow VALUES (1, 'a', 70), (2, 'b', 20)")
    async with relay.worker():
        await relay.drained()
        assert len(relay.raw(NARROW)) == 2
    relay.entities = [ITEM, entity("narrow", where="qty < 50")]
    await relay.install()
    async with relay.worker():
        await until(lambda: len(relay.raw(NARROW)) == 1)
        await relay.drained(tasks=True)
