"""A wrapped collection does what the bare one does, and marks what changes: the same random histories on both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from bson import Decimal128, ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo import DeleteMany, DeleteOne, IndexModel, InsertOne, MongoClient, ReplaceOne, UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError
from pymongo.results import BulkWriteResult, DeleteResult, InsertManyResult, InsertOneResult, UpdateResult

from syncline.capture.documents import wrap
from syncline.errors import UnmarkableError

IDS = st.sampled_from([1, 2, "a"])
SMALL = st.integers(0, 2)
PLAIN = st.fixed_dictionaries({"a": SMALL}, optional={"b": st.sampled_from([None, "x", [1, 2, 5], {"c": 1}, {}])})
IDENTIFIED = st.builds(lambda id_, rest: {"_id": id_, **rest}, IDS, PLAIN)
OPERATORS = st.sampled_from([
    {"$set": {"a": 1}},
    {"$set": {"b": [1, 9, 9], "d.e": 3}},
    {"$inc": {"a": 1}},
    {"$max": {"a": 2}, "$setOnInsert": {"s": 7}},
    {"$unset": {"b": ""}},
    {"$push": {"l": 4}},
    {"$rename": {"a": "z"}},
    {"$set": {}},
    {"$setOnInsert": {"_id": 2}, "$inc": {"n": 1}},
    {"$set": {"_id": 1, "a": 0}},
    {"$currentDate": {"b": True}, "$unset": {"b": ""}},
])  # fmt: skip
PIPELINES = st.sampled_from([
    [{"$set": {"a": {"$add": [{"$ifNull": ["$a", 0]}, 1]}}}],
    [{"$set": {"copy": "$$ROOT"}}, {"$unset": "copy.copy"}],
    [{"$replaceWith": {"a": 2, "whole": {"$size": {"$objectToArray": "$$ROOT"}}}}],
    [{"$replaceRoot": {"newRoot": {"$mergeObjects": ["$$CURRENT", {"b": "new"}]}}}],
    [{"$replaceWith": "$missing"}],
    [{"$project": {"a": 1}}],
    [{"$project": {"b": 0}}, {"$addFields": {"l": ["$$ROOT.a"]}}],
    [{"$unset": ["a", "b"]}],
    [{"$set": {"text": {"$literal": "$$ROOT"}}}],
    [],
])  # fmt: skip
UPDATES = st.one_of(OPERATORS, PIPELINES)
ONE = st.one_of(
    st.builds(lambda id_: {"_id": id_}, IDS),
    st.builds(lambda id_: {"_id": {"$eq": id_}}, IDS),
    st.builds(lambda id_, a: {"_id": id_, "a": a}, IDS, SMALL),
    st.builds(lambda id_, a: {"$and": [{"_id": id_}, {"d.e": a}], "x.y": {"$all": [a]}}, IDS, SMALL),
    st.builds(lambda id_, a: {"_id": {"$in": [id_]}, "a": {"$in": [a]}}, IDS, SMALL),
    st.builds(lambda id_, a: {"_id": id_, "a": {"$gte": a}}, IDS, SMALL),
)
MANY = st.one_of(ONE, st.builds(lambda a: {"a": a}, SMALL), st.just({}))
PROJECTIONS = st.sampled_from(
    [None, ["a"], {"b": 0}, {"_id": 0}, {"_id": 1}, {"w": "$$ROOT.a"}, {"l": {"$slice": 1}}, []]
)
TRUTH = st.booleans()
FILTERED = {"$set": {"b.$[e]": 0}}
ARRAY_FILTERS = [{"e": {"$gt": 1}}]

REQUESTS = st.one_of(
    st.builds(InsertOne, IDENTIFIED),
    st.builds(lambda f, u, up: UpdateOne(f, u, upsert=up), ONE, UPDATES, TRUTH),
    st.builds(UpdateMany, MANY, UPDATES),
    st.builds(lambda f, d, up: ReplaceOne(f, d, upsert=up), ONE, PLAIN, TRUTH),
    st.builds(DeleteOne, ONE),
    st.builds(DeleteMany, MANY),
    st.just(UpdateMany({"b.0": {"$exists": True}}, FILTERED, array_filters=ARRAY_FILTERS)),
)
STEPS = st.one_of(
    st.tuples(st.just("insert_one"), st.tuples(IDENTIFIED), st.just({})),
    st.tuples(
        st.just("insert_many"),
        st.tuples(st.lists(IDENTIFIED, min_size=1, max_size=4)),
        st.fixed_dictionaries({"ordered": TRUTH}),
    ),
    st.tuples(st.just("update_one"), st.tuples(ONE, UPDATES), st.fixed_dictionaries({"upsert": TRUTH})),
    st.tuples(st.just("update_many"), st.tuples(MANY, UPDATES), st.fixed_dictionaries({"upsert": TRUTH})),
    st.tuples(
        st.just("update_many"),
        st.tuples(st.just({"b.0": {"$exists": True}}), st.just(FILTERED)),
        st.just({"array_filters": ARRAY_FILTERS}),
    ),
    st.tuples(
        st.just("replace_one"), st.tuples(ONE, st.one_of(PLAIN, IDENTIFIED)), st.fixed_dictionaries({"upsert": TRUTH})
    ),
    st.tuples(st.just("delete_one"), st.tuples(ONE), st.just({})),
    st.tuples(st.just("delete_many"), st.tuples(MANY), st.just({})),
    st.tuples(st.just("find_one_and_delete"), st.tuples(ONE), st.fixed_dictionaries({"projection": PROJECTIONS})),
    st.tuples(
        st.just("find_one_and_update"),
        st.tuples(ONE, UPDATES),
        st.fixed_dictionaries({"projection": PROJECTIONS, "upsert": TRUTH, "return_document": TRUTH}),
    ),
    st.tuples(
        st.just("find_one_and_replace"),
        st.tuples(ONE, PLAIN),
        st.fixed_dictionaries({"projection": PROJECTIONS, "upsert": TRUTH, "return_document": TRUTH}),
    ),
    st.tuples(
        st.just("bulk_write"),
        st.tuples(st.lists(REQUESTS, min_size=1, max_size=5)),
        st.just({"ordered": True}),
    ),
    st.tuples(
        st.just("bulk_write"),
        # Where the order is free, what an upsert waits for is, too: it may meet a tombstone and come after the others.
        st.tuples(st.lists(REQUESTS.filter(lambda one: not getattr(one, "_upsert", False)), min_size=1, max_size=5)),
        st.just({"ordered": False}),
    ),
    st.tuples(st.just("confirmed"), st.tuples(IDS), st.just({})),
)


def plain(value: Any) -> Any:
    """Give what two collections can share: ids that a server has drawn are drawn twice, times differ."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return "drawn" if isinstance(value, ObjectId) else value


