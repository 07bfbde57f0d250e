"""Documents become rows and come back as the bytes that they were."""

from __future__ import annotations

import contextlib
import datetime as dt
import json

import bson
import pytest
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId
from hypothesis import given, settings
from hypothesis import strategies as st

from syncline.engines.postgres.documents.keys import id_of, key_text
from syncline.engines.postgres.documents.texts import to_text
from syncline.errors import MappingError, UnmappableError
from syncline.model.documents import Array, Collection, DocumentMapping, Field, Inner, Part
from syncline.model.documents.exact_json import _READERS, from_json, to_json
from syncline.model.documents.ids import NO_ID
from syncline.model.documents.reading import read, write
from syncline.model.documents.types import ID_TYPES, TYPES
from syncline.model.documents.values import Json, same
from syncline.model.strict_bson import Odd
from syncline.model.values import MAX_LEVELS
from tests.cases.odd_bson import document, field, int32, text
from tests.documents import documents, values

ID = ObjectId("0123456789abcdef01234567")


def in_json_of_a_database(value):
    """Do to JSON what ``jsonb`` does: names sorted, white space gone."""

    def sort(one):
        if isinstance(one, dict):
            return {name: sort(one[name]) for name in sorted(one, key=lambda name: (len(name.encode()), name.encode()))}
        return [sort(item) for item in one] if isinstance(one, list) else one

    return json.loads(json.dumps(sort(value)))


def through_a_database(rows):
    return tuple(
        [
            tuple(Json(in_json_of_a_database(v.value)) if isinstance(v, Json) else v for v in row)
            for row in reversed(table)
        ]
        for table in rows
    )


def back(mapping: DocumentMapping, raw: bytes) -> bytes:
    return mapping.document(through_a_database(mapping.rows(raw)))


def mapped(ids: str = "objectid", **parts) -> DocumentMapping:
    return DocumentMapping(Collection("things", id=ids, part=Part(**parts)))


PATHS = ("a", "b", "c", "inner.a", "inner.b", "inner.inner.c")
DEFAULTED = (
    Field("text", default="red"),
    Field("bigint", default=0),
    Field("boolean", default=True),
    Field("text", values=("red",)),
)


@st.composite
def fields(draw) -> Field:
    if draw(st.integers(0, 5)) == 5:
        return draw(st.sampled_from(DEFAULTED))
    return Field(draw(st.sampled_from(list(TYPES))), null=draw(st.sampled_from(["missing", "null"])))


@st.composite
def parts(draw, depth: int = 2) -> Part:
    def inner() -> Part:
        return draw(parts(depth - 1)) if depth else Part()

    def array() -> Array:
        no_rows = draw(st.sampled_from(["missing", "empty"]))
        return (
            Array(part=inner(), no_rows=no_rows)
            if draw(st.booleans())
            else Array(value=draw(fields()), no_rows=no_rows)
        )

    columns = {path: draw(fields()) for path in PATHS if draw(st.booleans())}
    arrays = {path: array() for path in ("list", "inner.list") if draw(st.booleans())}
    objects = {path: Inner(part=inner()) for path in ("x", "inner.x") if draw(st.booleans())}
    order = draw(st.permutations(["a", "list", "inner.b", "x", "b"]))
    return Part(columns, arrays, objects, order=tuple(path for path in order if path in {*columns, *arrays, *objects}))


@given(documents(), parts())
@settings(max_examples=150)
def test_every_document_comes_back_as_its_bytes_whatever_was_declared(raw, part):
    mapping = DocumentMapping(Collection("things", part=part))
    assert back(mapping, raw) == raw


@given(values())
@settings(max_examples=300)
def test_every_value_is_exact_in_json(value):
    raw = document(field("v", value))
    found = read(raw)
    assert not isinstance(found, Odd)
    assert write({"v": from_json(in_json_of_a_database(to_json(found["v"])))}) == raw


NO_VALUES = [
    *({name: wrong} for name in _READERS for wrong in ({}, [], None, "", "x", 5, -1, 1.5, {"type": 2})),
    {"$bson": {"type": 2, "base64": "AA=="}},
    {"$date": {"$numberLong": "9" * 30}},
    {"$oid": "é" * 24},
]


