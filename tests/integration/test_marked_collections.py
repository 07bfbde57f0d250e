"""What a wrapped collection refuses, hides and gives way to; random histories are in ``test_marked_documents``."""

from __future__ import annotations

import asyncio
import inspect
import json
import threading
from typing import Any

import bson
import pytest
from bson import ObjectId, Timestamp
from bson.raw_bson import RawBSONDocument
from pymongo import AsyncMongoClient, DeleteOne, IndexModel, InsertOne, MongoClient, UpdateOne
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import BulkWriteError, DuplicateKeyError
from pymongo.synchronous.collection import Collection

from syncline.capture.documents import AsyncMarkedCollection, MarkedCollection, wrap, writes
from syncline.capture.documents.aggregations import hidden
from syncline.capture.documents.field import FLOOR
from syncline.capture.documents.wrapped import AS_IT_IS, REFUSED
from syncline.errors import UnmarkableError

PARTIAL = {"partialFilterExpression": {"email": {"$exists": True}}}


@pytest.fixture(scope="module")
def client(mongo):
    with MongoClient(mongo.url) as client:
        yield client


@pytest.fixture
def people(client, mongo_db) -> MarkedCollection:
    return wrap(client[mongo_db]["people"])


def raw(people: Any, id_: Any = 1) -> Any:
    return people.bare.find_one({"_id": id_})


@pytest.mark.parametrize("kind", [Collection, AsyncCollection])
def test_each_method_of_pymongo_is_wrapped_passed_on_or_refused(kind):
    names = {name for name in dir(kind) if not name.startswith("_")} - {"next"}
    known = {name for name in dir(MarkedCollection) if not name.startswith("_")} | AS_IT_IS | REFUSED.keys()
    assert names - known == set()


@pytest.mark.parametrize(
    "name", sorted(name for name in vars(MarkedCollection) if hasattr(Collection, name) and name[0] != "_")
)
def test_the_first_parameters_are_those_of_pymongo(name):
    def positional(method: Any) -> list[str]:
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        return [each.name for each in inspect.signature(method).parameters.values() if each.kind in kinds]

    ours, theirs = positional(getattr(MarkedCollection, name)), positional(getattr(Collection, name))
    common = min(len(ours), len(theirs))
    assert ours[:common] == theirs[:common]


@pytest.mark.parametrize(
    "what",
    [
        lambda one: one.drop(),
        lambda one: one.rename("others"),
        lambda one: one.drop_indexes(),
        lambda one: one.watch(),
        lambda one: one.aggregate([{"$out": "others"}]),
        lambda one: one.aggregate([{"$match": {}}, {"$merge": {"into": "people"}}]),
        lambda one: one.insert_one({"_sync": 1}),
        lambda one: one.insert_many([{"a": 1}, {"_sync": {}}]),
        lambda one: one.replace_one({}, {"_sync": 1}),
        lambda one: one.update_one({}, {"$set": {"_sync.v": 1}}),
        lambda one: one.update_one({}, {"$unset": {"_sync": ""}}),
        lambda one: one.update_one({}, {"$rename": {"a": "_sync"}}),
        lambda one: one.update_one({}, [{"$unset": "_sync"}]),
        lambda one: one.update_one({}, [{"$unset": ["a", "_sync.mark"]}]),
        lambda one: one.update_one({}, [{"$set": {"_sync": {}}}]),
        lambda one: one.update_one({}, [{"$set": {"a": "$_sync.v"}}]),
        lambda one: one.update_one({}, [{"$set": {"a": "$$ROOT._sync"}}]),
        lambda one: one.update_one({}, [{"$set": {"a": {"$let": {"vars": {"CURRENT": "$b"}, "in": "$c"}}}}]),
        lambda one: one.update_one({"_sync.v": 1}, {"$set": {"a": 1}}),
        lambda one: one.find({"$or": [{"a": 1}, {"$and": [{"_sync.mark": 1}]}]}),
        lambda one: one.find({}, {"_sync": 1}),
        lambda one: one.find({}, {"a": "$_sync.v"}),
        lambda one: one.distinct("_sync.v"),
        lambda one: one.aggregate([{"$match": {"a": 1}}, {"$sort": {"_sync.v": 1}}]),
        lambda one: one.aggregate([{"$match": {"_sync.v": 1}}]),
        lambda one: one.create_index("email", unique=True),
        lambda one: one.create_indexes([IndexModel([("a", 1), ("b", -1)], unique=True)]),
        lambda one: one.with_options(write_concern=type(one.write_concern)(0)).insert_one({}),
    ],
)  # fmt: skip
def test_what_cannot_be_marked_or_hidden_is_refused(people, what):
    with pytest.raises(UnmarkableError) as refused:
        what(people)
    assert refused.value.hint
    assert people.bare.count_documents({}) == 0


