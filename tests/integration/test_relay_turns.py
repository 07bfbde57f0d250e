"""Large transactions: others do not wait for their end, and of one that is rolled back nothing comes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from syncline.engines.opening import open_source
from syncline.engines.postgres.plans import compile_plans
from syncline.model.entity import Entity, TableName
from syncline.model.mark import LANES
from syncline.ports import Acknowledgement
from syncline.relay import reader, turns
from syncline.relay.poison import Poison
from syncline.relay.reader import Reader
from tests.relay import ITEM, ITEMS, Relay, relayed, until

ROWS, BATCH = 2000, 100
HOUR = timedelta(hours=1)
NOTE = Entity("note", TableName("public", "note"), "notes")
DDL = f"{ITEMS}; CREATE TABLE note (id bigint PRIMARY KEY, name text, qty int NOT NULL DEFAULT 0)"
IN_BLOCKS = "INSERT INTO item (id, name) SELECT g, 'item ' || g FROM generate_series(1, 2000) AS g"
AS_ROWS = (
    "DO $$ BEGIN FOR part IN 0..19 LOOP INSERT INTO item (id, name)"
    " SELECT g, 'item ' || g FROM generate_series(part * 100 + 1, part * 100 + 100) AS g; END LOOP; END $$"
)


@pytest.fixture
async def relay(database: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Relay]:
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(reader, "FLOOR_SECONDS", 0.0)
    monkeypatch.setattr(reader, "PASS_SECONDS", HOUR.total_seconds())
    async with relayed(database, ddl=DDL, entities=(ITEM, NOTE)) as made:
        yield made


class Reading:
    """Reads batch after batch, each acknowledged before the next one; no worker, and no clock."""

    def __init__(self, source: Any, reader_: Reader) -> None:
        self._source, self.reader = source, reader_
        self.seen: list[tuple[int, str]] = []

    async def step(self) -> bool:
        """Read a batch; whether there may be more."""
        work, more = await self.reader.next()
        if work is not None:
            self.seen += work.records()
            await self._source.marks.acknowledge(Acknowledgement(work.marks, work.leases), grace=HOUR, history=False)
            self.reader.release(work)
        return more or work is not None

    async def to_the_end(self) -> None:
        while await self.step():
            pass


@pytest.fixture
def range_() -> tuple[int, int]:
    """Sizes of batches."""
    return BATCH, BATCH


@pytest.fixture
async def reading(relay: Relay, range_: tuple[int, int]) -> AsyncIterator[Reading]:
    source = await open_source(relay.url, worker=str(uuid4()))
    try:
        await source.journal.lanes.renew(name="test", version="0", ttl=HOUR, confirmed=0, report={})
        leases: Any = SimpleNamespace(held=await source.journal.lanes.acquire(list(range(LANES)), above=0))
        plans = (await compile_plans(source.control, [ITEM, NOTE])).by_id
        made = Reader(source, plans, leases, stopped={}, poison=Poison(), range_=range_, bytes_in_flight=10_000_000)
        yield Reading(source, made)
    finally:
        await source.close()


def waiting(relay: Relay) -> int:
    return int(relay.value("SELECT count(*) FROM syncline.waiting"))


@pytest.mark.parametrize("large", [IN_BLOCKS, AS_ROWS], ids=["blocks", "rows"])
async def test_what_is_written_after_a_large_transaction_does_not_wait_for_its_end(
    relay: Relay, reading: Reading, large: str
) -> None:
    relay.sql(large)
    for _ in range(3):
        await reading.step()
    relay.sql("INSERT INTO note (id, name) VALUES (1, 'first')")
    relay.sql("UPDATE item SET name = 'changed' WHERE id = 77")
    reading.seen.clear()
    item, note = (int(relay.value("SELECT id FROM syncline.entity WHERE name = %s", name)) for name in ("item", "note"))
    while not {(item, "77"), (note, "1")} <= set(reading.seen):
        assert await reading.step()
    assert waiting(relay) > ROWS / 2, "the large one is not at its end"
    await reading.to_the_end()
    assert waiting(relay) == 0
    assert not await reading.step()


@pytest.mark.parametrize("large", [IN_BLOCKS, AS_ROWS], ids=["blocks", "rows"])
async def test_what_waits_below_a_turn_is_read_though_the_pass_starts_over(
    relay: Relay, reading: Reading, large: str
) -> None:
    relay.sql(large)
    for number in range(6):
        relay.sql("INSERT INTO note (id, name) VALUES (%s, 'another')", number)
        await reading.step()
    reading.reader.restart()
    await reading.to_the_end()
    assert waiting(relay) == 0
    assert len(set(reading.seen)) == ROWS + 6


@pytest.mark.parametrize("range_", [(10, BATCH)], ids=str)
@pytest.mark.parametrize("large", [IN_BLOCKS, AS_ROWS], ids=["blocks", "rows"])
async def test_what_is_written_while_batches_grow_does_not_wait_for_the_end(
    relay: Relay, reading: Reading, large: str
) -> None:
    relay.sql(large)
    await reading.step()
    for number in range(20):
        relay.sql("INSERT INTO note (id, name) VALUES (%s, 'another')", number)
    note = int(relay.value("SELECT id FROM syncline.entity WHERE name = 'note'"))
    while not {(note, str(number)) for number in range(20)} <= set(reading.seen):
        assert await reading.step()
    assert waiting(relay) > ROWS / 2, "the large one is not at its end"
    await reading.to_the_end()
    assert waiting(relay) == 0


@pytest.mark.parametrize("range_", [(300, 300)], ids=str)
async def test_a_statement_in_blocks_of_few_keys_has_one_turn(relay: Relay, reading: Reading) -> None:
    relay.sql(IN_BLOCKS)
    await reading.step()
    relay.sql("INSERT INTO note (id, name) SELECT g, 'another' FROM generate_series(1, 256) AS g")
    note = int(relay.value("SELECT id FROM syncline.entity WHERE name = 'note'"))
    while not {(note, str(number)) for number in range(1, 257)} <= set(reading.seen):
        assert await reading.step()
    assert waiting(relay) > ROWS / 2, "the large one is not at its end"


async def test_two_large_transactions_do_not_keep_others_from_their_turns(relay: Relay, reading: Reading) -> None:
    relay.sql(IN_BLOCKS)
    for _ in range(3):
        await reading.step()
    relay.sql(IN_BLOCKS.replace("INTO item", "INTO note"))
    relay.sql("INSERT INTO item (id, name) VALUES (0, 'after both')")
    item = int(relay.value("SELECT id FROM syncline.entity WHERE name = 'item'"))
    while (item, "0") not in reading.seen:
        assert await reading.step()
    assert waiting(relay) > ROWS
    await reading.to_the_end()
    assert waiting(relay) == 0


async def test_of_a_large_transaction_that_is_rolled_back_nothing_comes(relay: Relay) -> None:
    """While it is open others go on."""
    async with relay.worker() as worker:
        with psycopg.connect(relay.url) as conn:
            conn.execute(IN_BLOCKS)
            relay.sql("INSERT INTO note (id, name) VALUES (1, 'meanwhile')")
            await until(lambda: set(relay.documents(NOTE)) == {"1"}, what="the other one's record is there")
            conn.rollback()
        relay.sql("INSERT INTO item (id, name) VALUES (1, 'after')")
        await relay.equal()
        assert set(relay.documents(ITEM)) == {"1"}
        await until(lambda: worker._pump and worker._pump.totals["marks"] == 2, what="two marks are counted")
