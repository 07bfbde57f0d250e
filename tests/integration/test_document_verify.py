"""Documents and rows are compared both ways: what is damaged is found, and nothing else, while others write."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest
from bson import ObjectId
from bson.int64 import Int64

from syncline.documents import verifying
from syncline.documents.repairing import DocumentRepairer
from syncline.documents.verifying import DocumentVerifier
from syncline.engines.mongo.stored_marks import StoredMarks
from syncline.engines.postgres.documents.reading import RowsSeen
from syncline.relay.documents.recovery import sweep
from syncline.verify.report import Kind, Mode, Verdict
from tests.damage.documents import EVERY, Link, damaged, filled, key, linked, rounds
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS


@pytest.fixture
async def link(mongo_url: str, mongo_db: str, database: str) -> AsyncIterator[Link]:
    async with linked(mongo_url.replace("/?", f"/{mongo_db}?"), database) as made:
        yield made


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
    outcome = await rounds(link, seed=8, count=2, acts=4)
    assert outcome.rounds == 2
    assert outcome.writes > 50
    assert len(outcome.kinds) == 2 * 2 * 4 + 2


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


async def test_of_large_documents_a_second_look_reads_few_at_once(link, monkeypatch):
    ids = await filled(link, random.Random(2), 12)
    link.run("UPDATE postgres_tasks SET n = 77")
    monkeypatch.setattr(verifying, "LOOK_BYTES", 1200)  # each has some 400
    read, asked = StoredMarks.of, []

    async def of(self, collection, ids):
        asked.append(len(ids))
        return await read(self, collection, ids)

    monkeypatch.setattr(StoredMarks, "of", of)
    [report] = (await link.verified("tasks")).entities
    assert {one.key for one in report.findings} == {str(id_) for id_ in ids["tasks"]}
    assert max(asked) == 2
    monkeypatch.setattr(verifying, "LOOK_BYTES", 8 << 20)
    asked.clear()
    await link.verified("tasks")
    assert asked[::2] == [1, 2, 4, 5]


async def test_a_tombstone_of_the_way_back_waits_for_nobody(link):
    """It has no mark: PostgreSQL was the truth when it came, and has no rows."""
    await link.database["tasks"].insert_one(
        {"_id": ObjectId(), "_sync": {"v": Int64(1 << 41), "c": Int64(3), "t": Int64(5), "deleted": True}}
    )
    [report] = (await link.verified("tasks")).entities
    assert (report.verdict, report.lagging) == (Verdict.EQUAL, 0)
