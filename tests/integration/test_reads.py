"""Reading what is synced: filters, sorts, limits, aggregations, and what happens while MongoDB is away."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta

import pytest
from pymongo import MongoClient
from pymongo.errors import ExecutionTimeout

from syncline import Secondary, SynclineError, TargetUnavailableError
from syncline.embedded.mongo import PrivateMongo
from syncline.errors import TargetError

WHEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def people(mongo_url: str, mongo_db: str) -> Iterator[str]:
    with MongoClient(mongo_url) as client:
        client[mongo_db].people.insert_many(
            [{"_id": number, "team": number % 2, "points": number * 10, "at": WHEN} for number in range(1, 7)]
        )
        yield mongo_db


@pytest.fixture
async def secondary(mongo_url: str, people: str) -> AsyncIterator[Secondary]:
    secondary = Secondary(mongo_url, people, timeout=timedelta(seconds=60))
    yield secondary
    await secondary.close()


async def test_query(secondary: Secondary) -> None:
    found = await secondary.query(
        "people", {"team": 0}, sort=[("points", -1)], limit=2, projection={"_id": 0, "points": 1}
    )
    assert found == [{"points": 60}, {"points": 40}]
    assert len(await secondary.query("people")) == 6


async def test_times_have_a_zone(secondary: Secondary) -> None:
    assert (await secondary.query("people", limit=1, projection=["at"]))[0]["at"] == WHEN


async def test_aggregate(secondary: Secondary) -> None:
    found = await secondary.aggregate(
        "people", [{"$group": {"_id": "$team", "sum": {"$sum": "$points"}}}, {"$sort": {"_id": 1}}]
    )
    assert found == [{"_id": 0, "sum": 120}, {"_id": 1, "sum": 90}]


@pytest.mark.parametrize("limit", [0, -1])
async def test_a_limit_that_would_mean_something_else_is_refused(secondary: Secondary, limit: int) -> None:
    with pytest.raises(TargetError, match="limit"):
        await secondary.query("people", limit=limit)


@pytest.mark.parametrize("stage", [{"$out": "people"}, {"$merge": {"into": "people"}}])
async def test_an_aggregation_that_writes_is_refused(secondary: Secondary, stage: dict[str, object]) -> None:
    with pytest.raises(TargetError, match="write"):
        await secondary.aggregate("people", [stage])


async def test_a_wrong_query_is_no_outage(secondary: Secondary) -> None:
    for wrong in ({"$nonsense": 1}, {"points": {"$in": 1}}):
        with pytest.raises(TargetError) as raised:
            await secondary.query("people", wrong)
        assert not isinstance(raised.value, TargetUnavailableError)
    with pytest.raises(TargetError) as raised:
        await secondary.aggregate("people", [{"$nonsense": 1}])
    assert not isinstance(raised.value, TargetUnavailableError)
    assert await secondary.query("people", limit=1)


async def test_a_url_without_a_database_is_refused() -> None:
    with pytest.raises(SynclineError):
        Secondary("mongodb://localhost/")


async def test_a_server_that_is_away_costs_its_deadline_once(private_mongo: PrivateMongo) -> None:
    secondary = Secondary(private_mongo.url, "app", timeout=timedelta(seconds=0.3), rest=timedelta(minutes=10))
    private_mongo.kill()
    with pytest.raises(TargetUnavailableError):
        await secondary.query("people")
    began = time.process_time()
    for _ in range(100):
        with pytest.raises(TargetUnavailableError, match="a moment ago"):
            await secondary.query("people")
    assert time.process_time() - began < 1
    await secondary.close()


async def test_a_server_that_is_back_is_read_again(private_mongo: PrivateMongo) -> None:
    secondary = Secondary(private_mongo.url, "app", timeout=timedelta(seconds=2), rest=timedelta(milliseconds=10))
    assert await secondary.query("people") == []
    private_mongo.kill()
    with pytest.raises(TargetUnavailableError):
        await secondary.query("people")
    private_mongo.start()
    until = time.monotonic() + 15
    while True:
        try:
            assert await secondary.query("people") == []
            break
        except TargetUnavailableError:
            assert time.monotonic() < until
    await secondary.close()


async def test_a_read_that_is_too_slow_ends(secondary: Secondary) -> None:
    many = [stage for name in "xyz" for stage in ({"$set": {name: {"$range": [0, 1000]}}}, {"$unwind": f"${name}"})]
    with pytest.raises(TargetUnavailableError):
        await secondary.aggregate("people", [*many, {"$count": "rows"}], timeout=timedelta(milliseconds=50))


async def test_a_server_that_says_too_slow_is_not_away(secondary: Secondary) -> None:
    with pytest.raises(TargetUnavailableError), secondary._guarded(None):
        raise ExecutionTimeout("operation exceeded time limit", 50)
    assert await secondary.query("people", limit=1)
