"""A write refused as stale under a lease that still holds is an alarm, and never acknowledged as done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pymongo import MongoClient

from syncline.engines.mongo.writes import Writes
from syncline.model.mark import MAX_EPOCH, epoch_of, ticket
from tests.integration.test_repair import mend
from tests.pairs import paired
from tests.relay import ITEM, ITEMS, Relay, relayed, until

ABOVE = ticket(1000, 5)


@pytest.fixture(params=["memory", "mongo"])
async def relay(request: pytest.FixtureRequest, database: str) -> AsyncIterator[Relay]:
    mongo = None
    if request.param == "mongo":
        mongo = request.getfixturevalue("mongo_url"), request.getfixturevalue("mongo_db")
    async with relayed(database, mongo) as found:
        yield found


def forge(relay: Relay, version: Any, *keys: int) -> None:
    """Write over documents as a copy's worker would, or somebody by hand."""
    if relay.mongo is None:
        documents = [{**relay.document(key), "name": "forged", "_v": version} for key in keys]
        relay.target.target.store(ITEM, *documents)
        return
    with MongoClient(relay.mongo[0]) as client:
        client[relay.mongo[1]]["item"].update_many(
            {"_id": {"$in": list(keys)}}, {"$set": {"name": "forged", "_v": version}}
        )


async def filled(relay: Relay) -> None:
    relay.sql("INSERT INTO item SELECT n, 'a' FROM generate_series(1, 100) AS n")
    await relay.drained()


async def test_case_22_changes_arrive_although_another_source_has_written_above_them(relay: Relay) -> None:
    async with relay.worker():
        await filled(relay)
        forge(relay, ABOVE, *range(1, 101))
        relay.sql("UPDATE item SET qty = 1")
        await relay.equal()

    assert relay.notices() == ["ForeignVersion"]
    assert epoch_of(relay.document(1)["_v"]) > epoch_of(ABOVE)


async def test_a_delete_that_the_fence_keeps_out_is_done_again(relay: Relay) -> None:
    async with relay.worker():
        await filled(relay)
        forge(relay, ABOVE, 3, 4)
        relay.sql("DELETE FROM item WHERE id <= 10")
        await relay.equal(deferred=True)

    assert relay.notices() == ["ForeignVersion"]
    assert relay.document(3) is None


async def test_an_insert_that_meets_a_foreign_document_is_done_again(relay: Relay) -> None:
    async with relay.worker():
        await filled(relay)
        relay.sql("DELETE FROM item WHERE id = 1")
        await relay.equal(deferred=True)
        if relay.mongo is None:
            relay.target.target.store(ITEM, {**relay.document(2), "_id": 1, "_originalId": "1", "_v": ABOVE})
        else:
            with MongoClient(relay.mongo[0]) as client:
                client[relay.mongo[1]]["item"].insert_one({"_id": 1, "_originalId": "1", "name": "forged", "_v": ABOVE})
        relay.sql("INSERT INTO item VALUES (1, 'mine')")
        await relay.equal()

    assert relay.notices() == ["ForeignVersion"]


@pytest.mark.parametrize("change", ["UPDATE item SET qty = 1 WHERE id = 7", "DELETE FROM item WHERE id = 7"])
async def test_a_ticket_that_is_taken_away_before_it_was_read_back_loses_no_change(
    change: str, database: str, mongo_url: str, mongo_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A repair takes a forged ticket away, and dies before it has marked the record. Found by the model."""
    read_back = Writes._read_back
    released = []

    async def after_a_repair(collection: Any, *rest: Any) -> Any:
        released.append(await collection.update_one({"_id": 7, "_v": ABOVE}, {"$unset": {"_v": ""}}))
        return await read_back(collection, *rest)

    async with relayed(database, (mongo_url, mongo_db)) as relay, relay.worker():
        await filled(relay)
        forge(relay, ABOVE, 7)
        monkeypatch.setattr(Writes, "_read_back", staticmethod(after_a_repair))
        relay.sql(change)
        await relay.equal(deferred=True)

        assert released[0].modified_count == 1
        assert relay.notices() == []


HOPELESS: dict[str, Any] = {
    "text": "newest",
    "a number that leaves no room above": ticket(MAX_EPOCH, 1),
    "a double": 2.0**62,
    "a boolean": True,
    "a list": [1],
}


@pytest.mark.parametrize("version", HOPELESS)
async def test_a_version_that_no_epoch_can_stand_above_is_parked_and_alarmed(relay: Relay, version: str) -> None:
    async with relay.worker():
        await filled(relay)
        forge(relay, HOPELESS[version], 7)
        relay.sql("UPDATE item SET qty = 1")
        await relay.drained()
        relay.assert_equal(without=["7"])

    assert relay.parked() == {"7": "foreign_version"}
    assert relay.notices() == ["ForeignVersion"]


@pytest.mark.parametrize("version", ["newest", 2.0**62, ticket(MAX_EPOCH, 1)], ids=["text", "double", "highest"])
async def test_a_repair_mends_what_is_parked_for_its_version(
    database: str, mongo_url: str, mongo_db: str, version: Any
) -> None:
    async with paired(database, mongo_url, mongo_db, ITEMS, [ITEM]) as pair, pair.worker() as relay:
        pair.sql("INSERT INTO item SELECT n, 'a' FROM generate_series(1, 10) AS n")
        await relay.drained()
        pair.docs["item"].update_one({"_id": 7}, {"$set": {"name": "forged", "_v": version}})
        pair.sql("UPDATE item SET qty = 1")
        await until(lambda: relay.parked() == {"7": "foreign_version"})
        await mend(pair, await pair.verify())
        await relay.equal()


async def test_what_is_outranked_again_is_parked(relay: Relay) -> None:
    async with relay.worker():
        await filled(relay)
        forge(relay, ABOVE, 7)
        relay.sql("UPDATE item SET qty = 1 WHERE id = 7")
        await until(relay.notices)
        forge(relay, ticket(2000, 1), 7)
        await relay.drained()

    assert relay.parked() == {"7": "foreign_version"}
    assert relay.value("SELECT count(*) FROM syncline.notice") == 2
    assert relay.document(7)["name"] == "forged"


async def test_other_records_of_the_lane_go_on(relay: Relay) -> None:
    async with relay.worker():
        await filled(relay)
        forge(relay, ABOVE, 1)
        for qty in range(5):
            relay.sql("UPDATE item SET qty = %s", qty)
            await asyncio.sleep(0.05)
        await relay.equal()


NEVER: dict[str, Callable[[Relay], None]] = {
    "deleted before it was written": lambda r: r.sql("WITH x AS (INSERT INTO item VALUES (500, 'x') RETURNING id) SELECT 1") and r.sql("DELETE FROM item WHERE id = 500"),
    "updated": lambda r: r.sql("UPDATE item SET qty = qty + 1 RETURNING 1"),
    "marked without a change": lambda r: r.sql("SELECT syncline.mark(1::smallint, ARRAY['1', '2', '999'], 'R')"),
}  # fmt: skip


@pytest.mark.parametrize("what", NEVER)
async def test_nothing_is_said_of_ordinary_changes(relay: Relay, what: str) -> None:
    async with relay.worker():
        await filled(relay)
        NEVER[what](relay)
        await relay.equal(deferred=True)

    assert relay.notices() == []
