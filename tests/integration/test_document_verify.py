"""Documents and rows are compared both ways: what is damaged is found, and nothing else, while others write."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from bson import ObjectId
from bson.decimal128 import Decimal128
from bson.int64 import Int64

from syncline.capture.documents import wrap
from syncline.config.documents import Documents
from syncline.documents.installing import install, plan
from syncline.documents.opening import DocumentLink, opened
from syncline.documents.repairing import DocumentRepairer
from syncline.documents.verifying import DocumentVerifier
from syncline.engines.postgres.documents.definitions import schema
from syncline.engines.postgres.documents.reading import RowsSeen
from syncline.model.documents import Array, Collection, DocumentMapping, Field, Inner, Part
from syncline.relay.documents.pump import DocumentPump
from syncline.relay.documents.recovery import sweep
from syncline.verify.report import Kind, Mode, Verdict, VerifyReport

PART = Part(
    columns={
        "title": Field("text"),
        "n": Field("bigint"),
        "price": Field("numeric"),
        "ratio": Field("double"),
        "done": Field("boolean"),
        "due": Field("timestamptz"),
        "owner": Field("objectid"),
        "in.x": Field("text"),
    },
    arrays={
        "labels": Array(value=Field("text")),
        "steps": Array(part=Part(columns={"what": Field("text")}, arrays={"who": Array(value=Field("bigint"))})),
    },
    objects={"more": Inner(part=Part(columns={"a": Field("bigint")}))},
)
OF_OBJECT_IDS = DocumentMapping(Collection("tasks", part=PART))
OF_ANY_IDS = DocumentMapping(Collection("notes", id="any", part=PART))


class Link:
    """A link of two collections, with its databases."""

    def __init__(self, link: DocumentLink, url: str) -> None:
        self.link, self.url, self.database = link, url, link.database

    def of(self, name: str) -> Any:
        return wrap(self.database[name])

    async def walk(self) -> None:
        for _ in range(3):
            await DocumentPump(self.link.source, self.link.rows, self.link.collections).walk()

    async def verified(self, *names: str, **options: Any) -> VerifyReport:
        verifier = DocumentVerifier(self.link, **{"patience": timedelta(seconds=0.2)} | options)
        try:
            return await verifier.verify(names or self.link.collections)
        finally:
            await verifier.close()

    def run(self, statement: str) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(statement)


@pytest.fixture
async def link(mongo_url: str, mongo_db: str, database: str) -> AsyncIterator[Link]:
    mappings = (OF_OBJECT_IDS, OF_ANY_IDS)
    urls = {"source": mongo_url.replace("/?", f"/{mongo_db}?"), "target": database}
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in schema(mappings):
            connection.execute(statement)
    async with opened(Documents(mappings, None, urls)) as opening:
        await install(opening, await plan(opening, role=None))
        yield Link(opening, database)


def document(chance: random.Random, id_: Any) -> dict[str, Any]:
    fields = {
        "title": chance.choice(["a", "b\\t", "é\n", "\b\f\r\t\v\\N", ""]),
        "n": chance.choice([1, 2**40, -5]),
        "price": Decimal128(chance.choice(["1.10", "0.0000001", "5"])),
        "ratio": chance.choice([1.5, 5.0, 1e22, -0.0, 0.1]),
        "done": chance.random() < 0.5,
        "due": datetime(2026, 1, 2, 3, 4, 5, chance.choice([0, 500_000, 123_000]), UTC),
        "owner": ObjectId(),
        "in": {"x": "y"},
        "labels": ["p", "q", "r"],
        "steps": [{"what": "w", "who": [1, 2]}, {"what": "v", "who": [3]}],
        "more": {"a": 7},
        "other": {"left": [1, None, "x"]},
    }
    return {
        "_id": id_,
        **{name: value for name, value in fields.items() if name in {"steps", "labels"} or chance.random() < 0.9},
    }


ROWS = "postgres_{0}"
DAMAGES: dict[str, str] = {
    "a text": "UPDATE {t} SET title = 'damaged' WHERE {k}",
    "a text in another case": "UPDATE {t} SET in_x = 'Y' WHERE {k}",
    "a number": "UPDATE {t} SET n = coalesce(n, 0) + 1 WHERE {k}",
    "a scale": "UPDATE {t} SET price = 1.100 WHERE {k}",
    "a double": "UPDATE {t} SET ratio = 0.30000000000000004 WHERE {k}",
    "a boolean": "UPDATE {t} SET done = NOT coalesce(done, false) WHERE {k}",
    "a millisecond": "UPDATE {t} SET due = coalesce(due, now()) + interval '1 ms' WHERE {k}",
    "an id": "UPDATE {t} SET owner = repeat('a', 24) WHERE {k}",
    "a column that is emptied": "UPDATE {t} SET title = CASE WHEN title IS NULL THEN '' END WHERE {k}",
    "the rest": """UPDATE {t} SET rest = '{{"other": 2}}' WHERE {k}""",
    "the rest that is emptied": """UPDATE {t} SET rest = CASE WHEN rest IS NULL THEN '{{"z": 1}}'::jsonb END WHERE {k}""",
    "a row": "DELETE FROM {t} WHERE {k}",
    "a value of an array": "UPDATE {t}_steps_who SET who = who + 1 WHERE {k} AND position_1 = 0 AND position = 1",
    "a value that is missing": "DELETE FROM {t}_steps_who WHERE {k} AND position_1 = 1",
    "a value too many": "INSERT INTO {t}_steps_who SELECT mongo_id, 0, 9, 9 FROM {t} WHERE {k}",
    "an element": "UPDATE {t}_steps SET what = 'damaged' WHERE {k} AND position = 1",
    "an element that is missing": "DELETE FROM {t}_steps WHERE {k} AND position = 1",
    "an element too many": "INSERT INTO {t}_steps SELECT mongo_id, 7 FROM {t} WHERE {k}",
    "a label too many": "INSERT INTO {t}_labels SELECT mongo_id, 7, 'x' FROM {t} WHERE {k}",
    "another position": "UPDATE {t}_labels SET position = 5 WHERE {k} AND position = 1",
    "a document within": "INSERT INTO {t}_more SELECT mongo_id, 8 FROM {t} WHERE {k} "
    "ON CONFLICT (mongo_id) DO UPDATE SET a = 8",
}
"""What becomes of the rows of a document; each is another content."""
FOREIGN: dict[str, Any] = {
    "a field": {"$set": {"title": "changed past the wrapper"}},
    "a type": {"$set": {"n": Int64(3)}},
    "a field that is gone": {"$unset": {"steps": ""}},
    "a new field": {"$set": {"brandNew": 1}},
    "an element": {"$push": {"steps": {"what": "more"}}},
    "a field's order": [{"$replaceWith": {"$mergeObjects": [{"_id": "$_id", "zz": 1}, "$$ROOT"]}}],
    "a delete": None,
}
"""What somebody does to a document who does not know of marks, in place."""


async def filled(link: Link, chance: random.Random, count: int) -> dict[str, list[Any]]:
    ids = {
        "tasks": [ObjectId() for _ in range(count)],
        "notes": [chance.choice([n, f"t{n}", ObjectId(), float(n) + 0.5]) for n in range(count)],
    }
    for name, those in ids.items():
        await link.of(name).insert_many([document(chance, id_) for id_ in those])
    await link.walk()
    return ids


def key(name: str, id_: Any) -> str:
    mapping = OF_OBJECT_IDS if name == "tasks" else OF_ANY_IDS
    return str(mapping.key_of(id_))


async def damaged(link: Link, name: str, id_: Any, what: str) -> Kind:
    """Damage one side; say what is to be found."""
    if what in DAMAGES:
        literal = psycopg.sql.Literal(key(name, id_)).as_string(None)
        link.run(DAMAGES[what].format(t=ROWS.format(name), k=f"mongo_id = {literal}"))
        return Kind.MISSING if what == "a row" else Kind.DIFFERENT
    change = FOREIGN[what.removeprefix("MongoDB: ")]
    bare = link.database[name]
    if change is None:
        await bare.delete_one({"_id": id_})
        return Kind.EXTRA
    assert (await bare.update_one({"_id": id_}, change)).modified_count == 1
    return Kind.DIFFERENT


EVERY = [*DAMAGES, *(f"MongoDB: {name}" for name in FOREIGN)]


async def test_damage_of_each_kind_on_either_side_is_found_exactly_and_repaired(link):
    chance = random.Random(11)
    ids = await filled(link, chance, len(EVERY) + 8)
    assert (await link.verified()).verdict is Verdict.EQUAL
    planted = {}
    for name, those in ids.items():
        for id_, what in zip(those, EVERY, strict=False):
            planted[name, key(name, id_)] = await damaged(link, name, id_, what)
    extra = str(ObjectId())
    link.run(
        f"INSERT INTO postgres_tasks (mongo_id) VALUES ('{extra}'); INSERT INTO postgres_tasks_steps VALUES ('{extra}', 0)"
    )
    planted["tasks", extra] = Kind.EXTRA
    link.run(
        "INSERT INTO postgres_tasks (mongo_id) VALUES ('none of ours'); INSERT INTO postgres_notes (mongo_id) VALUES ('[')"
    )
    planted |= {("tasks", "none of ours"): Kind.FOREIGN, ("notes", "["): Kind.FOREIGN}
    report = await link.verified(size=10)
    found = {(one.entity, one.key): one.kind for part in report.entities for one in part.findings}
    assert found == planted
    assert report.exit_status == 1
    assert all(one.differences for part in report.entities for one in part.findings if one.kind is Kind.DIFFERENT)
    repairer = DocumentRepairer(link.link)
    await link.verified(taker=repairer)
    assert (repairer.report.marked_by.total(), repairer.report.left_by.total()) == (len(planted) - 2, 2)
    link.run(
        "DELETE FROM postgres_tasks WHERE mongo_id = 'none of ours'; DELETE FROM postgres_notes WHERE mongo_id = '['"
    )
    await link.walk()
    again = await link.verified()
    assert again.verdict is Verdict.EQUAL
    assert {part.mode for part in again.entities} == {Mode.FULL}


async def test_equal_documents_are_looked_at_once(link):
    await filled(link, random.Random(7), 40)
    report = await link.verified()
    [tasks] = [part for part in report.entities if part.entity == "tasks"]
    assert (tasks.records, tasks.documents, tasks.looks) == (40, 40, 0)


async def test_a_null_is_a_key_as_any_other_and_one_that_nobody_can_read_is_foreign(link):
    await link.of("notes").insert_one({"_id": None, "title": "a"})
    await link.walk()
    assert (await link.verified("notes")).verdict is Verdict.EQUAL
    assert await link.link.rows.drop_strangers("notes") == 0
    unreadable = '{"$date":{}}'
    link.run(
        f"""INSERT INTO postgres_notes (mongo_id) VALUES ('{unreadable}');
        INSERT INTO syncline_documents.key_version
        SELECT 'notes', '{unreadable}', 1, '', false, fingerprint FROM syncline_documents.mapping WHERE collection = 'notes'"""
    )
    [report] = (await link.verified("notes")).entities
    assert [(one.kind, one.key) for one in report.findings] == [(Kind.FOREIGN, unreadable)]
    await link.database["notes"].delete_one({"_id": None})
    assert await sweep(link.link.source, link.link.rows, "notes") == 1
    assert await link.link.rows.drop_strangers("notes") == 1
    await link.walk()
    [report] = (await link.verified("notes")).entities
    assert (report.verdict, report.records, report.documents) == (Verdict.EQUAL, 0, 0)


async def test_what_is_marked_waits_and_is_not_different_and_what_is_rejected_is_parked(link):
    chance = random.Random(3)
    ids = await filled(link, chance, 4)
    await link.of("tasks").update_one({"_id": ids["tasks"][0]}, {"$set": {"title": "on its way"}})
    await link.of("tasks").delete_one({"_id": ids["tasks"][1]})
    await link.database["tasks"].insert_one({"_id": ObjectId(), "title": "not marked yet"})
    [report] = (await link.verified("tasks")).entities
    assert (report.verdict, report.lagging, report.counts) == (Verdict.UNDECIDED, 3, {})
    await link.walk()
    await link.database["tasks"].insert_one({"_id": "no ObjectId"})
    await link.walk()
    [report] = (await link.verified("tasks")).entities
    assert (report.verdict, report.lagging, report.parked) == (Verdict.DIVERGENT, 0, 1)


async def test_beside_writers_of_all_kinds_there_is_no_false_alarm_and_planted_damage_is_found(link):
    chance = random.Random(8)
    ids = await filled(link, chance, 60)
    stop = asyncio.Event()
    quiet = {name: those[:20] for name, those in ids.items()}

    async def write(name: str) -> None:
        while not stop.is_set():
            id_ = chance.choice(ids[name][20:])
            match chance.randrange(4):
                case 0:
                    await link.of(name).update_one({"_id": id_}, {"$set": {"n": chance.randrange(9)}})
                case 1:
                    await link.of(name).delete_one({"_id": id_})
                case 2:
                    await link.of(name).replace_one({"_id": id_}, document(chance, id_), upsert=True)
                case _:
                    await link.of(name).update_one({"_id": id_}, {"$push": {"steps": {"what": "x"}}}, upsert=True)
            await asyncio.sleep(0.002)

    async def carry() -> None:
        async with link.link.apart() as apart:
            while not stop.is_set():
                await DocumentPump(apart.source, apart.rows, apart.collections).walk()
                await asyncio.sleep(0.005)

    tasks = [asyncio.create_task(one) for one in (write("tasks"), write("notes"), carry())]
    try:
        for round_ in range(3):
            planted = {}
            for name, those in quiet.items():
                for place, id_ in enumerate(chance.sample(those, 4)):
                    what = [*DAMAGES][(round_ * 7 + place * 5) % len(DAMAGES)]
                    planted[name, key(name, id_)] = await damaged(link, name, id_, what)
            repairer = DocumentRepairer(link.link)
            report = await link.verified(taker=repairer, size=25, patience=timedelta(seconds=60))
            found = {(one.entity, one.key): one.kind for part in report.entities for one in part.findings}
            assert found == planted
            while await link.database["tasks"].find_one(
                {"_id": {"$in": quiet["tasks"]}, "_sync.mark": {"$exists": True}}
            ):
                await asyncio.sleep(0.02)
            while await link.database["notes"].find_one(
                {"_id": {"$in": quiet["notes"]}, "_sync.mark": {"$exists": True}}
            ):
                await asyncio.sleep(0.02)
    finally:
        stop.set()
        await asyncio.gather(*tasks)
    await link.walk()
    assert (await link.verified()).verdict is Verdict.EQUAL


async def test_what_is_carried_between_two_readings_is_no_difference(link, monkeypatch):
    ids = await filled(link, random.Random(1), 1)
    [id_] = ids["tasks"]
    read, calls = RowsSeen.records, []

    async def records(self, collection, keys):
        calls.append(keys)
        if len(calls) == 2:  # the document was read for the second time, without a mark
            await link.of("tasks").update_one({"_id": id_}, {"$set": {"title": "later"}})
            await link.walk()
        return await read(self, collection, keys)

    monkeypatch.setattr(RowsSeen, "records", records)
    verifier = DocumentVerifier(link.link)
    try:
        report = await verifier.verify_some("tasks", [id_])
    finally:
        await verifier.close()
    assert report.verdict is Verdict.EQUAL
    assert len(calls) == 4


@pytest.mark.skipif(
    "SYNCLINE_DAMAGE_ROUNDS" not in os.environ, reason="long: SYNCLINE_DAMAGE_ROUNDS=100 runs so many rounds"
)
async def test_damage_of_each_kind_is_found_exactly_in_many_rounds(link):
    chance = random.Random(int(os.environ.get("SYNCLINE_DAMAGE_SEED", "1")))
    ids = await filled(link, chance, len(EVERY))
    for _ in range(int(os.environ["SYNCLINE_DAMAGE_ROUNDS"])):
        planted = {}
        for name, those in ids.items():
            for id_ in chance.sample(those, 12):
                what = chance.choice([*DAMAGES])
                planted[name, key(name, id_)] = await damaged(link, name, id_, what)
        repairer = DocumentRepairer(link.link)
        report = await link.verified(taker=repairer, size=chance.choice([7, 50, 3000]))
        found = {(one.entity, one.key): one.kind for part in report.entities for one in part.findings}
        assert found == planted
        await link.walk()