def told(result: Any) -> Any:
    """Give a result without the count of modified documents."""
    match result:
        case InsertOneResult():
            return plain(result.inserted_id)
        case InsertManyResult():
            return plain(result.inserted_ids)
        case UpdateResult():
            return (result.matched_count, plain(result.upserted_id))
        case DeleteResult():
            return result.deleted_count
        case BulkWriteResult():
            return counted(result.bulk_api_result)
    return plain(result)


def counted(details: dict[str, Any]) -> Any:
    counts = {name: value for name, value in details.items() if name.startswith("n") and name != "nModified"}
    errors = [(one["index"], one["code"], plain(without_own(one["op"]))) for one in details["writeErrors"]]
    return (counts, plain(details["upserted"]), errors)


def without_own(op: Any) -> Any:
    return {name: op[name] for name in ("q", "u", "limit", "multi", "upsert", "_id", "a") if name in op}


def outcome(collection: Any, method: str, args: Any, options: Any) -> Any:
    try:
        return told(getattr(collection, method)(*args, **options))
    except BulkWriteError as error:
        return ("BulkWriteError", counted(error.details))
    except PyMongoError as error:
        return (type(error).__name__, getattr(error, "code", None))
    except (TypeError, ValueError) as error:
        return type(error).__name__


def contents(collection: Any, **how: Any) -> list[Any]:
    return sorted((plain(one) for one in collection.find({}, **how)), key=repr)


@pytest.fixture(scope="module")
def client(mongo) -> Iterator[MongoClient[Any]]:
    with MongoClient(mongo.url) as client:
        yield client


@pytest.fixture
def pair(client, mongo_db):
    bare, under = client[mongo_db]["bare"], client[mongo_db]["under"]
    wrap(under).prepare_marks()
    return bare, wrap(under)


def copied(args: Any) -> Any:
    """Requests and documents of a call's own: an insert gives its documents an id."""
    if isinstance(args, InsertOne):
        return InsertOne(copied(args._doc))
    if isinstance(args, dict):
        return {name: copied(each) for name, each in args.items()}
    if isinstance(args, list | tuple):
        return type(args)(copied(each) for each in args)
    return args


