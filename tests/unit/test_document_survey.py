"""A declaration is proposed from documents as they are, and says what is odd about each field."""

from __future__ import annotations

import datetime as dt
import tomllib

import bson
import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from syncline.config.documents import load_documents
from syncline.insight.collections import propose_collections
from syncline.model.documents import Array, DocumentMapping, Field, Part
from syncline.model.documents.proposal import Proposed, propose
from syncline.model.documents.survey import DocumentSurvey
from tests.cases.odd_bson import document, field, int32
from tests.documents import documents

DAY = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)


def proposed(*given, name: str = "things") -> Proposed:
    survey = DocumentSurvey()
    for one in given:
        survey.add_stored(bson.encode({"_id": ObjectId(), **one}))
    return propose(name, survey)


def part(*given) -> Part:
    return proposed(*given).collection.part


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        (["a"], "text"),
        ([True], "boolean"),
        ([1, 2], "bigint"),
        ([1, 2**40], "bigint"),
        ([Int64(1), Int64(2)], "long"),
        ([1, Int64(1), Int64(2)], "long"),
        ([1.5], "double"),
        ([5.0, 6.0], "double"),
        ([1, 2, 1.5], "number"),
        ([1, 5.0, 6.0, 1.5], "double"),
        ([Decimal128("1.1"), 1], "numeric"),
        ([DAY], "timestamptz"),
        ([ObjectId()], "objectid"),
        ([bson.Binary(b"u" * 16, 4)], "uuid"),
        ([b"x"], "bytea"),
        (["a", "b", 1], "text"),
        ([[[1]]], "jsonb"),
        ([[[1], "a"]], "jsonb"),
    ],
)
def test_the_type_is_that_of_which_most_values_are(values, type_):
    assert part(*({"v": value} for value in values)).columns["v"].type == type_


def test_documents_within_are_flattened_and_arrays_are_tables():
    found = part({"a": {"b": {"c": 1}, "tags": ["x"]}, "steps": [{"who": ["y"], "n": 1}]})
    assert found.columns == {"a.b.c": Field("bigint", column="")}
    assert found.arrays == {
        "a.tags": Array(value=Field("text")),
        "steps": Array(part=Part(columns={"n": Field("bigint")}, arrays={"who": Array(value=Field("text"))}, order=("who", "n"))),
    }  # fmt: skip


def test_the_order_is_that_of_the_documents():
    found = part({"b": 1, "list": ["x"], "a": 1}, {"b": 1, "list": ["x"], "a": 1})
    assert found.order == ("b", "list", "a")
    assert part({"b": 1, "a": 1}).order == ()


def test_what_is_odd_about_a_field_is_said():
    found = proposed(
        *({"n": 1, "gone": "x", "no": None, "list": ["x"], "kind": "abc"[place % 3]} for place in range(90)),
        *({"n": "five", "no": None, "kind": "a", "big": [0] * 1001} for _ in range(9)),
        {"n": 1, "no": "yes", "empty": [], "a.b": 1, "kind": "b"},
    )
    assert found.of("n") == "drifts in type: int32 in 91 %, string in 9 %; what is no bigint stays in the rest"
    assert found.of("gone") == "missing in 10 %"
    assert found.of("no") == "null in 99 %"
    assert found.of("list") == "missing in 10 %; an array of up to 1 element: a child table"
    assert "too large for quick changes: an array of up to 1,001 elements" in found.of("big")
    assert found.of("kind") == "values seen: a, b, c"
    assert found.of("empty") == "always an empty array: in the rest"
    assert found.of("a.b") == "a name that is no part of a path: in the rest"
    assert found.collection.part.columns["no"].null == "null"


def test_rare_fields_and_maps_stay_together():
    found = proposed(
        *({"v": 1, f"rare{place}": 1, "map": {f"k{place}": 1, f"l{place}": 1}} for place in range(200)),
    )
    assert found.collection.part.columns == {"v": Field("bigint"), "map": Field("jsonb")}
    assert "in fewer than 1% of 200 documents, in the rest: rare0 (1), " in found.of("")
    assert "and 192 more" in found.of("")
    assert "a map from names to values" in found.of("map")


