"""A tombstone of an application stays as long as a write of the way back may still insert its document; nobody waits."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import bson
import pytest
from bson.raw_bson import RawBSONDocument

from syncline.documents.opening import opened
from syncline.engines.mongo import gates
from syncline.engines.mongo.gates import MongoBackGate
from syncline.engines.mongo.marked import MongoMarkedDocuments
from syncline.errors import TargetGateError
from syncline.phases.switching.running import run
from syncline.phases.switching.sides import MONGODB, POSTGRESQL
from syncline.phases.way_back import WayBack
from syncline.ports import Batch, State
from syncline.relay.documents.pump import DocumentPump
from syncline.relay.documents.recovery import forget
from tests.phase_switch import Application, SwitchStage

pytestmark = pytest.mark.engines
NO_GRACE = timedelta(0)


@pytest.fixture
async def stage(mongo_url, mongo_db, database):
    """A collection that was live, and is back in its ramp; `a` was written in live."""
    one = SwitchStage(mongo_url, mongo_db, database)
    await one.prepare()
    with one.phases() as phases:
        one.application = Application(one, phases)
        await one.switch(POSTGRESQL)
        await asyncio.to_thread(one.application.write, "a", 1)
        one.admission = await admission(one)
        await one.switch(MONGODB)
        yield one
    one.client.close()


async def admission(stage):
    """Ask MongoDB's gate, as a worker of the way back does before it reads marks."""
    async with going_back(stage) as (_, target):
        await target.ask_gate()
        return target.admission


@asynccontextmanager
async def going_back(stage):
    async with opened(stage.documents) as link:
        back = WayBack(stage.documents, MongoBackGate(link.database))
        target = back.target()
        try:
            yield back, target
        finally:
            await target.close()


async def late(stage):
    """Send what a worker of the way back has read in live, and was frozen with."""
    body = RawBSONDocument(bson.encode({"_id": "a", "n": 1}))
    async with going_back(stage) as (back, target):
        batch = Batch(back.entities[0], upserts=[State("a", "a", 1 << 40, body)], admission=stage.admission)
        with suppress(TargetGateError):
            await target.apply(batch)


def ours(stage):
    """What the collection has of `a`, tombstones too."""
    found = stage.bare.find_one({"_id": "a"})
    return None if found is None else set(found["_sync"])


async def delete(stage, link, source=None):
    tasks, phases = stage.application.tasks, stage.application.phases
    await asyncio.to_thread(run, phases, "tasks", lambda _: tasks.delete_one({"_id": "a"}))
    await DocumentPump(source or link.source, link.rows, ["tasks"]).walk()
    assert stage.rows_there() == {}


async def test_a_late_write_of_the_way_back_does_not_insert_what_was_deleted_since(stage):
    async with opened(stage.documents) as link:
        await delete(stage, link)
        assert ours(stage) == {"v", "c", "deleted"}, "its mark is cleared: nobody waits for it"
        await forget(link.source, link.rows, "tasks")
        await late(stage)
        assert stage.documents_there() == stage.rows_there() == {}


async def test_a_drain_does_not_wait_for_a_tombstone_that_stays(stage):
    async with opened(stage.documents) as link:
        await delete(stage, link)
    assert (await stage.switch(POSTGRESQL)).serving == POSTGRESQL
    await asyncio.to_thread(stage.application.write, "a", 2)
    await stage.switch(MONGODB)
    assert stage.documents_there() == stage.rows_there() == {"a": 2}


async def test_a_tombstone_goes_when_nothing_of_before_the_opening_can_come_any_more(stage):
    async with opened(stage.documents) as link:
        await delete(stage, link)
        source = MongoMarkedDocuments(link.database, grace=NO_GRACE)
        assert await forget(source, link.rows, "tasks") == 1
        assert ours(stage) is None


async def test_long_after_the_opening_tombstones_go_at_once(stage):
    async with opened(stage.documents) as link:
        source = MongoMarkedDocuments(link.database, grace=NO_GRACE)
        await delete(stage, link, source)  # it has not seen yet how long ago that was
        await asyncio.to_thread(stage.application.write, "a", 2)
        await delete(stage, link, source)
        assert ours(stage) is None


async def test_the_age_of_an_opening_is_told_by_the_clock_of_mongodb(stage):
    async with opened(stage.documents) as link:
        gate = (await gates.read(link.database))["tasks"]
        asked = [{"$project": {"now": {"$toLong": "$$NOW"}}}]
        [one] = await (await link.database[gates.COLLECTION].aggregate(asked)).to_list()
        assert 0 < gate.opened_at <= one["now"]
        assert await gates.settled(link.database, "tasks", NO_GRACE) == gate.opened
        assert await gates.settled(link.database, "tasks", timedelta(hours=1)) == 0


async def test_a_document_deleted_anew_is_marked_again_where_rows_have_come(stage):
    """Repair leaves tombstones where there are rows only; one that is there already has no mark any more."""
    async with opened(stage.documents) as link:
        await delete(stage, link)
        assert await link.source.leave_tombstones("tasks", ["a"]) == 1
        assert ours(stage) == {"v", "c", "deleted", "mark"}
        await late(stage)
        assert stage.documents_there() == {}


async def test_a_document_that_is_created_again_takes_the_place_of_its_tombstone(stage):
    async with opened(stage.documents) as link:
        await delete(stage, link)
        await asyncio.to_thread(stage.application.write, "a", 3)
        await link.pump().walk()
        source = MongoMarkedDocuments(link.database, grace=NO_GRACE)
        assert await source.remove_tombstones("tasks", ["a"]) == 0
    assert stage.documents_there() == stage.rows_there() == {"a": 3}
