"""What is still on its way when a lane has changed hands, and reads that must not run into each other."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from syncline.engines.memory.target import MemoryTarget
from syncline.engines.opening import open_source
from syncline.engines.postgres.plans import compile_plans
from syncline.errors import TargetUnavailableError
from syncline.model.entity import Embed, TableName
from syncline.ports import Batch, Report
from tests.relay import ITEM, ITEMS, Relay, entity, until


class LateTarget(MemoryTarget):
    """Holds a batch back until it is told, writes it then, and loses the reply."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived, self.go, self.late = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def apply(self, batch: Batch) -> Report:
        if not self.arrived.is_set():
            self.arrived.set()
            await self.go.wait()
            await super().apply(batch)
            self.late.set()
            raise TargetUnavailableError("the reply was lost")
        return await super().apply(batch)


async def test_a_write_that_failed_after_the_lane_was_lost_is_made_good(database):
    target = LateTarget()
    relay = Relay(database, [ITEM], target)
    relay.sql(ITEMS)
    await relay.install()
    async with relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'old')")
        await asyncio.wait_for(target.arrived.wait(), 60)
        # Frozen for longer than the grace time: another worker has done its work with this record, twice.
        relay.sql("DELETE FROM item")
        relay.sql("UPDATE syncline.meta SET epoch = epoch + 1")
        relay.sql("UPDATE syncline.lane SET owner = %s, epoch = (SELECT epoch FROM syncline.meta)", str(uuid4()))
        relay.sql("DELETE FROM syncline.outbox; DELETE FROM syncline.block")
        target.go.set()
        await asyncio.wait_for(target.late.wait(), 60)
        await until(lambda: not relay.raw() and relay.is_drained(deferred=True), what="the late document is gone")
    relay.conn.close()


class OrphaningTarget(MemoryTarget):
    """Sends its first batch, and is cancelled before the reply: the write may be executed whenever it pleases."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived, self.orphans = asyncio.Event(), []

    async def apply(self, batch: Batch) -> Report:
        if not self.arrived.is_set():
            self.arrived.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.orphans.append(batch)
                raise
        return await super().apply(batch)


async def test_a_write_that_was_under_way_when_the_session_was_lost_is_made_good(database):
    target = OrphaningTarget()
    relay = Relay(database, [ITEM], target)
    relay.sql(ITEMS)
    await relay.install()
    async with relay.worker():
        relay.sql("INSERT INTO item VALUES (1, 'old')")
        await asyncio.wait_for(target.arrived.wait(), 60)
        # Another worker has done its work with this record, twice; then the source's connections are lost.
        relay.sql("DELETE FROM item")
        relay.sql("DELETE FROM syncline.outbox; DELETE FROM syncline.block")
        relay.sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'syncline %%'")
        await until(lambda: target.orphans, what="the session has ended")
        await MemoryTarget.apply(target, target.orphans[0])
        await until(lambda: not relay.raw() and relay.is_drained(deferred=True), what="the late document is gone")
    relay.conn.close()


@pytest.fixture
async def source(database):
    nested = entity("item", embeds=(Embed("parts", TableName("public", "part"), ("item",)),))
    relay = Relay(database, [nested], MemoryTarget())
    relay.sql(ITEMS)
    relay.sql("CREATE TABLE part (id bigint PRIMARY KEY, item bigint NOT NULL REFERENCES item)")
    await relay.install()
    relay.sql("INSERT INTO item SELECT n FROM generate_series(1, 10) AS n")
    relay.conn.close()
    found = await open_source(database, worker=str(uuid4()))
    yield found, (await compile_plans(found.control, [nested])).named("item")
    await found.close()


async def test_reads_of_parents_with_children_each_have_their_own_snapshot(source):
    session, plan = source
    said: list[str] = []
    session.connections.reader.add_notice_handler(lambda notice: said.append(str(notice.message_primary)))
    await asyncio.gather(*(session.records.read(plan, [str(key)]) for key in range(1, 11)))
    assert said == []
