"""A follower brings documents over soon after they are marked, in few statements, and leaves nothing to chance."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from bson import Int64, ObjectId
from pymongo import AsyncMongoClient

from syncline.capture.documents.field import FLOOR
from syncline.documents.opening import opened
from syncline.engines.mongo.marked import MongoMarkedDocuments
from syncline.engines.postgres.documents.definitions import schema
from syncline.engines.postgres.documents.one_trip import OneTrip
from syncline.errors import OtherDeclarationError, SourceUnavailableError
from syncline.model.documents import ancestors
from syncline.ports.documents import Fate
from syncline.relay.documents import following
from syncline.relay.documents.following import Follower
from syncline.relay.documents.pump import Carried
from tests.document_link import DocumentStage
from tests.integration.test_document_pump import Stage, pumped_stage  # noqa: F401  a fixture
from tests.mongo_commands import Commands
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS

MARKED = {"_sync.mark": {"$exists": True}}


def follower(stage: Stage, source: Any = None, **options: Any) -> tuple[Follower, list[Carried]]:
    """Give a follower, and what it will have carried."""
    carried: list[Carried] = []
    rows = stage.rows()
    rows.at_once = True
    made = Follower(source or stage.source, rows, {"tasks": []}, longest=0.05, carried=carried.append, **options)
    return made, carried


async def followed(one: Follower, until: Any) -> None:
    """Follow until something is so."""
    async with asyncio.timeout(30):
        while not await until():
            await asyncio.sleep(await one.turn())
    await one.close()


async def test_what_comes_is_found_in_one_command_and_written_in_one_round_trip(stage, mongo_url, monkeypatch):
    monkeypatch.setattr(following, "WALK_SECONDS", 1000.0)
    monkeypatch.setattr(following, "_SETTLE_SECONDS", 1000.0)
    commands, trips = Commands(), []
    together = OneTrip.run

    async def run(self: OneTrip, statements: Any) -> Any:
        given = [*statements]
        trips.append(len(given))
        return await together(self, given)

    monkeypatch.setattr(OneTrip, "run", run)
    async with AsyncMongoClient(mongo_url, event_listeners=[commands]) as client:
        source = MongoMarkedDocuments(client[stage.database.name])
        one, carried = follower(stage, source)
        await one.turn()  # a walk, which finds nothing
        for n in range(3):
            await stage.tasks.update_one({"_id": n}, [{"$set": {"n": n}}], upsert=True)
            commands.names.clear()
            trips.clear()
            await asyncio.sleep(await one.turn())
            while not trips:
                commands.names.clear()
                await asyncio.sleep(await one.turn())
            assert (commands.names, len(trips)) == (["find"], 1)
            assert [outcome.document.id for outcome in carried[-1].outcomes] == [n], "once, though it is marked still"
        assert await stage.database["tasks"].count_documents(MARKED) == 3
        monkeypatch.setattr(following, "_END_SECONDS", 0.1)
        await one.close()
    assert await stage.there() == await stage.documents()


async def test_marks_are_cleared_soon_after_and_a_walk_finds_what_a_look_does_not(stage):
    one, _ = follower(stage)
    await one.turn()
    await stage.tasks.insert_many([{"_id": n, "n": n} for n in range(20)])
    await stage.database["tasks"].insert_one({"_id": "foreign", "n": 1})
    await stage.tasks.delete_one({"_id": 3})

    async def settled() -> bool:
        unsettled = await stage.database["tasks"].count_documents({"$or": [MARKED, {"_sync": None}]})
        return not unsettled and len(await stage.there()) == 20

    await followed(one, settled)
    await stage.require_settled()


async def test_more_than_a_page_is_walked(stage):
    one, carried = follower(stage, batch=10)
    await one.turn()
    await stage.tasks.insert_many([{"_id": n} for n in range(55)])

    async def there() -> bool:
        return len(await stage.there()) == 55

    await followed(one, there)
    assert max(len(each.outcomes) for each in carried) == 10
    await stage.require_settled()


async def test_what_applications_carry_themselves_is_left_to_them_until_they_do_not(stage, monkeypatch):
    monkeypatch.setattr(following, "WALK_SECONDS", 1000.0)
    one, carried = follower(stage)
    rows = stage.rows()
    await one.turn()

    async def written(n: int, *, carry: bool) -> None:
        await stage.tasks.update_one({"_id": n}, [{"$set": {"n": n}}], upsert=True)
        if carry:  # as the inline part of a dual write does, whose marks stay for a moment
            number = await rows.number()
            [document] = [each for each in await stage.source.first("tasks", 100) if each.id == n]
            assert [each.fate for each in await rows.put("tasks", [document], number)] == [Fate.APPLIED]

    async def looked() -> list[Any]:
        before = len(carried)
        await asyncio.sleep(await one.turn())
        return [outcome.document.id for each in carried[before:] for outcome in each.outcomes]

    await written(1, carry=True)
    while not carried:
        await looked()
    assert [outcome.already for outcome in carried[-1].outcomes] == [True]
    await written(2, carry=True)
    assert await looked() == [], "whoever wrote it is about to settle it"
    await written(3, carry=False)
    found = await looked()
    assert found == [2], "what was left to others, and is marked still"
    assert await looked() == [3]
    await written(4, carry=False)
    assert await looked() == [4], "nobody carries but the follower"
    await one.close()


REFERRING = """
[collections.jobs]
columns = { owner = { type = "objectid", references = "people" }, n = "integer" }
[collections.people]
columns = { name = "text" }
"""


@pytest.fixture
def related(tmp_path, mongo_url, mongo_db, database, monkeypatch):
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    made = DocumentStage(tmp_path, mongo_url, mongo_db, database, REFERRING)
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in schema(made.documents.mappings, foreign_keys=True):
            connection.execute(statement)
    made.call("install", "--yes")
    yield made
    made.close()


def test_what_others_refer_to_is_brought_before_them(related):
    people, jobs = related.collection("people"), related.collection("jobs")

    async def follow() -> None:
        async with opened(related.documents) as link:
            one = Follower(link.source, link.rows, ancestors(link.mappings), longest=3600.0)
            for n in range(3):
                for name in ("people", "jobs"):
                    one._courses[name].pace.next = 0.0 if name == "jobs" else 1e12  # the time of people does not come
                people.insert_one({"_id": (person := ObjectId()), "name": "ada"})
                jobs.insert_one({"owner": person, "n": n})
                await one.turn()
                assert related.sql("SELECT count(*) FROM postgres_jobs") == [(n + 1,)]
            await one.close()

    asyncio.run(follow())
    assert related.sql("SELECT count(*) FROM syncline_documents.rejected") == [(0,)]


async def test_a_side_that_was_away_is_carried_on_with_and_marks_that_were_not_cleared_are_found_again(stage):
    one, carried = follower(stage)
    await one.turn()
    plain, stage.source.clear = stage.source.clear, _away
    await stage.tasks.update_one({"_id": 1}, [{"$set": {"n": 1}}], upsert=True)
    while not carried:
        await asyncio.sleep(await one.turn())
    with pytest.raises(SourceUnavailableError):
        await followed(one, _never)
    stage.source.clear = plain

    async def settled() -> bool:
        return await stage.database["tasks"].count_documents(MARKED) == 0

    await followed(one, settled)
    await stage.require_settled()


async def test_what_came_late_from_before_mongodb_was_opened_again_is_left_to_a_walk(stage):
    gate = {"name": "tasks", "mode": "a", "number": 7, "opened": 7, "link": 0}
    await stage.database["syncline_phases"].insert_one({"_id": "phases", "gates": [gate]})
    late = {"_id": "late", "n": 1, "_sync": {"v": Int64(FLOOR + 1), "mark": ObjectId(), "c": Int64(5)}}
    new = {"_id": "new", "n": 1, "_sync": {"v": Int64(FLOOR + 1), "mark": ObjectId(), "c": Int64(7)}}
    await stage.database["tasks"].insert_many([late, new])
    assert [one.id for one in await stage.source.first("tasks", 10)] == ["new"]
    [page] = [page async for page in stage.source.pages("tasks", 10)]
    assert {one.id: one.mark == str(late["_sync"]["mark"]) for one in page if one.id == "late"} == {"late": False}
    assert {one.id for one in await stage.source.first("tasks", 10)} == {"late", "new"}


async def test_what_rests_is_not_looked_at_before_a_walk_has_asked_the_gate(stage):
    gate = {"name": "tasks", "mode": "a", "number": 5, "opened": 5, "link": 0}
    await stage.database["syncline_phases"].insert_one({"_id": "phases", "gates": [gate]})
    one, carried = follower(stage, rest=0.2)
    await one.turn()
    late = {"_id": "late", "n": 1, "_sync": {"v": Int64(FLOOR + 1), "mark": ObjectId(), "c": Int64(5)}}
    await stage.database["tasks"].insert_one(late)
    gates = {"gates": [{**gate, "number": 7, "opened": 7}]}
    await stage.database["syncline_phases"].update_one({"_id": "phases"}, {"$set": gates})
    plain, stage.source.pages = stage.source.pages, _refused
    one._courses["tasks"].walk = one._courses["tasks"].pace.next = float("-inf")
    with pytest.raises(OtherDeclarationError):
        await one.turn()
    stage.source.pages = plain
    while not carried:
        await asyncio.sleep(await one.turn())
    await one.close()
    [found] = [document for batch in carried for document in batch.outcomes]
    assert found.document.mark != str(late["_sync"]["mark"]), "it has the present number"


async def _refused(*_: Any) -> AsyncIterator[Any]:
    raise OtherDeclarationError("another declaration")
    yield


async def _never() -> bool:
    return False


async def _away(*_: Any) -> None:
    raise SourceUnavailableError("MongoDB is away")
