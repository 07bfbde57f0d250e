"""Thousands of records that cannot be written, beside another entity: what they may take of what all share."""

from __future__ import annotations

import asyncio

import pytest

from syncline.engines.mongo import errors as mongo_errors
from syncline.engines.mongo.writes import CODEC
from syncline.model.entity import Entity, Fields, TableName
from syncline.model.values import Unrepresentable
from syncline.narrowing import unmappable
from syncline.ports import Plan, Report, States
from syncline.relay import planner
from syncline.relay.apart import CROWD, MOST_REST, PART
from syncline.relay.poison import TRIES
from syncline.relay.pump import Pump
from tests.relay import Relay, entity, relayed, until

DDL = """
CREATE TABLE t (id bigint PRIMARY KEY, wide numeric, name text);
CREATE TABLE other (id bigint PRIMARY KEY, n int)
"""
BAD = "INSERT INTO t SELECT i, ('1.' || repeat('1', 40))::numeric FROM generate_series(%s::int, %s) i"
T, OTHER = entity("t"), entity("other")


@pytest.fixture
async def crowd(database):
    """A worker that has met a crowd: many records of one entity whose value fits no type of the target."""
    async with relayed(database, ddl=DDL, entities=[T, OTHER]) as relay, relay.worker():
        relay.sql(BAD, 1, CROWD)
        await relay.drained()
        yield relay


@pytest.fixture
def gate(crowd):
    """Holds up the writes of the entity with the crowd; those that were begun and not let through are counted."""
    found = Gate()

    async def passed(batch) -> None:
        if batch.entity.name == "t":
            await found.passed()

    crowd.target.before_apply = passed
    return found


class Gate:
    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.waiting = 0
        self.most = 0

    async def passed(self) -> None:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await self.opened.wait()
        self.waiting -= 1


def is_crowd(relay: Relay) -> bool:
    return 1 in relay.workers[0]._pump._reader._crowds


async def test_a_crowd_is_written_in_parts_one_after_the_other(crowd, gate):
    before = len(crowd.seen.batches)
    crowd.sql(BAD, 101, 100 + 3 * PART)
    await until(lambda: gate.waiting)
    gate.opened.set()
    await crowd.drained()

    def sizes() -> list[int]:
        return [len(batch.rejected) for batch in crowd.seen.batches[before:] if batch.entity == "t"]

    await until(lambda: sum(sizes()) == 3 * PART)
    assert max(sizes()) <= PART
    assert gate.most == 1


async def test_no_other_entity_waits_while_a_crowd_is_written(crowd, gate):
    """A mutant: it fills the batches and the writers that all share."""
    crowd.sql(BAD, 101, 1100)
    await until(lambda: gate.waiting)
    for number in range(1, 6):
        crowd.sql("INSERT INTO other VALUES (%s, 1)", number)
        await until(lambda number=number: crowd.document(number, OTHER))
    assert len(crowd.parked()) == CROWD
    gate.opened.set()
    await crowd.drained()
    assert len(crowd.parked()) == CROWD + 1000


async def test_a_good_record_among_a_crowd_is_written(crowd):
    crowd.sql("INSERT INTO t SELECT i, 1 FROM generate_series(101, 300) i")
    crowd.sql("UPDATE t SET wide = ('1.' || repeat('1', 40))::numeric WHERE id % 10 > 0")
    await crowd.drained()
    parked = {int(key) for key in crowd.parked()}
    assert parked == {n for n in (*range(1, CROWD + 1), *range(101, 301)) if n % 10 or n < 100}
    assert {d["_id"]: d["wide"].to_decimal() for d in crowd.raw(T) if d["_id"] % 10 == 0} == dict.fromkeys(
        range(110, 301, 10), 1
    )


async def test_an_entity_whose_records_can_be_written_again_goes_with_the_others(crowd):
    assert is_crowd(crowd)
    crowd.sql("UPDATE t SET wide = 1")
    await crowd.equal()
    await until(lambda: not is_crowd(crowd))
    crowd.sql("UPDATE t SET wide = 2")
    await crowd.equal()


async def test_a_bad_record_here_and_there_makes_no_crowd(crowd):
    """A long backlog would take several times as long."""
    crowd.sql("UPDATE t SET wide = 1")
    await crowd.equal()
    await until(lambda: not is_crowd(crowd))
    crowd.sql(
        "INSERT INTO t SELECT i, CASE WHEN i % 25 > 0 THEN 1 ELSE ('1.' || repeat('1', 40))::numeric END"
        " FROM generate_series(1001, 3000) i"
    )
    await crowd.drained()
    assert len(crowd.parked()) > CROWD
    assert not is_crowd(crowd)