def confirm(under: Any, id_: Any) -> None:
    """What a relay does when the other side has the document, or has deleted it."""
    under.update_one({"_id": id_}, {"$unset": {"_sync.mark": ""}})
    under.delete_one({"_id": id_, "_sync.deleted": True})


def stored(under: Any) -> dict[Any, Any]:
    return {one["_id"]: one for one in under.find({})}


def require_marked(before: dict[Any, Any], after: dict[Any, Any]) -> None:
    for id_, document in after.items():
        was = before.get(id_)
        if was is None or {**was, "_sync": 0} != {**document, "_sync": 0} or "deleted" in document["_sync"]:
            old = {} if was is None else was["_sync"]
            unchanged = was is not None and was == document
            assert unchanged or document["_sync"]["mark"] != old.get("mark"), (was, document)
            assert unchanged or document["_sync"]["v"] > old.get("v", -1), (was, document)
    for id_, was in before.items():
        assert id_ in after, f"{was} has left no tombstone"


@given(st.lists(STEPS, min_size=1, max_size=12))
@settings(max_examples=40)
def test_a_wrapped_collection_does_what_the_bare_one_does(client, mongo, steps):
    database = client["marked"]
    bare, under = database["bare"], database["under"]
    bare.delete_many({})
    under.delete_many({})
    wrapped = wrap(under)
    for method, args, options in steps:
        if method == "confirmed":
            confirm(under, args[0])
            continue
        before = stored(under)
        expected = outcome(bare, method, copied(args), options)
        assert outcome(wrapped, method, copied(args), options) == expected, (method, args, options)
        require_marked(before, stored(under))
        assert contents(wrapped) == contents(bare)
    every = [{"$group": {"_id": "$a", "n": {"$sum": 1}, "fields": {"$sum": {"$size": {"$objectToArray": "$$ROOT"}}}}}]
    key = repr
    assert sorted(wrapped.aggregate(every), key=key) == sorted(bare.aggregate(every), key=key)
    assert wrapped.count_documents({}) == wrapped.estimated_document_count() == bare.count_documents({})
    assert sorted(wrapped.distinct("a"), key=key) == sorted(bare.distinct("a"), key=key)


FOUND = [
    {"_id": 1, "a": [1, 2, 3], "b": {"x": 1}, "t": "red fox"},
    {"_id": 2, "a": [{"x": 1}, {"y": 2}], "b": {"x": 2, "y": 3}},
]


@pytest.fixture
def filled(pair):
    for collection in pair:
        collection.insert_many(copied(FOUND))
        collection.create_index([("t", "text")])
    pair[1].insert_one({"_id": 3, "t": "red"})
    pair[1].delete_one({"_id": 3})
    return pair


FIRST_ELEMENT, MATCHING = {"$slice": 1}, {"$elemMatch": {"x": 1}}


@pytest.mark.parametrize("projection", [
    {"_id": 1, "a": FIRST_ELEMENT},
    {"_id": 0, "a": FIRST_ELEMENT},
    {"a": MATCHING},
    {"_id": 0, "a": MATCHING},
    {"b": 0, "a": MATCHING},
    {"b": 1, "a": MATCHING},
    {"a": {"$slice": [1, 1]}, "b": MATCHING},
    {"a": {"$slice": ["$a", 1]}},
    {"_id": 1, "b": MATCHING},
    {"a": Decimal128("0")},
    {"_id": Decimal128("1")},
    {"_id": 0},
    {"b": {"x": 0}},
    {"b": {"x": 1}},
    {"a": None},
    {"w": "$$CURRENT"},
], ids=repr)  # fmt: skip
def test_a_projection_of_any_kind_shows_what_it_showed_and_nothing_of_ours(filled, projection):
    bare, wrapped = (contents(each, projection=projection) for each in filled)
    assert wrapped == bare


TEXT = {"$match": {"$and": [{"$text": {"$search": "red"}}]}}
SIZE = {"$expr": {"$eq": [{"$size": {"$objectToArray": "$$ROOT"}}, 3]}}


@pytest.mark.parametrize("stages", [
    [TEXT],
    [{"$lookup": {"from": "THIS", "pipeline": [TEXT], "as": "found"}}],
    [{"$unionWith": {"coll": "THIS", "pipeline": [TEXT, {"$set": {"more": 1}}]}}],
    [{"$match": SIZE}],
], ids=repr)  # fmt: skip
def test_stages_that_must_be_the_first_are_in_pipelines_within_too(filled, stages):
    def answer(collection: Any) -> list[Any]:
        named = [{name: {**value, **({k: collection.name for k in ("from", "coll") if k in value})} for name, value in stage.items()} for stage in stages]  # fmt: skip
        return sorted((plain(one) for one in collection.aggregate(named)), key=repr)

    bare, wrapped = map(answer, filled)
    assert wrapped == bare
    assert bare


