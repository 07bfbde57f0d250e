from __future__ import annotations

import uuid

import pytest
from bson.binary import Binary
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from bson.objectid import ObjectId

from syncline.errors import KeyFormatError, MappingError
from syncline.model.entity import Entity, Shape, TableName
from syncline.model.keys import KeyCodec, choose_key
from tests.shapes import column, shape

THINGS = TableName("public", "things")


def entity(*key: str) -> Entity:
    return Entity("things", THINGS, "things", key=key)


def test_the_primary_key_is_the_default():
    found = choose_key(entity(), shape(column("a"), column("b"), key=("b", "a")))
    assert [c.name for c in found] == ["b", "a"]


def test_a_declared_key_needs_a_unique_constraint():
    table = Shape(THINGS, 1, "r", (column("id"), column("email", "text", "text")), ("id",), (("id",), ("email",)))
    assert [c.name for c in choose_key(entity("email"), table)] == ["email"]
    with pytest.raises(MappingError, match="no complete unique constraint") as caught:
        choose_key(entity("id", "email"), table)
    assert caught.value.hint == 'usable: key = ["id"]; key = ["email"]'


def test_a_table_without_a_key_says_what_to_do():
    with pytest.raises(MappingError, match="no primary key"):
        choose_key(entity(), shape(column("id"), key=()))


@pytest.mark.parametrize(
    ("refused", "why"),
    [
        (column(type_="citext", base="citext"), "differ only in case"),
        (column(type_="text", base="text", deterministic=False), "non-deterministic"),
        (column(type_="double precision", base="float8"), "floats"),
        (column(type_="numeric", base="numeric"), "declared scale"),
        (column(type_="numeric(40,2)", base="numeric", scale=2), "34 digits"),
        (column(type_="interval", base="interval"), "24 hours"),
        (column(type_="timetz", base="timetz"), "zones"),
        (column(type_="jsonb", base="jsonb"), "1.00"),
        (column(type_="json", base="json"), "equality"),
        (column(type_="bigint[]", base="int8", array=True), "arrays"),
        (column(type_="int4range", base="range"), "range"),
        (column(type_="money", base="money"), "locale"),
        (column(type_="pair", base="composite"), "composite"),
        (column(type_="hstore", base="hstore"), "not among the key types"),
    ],
)
def test_types_whose_equality_is_not_equality_of_text_are_refused(refused, why):
    with pytest.raises(MappingError, match=why):
        choose_key(entity(), shape(refused))


INT = KeyCodec([column()])
PAIR = KeyCodec([column("a"), column("b", "text", "text")], ["a", "b"])


@pytest.mark.parametrize("text", ["05", "+5", " 5", "", "-0", "5.0", "9223372036854775808", "x", "٥"])  # noqa: RUF001
def test_only_the_text_that_postgresql_prints_is_a_key(text):
    with pytest.raises(KeyFormatError, match="is not a key"):
        INT.parse(text)
    with pytest.raises(KeyFormatError):
        INT.parameters(["1", text])


@pytest.mark.parametrize(
    "text", ['["1","x"]', '["1", "x", "y"]', '[1, "x"]', '["01", "x"]', '{"a": 1}', "1", '["1", "\\u0078"]', "[["]
)
def test_composite_keys_are_read_strictly(text):
    with pytest.raises(KeyFormatError):
        PAIR.parse(text)


def test_ids_by_type():
    assert INT.document_id("-5") == -5
    assert PAIR.document_id('["1", "ä\\"\\n"]') == {"a": 1, "b": 'ä"\n'}
    uid = "0190b6f0-1234-7abc-8def-0123456789ab"
    assert KeyCodec([column(type_="uuid", base="uuid")]).document_id(uid) == Binary.from_uuid(uuid.UUID(uid))
    numeric = KeyCodec([column(type_="numeric(5,2)", base="numeric", scale=2)])
    assert str(numeric.document_id("1.10")) == "1.10"
    assert numeric.key_text(Decimal128("1.10")) == "1.10"
    assert numeric.key_text(Decimal128("1.1")) is None


@pytest.mark.parametrize(
    "foreign", [ObjectId(), "5", 5.0, True, None, 2**63, [5], {"a": 5}, b"5", Decimal128("5"), Binary(b"5" * 16, 4)]
)
def test_ids_of_foreign_documents_are_no_keys(foreign):
    assert INT.key_text(foreign) is None


def test_ids_of_ours_come_back():
    assert INT.key_text(Int64(5)) == "5"
    assert PAIR.key_text({"a": 1, "b": "x"}) == '["1", "x"]'
    for foreign in ({"b": "x", "a": 1}, {"a": 1}, {"a": 1, "b": "x", "c": 1}, {"a": "1", "b": "x"}):
        assert PAIR.key_text(foreign) is None


@pytest.mark.parametrize(
    ("codec", "typed", "text"),
    [
        (INT, " 5 ", "5"),
        (INT, "007", "7"),
        (PAIR, "1,x", '["1", "x"]'),
        (PAIR, '["1", "x,y"]', '["1", "x,y"]'),
        (PAIR, '[1,"x"]', '["1", "x"]'),
        (KeyCodec([column(type_="boolean", base="bool")]), "T", "true"),
        (KeyCodec([column(type_="inet", base="inet")]), "10.0.0.1", "10.0.0.1/32"),
        (
            KeyCodec([column(type_="uuid", base="uuid")]),
            "0190B6F012347ABC8DEF0123456789AB",
            "0190b6f0-1234-7abc-8def-0123456789ab",
        ),
        (KeyCodec([column(type_="numeric(5,2)", base="numeric", scale=2)]), "1.1", "1.10"),
        (KeyCodec([column(type_="bytea", base="bytea")]), "C0FF", "\\xc0ff"),
        (KeyCodec([column(type_="text", base="text")]), " as it is ", " as it is "),
    ],
)
def test_what_operators_type(codec, typed, text):
    assert codec.parse_operator(typed) == text


@pytest.mark.parametrize("typed", ["x", "1,2,3", "[1", "[1]", ""])
def test_operators_are_told_how_a_key_looks(typed):
    with pytest.raises(KeyFormatError) as caught:
        PAIR.parse_operator(typed)
    assert caught.value.hint == 'for example ["5", "abc"]'


def test_parameters_are_one_array_per_column():
    assert PAIR.parameters(['["1", "x"]', '["2", "y"]']) == (["1", "2"], ["x", "y"])
    assert PAIR.parameters([]) == ([], [])
    assert INT.parameters(["1", "2"]) == (["1", "2"],)
