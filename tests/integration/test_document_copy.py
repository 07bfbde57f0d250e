"""Every document is copied, as a pump would have brought it, beside writers, whoever is killed where."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from bson import Int64, ObjectId
from pymongo import MongoClient

from syncline.config.documents import Documents
from syncline.documents.copying import DocumentCopier, Progress
from syncline.documents.opening import opened
from syncline.engines.postgres.documents.bulk import BulkRows, Chunk, Written
from syncline.errors import CopyError
from tests.cases.odd_bson import field, insert_stored, int32
from tests.integration.test_document_pump import TASKS, Stage, asked, pumped_stage  # noqa: F401  a fixture
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS


@contextlib.asynccontextmanager
async def copier(stage: Stage, **options: Any) -> AsyncIterator[DocumentCopier]:
    documents = Documents((TASKS,), None, {"source": stage.mongo_url, "target": stage.url})
    async with opened(documents) as link:
        made = DocumentCopier(link, **options)
        try:
            yield made
        finally:
            await made.close()


async def copied(stage: Stage, *, anew: bool = False, **options: Any) -> Progress:
    async with copier(stage, **options) as made:
        await made.prepare()
        [progress] = await made.run(["tasks"], anew=anew)
    return progress


SHAPES = (
    {"title": "a"},
    {"title": "b", "n": 1, "labels": ["x", "y"]},
    {"title": "tab\tand\\line\nend\r", "n": 2, "labels": ["\\N", "\\."]},
    {"n": 1.5, "more": {"x": None}},
    {"labels": [1, "x"], "n": None},
    {"title": "no\0place"},
)


async def test_documents_of_writers_who_know_of_no_mark_are_copied_and_end_settled(stage):
    await stage.database["tasks"].insert_many([{"_id": n, **SHAPES[n % 6], "title": f"t{n}"} for n in range(50)])
    await stage.database["tasks"].insert_one({"_id": "none"})
    progress = await copied(stage, size=7)
    assert (progress.documents, progress.left, progress.finished) == (51, 0, True)
    await stage.require_settled()
    assert asked(stage.url, "SELECT count(*) FROM postgres_tasks WHERE last_sync_at IS NULL") == [(0,)]
    assert (await copied(stage)).before


async def test_what_each_document_becomes_is_what_a_pump_makes_of_it(stage):
    await stage.database["tasks"].insert_many([{"_id": n, **one} for n, one in enumerate(SHAPES)])
    await copied(stage)
    await stage.require_settled()
    await stage.tasks.update_many({}, {"$set": {"n": 3}})
    await stage.pump().walk()
    await stage.require_settled()


async def test_marked_documents_of_a_wrapped_collection_are_copied_and_tombstones_left(stage):
    await stage.tasks.insert_many([{"_id": ObjectId(), "title": f"t{n}"} for n in range(10)])
    await stage.tasks.delete_one({"title": "t3"})
    assert (await copied(stage, size=4)).left == 0
    assert await stage.there() == await stage.documents()
    assert (await stage.pump().walk()).applied == 1
    await stage.require_settled()


async def test_over_rows_that_are_there_only_later_versions_are_written(stage):
    await stage.tasks.insert_many([{"_id": n, "title": f"t{n}"} for n in range(12)])
    await stage.pump().walk()
    written = asked(stage.url, "SELECT xmin FROM postgres_tasks WHERE mongo_id <> '5' ORDER BY mongo_id")
    await stage.tasks.update_one({"_id": 5}, {"$set": {"title": "later"}})
    with psycopg.connect(stage.url) as connection:
        connection.execute("DELETE FROM postgres_tasks WHERE mongo_id = '7'")
        connection.execute("DELETE FROM syncline_documents.key_version WHERE mongo_id = '7'")
        connection.execute("UPDATE syncline_documents.key_version SET version = version + 10 ^ 13 WHERE mongo_id = '9'")
        connection.execute("UPDATE postgres_tasks SET title = 'later than MongoDB' WHERE mongo_id = '9'")
    await copied(stage, size=3)
    there = await stage.there()
    assert [there[n]["title"] for n in (5, 7, 9)] == ["later", "t7", "later than MongoDB"]
    after = asked(stage.url, "SELECT xmin FROM postgres_tasks WHERE mongo_id NOT IN ('5', '7', '9') ORDER BY mongo_id")
    assert {*after} == {*written}


async def test_what_is_refused_is_left_to_a_pump_and_the_others_are_copied(stage, mongo_url, mongo_db):
    await stage.database["tasks"].insert_many([{"_id": n, "title": f"t{n}"} for n in range(9)])
    await stage.database["tasks"].insert_one({"_id": 10, "title": "t4"})
    with MongoClient(mongo_url) as client:
        insert_stored(client[mongo_db]["tasks"], field("_id", int32(50)), field("n", int32(1)), field("n", int32(2)))
    progress = await copied(stage)
    assert (progress.documents, progress.left) == (11, 1)
    assert len(await stage.there()) == 10
    assert await stage.database["tasks"].count_documents({"_sync.mark": {"$exists": True}}) == 1
    assert "duplicate key value" in asked(stage.url, "SELECT reason FROM syncline_documents.rejected")[0][0]


async def test_a_copier_that_was_taken_over_writes_nothing_more(stage):
    await stage.database["tasks"].insert_many([{"_id": n} for n in range(30)])
    slow = asyncio.Event()

    async def paced(_: int) -> None:
        if slow.is_set():
            await copied(stage, size=10)
        slow.set()

    async with copier(stage, size=10, paced=paced) as first:
        await first.prepare()
        with pytest.raises(CopyError, match="taken its copy over"):
            await first.run(["tasks"])
    await stage.require_settled()


async def test_under_another_number_of_the_link_a_page_is_read_again(stage):
    await stage.database["tasks"].insert_many([{"_id": n, "title": f"t{n}"} for n in range(20)])
    renumbered = []

    async def paced(_: int) -> None:
        if len(renumbered) < 3:
            renumbered.append(await stage.rows().renumber())

    progress = await copied(stage, size=10, paced=paced)
    assert (progress.documents, len(renumbered)) == (20, 3)
    await stage.require_settled()


class Killed(BaseException):
    """The copier ends: a kill, as far as both databases can tell."""


def dying(at: int):
    """Die before the chunk that has this number."""
    calls = itertools.count()

    async def paced(_: int) -> None:
        if next(calls) == at:
            raise Killed

    return paced


async def test_beside_writers_and_pumps_and_killed_at_random_it_ends_equal(stage):
    chance = random.Random(5)
    await stage.database["tasks"].insert_many([{"_id": n, "n": n, "labels": ["a"] * (n % 4)} for n in range(200)])
    stop = asyncio.Event()

    async def write() -> None:
        while not stop.is_set():
            key = chance.randrange(220)
            match chance.randrange(4):
                case 0:
                    await stage.tasks.update_one(
                        {"_id": key}, {"$inc": {"n": 1}, "$push": {"labels": "b"}}, upsert=True
                    )
                case 1:
                    await stage.tasks.delete_one({"_id": key})
                case 2:
                    await stage.tasks.replace_one({"_id": key}, {"n": -1}, upsert=True)
                case _:
                    with contextlib.suppress(Exception):
                        await stage.database["tasks"].insert_one({"_id": key, "foreign": True})

    async def pump() -> None:
        while not stop.is_set():
            await stage.pump(batch=20).walk()
            await asyncio.sleep(0.01)

    others = [asyncio.create_task(one()) for one in (write, write, pump)]
    kills = 0
    try:
        while True:
            try:
                assert (await copied(stage, size=9, paced=dying(chance.randrange(3) if kills < 12 else -1))).finished
                break
            except Killed:
                kills += 1
    finally:
        stop.set()
        await asyncio.gather(*others)
    assert kills == 12
    for _ in range(4):
        await stage.pump().walk()
    await stage.require_settled()


@pytest.mark.parametrize(("wrapped", "durable"), [(True, "on"), (False, "off")])
async def test_a_mark_is_cleared_only_of_what_a_crash_cannot_take_back(stage, wrapped, durable):
    """What has no mark is behind the position, which the crash takes back with it."""
    with psycopg.connect(stage.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE said (setting text)")
        connection.execute(
            "CREATE FUNCTION say() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN INSERT INTO said SELECT current_setting('synchronous_commit'); RETURN NULL; END$$"
        )
        connection.execute("CREATE TRIGGER say AFTER INSERT ON postgres_tasks EXECUTE FUNCTION say()")
    ours = {"v": Int64(1 << 41)} | ({"mark": ObjectId()} if wrapped else {})
    await stage.database["tasks"].insert_one({"_id": 1, "_sync": ours})
    assert (await copied(stage)).finished
    assert asked(stage.url, "SELECT DISTINCT setting FROM said") == [(durable,)]
    await stage.require_settled()


async def test_what_was_read_before_a_new_number_of_the_link_is_not_written(stage):
    bulk = BulkRows(stage.url, [TASKS])
    try:
        await bulk.prepare()
        position = await bulk.begin("tasks", total=1)
        number = await bulk.number()
        await stage.rows().renumber()
        rows = [[["1"], ["a"], [1], [None]], [[], [], []]]
        chunk = Chunk(["1"], [1 << 41], [""], rows)
        assert await bulk.write("tasks", chunk, number, position) is Written.LATE
        assert await stage.there() == {}
        assert await bulk.write("tasks", chunk, number + 1, position) is Written.WHOLE
        assert await bulk.write("tasks", chunk, number + 1, position) is Written.NOT  # the key is there
    finally:
        await bulk.close()
    assert await stage.there() == {1: {"_id": 1, "title": "a", "n": 1}}