@pytest.mark.parametrize("filter_", [SIZE, {"$or": [SIZE, {"_id": 7}]}], ids=repr)
def test_an_expression_in_a_filter_sees_the_document_without_our_field(filled, filter_):
    bare, wrapped = (each.update_many(filter_, {"$set": {"seen": 1}}).matched_count for each in filled)
    assert wrapped == bare == 1
    with pytest.raises(UnmarkableError, match="_sync"):
        filled[1].find_one({}, {"f": {"$getField": "_sync"}})


@pytest.mark.parametrize("filter_", [{"b": {"x": 1}, "b.y": None}, {"a": [1, 2, 3], "a.0": 1}], ids=repr)
@pytest.mark.parametrize("how", ["update_one", "update_many", "find_one_and_update", "bulk_write"])
def test_a_filter_whose_paths_cross_matches_what_it_matched_and_stays_as_it_is(filled, filter_, how):
    for collection in filled:
        given = copied(filter_)
        if how == "bulk_write":
            collection.bulk_write([UpdateOne(given, {"$set": {"seen": 1}})])
        else:
            getattr(collection, how)(given, {"$set": {"seen": 1}})
        assert collection.count_documents({"seen": 1, "_id": 1}) == 1
        assert given == filter_


@pytest.mark.parametrize("how", ["update_one", "find_one_and_update", "delete_one"])
def test_what_a_bare_collection_refuses_is_refused_in_the_same_way(filled, how):
    for filter_ in (None, {"$and": 5}, {"$or": 5}, [], 7):
        for change in ({"$set": {"a": 1}}, {"$set": 5}, {"$inc": None}, {}, {"a": 1}):
            given = (filter_,) if how == "delete_one" else (filter_, change)
            bare, wrapped = (outcome(each, how, given, {}) for each in filled)
            assert wrapped == bare, given


def test_a_slice_in_an_update_pipeline_keeps_the_version_rising(pair):
    _, wrapped = pair
    wrapped.insert_one({"_id": 1, "a": [1, 2]})
    far = 2**62
    wrapped.bare.update_one({"_id": 1}, {"$set": {"_sync.v": far}})
    wrapped.update_one({"_id": 1}, [{"$project": {"a": {"$slice": ["$a", 1]}}}])
    assert wrapped.find_one(1) == {"_id": 1, "a": [1]}
    assert wrapped.bare.find_one(1)["_sync"]["v"] == far + 1


@pytest.mark.parametrize("bulk", [False, True])
def test_an_update_of_many_that_ends_at_a_tombstone_is_not_made_twice(pair, bulk):
    _, wrapped = pair
    wrapped.create_index("email", unique=True, partialFilterExpression={"email": {"$exists": True}})
    wrapped.insert_many([{"_id": 1, "n": 0}, {"_id": 2, "n": 0}])
    half = {"v": 2**41, "mark": ObjectId(), "deleted": True}  # an upsert onto it has ended before its second step
    wrapped.bare.insert_one({"_id": 9, "email": "x", "_sync": half})
    email = {"$cond": [{"$eq": ["$_id", 2]}, "x", "$$REMOVE"]}
    change = [{"$set": {"n": {"$add": ["$n", 1]}, "email": email}}]
    with pytest.raises((BulkWriteError, DuplicateKeyError)):
        wrapped.bulk_write([UpdateMany({}, change)]) if bulk else wrapped.update_many({}, change)
    assert [one["n"] for one in wrapped.find(sort=[("_id", 1)])] == [1, 0]
    wrapped.update_many({}, change)
    assert wrapped.find_one(2) == {"_id": 2, "n": 1, "email": "x"}


def test_an_index_by_which_the_server_deletes_is_refused_and_named(pair):
    _, wrapped = pair
    for make in (
        lambda: wrapped.create_index("until", expireAfterSeconds=0),
        lambda: wrapped.create_indexes([IndexModel("until", expireAfterSeconds=60)]),
    ):
        with pytest.raises(UnmarkableError, match="deletes documents itself"):
            make()
    assert wrapped.examine() == []
    wrapped.bare.create_index("until", expireAfterSeconds=0)
    [said] = wrapped.examine()
    assert "until_1" in said