def test_options_may_be_given_by_place(people):
    people.insert_many([{"_id": 1, "n": 1}, {"_id": 2, "n": 2}, {"_id": 3, "n": 3}])
    highest = [("n", -1)]
    assert people.find_one_and_update({}, {"$set": {"a": 1}}, ["n"], highest, False, True) == {"_id": 3, "n": 3}
    assert (
        people.update_one({"_id": 4}, {"$set": {"l.$[each]": 1}}, False, None, None, [{"each": 2}]).matched_count == 0
    )
    assert people.find_one_and_delete({}, None, highest) == {"_id": 3, "n": 3, "a": 1}
    assert people.delete_one({}, {"locale": "en"}, "_id_").deleted_count == 1
    assert people.count_documents({}, None, "said") == 1
    with pytest.raises(TypeError, match="takes 6 parameters by place, and 7 were given"):
        people.delete_one({}, None, None, None, None, None, None)
    with pytest.raises(TypeError, match="multiple values"):
        people.delete_one({}, None, collation=None)


@pytest.mark.parametrize("filter_", [[], "", 0, False, [("a", 1)]])
def test_what_is_no_filter_finds_nothing_but_an_error(people, filter_):
    people.insert_one({"_id": 1})
    for ask in (people.find, people.count_documents, people.find_raw_batches, people.delete_many):
        with pytest.raises(TypeError, match="filter must be"):
            ask(filter_)
    assert people.count_documents({}) == 1


def test_what_is_no_method_is_an_attribute_error_and_no_other_collection(people):
    with pytest.raises(AttributeError, match="is to be wrapped itself"):
        _ = people.archive
    with pytest.raises(UnmarkableError, match="no collection of PyMongo"):
        wrap(people)


@pytest.mark.parametrize(
    ("keys", "options"),
    [
        ("email", {"unique": True, **PARTIAL}),
        ("email", {"unique": True, "sparse": True}),
        ([("a", 1), ("email", -1)], {"unique": True, **PARTIAL}),
        ({"email": 1}, {"unique": True, "partialFilterExpression": {"email": {"$type": "string"}}}),
        ("email", {"unique": True, "partialFilterExpression": {"state": "active"}}),
        (["_id", "email"], {"unique": True}),
        ("email", {}),
    ],
)
def test_a_unique_index_that_admits_tombstones_is_made(people, keys, options):
    people.create_index(keys, **options)
    people.insert_many([{"_id": each, "email": str(each), "a": each, "state": "active"} for each in range(3)])
    assert people.delete_many({}).deleted_count == 3


def test_a_delete_says_what_is_wrong_with_an_index_and_with_a_validator(people):
    people.bare.create_index("email", unique=True)
    people.insert_many([{"_id": 1, "email": "a"}, {"_id": 2, "email": "b"}])
    people.delete_one({"_id": 1})  # the first tombstone fits
    for delete in (people.delete_one, people.delete_many, people.find_one_and_delete):
        with pytest.raises(UnmarkableError, match="does not fit into the unique index on email") as refused:
            delete({})
        assert "partialFilterExpression" in refused.value.hint
    strict = people.bare.database.create_collection("strict", validator={"email": {"$type": "string"}})
    wrap(strict).insert_one({"_id": 1, "email": "a"})
    with pytest.raises(UnmarkableError, match="validator refuses a tombstone"):
        wrap(strict).delete_one({"_id": 1})
    assert wrap(strict).find_one(1) == {"_id": 1, "email": "a"}


