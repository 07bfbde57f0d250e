"""Reading BSON for what it says: what the driver decodes away is there, and what it decodes well is decoded by it."""

from __future__ import annotations

import uuid
from datetime import datetime

import bson
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS
from hypothesis import given
from hypothesis import strategies as st

from syncline.engines.mongo.bson_order import order
from syncline.model.canonical import canonical, differences
from syncline.model.strict_bson import AS_STORED, PLAIN, Odd, Repeated, decoded, elements, encoded, id_of, leading
from tests.cases import odd_bson as odd
from tests.cases.odd_bson import field

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.builds(Binary, st.binary(max_size=20), st.sampled_from([5, 9, 128]))
    | st.uuids()
    | st.integers(-(2**62), 2**62).map(Int64)
    | st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)).map(lambda at: at.replace(microsecond=0))  # noqa: DTZ001
    | st.just(DatetimeMS(2**62))
    | st.builds(ObjectId)
    | st.decimals(allow_nan=False, places=3, min_value=-(10**20), max_value=10**20).map(Decimal128)
    | st.builds(Regex, st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
    | st.just(Timestamp(1, 2))
    | st.just(MaxKey()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(NAMES.filter(lambda name: name not in {"_id", "odd"}), VALUES, max_size=5))
def test_what_the_driver_decodes_well_is_the_same(document):
    stored = bson.encode(document, codec_options=PLAIN)
    assert repr(decoded(stored)) == repr(bson.decode(stored, PLAIN))
    # With a field in front that no driver gives back, all the rest is read the slow way.
    slowly = decoded(odd.document(field("odd", odd.UNDEFINED), stored[4:-1]))
    assert isinstance(slowly.pop("odd"), Odd)
    assert repr(slowly) == repr(bson.decode(stored, PLAIN))
    assert encoded(document) == stored


@pytest.mark.parametrize(
    "value",
    [
        odd.symbol("t"),
        odd.code("t"),
        odd.scoped("t"),
        odd.UNDEFINED,
        odd.POINTER,
        odd.text(b"\xff"),
        (0x0B, b"\xff\0\0"),
    ],
)
def test_what_it_would_change_stays_as_it_is_and_equals_nothing(value):
    stored = odd.document(field("_id", odd.int32(1)), field("a", value), field("b", odd.sub(field("c", value))))
    found = decoded(stored)
    assert encoded(found) == stored
    for other in ("t", None, found["a"], Code("t"), ""):
        source = {"_id": 1, "a": other, "b": {"c": other}}
        assert [path for path, *_ in differences(source, found)] == ["a", "b.c"]


def test_of_fields_of_one_name_all_are_there():
    stored = odd.document(*(field("a", odd.int32(n)) for n in (1, 2, 3)))
    assert decoded(stored) == {"a": Repeated((1, 2, 3))}
    assert encoded(decoded(stored)) == stored
    assert leading(decoded(stored)["a"]) == 1
    assert differences({"a": 3}, decoded(stored))


def test_a_reference_is_a_document():
    for names in (("$ref", "$id"), ("$id", "$ref"), ("$ref", "$id", "$db")):
        inner = {name: name for name in names}
        assert decoded(bson.encode({"_id": 1, "a": inner})) == {"_id": 1, "a": inner}
        assert decoded(bson.encode({"_id": inner})) == {"_id": inner}
        assert decoded(bson.encode(inner)) == inner


@pytest.mark.parametrize("subtype", [3, 4])
def test_a_uuid_of_an_impossible_length_is_a_binary(subtype):
    stored = odd.document(field("a", odd.binary(subtype, b"abc")))
    assert decoded(stored)["a"] == decoded(stored, AS_STORED)["a"] == Binary(b"abc", subtype)
    assert canonical(Binary(b"abc", 4)) != canonical(Binary(b"abc", 0))


def test_uuids_are_given_as_asked_for():
    one = uuid.UUID(int=5)
    stored = bson.encode({"a": one}, codec_options=PLAIN)
    assert decoded(stored) == {"a": one}
    assert decoded(stored, AS_STORED) == {"a": Binary(one.bytes, 4)}
    slow = decoded(odd.document(stored[4:-1], field("odd", odd.UNDEFINED)), AS_STORED)
    assert slow["a"] == Binary(one.bytes, 4)


def test_a_key_that_holds_something_odd_is_asked_for_as_it_is():
    key = odd.sub(field("a", odd.int32(1)), field("a", odd.symbol("x")))
    stored = odd.document(field("_id", key), field("b", odd.int32(1)))
    found = decoded(stored)["_id"]
    assert isinstance(found, Odd)
    assert id_of(stored) == encoded({"_id": found}) == odd.document(field("_id", key))


def test_a_name_that_is_no_text_is_no_other_name():
    stored = odd.document(field(b"a\xff", odd.int32(1)))
    assert differences({"a\\xff": 1}, decoded(stored))


def test_a_symbol_has_the_place_of_its_text_and_code_has_none():
    assert order(Odd("a symbol", *odd.symbol("x"))) == order("x")
    assert order(Odd("a key", *odd.sub(field("a", odd.symbol("x"))))) == order({"a": "x"})
    with pytest.raises(TypeError):
        order(Code("x"))


def test_deep_documents_are_read():
    value = odd.symbol("x")
    for _ in range(200):
        value = odd.sub(field("a", value))
    found = decoded(odd.document(field("a", value)))
    assert len(differences({"a": 1}, found)) == 1
    assert len(list(elements(encoded(found)))) == 1


def test_fields_stay_in_their_order_wherever_the_id_stands():
    stored = odd.document(
        field("a", odd.UNDEFINED),
        field("sub", odd.sub(field("b", odd.int32(1)), field("_id", odd.int32(2)))),
        field("_id", odd.int32(3)),
    )
    assert list(decoded(stored)["sub"]) == ["b", "_id"]
    assert encoded(decoded(stored)) == stored
    assert encoded({"b": 1, "_id": 2}) == odd.document(field("b", odd.int32(1)), field("_id", odd.int32(2)))
