"""Documents that wait for others: what another row is in the way of is written once that has moved, whoever came first."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from bson import ObjectId

from syncline.documents.opening import opened
from syncline.engines.postgres.documents.definitions import schema
from syncline.engines.postgres.documents.versions import VersionedRows
from syncline.model.documents import Collection, DocumentMapping, Field, Part, parents_first
from syncline.model.retries import Retries
from syncline.relay.documents.pump import DocumentPump
from tests.document_link import DocumentStage
from tests.programs import DOCUMENT_LINKS

pytestmark = DOCUMENT_LINKS

DECLARED = """
[collections.jobs]
columns = { owner = { type = "objectid", references = "people" }, code = { type = "text", unique = true }, n = { type = "integer", required = true } }
[collections.people]
columns = { name = "text" }
"""
KEPT = "SELECT (SELECT count(*) FROM syncline_documents.rejected), (SELECT count(*) FROM syncline_documents.settled_failure)"


@pytest.fixture
def stage(tmp_path, mongo_url, mongo_db, database, monkeypatch):
    for name in ("DATABASE_URL", "MONGODB_URL", "SYNCLINE_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DUAL_WRITE_RETRY_DELAY", "0.01")
    made = DocumentStage(tmp_path, mongo_url, mongo_db, database, DECLARED)
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in schema(made.documents.mappings, foreign_keys=True):
            connection.execute(statement)
    made.call("install", "--yes")
    yield made
    made.close()


def counts(stage):
    return stage.sql("SELECT (SELECT count(*) FROM postgres_jobs), (SELECT count(*) FROM postgres_people)")[0]


def test_what_others_refer_to_is_copied_and_carried_before_them_and_nothing_is_given_up(stage):
    for round_, bring in ((1, lambda: stage.json("copy")), (2, lambda: stage.work(lambda: counts(stage) == (40, 40)))):
        people = [ObjectId() for _ in range(20)]
        jobs, others = stage.collection("jobs"), stage.collection("people")
        jobs.insert_many([{"owner": one, "code": f"{round_} {one}", "n": 1} for one in people])
        others.insert_many([{"_id": one, "name": "ada"} for one in people])
        bring()
        assert counts(stage) == (20 * round_, 20 * round_)
    assert stage.sql(KEPT) == [(0, 0)]


async def test_what_waits_for_another_row_is_tried_for_ever_and_what_is_wrong_itself_is_not(stage):
    retries = Retries(attempts=1, delay=timedelta(0), longest=timedelta(0))
    person = ObjectId()
    stage.collection("jobs").insert_many([{"owner": person, "code": "a", "n": 1}, {"code": "b", "n": "no number"}])
    async with opened(stage.documents) as link:
        rows = VersionedRows(stage.database, link.mappings, retries=retries)
        pump = DocumentPump(link.source, rows, link.collections)
        assert [(await pump.walk()).rejected for _ in range(3)] == [2, 1, 1]
        assert stage.sql(
            "SELECT waits, attempts, next_at = 'infinity' FROM syncline_documents.rejected ORDER BY 1"
        ) == [
            (False, 1, True),
            (True, 3, True),
        ]
        stage.collection("people").insert_one({"_id": person})
        for _ in range(2):
            await pump.walk()
        await rows.close()
    assert counts(stage) == (1, 1)
    assert stage.sql(KEPT) == [(1, 1)]


def test_a_delete_that_postgresql_refuses_is_parked_and_not_on_its_way(stage):
    person = ObjectId()
    stage.collection("people").insert_one({"_id": person})
    stage.collection("jobs").insert_one({"owner": person, "n": 1})
    stage.work(lambda: counts(stage) == (1, 1))
    stage.collection("people").delete_one({"_id": person})
    stage.work(lambda: stage.sql("SELECT next_at = 'infinity' FROM syncline_documents.rejected") == [(True,)])
    [found] = stage.json("verify", "people", str(person), "--patience", "0", status=1)["entities"]
    assert (found["parked"], found["lagging"]) == (1, 0)
    assert "parked" in stage.json("explain", "people", str(person))["verdict"]


async def test_between_two_tries_it_rests(stage):
    stage.collection("jobs").insert_one({"owner": ObjectId(), "n": 1})
    async with opened(stage.documents) as link:
        rows = VersionedRows(stage.database, link.mappings, retries=Retries(attempts=1))
        pump = DocumentPump(link.source, rows, link.collections)
        assert [(await pump.walk()).rejected for _ in range(2)] == [1, 0]
        await rows.close()


async def test_a_unique_value_that_was_handed_on_is_not_in_the_way(stage):
    jobs = stage.collection("jobs")
    one, other = ObjectId(), ObjectId()
    jobs.insert_many([{"_id": one, "code": "a", "n": 1}, {"_id": other, "code": "b", "n": 2}])
    async with opened(stage.documents) as link:
        await link.pump().walk()
        jobs.update_one({"_id": other}, {"$set": {"code": "a"}})
        jobs.update_one({"_id": one}, {"$unset": {"code": ""}})
        tally = await link.pump().walk()
    assert (tally.applied, tally.rejected) == (2, 0)
    assert stage.sql("SELECT n, code FROM postgres_jobs ORDER BY n") == [(1, None), (2, "a")]


def test_circles_of_references_keep_nobody_back():
    def mapping(name, *parents):
        columns = {f"to_{one}": Field("objectid", references=one) for one in parents}
        return DocumentMapping(Collection(name, part=Part(columns=columns)))

    given = [mapping("a", "b"), mapping("b", "c", "b"), mapping("c", "a", "d"), mapping("d"), mapping("e", "a", "gone")]
    assert parents_first(given) == ["d", "c", "b", "a", "e"]