@pytest.mark.parametrize("found", NO_VALUES, ids=repr)
def test_what_is_no_value_is_refused_as_that_in_a_rest_and_in_a_key(found):
    mapping = mapped("any")
    for wrong in (found, [found], {"a": found}):
        with contextlib.suppress(ValueError):
            from_json(wrong)
        text = json.dumps(wrong)
        with contextlib.suppress(UnmappableError):
            mapping.document([[(text, *[None] * (len(mapping.tables[0].columns) - 1))]])
        assert id_of(mapping, text) is NO_ID or key_text(mapping, id_of(mapping, text)) == text


@pytest.mark.parametrize("name", TYPES)
@given(value=values())
@settings(max_examples=60)
def test_the_short_way_of_common_values_gives_what_the_long_one_does(name, value):
    (found,) = read(document(field("v", value))).values()
    (shown, exact), (wanted, wanted_exact) = TYPES[name].fit(found), TYPES[name].compared(found)
    assert exact == wanted_exact
    assert type(shown) is type(wanted)
    assert same(shown, wanted)


@given(values())
def test_any_id_comes_back_and_no_two_are_one(value):
    raw = document(field("_id", value))
    mapping = mapped("any")
    assert back(mapping, raw) == raw
    if value[0] != 0x07:
        assert mapping.rows(raw)[0][0][0] != str(ID)


@pytest.mark.parametrize("name", sorted(ID_TYPES))
@given(value=values())
@settings(max_examples=40)
def test_an_id_of_another_type_is_refused_by_name(name, value):
    raw = document(field("_id", value))
    mapping = mapped(name)
    try:
        mapping.rows(raw)
    except UnmappableError as error:
        refused = error
    else:
        assert back(mapping, raw) == raw
        return
    assert (refused.path, name != "any") == ("_id", True)


def row(mapping: DocumentMapping, **fields) -> dict:
    rows = mapping.rows(bson.encode({"_id": ID, **fields}))
    columns = [column.name for column in mapping.tables[0].columns]
    return {
        name: value.value if isinstance(value, Json) else value for name, value in zip(columns, rows[0][0], strict=True)
    }


def test_what_a_column_says_exactly_is_not_in_the_rest():
    mapping = mapped(columns={"title": Field("text"), "done": Field("boolean"), "due.at": Field("timestamptz")})
    found = row(mapping, title="x", done=True, due={"at": dt.datetime(2026, 1, 2, tzinfo=dt.UTC)})
    assert found == {
        "mongo_id": str(ID), "title": "x", "done": True, "due_at": dt.datetime(2026, 1, 2, tzinfo=dt.UTC), "rest": None,
    }  # fmt: skip


def test_a_number_of_another_type_stands_in_the_column_and_its_type_in_the_rest():
    mapping = mapped(columns={"count": Field("bigint")})
    assert row(mapping, count=5.0) == {"mongo_id": str(ID), "count": 5, "rest": {"count": {"$numberDouble": "5.0"}}}
    assert row(mapping, count="five")["count"] is None
    assert row(mapping, count=Decimal128("5"))["count"] == 5


def test_far_dates_are_infinity_for_queries_and_exact_beside():
    mapping = mapped(columns={"until": Field("timestamptz")})
    found = row(mapping, until=bson.DatetimeMS(2**60))
    assert found["rest"] == {"until": {"$date": {"$numberLong": str(2**60)}}}
    assert int(found["until"]) == 2**63 - 1


def test_missing_is_not_null_and_a_default_is_neither():
    mapping = mapped(columns={"a": Field("text"), "b": Field("text", null="null"), "c": Field("text", default="red")})
    assert row(mapping) == {"mongo_id": str(ID), "a": None, "b": None, "c": "red", "rest": {"$missing": ["b", "c"]}}
    assert row(mapping, a=None, b=None, c=None)["rest"] == {"a": None, "c": None}


def test_elements_that_a_child_table_cannot_take_stay_at_their_places():
    mapping = mapped(arrays={"labels": Array(value=Field("objectid"))})
    raw = bson.encode({"_id": ID, "labels": [ID, "none", ID]})
    rows = mapping.rows(raw)
    assert rows[1] == [(str(ID), 0, str(ID)), (str(ID), 2, str(ID))]
    assert rows[0][0][1].value == {"labels": {"$elements": {"1": "none"}}}
    assert back(mapping, raw) == raw