def test_names_that_postgresql_cannot_take_are_made_short_and_unique():
    long = "x" * 40
    found = proposed({"a": {"b": 1}, "a_b": 1, "rest": 1, "sync_status": 1, long: {long: 1, "list": [1]}}, name="a.b/c")
    mapping = DocumentMapping(found.collection)
    assert str(mapping.tables[0].name) == "public.postgres_a_b_c"
    names = [column.name for column in mapping.tables[0].columns]
    assert len({*names}) == len(names)
    assert {"a_b", "a_b_", "rest_", "sync_status_"} <= {*names}
    assert all(len(name) <= 63 for name in [*names, mapping.tables[1].name.name])


def test_ids_have_the_type_that_takes_all_of_them():
    for ids, type_ in (
        (["a", "b"], "text"), ([1, 2**40], "bigint"), ([Int64(1)], "long"), (["a", 1], "any"), ([1, Int64(1)], "any"),
    ):  # fmt: skip
        survey = DocumentSurvey()
        for id_ in ids:
            survey.add_stored(bson.encode({"_id": id_}))
        assert propose("t", survey).collection.id == type_


class Given:
    """A database of documents."""

    def __init__(self, **collections: list[bytes]) -> None:
        self.collections = collections

    async def names(self) -> list[str]:
        return sorted(self.collections)

    async def estimated(self, name: str) -> int:
        return len(self.collections[name])

    async def documents(self, name: str, size: int):
        for one in self.collections[name][:size]:
            yield one


@given(st.lists(documents(), min_size=1, max_size=8))
@settings(max_examples=60)
def test_whatever_the_documents_the_file_is_valid_and_takes_them(tmp_path_factory, given):
    import asyncio

    found = asyncio.run(propose_collections(Given(things=given)))
    file = tmp_path_factory.mktemp("proposed") / "syncline.toml"
    file.write_text(found.text)
    (mapping,) = load_documents(file, {"MONGODB_URL": "x", "DATABASE_URL": "x"}).mappings
    assert mapping.collection == found.collections[0].proposed.collection
    for raw in given:
        assert mapping.document(mapping.rows(raw)) == raw


async def test_no_two_collections_are_given_one_table(tmp_path):
    one = [bson.encode({"_id": ObjectId(), "labels": [{"text": "a", "of": [1]}]})]
    names = ["my-tasks", "my.tasks", "my_tasks", "my_tasks_labels", "my_tasks_labels_of"]
    found = await propose_collections(Given(**dict.fromkeys(names, one)))
    (tmp_path / "syncline.toml").write_text(found.text)
    mappings = load_documents(tmp_path / "syncline.toml", {"MONGODB_URL": "x", "DATABASE_URL": "x"}).mappings
    assert [mapping.collection for mapping in mappings] == [one.proposed.collection for one in found.collections]
    tables = [str(table.name) for mapping in mappings for table in mapping.tables]
    assert len({*tables}) == len(tables) == 15


async def test_a_collection_that_is_asked_for_twice_is_declared_once():
    found = await propose_collections(Given(t=[bson.encode({"_id": 1})]), ["t", "t"])
    assert [*tomllib.loads(found.text)["collections"]] == ["t"]


def test_a_name_of_the_greatest_length_that_is_taken_stays_one_that_postgresql_takes():
    long = "x" * 61
    mapping = DocumentMapping(proposed({long: {"b": 1}, f"{long}_b": 2}).collection)
    assert len({column.name for column in mapping.tables[0].columns}) == 4


async def test_what_cannot_be_a_key_of_toml_is_quoted_and_what_is_empty_is_left_out():
    name = 'odd "name".x'
    found = await propose_collections(Given(**{name: [bson.encode({"_id": ObjectId(), 'a "b"\n': {"c.": 1, "d e": [1]}})], "none": []}))  # fmt: skip
    assert tomllib.loads(found.text)["collections"][name]["arrays"] == {'a "b"\n.d e': {"type": "bigint"}}
    assert found.left_out == {"none": "it has no document"}
    odd = await propose_collections(
        Given(t=[document(field("_id", (7, b"i" * 12)), field("b", int32(1)), field("b", int32(2)))])
    )
    assert "# 1 document: a document with two fields called 'b'; such ones are whole in the rest" in odd.text