def test_an_insert_leaves_the_version_to_the_server_and_a_pipeline_draws_it(people):
    people.insert_one({"_id": 1, "a": 1})
    assert raw(people)["_sync"]["v"] == 0
    people.update_one({"_id": 1}, {"$inc": {"a": 1}})
    assert raw(people)["_sync"]["v"] == 1
    people.update_one({"_id": 1}, [{"$set": {"a": 3}}])
    drawn = raw(people)["_sync"]["v"]
    assert drawn > FLOOR
    people.update_one({"_id": 1}, {"$inc": {"a": 1}})
    assert raw(people)["_sync"]["v"] == drawn + 1


def test_operators_give_a_foreign_document_a_version_that_counts_as_not_drawn(people):
    people.bare.insert_one({"_id": 1})
    people.update_many({}, {"$set": {"a": 1}})
    assert raw(people)["_sync"]["v"] < FLOOR
    people.bare.replace_one({"_id": 1}, {"a": 2})
    people.delete_one({"_id": 1})
    assert raw(people)["_sync"]["v"] > FLOOR


def test_operators_match_no_tombstone(people):
    people.insert_one({"_id": 1, "a": 1})
    people.delete_one({"_id": 1})
    before = raw(people)
    assert people.update_one({"_id": 1}, {"$set": {"a": 2}}).matched_count == 0
    assert people.update_many({}, [{"$set": {"a": 2}}]).matched_count == 0
    assert people.find_one_and_update({"_id": 1}, {"$set": {"a": 2}}) is None
    assert people.delete_one({"_id": 1}).deleted_count == 0
    assert raw(people) == before


@pytest.mark.parametrize(
    "write",
    [
        lambda one: one.insert_one({"_id": 1, "a": 2}),
        lambda one: one.insert_many([{"_id": 0}, {"_id": 1, "a": 2}, {"_id": 3}]),
        lambda one: one.insert_many([{"_id": 0}, {"_id": 1, "a": 2}, {"_id": 3}], ordered=False),
        lambda one: one.update_one({"_id": 1}, {"$set": {"a": 2}}, upsert=True),
        lambda one: one.update_one({"_id": 1, "a": 1}, {"$inc": {"a": 1}}, upsert=True),
        lambda one: one.update_one({"_id": 1}, [{"$set": {"a": 2}}], upsert=True),
        lambda one: one.replace_one({"_id": 1}, {"a": 2}, upsert=True),
        lambda one: one.find_one_and_update({"_id": 1}, {"$set": {"a": 2}}, upsert=True),
        lambda one: one.find_one_and_replace({"_id": 1}, {"a": 2}, upsert=True),
        lambda one: one.bulk_write([InsertOne({"_id": 0}), InsertOne({"_id": 1, "a": 2}), InsertOne({"_id": 3})]),
        lambda one: one.bulk_write([UpdateOne({"_id": 1, "a": 1}, {"$inc": {"a": 1}}, upsert=True)], ordered=False),
    ],
)
def test_a_tombstone_gives_way_under_a_version_above_its_own(people, write):
    people.insert_one({"_id": 1, "old": True})
    people.delete_one({"_id": 1})
    tombstone = raw(people)["_sync"]
    write(people)
    revived = raw(people)
    ours = revived.pop("_sync")
    assert revived == {"_id": 1, "a": 2}
    assert ours["v"] > tombstone["v"]
    assert ours["mark"] != tombstone["mark"]
    assert "deleted" not in ours