def test_arrays_of_documents_nest_with_the_positions_of_those_around():
    mapping = mapped(
        arrays={"a": Array(part=Part(columns={"n": Field("integer")}, arrays={"b": Array(value=Field("text"))}))}
    )
    raw = bson.encode({"_id": ID, "a": [{"n": 1, "b": ["x"]}, {"n": 2, "b": ["y", "z"]}]})
    assert [table.key for table in mapping.tables] == [
        ("mongo_id",), ("mongo_id", "position"), ("mongo_id", "position_1", "position"),
    ]  # fmt: skip
    assert mapping.rows(raw)[2] == [(str(ID), 0, 0, "x"), (str(ID), 1, 0, "y"), (str(ID), 1, 1, "z")]


def test_fields_come_back_in_the_order_that_they_had():
    mapping = mapped(columns={"a": Field("bigint"), "b": Field("bigint")})
    for names in (["b", "a"], ["a", "z", "b"], ["zz", "z", "a"]):
        raw = bson.encode({"_id": ID, **dict.fromkeys(names, 1)})
        assert list(bson.decode(back(mapping, raw))) == ["_id", *names]
    usual = mapping.rows(bson.encode({"_id": ID, "a": 1, "b": 1}))
    assert usual[0][0][-1] is None


def test_an_object_id_and_its_characters_are_two_keys():
    mapping = mapped("any")
    one, other = (mapping.rows(bson.encode({"_id": id_}))[0][0][0] for id_ in (ID, str(ID)))
    assert (one, other) == (str(ID), f'"{ID}"')


# What is changed in the tables afterwards reaches the document.


def changed(mapping: DocumentMapping, raw: bytes, **values):
    rows = mapping.rows(raw)
    names = [column.name for column in mapping.tables[0].columns]
    new = tuple(values.get(name, value) for name, value in zip(names, rows[0][0], strict=True))
    return bson.decode(mapping.document(([new], *rows[1:])))


@pytest.mark.parametrize("before", [5, 5.0, "five", None, Int64(5), {"x": 1}])
def test_a_changed_column_wins_over_what_the_rest_keeps(before):
    mapping = mapped(columns={"count": Field("bigint")})
    assert changed(mapping, bson.encode({"_id": ID, "z": 1, "count": before}), count=7) == {
        "_id": ID,
        "z": 1,
        "count": 7,
    }


def test_an_emptied_column_is_a_field_that_is_gone_or_null():
    mapping = mapped(columns={"a": Field("bigint"), "b": Field("bigint", null="null")})
    assert changed(mapping, bson.encode({"_id": ID, "a": 5.0, "b": 5.0}), a=None, b=None) == {"_id": ID, "b": None}


def test_a_document_that_has_a_field_twice_is_ordinary_once_a_column_changes():
    mapping = mapped(columns={"a": Field("text")})
    raw = document(field("_id", (7, ID.binary)), field("b", int32(1)), field("a", text("x")), field("b", int32(2)))
    assert back(mapping, raw) == raw
    assert changed(mapping, raw, a="y") == {"_id": ID, "b": 1, "a": "y"}


def test_rows_of_a_child_table_win_where_they_were_added_and_are_gone_where_they_were_removed():
    mapping = mapped(arrays={"labels": Array(value=Field("text"))})
    one, none, other = ({"_id": ID, "labels": value} for value in (["x", 1, "y"], [], "odd"))
    rows = mapping.rows(bson.encode(one))
    assert bson.decode(mapping.document((rows[0], rows[1][1:])))["labels"] == [1, "y"]
    for found in (none, other):
        rows = mapping.rows(bson.encode(found))
        assert bson.decode(mapping.document((rows[0], [(str(ID), 3, "new")])))["labels"] == ["new"]


def test_what_bson_cannot_hold_is_refused_by_its_field():
    import decimal

    mapping = mapped(columns={"price": Field("numeric"), "owner": Field("objectid")})
    with pytest.raises(UnmappableError, match=r"^price: .*34 digits"):
        changed(mapping, bson.encode({"_id": ID}), price=decimal.Decimal("1" * 40))
    with pytest.raises(UnmappableError, match=r"^owner: .*no ObjectId"):
        changed(mapping, bson.encode({"_id": ID}), owner="me")


