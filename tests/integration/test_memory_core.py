"""The relay's core, memory by memory: no server, so that what fails here is the core itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import uuid4

import pytest

from syncline.config.settings import HistorySettings, Settings, SourceSettings, TargetSettings, WorkerSettings
from syncline.ending import end
from syncline.engines.memory import MemoryTarget
from syncline.errors import TargetGateError
from syncline.model.entity import Column, Entity, Index, Shape, TableName
from syncline.model.mapping import Projection
from syncline.model.mark import LANES
from syncline.model.notice import Notice
from syncline.ports import Acknowledgement, Batch, Plan, Report, Source
from syncline.relay.in_flight import DEPTH
from syncline.relay.worker import Worker
from syncline.telemetry.observer import Drop
from syncline.testing.contract import SourceContract
from syncline.testing.faults import FaultyTarget
from tests.memory_source import MemoryDatabase, MemoryMarks, MemorySource, opening
from tests.relay import PATIENCE, QUICK, Recorder, until

TABLE = TableName("public", "item")
COLUMNS = (
    Column("id", "bigint", "int8", 20, not_null=True),
    Column("name", "text", "text", 25),
    Column("size", "integer", "int4", 23),
)
ITEM = Entity("item", TABLE, "item", indexes=(Index((("name", 1),), unique=True),))


@pytest.fixture
def base() -> MemoryDatabase:
    shape = Shape(TABLE, 1, "r", COLUMNS, ("id",), (("id",),))
    return MemoryDatabase([Plan(1, ITEM, Projection(ITEM, shape, {}), None)])


class TestMemory(SourceContract):
    @pytest.fixture
    def source(self, base: MemoryDatabase) -> Source:
        return MemorySource(base, str(uuid4()))

    @pytest.fixture
    def other(self, base: MemoryDatabase) -> Source:
        return MemorySource(base, str(uuid4()))


class Core:
    """Both sides in memory, and workers between them."""

    def __init__(self, base: MemoryDatabase) -> None:
        self.base, self.seen = base, Recorder()
        self.target = FaultyTarget(MemoryTarget())

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncIterator[Worker]:
        settings = Settings(
            SourceSettings(url="postgresql://memory"),
            TargetSettings(url="mongodb://memory", database="memory"),
            WorkerSettings(**QUICK | {"grace": timedelta(seconds=0.05), "renew": timedelta(seconds=0.05)}),
            history=HistorySettings(keep=None),
            entities=(ITEM,),
        )
        open_ = opening(self.base)

        async def compile_(source: Source):
            return await source.compile([ITEM], differs=print)

        worker = Worker(settings, self.target, open_, compile_, self.seen)
        running = asyncio.create_task(worker.run())
        try:
            await until(lambda: running.done() or self.lanes_of(worker), what="the worker has lanes")
            yield worker
            worker.stop()
            await asyncio.wait_for(running, 30)
        finally:
            assert not await end(running, seconds=PATIENCE)

    def lanes_of(self, worker: Worker) -> int:
        return sum(owner == worker.id for owner in self.base.state.owners.values())

    async def equal(self) -> None:
        """Wait until no mark is left, then compare every record."""
        await until(lambda: not self.base.marks, what=lambda: list(self.base.marks.values()))
        rows = {int(key): row for key, row in self.base.rows[1].items() if (1, key) not in self.base.state.parked}
        found = {one["_id"]: (one["name"], one["size"]) for one in await self.target.read(ITEM, list(rows))}
        assert found == {id_: (row["name"], row["size"]) for id_, row in rows.items()}


@pytest.fixture
def core(base: MemoryDatabase) -> Core:
    return Core(base)


async def test_what_is_committed_arrives_and_what_is_deleted_goes(core: Core) -> None:
    core.base.put(1, id=1, name="before", size=1)
    async with core.worker():
        for number in range(2, 100):
            core.base.put(1, id=number, name=f"n{number}", size=number)
        core.base.put(1, id=1, name="after", size=2)
        await core.equal()
        core.base.remove(1, "5")
        await until(lambda: not core.base.marks and not core.base.deferred)
        assert await core.target.read(ITEM, [5]) == []
        await core.equal()


async def test_a_record_that_is_refused_is_parked_until_it_can_be_written(core: Core) -> None:
    async with core.worker():
        core.base.put(1, id=1, name="good", size=1)
        core.base.put(1, id=2, name="too large", size=1 << 70)
        await core.equal()
        assert core.base.state.parked.keys() == {(1, "2")}
        core.base.put(1, id=2, name="better", size=2)
        await until(lambda: not core.base.state.parked)
        await core.equal()


async def test_a_record_that_the_target_cannot_stand_is_found(core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("syncline.relay.recovery.SUSPECT_PAUSE", timedelta())
    core.target.cannot_stand = lambda document: document["name"] == "poison"
    async with core.worker():
        for number in range(8):
            core.base.put(1, id=number, name="poison" if number == 3 else f"n{number}", size=1)
        await until(lambda: core.base.state.parked, what=lambda: core.seen.outages)
        await core.equal()
        assert {key: one.code for (_, key), one in core.base.state.parked.items()} == {"3": "poison"}


async def test_an_outage_loses_and_parks_nothing(core: Core) -> None:
    async with core.worker():
        core.target.unavailable = True
        for number in range(50):
            core.base.put(1, id=number, name=f"n{number}", size=number)
        await until(lambda: core.seen.outages)
        assert len(core.base.marks) == 50
        core.target.unavailable = False
        await core.equal()
        assert core.base.state.parked == {}


async def test_values_that_are_exchanged_arrive(core: Core) -> None:
    async with core.worker():
        core.base.put(1, id=1, name="a", size=1)
        core.base.put(1, id=2, name="b", size=1)
        await core.equal()
        core.base.put(1, id=1, name="b", size=2)
        core.base.put(1, id=2, name="a", size=2)
        await core.equal()


async def test_two_workers_share_the_lanes_and_one_takes_over(core: Core) -> None:
    async with core.worker() as first:
        async with core.worker() as second:
            await until(lambda: core.lanes_of(first) == core.lanes_of(second) == LANES // 2)
            for number in range(100):
                core.base.put(1, id=number, name=f"n{number}", size=number)
            await core.equal()
        await until(lambda: core.lanes_of(first) == LANES)
        core.base.put(1, id=1, name="later", size=5)
        await core.equal()


async def test_what_was_written_for_a_lane_that_is_lost_is_marked_again(core: Core) -> None:
    """Another worker takes the lanes while a batch is written, and does its mark: nothing else would look again."""
    async with core.worker() as worker:

        async def lose_the_lanes(_: object) -> None:
            core.target.before_apply = None
            core.base.state.workers[worker.id] = 0.0
            other = MemorySource(core.base, str(uuid4()))
            leases = await other.journal.lanes.acquire(range(LANES), above=0)
            ack = Acknowledgement(list(core.base.marks.values()), leases)
            await other.marks.acknowledge(ack, grace=timedelta(), history=False)

        core.target.before_apply = lose_the_lanes
        core.base.put(1, id=1, name="one", size=1)
        await until(lambda: (Drop.LEASE_LOST, 1) in core.seen.drops)
        await until(lambda: len(core.seen.batches) == 2, what="it is written once more, under a lease")
        await core.equal()


class Gated(MemoryTarget):
    """A target behind a gate: whose it is, and what a batch has to show."""

    def __init__(self) -> None:
        super().__init__()
        self.mode, self.number, self.asked = "l", 1, 0
        self.admission = ""

    async def ask_gate(self) -> bool:
        self.asked += 1
        self.admission = str(self.number)
        return self.mode == "l"

    async def apply(self, batch: Batch) -> Report:
        if self.mode != "l" or batch.admission != str(self.number):
            raise TargetGateError("its tables are written here", gate="data")
        return await super().apply(batch)


@pytest.fixture
def gated(core: Core) -> Gated:
    target = Gated()
    core.target = FaultyTarget(target)
    return target


async def test_behind_a_gate_that_is_not_the_links_all_waits_and_nothing_is_parked(core: Core, gated: Gated) -> None:
    """It is told once, and the gate is asked by itself: no batch is tried again before it is open."""
    gated.mode = "a"
    for number in range(1, 50):
        core.base.put(1, id=number, name=f"n{number}", size=number)
    async with core.worker():
        await until(lambda: gated.asked > 5)
        assert core.seen.notices == [
            (Notice.WAITS_AT_GATE, "its tables are written here: changes wait at the gate of the move data")
        ]
        assert {reason for reason, _ in core.seen.drops} == {Drop.GATE}
        assert len(core.seen.drops) <= DEPTH
        gated.mode, gated.number = "l", 7
        await core.equal()
        core.base.put(1, id=1, name="after", size=2)
        await core.equal()
    assert (core.base.state.parked, core.seen.outages) == ({}, [])


async def test_what_a_gate_has_said_is_taken_before_the_marks_are_read(
    core: Core, gated: Gated, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the marks and their states the side was switched to and back, and somebody has asked the gate since."""
    read = MemoryMarks.read

    async def read_then_switched(marks: MemoryMarks, **which: object) -> list[object]:
        found = await read(marks, **which)
        if found and gated.number == 1:
            gated.number = 2
            await gated.ask_gate()
        return found

    monkeypatch.setattr(MemoryMarks, "read", read_then_switched)
    await gated.ask_gate()
    core.base.put(1, id=1, name="one", size=1)
    async with core.worker():
        await core.equal()
    assert [batch.admission for batch in core.target.writes] == ["1", "2"]
    assert core.seen.drops == [(Drop.GATE, 1)]