def test_a_document_in_the_way_is_the_error_of_the_bare_collection(people):
    people.insert_one({"_id": 1})
    with pytest.raises(DuplicateKeyError) as alone:
        people.insert_one({"_id": 1})
    assert alone.value.details["keyValue"] == {"_id": 1}
    with pytest.raises(BulkWriteError) as many:
        people.bulk_write([DeleteOne({"_id": 9}), InsertOne({"_id": 2}), InsertOne({"_id": 1}), InsertOne({"_id": 3})])
    assert many.value.details["nInserted"] == 1
    [error] = many.value.details["writeErrors"]
    assert (error["index"], error["op"]) == (2, {"_id": 1})


def test_a_unique_value_that_half_an_upsert_has_left_in_a_tombstone_gives_way(people):
    people.create_index("email", unique=True, **PARTIAL)
    people.bare.insert_one({"_id": 1, "email": "a", "_sync": {"v": 5, "mark": ObjectId(), "deleted": True}})
    people.insert_one({"_id": 2, "email": "a"})
    assert raw(people).keys() == {"_id", "_sync"}
    with pytest.raises(DuplicateKeyError):
        people.insert_one({"_id": 3, "email": "a"})


def test_inserts_that_race_for_a_tombstone_have_one_winner(people):
    for round_ in range(20):
        people.insert_one({"_id": round_})
        people.delete_one({"_id": round_})
    won: list[int] = []

    def insert(name: int) -> None:
        for each in range(20):
            try:
                people.insert_one({"_id": each, "by": name})
            except DuplicateKeyError:
                continue
            won.append(each)

    threads = [threading.Thread(target=insert, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == list(range(20))


@pytest.mark.parametrize(
    ("filter_", "again"),
    [
        ({"_id": 1}, True),
        ({"$and": [{"_id": {"$eq": 1}}]}, True),
        ({"_id": 1, "a": 2}, False),
        ({"_id": 1, "a": {"$gt": 2}}, False),
    ],
)
def test_an_upsert_that_another_one_has_overtaken_is_tried_again_as_the_server_does(filter_, again):
    """The server tries again where a filter is equality of a unique index's fields, but not with our condition beside it."""
    details = {"keyPattern": {"_id": 1}, "keyValue": {"_id": 1}}
    program = writes.update("update_one", filter_, {"$inc": {"n": 1}}, {"upsert": True})
    first = next(program)
    assert program.throw(DuplicateKeyError("E11000", 11000, details)).method == "find_one"
    made_meanwhile = {"_id": 1, "_sync": {"v": 1, "mark": ObjectId()}}
    if again:
        assert program.send(made_meanwhile) == first
    else:
        with pytest.raises(DuplicateKeyError):
            program.send(made_meanwhile)


def test_an_inserted_document_gets_its_id_as_with_pymongo(people):
    documents: list[dict[str, Any]] = [{"a": 1}, {"a": 2}, {"a": 3}]
    assert people.insert_one(documents[0]).inserted_id == documents[0]["_id"]
    assert people.insert_many(documents[1:]).inserted_ids == [each["_id"] for each in documents[1:]]
    assert all(each.keys() == {"a", "_id"} for each in documents)
    people.insert_one(RawBSONDocument(bson.encode({"_id": "raw", "a": 4})))
    assert people.find_one("raw") == {"_id": "raw", "a": 4}


def test_an_empty_timestamp_is_filled_by_a_replacement_too(people):
    people.insert_one({"_id": 1, "at": Timestamp(0, 0)})
    assert people.find_one(1)["at"].time > 0
    people.replace_one({"_id": 1}, {"at": Timestamp(0, 0)})
    assert people.find_one(1)["at"].time > 0


@pytest.fixture
def shown(people):
    people.insert_many(
        [{"_id": 1, "a": 1, "up": None, "l": [1, 2]}, {"_id": 2, "a": 2, "up": 1}, {"_id": 3, "a": 3, "up": 2}]
    )
    people.delete_one({"_id": 3})
    return people


UP = {"localField": "up", "foreignField": "_id", "as": "found"}


@pytest.mark.parametrize(
    ("pipeline", "expected"),
    [
        ([], [{"_id": 1, "a": 1, "up": None, "l": [1, 2]}, {"_id": 2, "a": 2, "up": 1}]),
        ([{"$match": {"a": {"$gt": 1}}}], [{"_id": 2, "a": 2, "up": 1}]),
        ([{"$count": "n"}], [{"n": 2}]),
        ([{"$match": {"_id": 2}}, {"$lookup": {"from": "people", **UP}}, {"$project": {"found": 1}}],
         [{"_id": 2, "found": [{"_id": 1, "a": 1, "up": None, "l": [1, 2]}]}]),
        ([{"$match": {"_id": 2}}, {"$lookup": {"from": "people", "pipeline": [{"$match": {"a": {"$gt": 1}}}], "as": "f"}}],
         [{"_id": 2, "a": 2, "up": 1, "f": [{"_id": 2, "a": 2, "up": 1}]}]),
        ([{"$match": {"_id": 2}}, {"$unionWith": "people"}, {"$count": "n"}], [{"n": 3}]),
        ([{"$match": {"_id": 2}}, {"$unionWith": {"coll": "people", "pipeline": [{"$match": {"_id": 2}}]}}],
         [{"_id": 2, "a": 2, "up": 1}] * 2),
        ([{"$facet": {"all": [{"$unionWith": "people"}, {"$count": "n"}]}}], [{"all": [{"n": 4}]}]),
        ([{"$match": {"_id": 2}}, {"$project": {"up": 1}},
          {"$graphLookup": {"from": "people", "startWith": "$up", "connectFromField": "_id", "connectToField": "up", "as": "x.y"}}],
         [{"_id": 2, "up": 1, "x": {"y": [{"_id": 2, "a": 2, "up": 1}]}}]),
        ([{"$group": {"_id": None, "all": {"$push": "$$ROOT"}}}, {"$unwind": "$all"}, {"$match": {"all._id": 2}}],
         [{"_id": None, "all": {"_id": 2, "a": 2, "up": 1}}]),
    ],
)  # fmt: skip
def test_aggregations_show_no_tombstone_and_nothing_of_ours(shown, pipeline, expected):
    assert list(shown.aggregate(pipeline)) == expected


def test_an_aggregation_that_sorts_goes_by_the_index_and_ends_with_its_limit(people):
    people.create_index([("n", -1)])
    people.insert_many([{"n": n} for n in range(50)])
    newest = [{"$match": {"n": {"$gte": 0}}}, {"$sort": {"n": -1}}, {"$limit": 2}, {"$project": {"_id": 0}}]
    assert list(people.aggregate(newest)) == [{"n": 49}, {"n": 48}]
    plan = people.bare.database.command(
        "explain", {"aggregate": people.name, "pipeline": hidden(newest), "cursor": {}}, verbosity="executionStats"
    )
    assert '"SORT"' not in json.dumps(plan, default=str)
    stats = plan.get("executionStats") or plan["stages"][0]["$cursor"]["executionStats"]
    assert stats["totalDocsExamined"] == 2


def test_a_schema_that_forbids_other_fields_is_met_by_a_marked_document(people):
    people.insert_many([{"_id": 1, "a": 1}, {"_id": 2, "a": 1, "b": 1}])
    schema = {"$jsonSchema": {"properties": {"_id": {}, "a": {}}, "additionalProperties": False}}
    assert [one["_id"] for one in people.find(schema)] == [1]
    assert [one["_id"] for one in people.find({"$nor": [schema]})] == [2]
    assert [one["_id"] for one in people.aggregate([{"$match": schema}])] == [1]


def test_geonear_and_text_stay_the_first_stage(people):
    people.create_index([("at", "2dsphere")])
    people.insert_many([{"_id": n, "at": {"type": "Point", "coordinates": [n, n]}} for n in (1, 2)])
    people.delete_one({"_id": 2})
    near = {"$geoNear": {"near": {"type": "Point", "coordinates": [0, 0]}, "distanceField": "far", "key": "at"}}
    assert [set(each) for each in people.aggregate([near])] == [{"_id", "at", "far"}]


@pytest.mark.parametrize(
    "projection",
    [None, {"l": 0}, ["a"], {"a": 1, "_id": 0}, {"_id": 0}, {"l": {"$slice": 1}}, {"all": "$$ROOT"}, {"l.x": 0}],
)
def test_no_projection_shows_our_field(shown, projection):
    found = [*shown.find({}, projection), shown.find_one(1, projection), shown.find_one({"_id": 2}, projection)]
    assert len(found) == 4
    assert not any("_sync" in str(each) for each in found)
    bare = shown.bare.database["bare"]
    bare.insert_many([{"_id": 1, "a": 1, "up": None, "l": [1, 2]}, {"_id": 2, "a": 2, "up": 1}])
    assert found[:2] == list(bare.find({}, projection))


def test_counts_and_bytes_pass_over_tombstones(shown):
    assert shown.count_documents({}) == shown.estimated_document_count() == 2
    assert shown.bare.estimated_document_count() == 3
    assert shown.distinct("_id") == [1, 2]
    batches = b"".join(shown.find_raw_batches()) + b"".join(shown.aggregate_raw_batches([]))
    assert b"_sync" not in batches


def test_marks_and_foreign_documents_are_found_by_small_indexes(shown):
    assert shown.prepare_marks() == ["syncline_marks", "syncline_unmarked"]
    for filter_ in ({"_sync.mark": {"$exists": True}}, {"_sync": None}):
        plan = str(shown.bare.find(filter_).explain()["queryPlanner"]["winningPlan"])
        assert "IXSCAN" in plan
        assert "COLLSCAN" not in plan


def test_an_examination_names_what_is_in_the_way_and_what_to_do(people):
    people.prepare_marks()
    people.create_index("email", unique=True, **PARTIAL)
    people.insert_many([{"_id": ObjectId(), "a": 2}, {"_id": "plain", "a": 3}])
    assert people.examine() == []
    people.bare.create_index([("a", 1), ("b", 1)], unique=True)
    people.bare.drop_index("syncline_marks")
    people.insert_one({"_id": str(ObjectId()), "a": 1})
    strict = {"$jsonSchema": {"properties": {"a": {}, "_id": {}}, "additionalProperties": False}}
    closed = wrap(people.bare.database.create_collection("closed", validator=strict))
    capped = wrap(people.bare.database.create_collection("capped", capped=True, size=4096))
    told = "\n".join([*people.examine(), *closed.examine(), *capped.examine()])
    for expected in (
        'a_1_b_1 takes one tombstone only; make it anew with partialFilterExpression={"a"',
        "syncline_marks is missing; call prepare_marks()",
        'declare `id = "any"`',
        "the validator may refuse tombstones",
        "knows no _sync",
        "no plain collection (capped)",
    ):
        assert expected in told
    assert 'declare `id = "any"`' not in "\n".join(people.examine(typed_ids=False))


async def test_async_collections_are_wrapped_by_the_same_core(mongo_url, mongo_db):
    async with AsyncMongoClient(mongo_url) as client:
        people = wrap(client[mongo_db]["people"])
        assert isinstance(people, AsyncMarkedCollection)
        await people.insert_many([{"_id": 1, "a": 1}, {"_id": 2, "a": 2}])
        assert (await people.delete_one({"_id": 1})).deleted_count == 1
        assert (await people.update_one({"_id": 1, "a": 5}, {"$inc": {"a": 1}}, upsert=True)).upserted_id == 1
        assert await people.find_one(1) == {"_id": 1, "a": 6}
        assert [each async for each in people.find({"a": 2})] == [{"_id": 2, "a": 2}]
        assert [each async for each in await people.aggregate([{"$count": "n"}])] == [{"n": 2}]
        assert await people.estimated_document_count() == 2
        with pytest.raises(DuplicateKeyError):
            await people.insert_one({"_id": 1})
        many = [people.update_one({"_id": 3}, {"$inc": {"n": 1}}, upsert=True) for _ in range(10)]
        await asyncio.gather(*many)
        assert await people.find_one(3) == {"_id": 3, "n": 10}