def test_the_fingerprint_changes_with_what_becomes_of_documents_and_with_nothing_else():
    def of(*, indexes=(), **settings) -> str:
        return DocumentMapping(
            Collection("t", part=Part({"a": Field(**{"type": "text"} | settings)}), indexes=indexes)
        ).fingerprint

    same = [of(), of(index=True), of(unique=True), of(references="t"), of(indexes=(("a",),)), of(required=True)]
    other = [of(type="bigint"), of(column="b"), of(null="null"), of(default="x"), of(values=("x",))]
    assert {*same} == {of()}
    named = [
        DocumentMapping(Collection("t", part=Part({"index": Field(type_)}))).fingerprint for type_ in ("text", "uuid")
    ]
    assert named[0] != named[1]
    assert len({of(), *other}) == 6


# Consent and refusal.


def test_without_a_rest_what_has_no_place_is_refused_by_its_field():
    mapping = DocumentMapping(
        Collection("things", part=Part(columns={"a.b": Field("text")}, rest="", ignore=("debug",)))
    )
    assert bson.decode(back(mapping, bson.encode({"_id": ID, "debug": 1, "a": {"b": "x"}}))) == {
        "_id": ID,
        "a": {"b": "x"},
    }
    for found, path in (({"more": 1}, "more"), ({"a": {"b": 1}}, "a"), ({"a": {"c": 1}}, "a")):
        with pytest.raises(UnmappableError, match=rf"^{path}: no column holds it exactly"):
            mapping.rows(bson.encode({"_id": ID, **found}))


def test_a_required_column_refuses_a_document_without_its_value():
    mapping = mapped(columns={"a": Field("text", required=True)})
    for found in ({}, {"a": 1}, {"a": None}):
        with pytest.raises(UnmappableError, match=r"^a: "):
            mapping.rows(bson.encode({"_id": ID, **found}))


def test_the_order_of_fields_is_given_up_only_by_choice():
    raw = bson.encode({"_id": ID, "b": 1, "a": 2})
    mapping = DocumentMapping(
        Collection("things", part=Part(columns={"a": Field("bigint"), "b": Field("bigint")}), keep_order=False)
    )
    assert bson.decode(back(mapping, raw)) == {"_id": ID, "a": 2, "b": 1}
    assert mapping.rows(raw)[0][0][-1] is None


@given(documents(), parts())
@settings(max_examples=100)
def test_without_their_order_documents_are_equal_all_the_same(raw, part):
    mapping = DocumentMapping(Collection("things", part=part, keep_order=False))
    found = read(raw)
    if not isinstance(found, Odd):
        assert unordered(to_json(read(back(mapping, raw)))) == unordered(to_json(found))


def unordered(found):
    """Give JSON without the order of fields."""
    if isinstance(found, dict):
        return {name: unordered(value) for name, value in found.items() if name != "$order"}
    return [unordered(value) for value in found] if isinstance(found, list) else found


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        (Collection("t", id="uid"), "id = 'uid' is unknown"),
        (Collection("t", part=Part(columns={"a": Field("txt")})), "did you mean 'text'"),
        (Collection("t", part=Part(columns={"a": Field("text", null="no")})), "null = 'no'"),
        (Collection("t", part=Part(columns={"a": Field("text"), "a.b": Field("text")})), "declared as a value, too"),
        (Collection("t", part=Part(columns={"a.b": Field("text"), "a_b": Field("text")})), "filled twice"),
        (Collection("t", part=Part(columns={"sync_status": Field("text")})), "is ours"),
        (Collection("t", part=Part(columns={"a": Field("text")}, ignore=("a",))), "has a place and is ignored"),
        (Collection("t", part=Part(columns={"a": Field("bigint", default="x")})), "is no bigint"),
        (Collection("t", part=Part(columns={"a": Field("bigint", values=("x",))})), "values are texts"),
        (Collection("t", part=Part(columns={"a" * 64: Field("text")})), "no name of 1 to 63 bytes"),
        (Collection("t", part=Part(arrays={"a": Array(table="x"), "b": Array(table="x")})), "two of its tables"),
        (Collection("t", part=Part(columns={"_id": Field("text")})), "the key's column is there already"),
        (Collection("t", part=Part(columns={"_sync.v": Field("text")})), "the field is Syncline's"),
        (Collection("t", part=Part(columns={"a": Field("text")}, arrays={"a": Array()})), "a is declared twice"),
        (Collection("t", part=Part(columns={"a..b": Field("text")})), "is no path"),
        (
            Collection("t", part=Part(columns={"a": Field("text", values=("x",), default="y")})),
            "not among its `values`",
        ),
        (Collection("t", table="a.b.c"), "'a.b.c' is no `table` or `schema.table`"),
        (Collection("t", part=Part(columns={"ab": Field("text")}, order=("b", "ab"))), "order names 'b', which is not"),
        (Collection("t", part=Part(arrays={"a": Array(part=Part(order=("x",)))})), r"a\[\].order names 'x'"),
        (Collection("t", part=Part(columns={"ab": Field("text")}), indexes=(("ab", "ac"),)), "no column 'ac'"),
    ],
)
def test_a_declaration_that_contradicts_itself_is_refused(declared, said):
    with pytest.raises(MappingError, match=said):
        DocumentMapping(declared)