@pytest.mark.parametrize("others", [True, False], ids=["while others change", "alone"])
async def test_half_of_the_time_is_the_others(crowd, monkeypatch, others):
    """A crowd takes a rest after a part during which another entity had changes; without them it goes on at once."""
    rests = []
    monkeypatch.setattr(Pump, "_pause", lambda _, seconds: asyncio.sleep(0, rests.append(seconds)))
    parts = 0

    async def other_changes(batch) -> None:
        nonlocal parts
        if batch.entity.name == "t":
            parts += 1
            if others:
                crowd.sql("INSERT INTO other VALUES (%s, 1)", parts)
                await until(lambda: crowd.document(parts, OTHER))

    crowd.target.before_apply = other_changes
    crowd.sql(BAD, 101, 100 + 3 * PART)
    await crowd.drained()
    await until(lambda: not crowd.workers[0]._pump._apart)
    assert len(rests) == (parts if others else 0)
    assert all(0 < seconds <= MOST_REST for seconds in rests)


async def test_a_crowd_is_parked_when_its_lanes_move(crowd, gate):
    crowd.sql(BAD, 101, 500)
    await until(lambda: gate.waiting)
    async with crowd.worker():
        gate.opened.set()
        await crowd.drained()
        assert len(crowd.parked()) == CROWD + 400


async def test_an_outage_while_a_crowd_is_written_loses_nothing(crowd, gate):
    crowd.sql(BAD, 101, 500)
    crowd.sql("INSERT INTO t VALUES (1000, 1)")
    await until(lambda: gate.waiting)
    crowd.target.unavailable = True
    gate.opened.set()
    await until(lambda: crowd.seen.outages)
    crowd.target.unavailable = False
    await crowd.drained()
    assert len(crowd.parked()) == CROWD + 400
    assert crowd.document(1000, T)


async def test_a_record_that_the_target_cannot_stand_is_found_in_a_crowd_beside_others(crowd):
    """Its group fails again and again while the other entity's batches go through: these prove nothing."""
    crowd.target.cannot_stand = lambda document: document.get("name") == "poison"
    failures = 0

    async def other_changes(batch) -> None:
        nonlocal failures
        if batch.entity.name == "t":
            failures += 1
            crowd.sql("INSERT INTO other VALUES (%s, 1)", failures)

    crowd.target.before_apply = other_changes
    crowd.sql("INSERT INTO t VALUES (100, 1, 'poison')")
    await until(lambda: crowd.parked().get("100") == "poison")
    assert failures > TRIES
    await crowd.drained()
    assert len(crowd.raw(OTHER)) >= failures - 1


# -- the event loop: others have their turn while records are tried one by one


async def turns(work) -> int:
    """How often another task has its turn meanwhile."""
    count = 0

    async def other() -> None:
        nonlocal count
        while True:
            count += 1
            await asyncio.sleep(0)

    running = asyncio.create_task(other())
    await work
    running.cancel()
    return count


async def test_others_have_their_turn_while_documents_are_encoded_one_by_one():
    documents = [{"_id": n, "_originalId": str(n), "deep": [Unrepresentable("too wide")]} for n in range(1000)]
    report = Report()

    async def sift() -> None:
        assert [portion async for portion in mongo_errors.portions(documents, report, CODEC)] == []

    assert await turns(sift()) >= 1000 // mongo_errors.BREATH
    assert [(one.key, one.code) for one in report.rejected] == [(str(n), "mapping") for n in range(1000)]


class Stumbling:
    """A projection that stumbles over negative numbers, and counts the children it looks at."""

    def __init__(self) -> None:
        self.children = 0

    def bodies(self, rows, children):
        self.children += sum(map(len, children))
        if any(row[0] < 0 for row in rows):
            raise ValueError("negative")
        return [{"_id": row[-1]} for row in rows]

    def ids_of(self, rows, bodies):
        return [row[-1] for row in rows[: len(bodies)]]


@pytest.fixture
def states():
    one = Entity("t", TableName("public", "t"), "t", fields=Fields())
    rows = [(-n if n % 2 else n, str(n)) for n in range(1000)]
    children = [[(str(n), "a") for n in range(1000)]]
    return States(Plan(1, one, Stumbling(), None), rows, children)


async def test_others_have_their_turn_while_rows_are_mapped_one_by_one(states):
    found = {}

    async def sift() -> None:
        found.update(await planner._unmappable(states))

    assert await turns(sift()) >= 1000 // planner.BREATH
    assert found == {str(n): "ValueError: negative" for n in range(1, 1000, 2)}


def test_each_child_is_looked_at_once(states):
    """A mutant of the time: every child for every row."""
    seen = []

    class Row(tuple):
        __slots__ = ()

        def __getitem__(self, place):
            seen.append(place)
            return super().__getitem__(place)

    children = [[Row(child) for child in rows] for rows in states.children]
    unmappable(States(states.plan, states.rows, children))
    assert len(seen) == 1000
    assert states.plan.projection.children == 1000