@pytest.mark.parametrize("leaf", [int32(1), (0x06, b"")], ids=["decoded by the driver", "read byte by byte"])
@pytest.mark.parametrize("tag", [0x03, 0x04])
def test_documents_as_deep_as_mongodb_takes_them_come_back(leaf, tag):
    value = leaf
    for _ in range(MAX_LEVELS + 20):
        value = (tag, document(field("0", value)))
    raw = document(field("_id", (7, ID.binary)), field("a", value))
    for mapping in (mapped(), mapped(columns={"a": Field("jsonb")}), mapped(columns={"a.0.0": Field("text")})):
        assert back(mapping, raw) == raw


def transposed(found, tables):
    """Give the rows of each document of a split."""
    rows: dict[int, tuple[list[tuple], ...]] = {}
    for number, table in enumerate(found.tables):
        for owner, row in zip(table.owners, zip(*table.values, strict=True), strict=True):
            rows.setdefault(owner, tuple([] for _ in tables))[number].append(row)
    return rows


@given(st.lists(documents(), min_size=1, max_size=6), parts(), st.booleans())
@settings(max_examples=150)
def test_many_documents_at_once_become_the_rows_that_each_becomes(drawn, part, keep_order):
    mapping = DocumentMapping(Collection("things", part=part, keep_order=keep_order))
    given = [raw for raw in drawn if not isinstance(read(raw), Odd)]
    found = mapping.split([read(raw) for raw in given])
    rows = transposed(found, mapping.tables)
    assert rows.keys() == set(range(len(given))) - found.odd
    for place, one in rows.items():
        for table, wanted in zip(one, mapping.rows(given[place]), strict=True):
            assert [[*map(to_text, row)] for row in sorted(table, key=by_position)] == [
                [*map(to_text, row)] for row in sorted(wanted, key=by_position)
            ]


def by_position(row):
    return [value for value in row[1:] if type(value) is int]


def test_documents_as_most_are_are_not_odd():
    mapping = mapped(
        columns={"a": Field("text"), "b": Field("bigint"), "when": Field("timestamptz"), "in.x": Field("double")},
        arrays={"tags": Array(value=Field("text")), "steps": Array(part=Part(columns={"n": Field("bigint")}))},
        ignore=("secret",),
    )
    fields = {
        "a": "x",
        "b": 1,
        "when": dt.datetime(2026, 1, 2),  # noqa: DTZ001
        "in": {"x": 1.5},
        "tags": ["p", "q"],
        "steps": [{"n": 1}],
    }
    usual = [{"_id": ObjectId(), **fields}, {"_id": ObjectId(), "a": "y"}, {"_id": ObjectId(), **fields, "secret": 1}]
    assert mapping.split(usual).odd == set()
    odd = [
        {"b": 1.5},
        {"a": "x\0"},
        {"a": None},
        {"tags": []},
        {"tags": [None]},
        {"in": {}},
        {"in": 1},
        {"c": 1},
        {"b": 1, "a": "x"},
    ]
    assert mapping.split([{"_id": ObjectId(), **one} for one in odd]).odd == set(range(len(odd)))
